//! The disk as programs see it: by FUSE.

use crate::disk::{Attributes, Body, Disk, Ino, Node, Op, Place, ROOT, Step};
use fuser::{
    AccessFlags, BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

/// The kernel makes all changes, so names that it knows stay true; but the times of what it changes are told by us.
const NAMES: Duration = Duration::from_secs(3600);
const ATTRIBUTES: Duration = Duration::ZERO;
/// The longest piece in which bytes are written.
const MAX_WRITE: u32 = 128 * 1024;

/// A disk, and what was done to it.
#[derive(Clone, Default)]
pub struct Recording {
    /// As it was at first; all of it is safe.
    pub base: Disk,
    /// What was done since.
    pub steps: Vec<Step>,
}

impl Recording {
    /// What lies, or comes to lie, at or below these paths.
    #[must_use]
    pub fn owned(&self, paths: &[&str]) -> HashSet<Ino> {
        let mut owned: HashSet<Ino> = paths.iter().flat_map(|path| self.base.numbers(Path::new(path))).collect();
        for step in &self.steps {
            if let Op::Make { place, ino, .. } = &step.op
                && owned.contains(&place.0)
            {
                owned.insert(*ino);
            }
        }
        owned
    }
}

#[derive(Default)]
struct State {
    now: Disk,
    recording: Recording,
    /// Directories that are being listed, as they were when they were opened.
    listed: HashMap<u64, Vec<(Ino, FileType, OsString)>>,
}

impl State {
    /// Does what was asked, and notes it.
    fn take(&mut self, op: Op) {
        let step = Step { op, at_ns: now_ns() };
        self.now.apply(&step.op, step.at_ns);
        self.recording.steps.push(step);
    }

    fn look(&self, ino: Ino) -> Result<FileAttr, Errno> {
        let node = self.now.node(ino).ok_or(Errno::ENOENT)?;
        let changed = time(node.ctime_ns);
        Ok(FileAttr {
            ino: INodeNo(ino),
            size: node.size(),
            blocks: node.size().div_ceil(512),
            atime: time(node.mtime_ns),
            mtime: time(node.mtime_ns),
            ctime: changed,
            crtime: changed,
            kind: kind(node),
            perm: u16::try_from(node.mode & 0o7777).unwrap(),
            nlink: if matches!(node.body, Body::Dir(_)) { 2 } else { node.links },
            uid: node.uid,
            gid: node.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn at(&self, place: &Place) -> Result<Ino, Errno> {
        self.now.at(place.0, &place.1).ok_or(Errno::ENOENT)
    }

    /// Makes something new.
    fn make(&mut self, place: Place, body: Body, mode: u32, req: &Request) -> Result<FileAttr, Errno> {
        if self.at(&place).is_ok() {
            return Err(Errno::EEXIST);
        }
        let node = Arc::new(Node::new(body, mode, (req.uid(), req.gid()), now_ns()));
        let ino = self.now.fresh();
        self.take(Op::Make { place, ino, node });
        self.look(ino)
    }

    fn is_empty(&self, ino: Ino) -> bool {
        !matches!(self.now.node(ino).map(|n| &n.body), Some(Body::Dir(names)) if !names.is_empty())
    }

    fn is_dir(&self, ino: Ino) -> bool {
        matches!(self.now.node(ino).map(|n| &n.body), Some(Body::Dir(_)))
    }

    fn remove(&mut self, place: Place, dir: bool) -> Result<(), Errno> {
        let ino = self.at(&place)?;
        match (dir, self.is_dir(ino)) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (true, true) if !self.is_empty(ino) => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        self.take(Op::Remove { place });
        Ok(())
    }

    fn rename(&mut self, from: Place, to: Place, flags: RenameFlags) -> Result<(), Errno> {
        let ino = self.at(&from)?;
        let there = self.at(&to).ok();
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            there.ok_or(Errno::ENOENT)?;
            self.take(Op::Exchange { a: from, b: to });
            return Ok(());
        }
        if !(flags - RenameFlags::RENAME_NOREPLACE).is_empty() {
            return Err(Errno::EINVAL);
        }
        if let Some(there) = there {
            if flags.contains(RenameFlags::RENAME_NOREPLACE) {
                return Err(Errno::EEXIST);
            }
            if there == ino {
                return Ok(());
            }
            match (self.is_dir(ino), self.is_dir(there)) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                (true, true) if !self.is_empty(there) => return Err(Errno::ENOTEMPTY),
                _ => {}
            }
        }
        self.take(Op::Rename { from, to });
        Ok(())
    }
}

/// What the kernel asks.
struct Served(Arc<Mutex<State>>);

impl Served {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn now_ns() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap()
}

fn time(ns: i64) -> SystemTime {
    let distance = Duration::from_nanos(ns.unsigned_abs());
    if ns < 0 {
        SystemTime::UNIX_EPOCH - distance
    } else {
        SystemTime::UNIX_EPOCH + distance
    }
}

fn time_ns(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap(),
        Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap(),
    }
}

fn kind(node: &Node) -> FileType {
    match node.body {
        Body::Dir(_) => FileType::Directory,
        Body::File(_) => FileType::RegularFile,
        Body::Link(_) => FileType::Symlink,
        Body::Socket => FileType::Socket,
    }
}

fn place(dir: INodeNo, name: &OsStr) -> Place {
    (dir.0, name.to_owned())
}

fn answer(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(e),
    }
}

fn answer_entry(reply: ReplyEntry, made: Result<FileAttr, Errno>) {
    match made {
        Ok(attr) => reply.entry_with_ttls(&ATTRIBUTES, &NAMES, &attr, Generation(0)),
        Err(e) => reply.error(e),
    }
}

fn answer_extra(reply: ReplyXattr, size: u32, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap();
    match size {
        0 => reply.size(length),
        size if size < length => reply.error(Errno::ERANGE),
        _ => reply.data(bytes),
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let _ = config.set_max_write(MAX_WRITE);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.state();
        answer_entry(reply, state.at(&place(parent, name)).and_then(|ino| state.look(ino)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.state().look(ino.0) {
            Ok(attr) => reply.attr(&ATTRIBUTES, &attr),
            Err(e) => reply.error(e),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        if let Some(size) = size {
            state.take(Op::Resize { ino: ino.0, size });
        }
        let attributes = Attributes {
            mode: mode.map(|mode| mode & 0o7777),
            uid,
            gid,
            mtime_ns: mtime.map(|mtime| match mtime {
                TimeOrNow::SpecificTime(time) => time_ns(time),
                TimeOrNow::Now => now_ns(),
            }),
        };
        if attributes.mode.is_some() || uid.is_some() || gid.is_some() || attributes.mtime_ns.is_some() {
            state.take(Op::Set { ino: ino.0, attributes });
        }
        match state.look(ino.0) {
            Ok(attr) => reply.attr(&ATTRIBUTES, &attr),
            Err(e) => reply.error(e),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.state().now.node(ino.0).map(|n| &n.body) {
            Some(Body::Link(to)) => reply.data(to.as_os_str().as_bytes()),
            _ => reply.error(Errno::EINVAL),
        }
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, _: u32, reply: ReplyEntry) {
        let body = match mode & libc::S_IFMT {
            libc::S_IFREG => Body::File(Arc::default()),
            libc::S_IFSOCK => Body::Socket,
            _ => return reply.error(Errno::EPERM),
        };
        let made = self.state().make(place(parent, name), body, mode, req);
        answer_entry(reply, made);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let body = Body::Dir(BTreeMap::new());
        let made = self.state().make(place(parent, name), body, mode, req);
        answer_entry(reply, made);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.state().remove(place(parent, name), false));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.state().remove(place(parent, name), true));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let made = self
            .state()
            .make(place(parent, name), Body::Link(target.to_owned()), 0o777, req);
        answer_entry(reply, made);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer(
            reply,
            self.state().rename(place(parent, name), place(newparent, newname), flags),
        );
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let mut state = self.state();
        let place = place(newparent, newname);
        if state.at(&place).is_ok() {
            return reply.error(Errno::EEXIST);
        }
        state.take(Op::Link { place, ino: ino.0 });
        answer_entry(reply, state.look(ino.0));
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.state().now.node(ino.0).map(|n| &n.body) {
            Some(Body::File(bytes)) => {
                let start = usize::try_from(offset).unwrap().min(bytes.len());
                let end = (start + size as usize).min(bytes.len());
                reply.data(&bytes[start..end]);
            }
            _ => reply.error(Errno::EISDIR),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.state().take(Op::Write {
            ino: ino.0,
            offset,
            bytes: data.into(),
        });
        reply.written(u32::try_from(data.len()).unwrap());
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, datasync: bool, reply: ReplyEmpty) {
        self.state().take(Op::Sync {
            ino: ino.0,
            data: datasync,
        });
        reply.ok();
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut state = self.state();
        let Some(Body::Dir(names)) = state.now.node(ino.0).map(|n| &n.body) else {
            return reply.error(Errno::ENOTDIR);
        };
        let of = |ino: Ino| state.now.node(ino).map_or(FileType::RegularFile, kind);
        let own = [".", ".."].map(|name| (ino.0, FileType::Directory, OsString::from(name)));
        let entries = names.iter().map(|(name, ino)| (*ino, of(*ino), name.clone()));
        let entries = own.into_iter().chain(entries).collect();
        let handle = state.listed.keys().max().map_or(1, |last| last + 1);
        state.listed.insert(handle, entries);
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    fn readdir(&self, _: &Request, _: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.state();
        let entries = state.listed.get(&fh.0).map_or(&[][..], Vec::as_slice);
        for (i, (ino, kind, name)) in entries.iter().enumerate().skip(usize::try_from(offset).unwrap()) {
            if reply.add(INodeNo(*ino), i as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.state().listed.remove(&fh.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, datasync: bool, reply: ReplyEmpty) {
        self.state().take(Op::Sync {
            ino: ino.0,
            data: datasync,
        });
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 28, 1 << 27, 1 << 27, 1 << 20, 1 << 19, 4096, 255, 4096);
    }

    fn setxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, value: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        if !name.as_bytes().starts_with(b"user.") {
            return reply.error(Errno::EOPNOTSUPP);
        }
        self.state().take(Op::Extra {
            ino: ino.0,
            name: name.to_owned(),
            value: Some(value.to_vec()),
        });
        reply.ok();
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        match self.state().now.node(ino.0).and_then(|n| n.extras.get(name)) {
            Some(value) => answer_extra(reply, size, value),
            None => reply.error(Errno::ENODATA),
        }
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let mut list = Vec::new();
        for name in self.state().now.node(ino.0).into_iter().flat_map(|n| n.extras.keys()) {
            list.extend_from_slice(name.as_bytes());
            list.push(0);
        }
        answer_extra(reply, size, &list);
    }

    fn removexattr(&self, _: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        if !state.now.node(ino.0).is_some_and(|n| n.extras.contains_key(name)) {
            return reply.error(Errno::ENODATA);
        }
        let name = name.to_owned();
        state.take(Op::Extra {
            ino: ino.0,
            name,
            value: None,
        });
        reply.ok();
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn create(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, flags: i32, reply: ReplyCreate) {
        let mut state = self.state();
        let place = place(parent, name);
        let made = match state.at(&place) {
            Ok(ino) if flags & libc::O_EXCL == 0 => state.look(ino),
            _ => state.make(place, Body::File(Arc::default()), mode, req),
        };
        match made {
            Ok(attr) => reply.created(&ATTRIBUTES, &attr, Generation(0), FileHandle(0), FopenFlags::empty()),
            Err(e) => reply.error(e),
        }
    }
}

/// A disk that is mounted. It is unmounted when this is dropped.
pub struct Mounted {
    at: PathBuf,
    session: Option<BackgroundSession>,
    state: Arc<Mutex<State>>,
}

impl Mounted {
    /// Mounts a disk at a directory, for this thread's mounts.
    ///
    /// # Errors
    /// Where there is no FUSE, or not the right to mount.
    pub fn new(at: &Path, disk: &Disk) -> io::Result<Mounted> {
        let state = State {
            now: disk.clone(),
            recording: Recording {
                base: disk.clone(),
                steps: Vec::new(),
            },
            listed: HashMap::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("cut".to_owned()), MountOption::DefaultPermissions];
        let session = fuser::Session::new(Served(state.clone()), at, &config)?.spawn()?;
        Ok(Mounted {
            at: at.to_owned(),
            session: Some(session),
            state,
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// All that is on it is safe now; what is recorded begins here.
    pub fn begin(&self) {
        let mut state = self.state.lock().unwrap();
        state.recording = Recording {
            base: state.now.clone(),
            steps: Vec::new(),
        };
        state.recording.base.tidy();
    }

    /// Notes something that FUSE is not told of.
    pub fn note(&self, op: Op) {
        self.state.lock().unwrap().take(op);
    }

    /// What is on it now.
    #[must_use]
    pub fn disk(&self) -> Disk {
        let mut disk = self.state.lock().unwrap().now.clone();
        disk.tidy();
        disk
    }

    /// What was recorded.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.state.lock().unwrap().recording.clone()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // (What is still open is the test's own fault, and must not keep the mount.)
        let at = CString::new(self.at.as_os_str().as_bytes()).unwrap();
        // SAFETY: a string that ends with NUL.
        unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
        if let Some(session) = self.session.take() {
            let _ = session.join();
        }
    }
}

impl std::fmt::Debug for Mounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mounted").field("at", &self.at).finish_non_exhaustive()
    }
}

const _: () = assert!(ROOT == 1);
