//! What a person or a program does to a disk, without knowing of the engine.

use super::disk::{bytes_of, depth, join, split, within};
use super::world::{Mode, SAME, World};
use bifold_tree::Kind;

/// What a user may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Create,
    Mkdir,
    Link,
    Edit,
    Save,
    Same,
    Touch,
    Chmod,
    Delete,
    Move,
    Rename,
    Swap,
    Copy,
    Retype,
}

use Act::*;

const ACTS: [Act; 23] = [
    Create, Create, Create, Edit, Edit, Save, Delete, Delete, Move, Move, Move, Rename, Rename, Rename, Mkdir, Mkdir, Swap, Copy,
    Same, Touch, Chmod, Retype, Link,
];
const MOVES: [Act; 12] = [
    Create, Mkdir, Mkdir, Move, Move, Move, Move, Rename, Rename, Delete, Edit, Swap,
];
const LOOPS: [Act; 9] = [Move, Move, Move, Move, Move, Rename, Mkdir, Delete, Swap];

impl World {
    fn paths_of(&self, d: usize, kinds: &[Kind]) -> Vec<String> {
        let disk = &self.devices[d].disk;
        disk.walk("")
            .into_iter()
            .filter(|p| disk.kind(p).is_some_and(|k| kinds.contains(&k)))
            .collect()
    }

    fn folders(&self, d: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        all.extend(self.paths_of(d, &[Kind::Dir]).into_iter().filter(|p| depth(p) < 3));
        all
    }

    /// Notes that what is at a path is lost, because its user wants it so.
    pub fn kill(&mut self, d: usize, path: &str) {
        let disk = &self.devices[d].disk;
        let mut lost: Vec<String> = disk
            .walk(path)
            .into_iter()
            .filter(|_| disk.kind(path) == Some(Kind::Dir))
            .collect();
        lost.push(path.to_owned());
        let lost: Vec<String> = lost
            .iter()
            .filter_map(|p| disk.get(p))
            .filter(|o| o.kind != Kind::Dir)
            .map(|o| o.data.clone())
            .collect();
        self.killed.extend(lost);
    }

    pub fn fresh(&mut self, d: usize) -> String {
        self.tokens += 1;
        let token = format!("{}#{}", self.devices[d].name, self.tokens);
        self.written.insert(token.clone());
        token
    }

    pub fn put(&mut self, d: usize, path: &str, kind: Kind, data: &str, exec: bool) {
        for kind in [Kind::File, Kind::Link] {
            self.words.insert(bytes_of(kind, data).id(), data.to_owned());
        }
        let _ = self.devices[d].disk.put(path, kind, data, exec);
    }

    /// `data`: nothing for new bytes. `at_once`: written elsewhere and renamed over, not in its place.
    pub fn write(&mut self, d: usize, path: &str, data: Option<&str>, at_once: bool, kind: Kind) {
        let old = self.devices[d].disk.get(path).map(|o| (o.kind, o.exec));
        if old.is_some_and(|(k, _)| k == Kind::Dir) {
            return;
        }
        self.kill(d, path);
        let data = data.map_or_else(|| self.fresh(d), str::to_owned);
        match old {
            Some((Kind::File, _)) if !at_once && kind == Kind::File => {
                self.words.insert(bytes_of(kind, &data).id(), data.clone());
                let _ = self.devices[d].disk.edit(path, &data);
            }
            Some((was, _)) if was != kind => {
                let _ = self.devices[d].disk.remove(path);
                self.put(d, path, kind, &data, false);
            }
            _ => self.put(d, path, kind, &data, old.is_some_and(|(_, exec)| exec)),
        }
    }

    pub fn mkdir(&mut self, d: usize, path: &str) {
        let _ = self.devices[d].disk.put(path, Kind::Dir, "", false);
    }

    pub fn delete(&mut self, d: usize, path: &str) {
        self.kill(d, path);
        let disk = &mut self.devices[d].disk;
        if disk.kind(path) == Some(Kind::Dir) {
            for below in disk.walk(path).into_iter().rev() {
                let _ = disk.remove(&below);
            }
        }
        let _ = disk.remove(path);
    }

    pub fn rename(&mut self, d: usize, old: &str, new: &str) {
        let disk = &self.devices[d].disk;
        let (Some(a), b) = (disk.find(old), disk.find(new)) else {
            return;
        };
        if within(new, old) && new != old {
            return;
        }
        if b.is_some_and(|b| b != a) {
            if disk.kind(old) == Some(Kind::Dir) || disk.kind(new) == Some(Kind::Dir) {
                return;
            }
            self.kill(d, new);
        }
        let _ = self.devices[d].disk.rename(old, new);
    }

    pub fn swap(&mut self, d: usize, a: &str, b: &str) -> bool {
        if within(a, b) || within(b, a) {
            return false;
        }
        let disk = &mut self.devices[d].disk;
        let _ = disk.rename(a, "swap-temp");
        let _ = disk.rename(b, a);
        let _ = disk.rename("swap-temp", b);
        true
    }

    pub fn touch(&mut self, d: usize, path: &str) {
        if let Some((kind, data, exec)) = self.devices[d].disk.get(path).map(|o| (o.kind, o.data.clone(), o.exec)) {
            self.put(d, path, kind, &data, exec);
        }
    }

    pub fn chmod(&mut self, d: usize, path: &str) {
        let disk = &mut self.devices[d].disk;
        if let Some(exec) = disk.get(path).map(|o| o.exec) {
            disk.set_exec(path, !exec);
        }
    }

    pub fn copy(&mut self, d: usize, from: &str, to: &str) {
        if let Some((kind, data)) = self.devices[d].disk.get(from).map(|o| (o.kind, o.data.clone())) {
            self.write(d, to, Some(&data), true, kind);
        }
    }

    /// Makes a first tree.
    pub fn grow(&mut self, d: usize, numbers: [u16; 6]) -> String {
        let [_, _, a, x, y, _] = numbers.map(usize::from);
        let folders = self.folders(d);
        let path = join(&folders[x % folders.len()], self.names[y % self.names.len()]);
        if a % 2 == 1 || self.mode == Mode::Loops {
            self.mkdir(d, &path);
        } else {
            self.write(d, &path, None, true, Kind::File);
        }
        format!("make {path}")
    }

    /// One action of a user, picked by numbers.
    pub fn act(&mut self, d: usize, what: usize, x: usize, y: usize, z: usize) -> String {
        fn pick(some: &[String], number: usize) -> Option<String> {
            some.get(number % some.len().max(1)).cloned()
        }
        let folder = pick(&self.folders(d), x).unwrap_or_default();
        let name = self.names[y % self.names.len()];
        let new = join(&folder, name);
        let files = self.paths_of(d, &[Kind::File, Kind::Link]);
        let everything = self.paths_of(d, &[Kind::Dir, Kind::File, Kind::Link]);
        let act = match self.mode {
            Mode::Moves => MOVES[what % MOVES.len()],
            Mode::Loops => LOOPS[what % LOOPS.len()],
            _ => ACTS[what % ACTS.len()],
        };
        let kind_at = |w: &World, path: &str| w.devices[d].disk.kind(path).unwrap_or(Kind::File);
        match act {
            Create => {
                let data = (z.is_multiple_of(5)).then(|| SAME[z % 3]);
                self.write(d, &new, data, true, Kind::File);
                return format!("create {new}");
            }
            Mkdir => {
                self.mkdir(d, &new);
                return format!("mkdir {new}");
            }
            Link => {
                self.write(d, &new, None, true, Kind::Link);
                return format!("link {new}");
            }
            _ => {}
        }
        let path = match act {
            Move => pick(&everything, z),
            Rename | Delete | Swap | Retype => pick(&everything, x),
            _ => pick(&files, x),
        };
        let Some(path) = path else { return String::new() };
        match act {
            Move => self.rename(d, &path, &new),
            Rename => self.rename(d, &path, &join(split(&path).0, name)),
            Delete => self.delete(d, &path),
            Swap => {
                if let Some(other) = pick(&everything, y) {
                    self.swap(d, &path, &other);
                    return format!("swap {path} {other}");
                }
            }
            Copy if path != new => self.copy(d, &path, &new),
            Edit => self.write(d, &path, None, false, kind_at(self, &path)),
            Save => self.write(d, &path, None, true, kind_at(self, &path)),
            Same => self.write(d, &path, Some(SAME[y % 3]), true, kind_at(self, &path)),
            Touch => self.touch(d, &path),
            Chmod => self.chmod(d, &path),
            Retype => {
                let was = kind_at(self, &path);
                self.delete(d, &path);
                match was {
                    Kind::Dir => self.write(d, &path, None, true, Kind::File),
                    _ if y % 2 == 1 => {
                        self.mkdir(d, &path);
                        if !y.is_multiple_of(3) {
                            let inside = join(&path, self.names[z % self.names.len()]);
                            self.write(d, &inside, None, true, Kind::File);
                        }
                    }
                    Kind::File => self.write(d, &path, None, true, Kind::Link),
                    Kind::Link => self.write(d, &path, None, true, Kind::File),
                }
            }
            _ => {}
        }
        format!("{act:?} {path} ({new})").to_lowercase()
    }
}
