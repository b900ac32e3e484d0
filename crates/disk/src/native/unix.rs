//! [`Fs`] on Unix: every call resolves its path below the root's handle and follows no link.

mod attributes;
mod durable;
mod entry;
mod errno;
mod file;
mod rename;
mod resolve;

use super::probe::Probed;
use super::{DiskKind, OWN_DIR, OpenError, bad_path, is_own, is_path, lock_own};
use crate::fs::{Entry, Fs, FsError, FsResult, ReadFile, WriteFile};
use crate::names::{NameRules, System};
use bifold_tree::{Names, is_name};
use entry::Facts;
use errno::error;
use resolve::{Dir, Root};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// A name in the directory where a file is put for a moment that is renamed where that cannot be done in one step: the history, where
/// whatever is left there is kept.
const ASIDE: &[u8] = b".bifold/history/0-0-renamed";

/// The file system of this computer below one root.
///
/// Keeps one handle: the root's. [`Fs::stat`] and [`Fs::list`] of the root itself look whether the root's path still
/// leads there, and say `NotFound` (stat: `None`) if not, so that an unmounted or replaced root is noticed before
/// anything is inferred from what is in it.
pub struct NativeFs {
    root: Root,
    path: PathBuf,
    rules: NameRules,
    exec: bool,
    /// Held as long as this is.
    lock: Mutex<Option<File>>,
    /// This disk said that it cannot exchange files.
    no_exchange: AtomicBool,
}

impl NativeFs {
    /// Opens a root, and finds out how its disk treats names by trying with files in its `.bifold`, that are gone
    /// afterwards. (Where none can be made it looks only, as [`NativeFs::open_read_only`] does.)
    ///
    /// # Errors
    /// `NotFound` if there is no such directory, or what the system says.
    pub fn open(path: &Path) -> Result<NativeFs, OpenError> {
        NativeFs::with(path, Probed::by_trying)
    }

    /// Opens a root for a dry run: nothing is written, and how its disk treats names is told by what is there, or by
    /// what is usual on this system.
    ///
    /// # Errors
    /// `NotFound` if there is no such directory, or what the system says.
    pub fn open_read_only(path: &Path) -> Result<NativeFs, OpenError> {
        NativeFs::with(path, Probed::by_looking)
    }

    fn with(path: &Path, probe: impl Fn(&Path) -> Probed) -> Result<NativeFs, OpenError> {
        let fail = |source| OpenError {
            path: path.to_owned(),
            source,
        };
        let root = Root::open(path).map_err(|e| fail(error(e)))?;
        // Whoever changes the working directory does not change the root.
        let path = std::path::absolute(path).map_err(|e| fail(FsError::Other(e)))?;
        let Probed { rules, exec } = probe(&path);
        Ok(NativeFs {
            root,
            path,
            rules,
            exec,
            lock: Mutex::default(),
            no_exchange: AtomicBool::new(false),
        })
    }

    /// How this disk treats names.
    #[must_use]
    pub fn rules(&self) -> NameRules {
        self.rules
    }

    /// Whether the root's path still leads to the directory that was opened.
    fn root_is_there(&self) -> FsResult<bool> {
        let open = rustix::fs::fstat(self.root.fd()).map_err(error)?;
        match rustix::fs::stat(&self.path) {
            Ok(there) => Ok((there.st_dev, there.st_ino) == (open.st_dev, open.st_ino)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(e) => Err(error(e)),
        }
    }

    /// A path in disk names; empty for the root.
    fn on_disk<'p>(&self, path: &'p str) -> FsResult<Cow<'p, [u8]>> {
        if !is_path(path) {
            return Err(bad_path());
        }
        // The escape's own characters (U+F77F to U+F7FF) begin with this byte.
        let as_it_is = match self.rules.system {
            System::Mac => true,
            System::Unix => !path.as_bytes().contains(&0xEF),
            System::Windows => path.is_empty(),
        };
        if as_it_is {
            return Ok(Cow::Borrowed(path.as_bytes()));
        }
        let names: Vec<Vec<u8>> = path.split('/').map(|name| self.rules.to_disk(name).into_vec()).collect();
        Ok(Cow::Owned(names.join(&b'/')))
    }

    /// A path in disk names that is not the root.
    fn below<'p>(&self, path: &'p str) -> FsResult<Cow<'p, [u8]>> {
        if path.is_empty() {
            Err(bad_path())
        } else {
            self.on_disk(path)
        }
    }

    /// Does something with the directory that `path` is in, and the name there.
    fn in_parent<T>(&self, path: &str, act: impl Fn(&Dir<'_>, &[u8]) -> Result<T, Errno>) -> FsResult<T> {
        let path = self.below(path)?;
        let (dir, name) = self.root.parent(&path).map_err(error)?;
        act(&dir, name).map_err(error)
    }

    /// The tree's name of an entry of a directory, and what it is if it has none.
    fn name_in_tree(&self, name: &[u8]) -> (String, Option<Entry>) {
        let name = OsStr::from_bytes(name);
        match self.rules.to_tree(name).filter(|name| is_name(name)) {
            Some(name) => (name, None),
            None => (
                name.to_string_lossy().into_owned(),
                Some(Entry::Special("name that cannot be told to other systems")),
            ),
        }
    }
}

impl Fs for NativeFs {
    fn names(&self) -> &dyn Names {
        &self.rules
    }

    fn keeps_exec(&self) -> bool {
        self.exec
    }

    fn stat(&self, path: &str) -> FsResult<Option<Entry>> {
        if path.is_empty() {
            if !self.root_is_there()? {
                return Ok(None);
            }
            let facts = Facts::of_open(self.root.fd()).map_err(error)?;
            return Ok(Some(entry::entry(&facts, self.exec)));
        }
        match self.in_parent(path, |dir, name| Facts::of(dir, name)) {
            Ok(facts) => Ok(Some(entry::entry(&facts, self.exec))),
            Err(FsError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn list(&self, path: &str) -> FsResult<Vec<(String, Entry)>> {
        let at_root = path.is_empty();
        if at_root && !self.root_is_there()? {
            return Err(FsError::NotFound);
        }
        let path = self.on_disk(path)?;
        let path = if at_root { b"." } else { &*path };
        let fd = self
            .root
            .open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .map_err(error)?;
        let mut dir = rustix::fs::Dir::new(fd).map_err(error)?;
        let mut list = Vec::new();
        while let Some(item) = dir.read() {
            let item = item.map_err(error)?;
            let name = item.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let (tree_name, unnamed) = self.name_in_tree(name.to_bytes());
            if at_root && is_own(&self.rules, &tree_name) {
                continue;
            }
            let fd = dir.fd().map_err(error)?;
            let entry = match Facts::of(fd, name) {
                Ok(facts) => unnamed.unwrap_or_else(|| entry::entry(&facts, self.exec)),
                // Gone since the directory was read.
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(error(e)),
            };
            list.push((tree_name, entry));
        }
        list.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(list)
    }

    fn open(&self, path: &str) -> FsResult<Box<dyn ReadFile>> {
        let path = self.below(path)?;
        // Without NONBLOCK, a fifo in the place of a file would keep the caller waiting for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.root.open_at(&path, flags, Mode::empty()).map_err(error)?;
        let mut file = file::Reading { fd, exec: self.exec };
        file.stat()?;
        Ok(Box::new(file))
    }

    fn read_link(&self, path: &str) -> FsResult<String> {
        let target = self
            .in_parent(path, |dir, name| match rustix::fs::readlinkat(dir, name, Vec::new()) {
                // It is there, and no link.
                Err(Errno::INVAL) => Ok(None),
                target => target.map(Some),
            })?
            .ok_or_else(|| FsError::Other(io::Error::other("not a link")))?;
        target.into_string().map_err(|_| FsError::Unsupported)
    }

    fn create(&self, path: &str) -> FsResult<Box<dyn WriteFile>> {
        let path = self.below(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let fd = self.root.open_at(&path, flags, Mode::from_raw_mode(0o666)).map_err(error)?;
        Ok(Box::new(file::Writing::new(fd, self.exec)))
    }

    fn make_link(&self, path: &str, target: &str) -> FsResult<()> {
        let path = self.below(path)?;
        let (dir, name) = self.root.parent(&path).map_err(error)?;
        rustix::fs::symlinkat(target, &dir, name).map_err(|e| match e {
            // What Linux says of file systems that have no links.
            Errno::PERM => FsError::Unsupported,
            e => error(e),
        })
    }

    fn make_dir(&self, path: &str) -> FsResult<()> {
        // What is in the engine's own directory may have been nobody else's to read where it was.
        let permissions = if path == OWN_DIR { 0o700 } else { 0o777 };
        self.make_dir_for(path, permissions)
    }

    #[allow(clippy::useless_conversion, reason = "systems differ in how wide modes are")]
    fn dir_permissions(&self, path: &str) -> FsResult<u32> {
        let stat = self.in_parent(path, |dir, name| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))?;
        Ok(u32::from(stat.st_mode) & 0o777)
    }

    fn may_change(&self, dir: &str) -> bool {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        let told = if dir.is_empty() {
            rustix::fs::accessat(self.root.fd(), c".", access, AtFlags::EACCESS).map_err(error)
        } else {
            self.in_parent(dir, |parent, name| {
                rustix::fs::accessat(parent, name, access, AtFlags::EACCESS)
            })
        };
        !matches!(told, Err(FsError::Denied(_)))
    }

    fn make_dir_for(&self, path: &str, permissions: u32) -> FsResult<()> {
        // Whoever makes it must be able to fill it.
        let mode = Mode::from_raw_mode((permissions & 0o777 | 0o700) as _);
        self.in_parent(path, |dir, name| rustix::fs::mkdirat(dir, name, mode))
    }

    fn rename(&self, from: &str, to: &str) -> FsResult<()> {
        // The disk's own idea of one name is asked only where it folds names at all.
        let (last_from, last_to) = (from.rsplit('/').next().unwrap_or(from), to.rsplit('/').next().unwrap_or(to));
        let one_name = from != to && self.rules.same(last_from, last_to);
        let to_own = to.split_once('/').is_some_and(|(first, _)| first == OWN_DIR);
        let (from, to) = (self.below(from)?, self.below(to)?);
        let (from_dir, from_name) = self.root.parent(&from).map_err(error)?;
        let (to_dir, to_name) = self.root.parent(&to).map_err(error)?;
        let (from, to) = ((&from_dir, from_name), (&to_dir, to_name));
        let renamed = if to_own {
            rename::to_own(from, to)
        } else {
            rename::rename(from, to, one_name, &|| Ok(self.root.parent(ASIDE)?.0))
        };
        renamed.map_err(error)
    }

    fn knows_objects(&self) -> bool {
        // (exFAT's and some shares' inodes are numbered anew, and their times of change are not kept. On macOS it was not looked into.)
        cfg!(any(target_os = "linux", target_os = "android")) && DiskKind::of(&self.path) == DiskKind::Local
    }

    fn exchanges(&self) -> bool {
        cfg!(any(target_os = "linux", target_os = "android", target_vendor = "apple"))
            && !self.no_exchange.load(Ordering::Relaxed)
    }

    fn exchange(&self, a: &str, b: &str) -> FsResult<()> {
        let (a, b) = (self.below(a)?, self.below(b)?);
        let (a_dir, a_name) = self.root.parent(&a).map_err(error)?;
        let (b_dir, b_name) = self.root.parent(&b).map_err(error)?;
        let exchanged = rename::exchange((&a_dir, a_name), (&b_dir, b_name)).map_err(error);
        if matches!(exchanged, Err(FsError::Unsupported)) {
            self.no_exchange.store(true, Ordering::Relaxed);
        }
        exchanged
    }

    fn remove_file(&self, path: &str) -> FsResult<()> {
        self.in_parent(path, |dir, name| rustix::fs::unlinkat(dir, name, AtFlags::empty()))
    }

    fn remove_dir(&self, path: &str) -> FsResult<()> {
        self.in_parent(path, |dir, name| {
            rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR).map_err(|e| match e {
                // What some systems say of a directory that is not empty.
                Errno::EXIST => Errno::NOTEMPTY,
                e => e,
            })
        })
    }

    fn set_exec(&self, path: &str, exec: bool) -> FsResult<bool> {
        if !self.exec {
            return Err(FsError::Unsupported);
        }
        let path = self.below(path)?;
        let fd = self
            .root
            .open_at(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())
            .map_err(error)?;
        let stat = rustix::fs::fstat(&fd).map_err(error)?;
        entry::plain(&Facts::of_open(&fd).map_err(error)?, self.exec)?;
        rustix::fs::fchmod(&fd, entry::exec_mode(Mode::from_raw_mode(stat.st_mode), exec)).map_err(error)?;
        Ok(stat.st_nlink > 1)
    }

    fn sync(&self, paths: &[&str]) -> FsResult<()> {
        let paths = paths
            .iter()
            .map(|path| Ok(self.on_disk(path)?.into_owned()))
            .collect::<FsResult<Vec<_>>>()?;
        durable::sync(&self.root, &paths)
    }

    fn free_space(&self) -> Option<u64> {
        let stat = rustix::fs::fstatvfs(self.root.fd()).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self) -> FsResult<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            *lock = lock_own(&self.path.join(OWN_DIR))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
