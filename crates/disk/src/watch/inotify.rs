//! The source of events on Linux: inotify, with one watch for each directory.
//!
//! A new directory is watched before it is told of, so what is made in it is either told of by itself or found by the scan
//! of the directory. Paths are made when an event is read and not when it happened: by then a directory may be elsewhere;
//! but then the event of its move comes after, and tells of it as a whole. A directory is watched only by way of the very
//! directory that it is in; while that is not where it was last seen, it waits until the events of the moves have been read.

use super::batch::Batch;
use super::dirs::{Dirs, Wd};
use super::{Tell, WatchError, Watched};
use crate::names::NameRules;
use crate::native::OWN_DIR;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, Event, ReadFlags, Reader, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What is asked of a directory. Not: who opens or reads a file, which a scan does all the time.
const DIR: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::EXCL_UNLINK)
    .union(WatchFlags::ONLYDIR);
/// What is asked of the root besides.
const ROOT: WatchFlags = DIR.union(WatchFlags::DELETE_SELF).union(WatchFlags::MOVE_SELF);

/// After events were read, more are let come for so long: a program that writes all the time wakes this thread no more
/// often than that. The system joins equal events meanwhile.
const NAP: Duration = Duration::from_millis(3);
/// So many events are read before it is looked whether a batch is due.
const AT_ONCE: usize = 4096;

/// A root that is being watched, until this is dropped.
pub(super) struct Source {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Source {
    /// Watches a root, all of it from when this returns.
    pub(super) fn start(root: &Path, rules: NameRules, send: Tell) -> Result<Source, WatchError> {
        let refused = |source: io::Error| WatchError::Refused {
            path: root.to_owned(),
            source,
        };
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| refused(e.into()))?);
        let tree = Tree::cover(root)?;
        let watch = Watch {
            tree,
            stop: stop.clone(),
            rules,
            send,
            batch: Batch::default(),
            rescan: None,
            limited: None,
            told: false,
        };
        let thread = thread::Builder::new()
            .name("watch".into())
            .spawn(move || watch.run())
            .map_err(refused)?;
        Ok(Source {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // Adding one to a counter that is zero cannot fail.
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// The watched directories of a root.
struct Tree {
    fd: OwnedFd,
    root: PathBuf,
    root_fd: OwnedFd,
    dirs: Dirs,
    /// Directories in which something may be that is not watched: it was not found there, or they were not where they should be.
    unsure: BTreeSet<Wd>,
    /// Directories that were moved away, by the number that both ends of a move have, until the other end is seen.
    moving: Vec<(u32, Wd)>,
}

impl Tree {
    /// Watches all directories of a root but `.bifold`.
    fn cover(root: &Path) -> Result<Tree, WatchError> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|e| failed(root, e))?;
        let wd = inotify::add_watch(&fd, root, ROOT).map_err(|e| failed(root, e))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root_fd = rustix::fs::open(root, flags, Mode::empty()).map_err(|e| failed(root, e))?;
        if !by_handle(&root_fd).exists() {
            return Err(WatchError::Refused {
                path: root.to_owned(),
                source: io::Error::other("/proc is not mounted"),
            });
        }
        let mut tree = Tree {
            fd,
            root: root.to_owned(),
            dirs: Dirs::new(wd),
            unsure: BTreeSet::from([wd]),
            moving: Vec::new(),
            root_fd,
        };
        tree.look_again()?;
        Ok(tree)
    }

    /// Watches a directory and those below it; what is no directory (any more) is left out.
    fn add(&mut self, parent: Wd, name: &OsStr) -> Result<(), WatchError> {
        self.add_all(vec![(parent, name.to_owned())])
    }

    fn add_all(&mut self, mut todo: Vec<(Wd, OsString)>) -> Result<(), WatchError> {
        while let Some((parent, name)) = todo.pop() {
            let opened = match self.open(parent) {
                Some(dir) => step(dir.as_fd(), &name),
                None => Err(Errno::NOENT),
            };
            let added = opened.and_then(|dir| {
                let wd = inotify::add_watch(&self.fd, by_handle(&dir), DIR)?;
                let stat = rustix::fs::fstat(&dir)?;
                Ok((wd, dir, (stat.st_dev, stat.st_ino)))
            });
            match added {
                Ok((wd, dir, identity)) => {
                    // One that is known has been gone through, and has told of what came since.
                    if self.dirs.put(wd, parent, &name, identity) {
                        todo.append(&mut self.subdirs(wd, &dir));
                    }
                }
                // Gone, or moved, or what it is in was.
                Err(Errno::NOENT) => {
                    self.unsure.insert(parent);
                }
                // A link; or not for us to read, which the scan reports.
                Err(Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {}
                Err(e) => {
                    let dir = self.dirs.path(parent).unwrap_or_default();
                    return Err(failed(&self.root.join(dir).join(&name), e));
                }
            }
        }
        Ok(())
    }

    /// Looks once more into directories in which something may be that is not watched.
    fn look_again(&mut self) -> Result<(), WatchError> {
        for wd in std::mem::take(&mut self.unsure) {
            if !self.dirs.knows(wd) {
                continue;
            }
            match self.open(wd) {
                Some(dir) => {
                    let mut new = self.subdirs(wd, &dir);
                    new.retain(|(_, name)| !self.dirs.has(wd, name));
                    self.add_all(new)?;
                }
                // It was moved: where to is yet to be told.
                None => {
                    self.unsure.insert(wd);
                }
            }
        }
        Ok(())
    }

    /// Opens a watched directory; not if it is not where it was last seen. No link is followed.
    fn open(&self, wd: Wd) -> Option<OwnedFd> {
        let mut at = self.root_fd.try_clone().ok()?;
        if wd == self.dirs.root() {
            return Some(at);
        }
        for name in self.dirs.names(wd)? {
            at = step(at.as_fd(), name).ok()?;
        }
        let stat = rustix::fs::fstat(&at).ok()?;
        (self.dirs.identity(wd) == Some((stat.st_dev, stat.st_ino))).then_some(at)
    }

    /// The directories in one. What cannot be read is the scan's to report.
    fn subdirs(&self, wd: Wd, dir: &OwnedFd) -> Vec<(Wd, OsString)> {
        let entries = std::fs::read_dir(by_handle(dir)).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()));
        dirs.map(|entry| (wd, entry.file_name()))
            .filter(|(_, name)| !self.is_own(wd, name))
            .collect()
    }

    /// Whether a name is the engine's own directory.
    fn is_own(&self, dir: Wd, name: &OsStr) -> bool {
        dir == self.dirs.root() && name == OWN_DIR
    }

    /// Stops watching what was moved out of the root.
    fn forget_moved(&mut self) {
        for (_, wd) in std::mem::take(&mut self.moving) {
            for wd in self.dirs.forget_all(wd) {
                // It may be removed already.
                let _ = inotify::remove_watch(&self.fd, wd);
            }
        }
    }
}

/// Opens a directory in another, not through a link.
fn step(dir: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| rustix::fs::openat(dir, name, flags, Mode::empty()))
}

/// The path by which the system finds what is open: whatever happens to its name, and however long its path is.
fn by_handle(dir: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", dir.as_raw_fd()).into()
}

/// Why a directory cannot be watched.
fn failed(path: &Path, e: Errno) -> WatchError {
    let (limit, what, more) = match e {
        Errno::NOSPC => ("max_user_watches", "watched directories", 1_048_576),
        Errno::MFILE => ("max_user_instances", "programs that watch", 1024),
        _ => {
            return WatchError::Refused {
                path: path.to_owned(),
                source: e.into(),
            };
        }
    };
    let now = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{limit}")).unwrap_or_default();
    WatchError::Exhausted {
        hint: format!(
            "the system's limit of {what} is reached (fs.inotify.{limit} is {now}). To raise it: \
             echo fs.inotify.{limit}={more} | sudo tee /etc/sysctl.d/60-bifold.conf && sudo sysctl --system",
            now = now.trim()
        ),
    }
}

/// What the thread has.
struct Watch {
    tree: Tree,
    stop: Arc<OwnedFd>,
    rules: NameRules,
    send: Tell,
    batch: Batch,
    /// Why all is to be told as dirty.
    rescan: Option<String>,
    /// Why not all is watched, if that is not told yet.
    limited: Option<WatchError>,
    /// Whether it has been told that not all is watched.
    told: bool,
}

impl Watch {
    fn run(mut self) {
        let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
        loop {
            self.tell();
            let wait = self.batch.due().map(|due| due.saturating_duration_since(Instant::now()));
            match self.wait(true, wait) {
                Wake::Stop => return,
                Wake::Time => {}
                Wake::Events => {
                    self.read(&mut buffer);
                    if matches!(self.wait(false, Some(NAP)), Wake::Stop) {
                        return;
                    }
                }
            }
        }
    }

    /// Blocks until it is time, or there are events (if those matter), or this is to stop.
    fn wait(&self, events: bool, time: Option<Duration>) -> Wake {
        let mut fds = [
            PollFd::new(&*self.stop, PollFlags::IN),
            PollFd::new(&self.tree.fd, PollFlags::IN),
        ];
        let count = if events { 2 } else { 1 };
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        match poll(&mut fds[..count], time.as_ref()) {
            // Interrupted, or no memory: another round will tell.
            Err(_) | Ok(0) => Wake::Time,
            Ok(_) if !fds[0].revents().is_empty() => Wake::Stop,
            Ok(_) => Wake::Events,
        }
    }

    /// Tells what is due.
    fn tell(&mut self) {
        if let Some(why) = self.rescan.take() {
            self.batch.clear();
            (self.send)(Watched::Rescan { why });
        }
        if let Some(error) = self.limited.take()
            && !std::mem::replace(&mut self.told, true)
        {
            (self.send)(Watched::Limited(error));
        }
        let paths = self.batch.take(Instant::now());
        if !paths.is_empty() {
            self.tree.forget_moved();
            (self.send)(Watched::Dirty(paths));
        }
    }

    /// Reads the events that are there.
    fn read(&mut self, buffer: &mut [MaybeUninit<u8>]) {
        let mut lost = None;
        {
            let Watch {
                tree,
                batch,
                rules,
                limited,
                rescan,
                ..
            } = self;
            // Reading needs the handle, and watching more directories does, too.
            let Ok(fd) = tree.fd.try_clone() else {
                *rescan = Some("no handle left to read events".into());
                return;
            };
            let mut reader = Reader::new(fd, buffer);
            let mut told = Told {
                tree,
                batch,
                rules: *rules,
                now: Instant::now(),
            };
            for n in 0.. {
                if n >= AT_ONCE && reader.is_buffer_empty() {
                    break;
                }
                match reader.next() {
                    Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                        lost = Some("more changed at once than the system could tell")
                    }
                    Ok(event) => match told.event(&event) {
                        Ok(None) => {}
                        Ok(why) => *rescan = why,
                        Err(error) => *limited = Some(error),
                    },
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    Err(_) => {
                        lost = Some("events could not be read");
                        break;
                    }
                }
            }
        }
        if let Err(error) = self.tree.look_again() {
            self.limited = Some(error);
        }
        if let Some(why) = lost {
            // Which directories came and went is not known: all are watched anew.
            match Tree::cover(&self.tree.root) {
                Ok(tree) => self.tree = tree,
                Err(error) => self.limited = Some(error),
            }
            self.rescan = Some(why.into());
        }
    }
}

enum Wake {
    Stop,
    Events,
    Time,
}

/// Puts events into a batch.
struct Told<'a> {
    tree: &'a mut Tree,
    batch: &'a mut Batch,
    rules: NameRules,
    now: Instant,
}

impl Told<'_> {
    /// Takes one event in. Why everything may be dirty, if so.
    fn event(&mut self, event: &Event<'_>) -> Result<Option<String>, WatchError> {
        let (wd, what) = (event.wd(), event.events());
        let at_root = wd == self.tree.dirs.root();
        if at_root && what.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT) {
            return Ok(Some("the root was moved, removed or unmounted".into()));
        }
        if what.contains(ReadFlags::IGNORED) {
            if !at_root {
                self.tree.dirs.forget(wd);
            }
            return Ok(None);
        }
        let Some(name) = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes())) else {
            // Of a watched directory itself; its parent tells the same by name, but the root has none.
            if at_root && what.contains(ReadFlags::ATTRIB) {
                self.batch.changed(String::new(), self.now);
            }
            return Ok(None);
        };
        if self.tree.is_own(wd, name) {
            return Ok(None);
        }
        let is_dir = what.contains(ReadFlags::ISDIR);
        let mut watched = Ok(());
        if is_dir && what.contains(ReadFlags::MOVED_FROM) {
            if let Some(moved) = self.tree.dirs.take(wd, name) {
                self.tree.moving.push((event.cookie(), moved));
            }
        } else if is_dir && what.contains(ReadFlags::MOVED_TO) {
            match self.tree.moving.iter().position(|&(cookie, _)| cookie == event.cookie()) {
                Some(n) => {
                    let (_, moved) = self.tree.moving.swap_remove(n);
                    self.tree.dirs.place(moved, wd, name);
                }
                None => watched = self.tree.add(wd, name),
            }
        } else if is_dir
            && (what.contains(ReadFlags::CREATE)
                // It may not have been for us to read before.
                || what.contains(ReadFlags::ATTRIB) && !self.tree.dirs.has(wd, name))
        {
            watched = self.tree.add(wd, name);
        }
        if let Some(path) = self.path(wd, name) {
            let open = !is_dir
                && (what.contains(ReadFlags::MODIFY) || what.contains(ReadFlags::CREATE) && self.will_be_closed(wd, name));
            if open && !what.contains(ReadFlags::CLOSE_WRITE) {
                self.batch.writing(path, self.now);
            } else {
                self.batch.changed(path, self.now);
            }
        }
        watched.map(|()| None)
    }

    /// Whether a new entry is a file that somebody is about to write: not a link, nor a second name.
    fn will_be_closed(&self, wd: Wd, name: &OsStr) -> bool {
        let Some(dir) = self.tree.dirs.path(wd) else { return false };
        std::fs::symlink_metadata(self.tree.root.join(dir).join(name)).is_ok_and(|m| m.is_file() && m.nlink() == 1)
    }

    /// The tree's path of an entry of a directory; of the nearest directory above it that has one, if it has none.
    fn path(&self, wd: Wd, name: &OsStr) -> Option<String> {
        let mut path = String::new();
        for name in self.tree.dirs.names(wd)?.into_iter().chain([name]) {
            let Some(name) = self.rules.to_tree(name) else { break };
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&name);
        }
        Some(path)
    }
}
