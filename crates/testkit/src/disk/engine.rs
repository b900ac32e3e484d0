//! The disk as the engine sees it.

use super::faults::denied;
use super::power::Change;
use super::state::{Ino, Node, ROOT};
use super::{Deed, Disk, SimFs};
use bifold_disk::fs::{Entry, Fs, FsError, FsResult, ReadFile, WriteFile};
use bifold_tree::{Names, Stat};
use std::io;
use std::sync::{Arc, MutexGuard};

/// The engine's own directory.
const OWN: &str = ".bifold";

impl Disk {
    fn entry(&self, ino: Ino) -> Entry {
        let inode = self.state.inode(ino);
        match &inode.node {
            Node::Special(what) => Entry::Special(what),
            _ => self.stat(ino).map_or(Entry::Special("special file"), Entry::Plain),
        }
    }

    fn stat(&self, ino: Ino) -> Option<Stat> {
        self.state
            .inode(ino)
            .stat(self.traits.exec, self.traits.ctime, self.traits.time_step_ns)
    }

    pub(super) fn on_disk(&self, name: &str) -> String {
        self.traits.rules.to_disk(name).to_string_lossy().into_owned()
    }

    /// The object at a path of the tree's names, whatever is wrong with the disk; links on the way lead nowhere.
    pub(super) fn find(&self, path: &str) -> Option<Ino> {
        self.go(path, false).ok().flatten()
    }

    fn walk(&self, path: &str) -> FsResult<Option<Ino>> {
        self.go(path, true)
    }

    fn go(&self, path: &str, faults: bool) -> FsResult<Option<Ino>> {
        let mut at = ROOT;
        for name in path.split('/').filter(|n| !n.is_empty()) {
            match &self.state.inode(at).node {
                Node::Dir(_) if faults && self.faults.unreadable.contains(&at) => return Err(denied()),
                Node::Link(_) => return Err(FsError::Other(io::Error::other("a symbolic link is in the way (simulated)"))),
                Node::Dir(_) => {}
                _ => return Ok(None),
            }
            let Some((_, ino)) = self.state.lookup(at, &self.on_disk(name), &self.traits.rules) else {
                return Ok(None);
            };
            at = ino;
        }
        Ok(Some(at))
    }

    fn there(&self, path: &str) -> FsResult<Ino> {
        self.walk(path)?.ok_or(FsError::NotFound)
    }

    /// The directory that a path is in, and its name there: as it is stored, if it is.
    fn parent(&self, path: &str) -> FsResult<(Ino, String, Option<Ino>)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.there(dir)?;
        match &self.state.inode(dir).node {
            Node::Dir(_) if self.faults.unreadable.contains(&dir) => return Err(denied()),
            Node::Dir(_) => {}
            Node::Link(_) => return Err(FsError::Other(io::Error::other("a symbolic link is in the way (simulated)"))),
            _ => return Err(FsError::NotFound),
        }
        if !self.traits.rules.fits(name) {
            return Err(FsError::Unsupported);
        }
        let name = self.on_disk(name);
        Ok(match self.state.lookup(dir, &name, &self.traits.rules) {
            Some((stored, ino)) => (dir, stored, Some(ino)),
            None => (dir, name, None),
        })
    }

    fn writable(&mut self, dir: Ino) -> FsResult<()> {
        if self.faults.unwritable.contains(&dir) {
            Err(self.faults.denied())
        } else {
            Ok(())
        }
    }

    fn make(&mut self, path: &str, node: Node, now_ns: i64) -> FsResult<Ino> {
        let (dir, name, there) = self.parent(path)?;
        if there.is_some() {
            return Err(FsError::Exists);
        }
        self.writable(dir)?;
        self.faults.take_room(64)?;
        let ino = self.state.make(node, now_ns);
        self.state.add(dir, &name, ino, now_ns);
        self.log.note(Change::Add { dir, name, ino }, &self.state);
        Ok(ino)
    }

    fn remove(&mut self, path: &str, is_dir: bool, now_ns: i64) -> FsResult<()> {
        let (dir, name, there) = self.parent(path)?;
        let ino = there.ok_or(FsError::NotFound)?;
        self.writable(dir)?;
        match (self.state.dir(ino), is_dir) {
            (Some(names), true) if !names.is_empty() => return Err(FsError::NotEmpty),
            (Some(_), true) | (None, false) => {}
            (None, true) => return Err(FsError::NotFound),
            (Some(_), false) => return Err(FsError::Other(io::Error::other("is a directory (simulated)"))),
        }
        self.state.remove(dir, &name, now_ns);
        self.log.note(Change::Remove { dir, name }, &self.state);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str, now_ns: i64) -> FsResult<()> {
        let (from_dir, from_name, there) = self.parent(from)?;
        let ino = there.ok_or(FsError::NotFound)?;
        let (to_dir, stored, taken) = self.parent(to)?;
        if taken.is_some_and(|t| t != ino || (from_dir, &from_name) != (to_dir, &stored)) || from == to {
            return Err(FsError::Exists);
        }
        self.writable(from_dir)?;
        self.writable(to_dir)?;
        if self.state.is_within(to_dir, ino) {
            return Err(FsError::Unsupported);
        }
        let to_name = self.on_disk(to.rsplit('/').next().unwrap_or(to));
        self.state.detach(from_dir, &from_name, now_ns);
        self.state.add(to_dir, &to_name, ino, now_ns);
        self.log.note(
            Change::Rename {
                from: (from_dir, from_name),
                to: (to_dir, to_name),
            },
            &self.state,
        );
        Ok(())
    }

    /// What is at a path of the user's, that the engine has just put there, is told to whoever looks on.
    fn witnessed(&self, paths: &[&str]) {
        let Some(witness) = &self.witness else { return };
        for path in paths.iter().filter(|path| is_users(path)) {
            let there = self.find(path).map(|ino| &self.state.inode(ino).node);
            if let Some(Node::File { bytes, .. }) = there {
                witness(Deed::Shows(path, bytes));
            }
        }
    }

    /// The engine takes a file away, or begins to write one.
    fn witness(&self, deed: Deed<'_>) {
        let (Deed::Shows(path, _) | Deed::Removes(path) | Deed::Writes(path)) = &deed;
        if let Some(witness) = self.witness.as_ref().filter(|_| is_users(path)) {
            witness(deed);
        }
    }

    /// Whoever watches is told of what the engine moved, too: what users do with it meanwhile was told by the old path.
    fn moved(&mut self, paths: &[&str]) {
        let users = paths.iter().filter(|path| !path.starts_with(OWN));
        self.dirty.extend(users.map(|path| (*path).to_owned()));
    }

    fn exchange(&mut self, a: &str, b: &str, now_ns: i64) -> FsResult<()> {
        if !self.traits.exchange {
            self.no_exchange = true;
            return Err(FsError::Unsupported);
        }
        let (a_dir, a_name, x) = self.parent(a)?;
        let (b_dir, b_name, y) = self.parent(b)?;
        let (x, y) = (x.ok_or(FsError::NotFound)?, y.ok_or(FsError::NotFound)?);
        self.writable(a_dir)?;
        self.writable(b_dir)?;
        self.state.add(a_dir, &a_name, y, now_ns);
        self.state.add(b_dir, &b_name, x, now_ns);
        self.log.note(
            Change::Exchange {
                a: (a_dir, a_name),
                b: (b_dir, b_name),
            },
            &self.state,
        );
        Ok(())
    }
}

fn is_users(path: &str) -> bool {
    path != OWN && !path.strip_prefix(OWN).is_some_and(|rest| rest.starts_with('/'))
}

impl SimFs {
    /// A call of the engine begins: what was to happen first happens; then the disk does or does not do it.
    fn call(&self) -> FsResult<MutexGuard<'_, Disk>> {
        self.called(false)
    }

    fn called(&self, writes: bool) -> FsResult<MutexGuard<'_, Disk>> {
        let mut disk = self.lock();
        disk.calls += 1;
        if disk.act.as_ref().is_some_and(|(at, _)| disk.calls > *at)
            && let Some((_, act)) = disk.act.take()
        {
            drop(disk);
            act(self);
            disk = self.lock();
        }
        if self.moments.ended() {
            return Err(FsError::Other(io::Error::other("the program was ended (simulated)")));
        }
        if !disk.mounted {
            return Err(FsError::NotFound);
        }
        self.moments.pass_ns(disk.faults.slow_ns);
        disk.faults.call(writes)?;
        Ok(disk)
    }

    /// A call that changes something.
    fn change(&self, paths: &[&str]) -> FsResult<MutexGuard<'_, Disk>> {
        if paths.iter().any(|path| is_users(path)) {
            let mut disk = self.lock();
            disk.touches += 1;
            let here = disk.touch_path.as_ref().is_none_or(|path| paths.contains(&path.as_str()));
            if disk.touch_act.as_ref().is_some_and(|(at, _)| here && disk.touches > *at)
                && let Some((_, act)) = disk.touch_act.take()
            {
                drop(disk);
                act(self);
            }
        }
        self.moments.change();
        self.called(true)
    }

    pub(super) fn now(&self, disk: &Disk) -> i64 {
        self.moments.tick() + disk.skew_ns
    }
}

impl Fs for SimFs {
    fn names(&self) -> &dyn Names {
        &self.rules
    }

    fn may_change(&self, dir: &str) -> bool {
        let disk = self.lock();
        disk.find(dir).is_none_or(|ino| !disk.faults.unwritable.contains(&ino))
    }

    fn exchanges(&self) -> bool {
        !self.lock().no_exchange
    }

    fn keeps_exec(&self) -> bool {
        self.lock().traits.exec
    }

    fn stat(&self, path: &str) -> FsResult<Option<Entry>> {
        match self.call() {
            Ok(disk) => Ok(disk.walk(path)?.map(|ino| disk.entry(ino))),
            Err(FsError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn list(&self, path: &str) -> FsResult<Vec<(String, Entry)>> {
        let mut disk = self.call()?;
        let ino = disk.there(path)?;
        if disk.faults.unreadable.contains(&ino) {
            return Err(disk.faults.denied());
        }
        let names = disk.state.dir(ino).ok_or(FsError::NotFound)?;
        let mut entries = Vec::new();
        for (name, ino) in names {
            match self.rules.to_tree(name.as_ref()) {
                Some(name) if path.is_empty() && (name == OWN || self.rules.fold.case && name.eq_ignore_ascii_case(OWN)) => {}
                Some(name) => entries.push((name, disk.entry(*ino))),
                None => entries.push((name.clone(), Entry::Special("name that cannot be told to other systems"))),
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    fn open(&self, path: &str) -> FsResult<Box<dyn ReadFile>> {
        let mut disk = self.call()?;
        let ino = disk.there(path)?;
        if disk.faults.unreadable.contains(&ino) && disk.state.dir(ino).is_none() {
            return Err(disk.faults.denied());
        }
        match &disk.state.inode(ino).node {
            Node::File { .. } => Ok(Box::new(Reading {
                fs: self.clone(),
                ino,
                last: None,
            })),
            _ => Err(FsError::Other(io::Error::other("not a file (simulated)"))),
        }
    }

    fn read_link(&self, path: &str) -> FsResult<String> {
        let disk = self.call()?;
        let ino = disk.there(path)?;
        match &disk.state.inode(ino).node {
            Node::Link(target) => Ok(target.clone()),
            _ => Err(FsError::Other(io::Error::other("not a link (simulated)"))),
        }
    }

    fn create(&self, path: &str) -> FsResult<Box<dyn WriteFile>> {
        let mut disk = self.change(&[path])?;
        disk.witness(Deed::Writes(path));
        let now = self.now(&disk);
        let ino = disk.make(
            path,
            Node::File {
                bytes: Arc::default(),
                exec: false,
            },
            now,
        )?;
        Ok(Box::new(Writing { fs: self.clone(), ino }))
    }

    fn make_link(&self, path: &str, target: &str) -> FsResult<()> {
        let mut disk = self.change(&[path])?;
        if !disk.traits.links {
            return Err(FsError::Unsupported);
        }
        let now = self.now(&disk);
        disk.make(path, Node::Link(target.to_owned()), now).map(drop)
    }

    fn make_dir(&self, path: &str) -> FsResult<()> {
        let mut disk = self.change(&[path])?;
        let now = self.now(&disk);
        disk.make(path, Node::Dir(Default::default()), now).map(drop)
    }

    fn rename(&self, from: &str, to: &str) -> FsResult<()> {
        let mut disk = self.change(&[from, to])?;
        let now = self.now(&disk);
        disk.rename(from, to, now)?;
        disk.witnessed(&[to]);
        disk.moved(&[to]);
        Ok(())
    }

    fn exchange(&self, a: &str, b: &str) -> FsResult<()> {
        let mut disk = self.change(&[a, b])?;
        let now = self.now(&disk);
        disk.exchange(a, b, now)?;
        disk.witnessed(&[a, b]);
        disk.moved(&[a, b]);
        Ok(())
    }

    fn remove_file(&self, path: &str) -> FsResult<()> {
        let mut disk = self.change(&[path])?;
        disk.witness(Deed::Removes(path));
        let now = self.now(&disk);
        disk.remove(path, false, now)
    }

    fn remove_dir(&self, path: &str) -> FsResult<()> {
        let mut disk = self.change(&[path])?;
        let now = self.now(&disk);
        disk.remove(path, true, now)
    }

    fn set_exec(&self, path: &str, exec: bool) -> FsResult<bool> {
        let mut disk = self.change(&[path])?;
        let now = self.now(&disk);
        let ino = disk.there(path)?;
        let kept = disk.traits.exec;
        match &mut disk.state.inode_mut(ino).node {
            Node::File { exec: bit, .. } if kept => *bit = exec,
            _ => return Err(FsError::Unsupported),
        }
        disk.state.inode_mut(ino).ctime_ns = now;
        let disk = &mut *disk;
        disk.log.written(ino, &disk.state);
        Ok(disk.state.names(ino) > 1)
    }

    fn sync(&self, paths: &[&str]) -> FsResult<()> {
        self.moments.change();
        let mut disk = self.called(true)?;
        let disk = &mut *disk;
        for path in paths {
            if let Some(ino) = disk.find(path) {
                disk.log.sync_bytes(ino);
                if disk.state.dir(ino).is_some() {
                    disk.log.sync_dir(ino);
                }
            }
            // As the real one: of a directory that is gone, the one that it was in.
            let mut dir = path.rsplit_once('/').map_or("", |(d, _)| d);
            loop {
                if let Some(ino) = disk.find(dir).filter(|ino| disk.state.dir(*ino).is_some()) {
                    disk.log.sync_dir(ino);
                    break;
                }
                dir = dir.rsplit_once('/').map_or("", |(d, _)| d);
            }
        }
        disk.log.settle(&disk.state);
        Ok(())
    }

    fn free_space(&self) -> Option<u64> {
        self.lock().faults.room
    }
}

/// A file that is open for reading. It stays what it was when it is renamed, replaced or removed.
struct Reading {
    fs: SimFs,
    ino: Ino,
    /// What it had when it was last looked at: it may be gone by now.
    last: Option<(Arc<Vec<u8>>, Stat)>,
}

impl Reading {
    fn look(&mut self) -> FsResult<(Arc<Vec<u8>>, Stat)> {
        let disk = self.fs.call()?;
        if disk.state.has(self.ino)
            && let (Node::File { bytes, .. }, Some(stat)) = (&disk.state.inode(self.ino).node, disk.stat(self.ino))
        {
            self.last = Some((bytes.clone(), stat));
        }
        self.last.clone().ok_or(FsError::NotFound)
    }
}

impl ReadFile for Reading {
    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> FsResult<usize> {
        let (bytes, _) = self.look()?;
        let from = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }

    fn stat(&mut self) -> FsResult<Stat> {
        Ok(self.look()?.1)
    }
}

struct Writing {
    fs: SimFs,
    ino: Ino,
}

impl WriteFile for Writing {
    fn append(&mut self, more: &[u8]) -> FsResult<()> {
        let mut disk = self.fs.change(&[])?;
        disk.faults.take_room(more.len() as u64)?;
        let now = self.fs.now(&disk);
        let disk = &mut *disk;
        if !disk.state.has(self.ino) {
            return Ok(()); // removed meanwhile: nobody will see it
        }
        let inode = disk.state.inode_mut(self.ino);
        if let Node::File { bytes, .. } = &mut inode.node {
            Arc::make_mut(bytes).extend_from_slice(more);
            (inode.mtime_ns, inode.ctime_ns) = (now, now);
        }
        disk.log.written(self.ino, &disk.state);
        Ok(())
    }

    fn finish(self: Box<Self>, exec: bool, mtime_ns: i64) -> FsResult<Stat> {
        let mut disk = self.fs.change(&[])?;
        let now = self.fs.now(&disk);
        let disk = &mut *disk;
        if !disk.state.has(self.ino) {
            return Err(FsError::NotFound);
        }
        let inode = disk.state.inode_mut(self.ino);
        (inode.mtime_ns, inode.ctime_ns) = (mtime_ns, now);
        if let Node::File { exec: bit, .. } = &mut inode.node {
            *bit = exec && disk.traits.exec;
        }
        disk.log.written(self.ino, &disk.state);
        disk.stat(self.ino).ok_or(FsError::NotFound)
    }
}
