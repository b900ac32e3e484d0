//! [`Fs`] on Windows.
//!
//! Windows resolves no path below a handle, so each directory on the way is looked at before a path is used, and links and
//! other reparse points there are refused. A directory that becomes a link between the look and the use is not noticed:
//! making links takes a right that ordinary programs do not have.

mod errors;
mod handle;

use super::probe::Probed;
use super::{OWN_DIR, OpenError, bad_path, is_own, is_path, lock_own};
use crate::fs::{Entry, Fs, FsError, FsResult, ReadFile, WriteFile};
use crate::names::NameRules;
use bifold_tree::{Kind, Names, Stat, is_name};
use errors::error;
use std::collections::BTreeSet;
use std::fs::{File, FileTimes, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt, symlink_dir, symlink_file};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use windows_sys::Win32::Foundation::GENERIC_WRITE;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE,
};

/// Others may do with the file what they like while it is open here.
const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

/// The file system of this computer below one root. [`Fs::stat`] and [`Fs::list`] of the root itself say `NotFound`
/// (stat: `None`) if the root's path leads to another directory than when it was opened.
pub struct NativeFs {
    /// In the form (`\\?\`) that has no limit of length and takes each name as it is.
    path: PathBuf,
    identity: (u32, u64),
    rules: NameRules,
    /// Held as long as this is.
    lock: Mutex<Option<File>>,
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
        let real = path.canonicalize().map_err(|e| fail(error(e)))?;
        let root = look(&real).map_err(fail)?;
        if !matches!(
            handle::entry(&root).map_err(fail)?,
            Entry::Plain(Stat { kind: Kind::Dir, .. })
        ) {
            return Err(fail(FsError::NotFound));
        }
        let identity = handle::identity(&root).map_err(fail)?;
        let rules = probe(&real).rules;
        Ok(NativeFs {
            path: real,
            identity,
            rules,
            lock: Mutex::default(),
        })
    }

    /// How this disk treats names.
    #[must_use]
    pub fn rules(&self) -> NameRules {
        self.rules
    }

    /// Whether the root's path still leads to the directory that was opened.
    fn root_is_there(&self) -> FsResult<bool> {
        match look(&self.path) {
            Ok(root) => Ok(handle::identity(&root)? == self.identity),
            Err(FsError::NotFound) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The system's path of a tree's, with each directory on the way looked at.
    fn on_disk(&self, path: &str) -> FsResult<PathBuf> {
        if !is_path(path) {
            return Err(bad_path());
        }
        let mut full = self.path.clone();
        let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
        while let Some(name) = names.next() {
            full.push(self.rules.to_disk(name));
            if names.peek().is_some() {
                match handle::entry(&look(&full)?)? {
                    Entry::Plain(stat) if stat.kind == Kind::Dir => {}
                    Entry::Plain(stat) if stat.kind == Kind::File => return Err(FsError::NotFound),
                    _ => {
                        return Err(FsError::Other(io::Error::other(
                            "a link is in the way, and links are not followed",
                        )));
                    }
                }
            }
        }
        Ok(full)
    }

    /// The system's path of a tree's that is not the root.
    fn below(&self, path: &str) -> FsResult<PathBuf> {
        if path.is_empty() {
            Err(bad_path())
        } else {
            self.on_disk(path)
        }
    }

    /// A link's target as the tree has it: `/` between names, and these as the tree has them. (A drive stays as it is.)
    fn target_in_tree(&self, target: &str) -> String {
        let target = match target.strip_prefix(r"\\?\UNC\") {
            Some(share) => format!(r"\\{share}"),
            None => target.strip_prefix(r"\\?\").unwrap_or(target).to_owned(),
        };
        let names = target
            .split(['\\', '/'])
            .map(|name| self.rules.to_tree(name.as_ref()).unwrap_or_else(|| name.to_owned()));
        names.collect::<Vec<_>>().join("/")
    }

    /// The reverse.
    fn target_on_disk(&self, target: &str) -> PathBuf {
        let mut out = std::ffi::OsString::new();
        for (n, name) in target.split('/').enumerate() {
            if n > 0 {
                out.push("\\");
            }
            let is_drive =
                n == 0 && name.len() == 2 && name.ends_with(':') && name.starts_with(|c: char| c.is_ascii_alphabetic());
            if is_drive || matches!(name, "." | "..") {
                out.push(name);
            } else {
                out.push(self.rules.to_disk(name));
            }
        }
        out.into()
    }
}

/// Opens what is at a path for a look at it alone, whatever it is and whoever else has it open; a link is not followed.
fn look(path: &Path) -> FsResult<File> {
    OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        .share_mode(SHARE_ALL)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)
        .map_err(error)
}

/// Makes the names in a directory durable, where the file system can. (Some flush files alone, and some users may not write there.)
fn flush_dir(path: &Path) {
    let dir = OpenOptions::new()
        .access_mode(GENERIC_WRITE)
        .share_mode(SHARE_ALL)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path);
    let _ = dir.and_then(|dir| dir.sync_all());
}

/// What is said of a regular file.
fn plain(file: &File) -> FsResult<Stat> {
    match handle::entry(file)? {
        Entry::Plain(stat) if stat.kind == Kind::File => Ok(stat),
        _ => Err(FsError::Other(io::Error::other("not a file"))),
    }
}

impl Fs for NativeFs {
    fn names(&self) -> &dyn Names {
        &self.rules
    }

    fn keeps_exec(&self) -> bool {
        false
    }

    fn stat(&self, path: &str) -> FsResult<Option<Entry>> {
        if path.is_empty() && !self.root_is_there()? {
            return Ok(None);
        }
        match self.on_disk(path).and_then(|path| look(&path)) {
            Ok(file) => handle::entry(&file).map(Some),
            Err(FsError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn list(&self, path: &str) -> FsResult<Vec<(String, Entry)>> {
        let at_root = path.is_empty();
        if at_root && !self.root_is_there()? {
            return Err(FsError::NotFound);
        }
        let dir = self.on_disk(path)?;
        if !matches!(handle::entry(&look(&dir)?)?, Entry::Plain(Stat { kind: Kind::Dir, .. })) {
            return Err(FsError::NotFound);
        }
        let mut list = Vec::new();
        for item in std::fs::read_dir(&dir).map_err(error)? {
            let name = item.map_err(error)?.file_name();
            let Some(tree_name) = self.rules.to_tree(&name).filter(|name| is_name(name)) else {
                // Lone surrogates: no text, so no name in the tree.
                list.push((
                    name.to_string_lossy().into_owned(),
                    Entry::Special("name that cannot be told to other systems"),
                ));
                continue;
            };
            if at_root && is_own(&self.rules, &tree_name) {
                continue;
            }
            match look(&dir.join(&name)) {
                Ok(file) => list.push((tree_name, handle::entry(&file)?)),
                // Gone since the directory was read.
                Err(FsError::NotFound) => {}
                Err(e) => return Err(e),
            }
        }
        list.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(list)
    }

    fn open(&self, path: &str) -> FsResult<Box<dyn ReadFile>> {
        let path = self.below(path)?;
        let file = OpenOptions::new()
            .read(true)
            .share_mode(SHARE_ALL)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
            .open(path)
            .map_err(error)?;
        plain(&file)?;
        Ok(Box::new(Reading(file)))
    }

    fn read_link(&self, path: &str) -> FsResult<String> {
        let path = self.below(path)?;
        match handle::entry(&look(&path)?)? {
            Entry::Plain(stat) if stat.kind == Kind::Link => {}
            _ => return Err(FsError::Other(io::Error::other("not a link"))),
        }
        let target = std::fs::read_link(path).map_err(error)?;
        Ok(self.target_in_tree(target.to_str().ok_or(FsError::Unsupported)?))
    }

    fn create(&self, path: &str) -> FsResult<Box<dyn WriteFile>> {
        let path = self.below(path)?;
        let share = FILE_SHARE_READ | FILE_SHARE_DELETE;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .share_mode(share)
            .open(path)
            .map_err(error)?;
        Ok(Box::new(Writing { file, written: 0 }))
    }

    fn make_link(&self, path: &str, target: &str) -> FsResult<()> {
        let path = self.below(path)?;
        let target = self.target_on_disk(target);
        // A link knows whether it leads to a directory; one that leads nowhere yet is taken to lead to a file.
        let to_dir = path.parent().is_some_and(|dir| dir.join(&target).is_dir());
        if to_dir {
            symlink_dir(target, &path)
        } else {
            symlink_file(target, &path)
        }
        .map_err(|e| {
            if errors::is_no_right(&e) {
                FsError::Unsupported
            } else {
                error(e)
            }
        })?;
        // Where there are no links, Wine (10) says that it made one.
        match std::fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(FsError::Unsupported),
            _ => Ok(()),
        }
    }

    fn make_dir(&self, path: &str) -> FsResult<()> {
        std::fs::create_dir(self.below(path)?).map_err(error)
    }

    fn rename(&self, from: &str, to: &str) -> FsResult<()> {
        handle::rename(&self.below(from)?, &self.below(to)?)
    }

    fn exchanges(&self) -> bool {
        false
    }

    fn exchange(&self, _: &str, _: &str) -> FsResult<()> {
        Err(FsError::Unsupported)
    }

    fn remove_file(&self, path: &str) -> FsResult<()> {
        let path = self.below(path)?;
        match handle::entry(&look(&path)?)? {
            Entry::Plain(stat) if stat.kind == Kind::File => std::fs::remove_file(path).map_err(error),
            // A link to a directory goes as a directory does; what it leads to stays.
            Entry::Plain(stat) if stat.kind == Kind::Link => std::fs::remove_file(&path)
                .or_else(|_| std::fs::remove_dir(&path))
                .map_err(error),
            _ => Err(FsError::Other(io::Error::other("neither file nor link"))),
        }
    }

    fn remove_dir(&self, path: &str) -> FsResult<()> {
        let path = self.below(path)?;
        match handle::entry(&look(&path)?)? {
            Entry::Plain(stat) if stat.kind == Kind::Dir => std::fs::remove_dir(path).map_err(error),
            _ => Err(FsError::NotFound),
        }
    }

    fn set_exec(&self, _: &str, _: bool) -> FsResult<bool> {
        Err(FsError::Unsupported)
    }

    fn sync(&self, paths: &[&str]) -> FsResult<()> {
        let mut dirs = BTreeSet::new();
        for path in paths {
            let above = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            dirs.insert(above);
            let file = match self.on_disk(path) {
                Ok(full) => match look(&full).and_then(|file| handle::entry(&file)) {
                    Ok(Entry::Plain(stat)) if stat.kind == Kind::File => {
                        OpenOptions::new().write(true).share_mode(SHARE_ALL).open(full).map_err(error)
                    }
                    Ok(Entry::Plain(stat)) if stat.kind == Kind::Dir => {
                        dirs.insert(path);
                        continue;
                    }
                    Ok(_) => continue,
                    Err(e) => Err(e),
                },
                Err(e) => Err(e),
            };
            match file {
                Ok(file) => file.sync_all().map_err(error)?,
                Err(FsError::NotFound) => {}
                Err(e) => return Err(e),
            }
        }
        // NTFS keeps a journal of names, and writes it when it likes; other file systems have none.
        for dir in dirs {
            if let Ok(dir) = self.on_disk(dir) {
                flush_dir(&dir);
            }
        }
        Ok(())
    }

    fn free_space(&self) -> Option<u64> {
        handle::free_space(&self.path)
    }

    fn lock(&self) -> FsResult<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            *lock = lock_own(&self.path.join(OWN_DIR))?;
        }
        Ok(())
    }
}

/// A file that is open for reading.
struct Reading(File);

impl ReadFile for Reading {
    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> FsResult<usize> {
        self.0.seek_read(buf, offset).map_err(error)
    }

    fn stat(&mut self) -> FsResult<Stat> {
        plain(&self.0)
    }
}

/// A new file that is open for writing. It has no holes: those take a call for each, and save little on NTFS.
struct Writing {
    file: File,
    written: u64,
}

impl WriteFile for Writing {
    fn append(&mut self, mut bytes: &[u8]) -> FsResult<()> {
        while !bytes.is_empty() {
            let n = self.file.seek_write(bytes, self.written).map_err(error)?;
            if n == 0 {
                return Err(FsError::Other(io::ErrorKind::WriteZero.into()));
            }
            self.written += n as u64;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: bool, mtime_ns: i64) -> FsResult<Stat> {
        let distance = Duration::from_nanos(mtime_ns.unsigned_abs());
        let time = if mtime_ns < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        };
        if let Some(time) = time {
            self.file.set_times(FileTimes::new().set_modified(time)).map_err(error)?;
        }
        plain(&self.file)
    }
}
