//! The directories that are watched, as inotify numbers them. A directory that is moved keeps its number, so a move costs
//! the same however much is in it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// inotify's number of a watched directory.
pub(super) type Wd = i32;

/// Deeper than any directory can be that a path leads to: on the way up from somewhere, so many steps mean a circle.
const DEEPEST: usize = 4096;

/// Which directory it is: the numbers of its device and its inode.
pub(super) type Identity = (u64, u64);

struct Dir {
    /// Unknown of the root, which is where it is.
    identity: Option<Identity>,
    /// Where it is; `None` for the root, and for what has just been moved away.
    place: Option<(Wd, OsString)>,
    children: HashMap<OsString, Wd>,
}

/// The watched directories below a root.
pub(super) struct Dirs {
    root: Wd,
    dirs: HashMap<Wd, Dir>,
}

impl Dirs {
    /// The root alone.
    pub(super) fn new(root: Wd) -> Dirs {
        Dirs {
            root,
            dirs: HashMap::from([(
                root,
                Dir {
                    identity: None,
                    place: None,
                    children: HashMap::new(),
                },
            )]),
        }
    }

    /// The root's number.
    pub(super) fn root(&self) -> Wd {
        self.root
    }

    /// The names that lead from the root to a directory; `None` if it is not below the root (any more).
    pub(super) fn names(&self, wd: Wd) -> Option<Vec<&OsStr>> {
        let mut names = Vec::new();
        let mut at = wd;
        while at != self.root {
            let (parent, name) = self.dirs.get(&at)?.place.as_ref()?;
            names.push(name.as_os_str());
            at = *parent;
            if names.len() > DEEPEST {
                return None;
            }
        }
        names.reverse();
        Some(names)
    }

    /// The same as a path.
    pub(super) fn path(&self, wd: Wd) -> Option<PathBuf> {
        Some(self.names(wd)?.into_iter().collect())
    }

    /// Puts a directory in its place, whether it is known (somewhere else) or new. Whether it was new.
    pub(super) fn put(&mut self, wd: Wd, parent: Wd, name: &OsStr, identity: Identity) -> bool {
        if wd == self.root {
            return false;
        }
        let new = !self.dirs.contains_key(&wd);
        let dir = self.dirs.entry(wd).or_insert_with(|| Dir {
            identity: None,
            place: None,
            children: HashMap::new(),
        });
        dir.identity = Some(identity);
        self.place(wd, parent, name);
        new
    }

    /// Puts a directory that is known in its place.
    pub(super) fn place(&mut self, wd: Wd, parent: Wd, name: &OsStr) {
        self.detach(wd);
        if let Some(parent) = self.dirs.get_mut(&parent) {
            parent.children.insert(name.to_owned(), wd);
        }
        if let Some(dir) = self.dirs.get_mut(&wd) {
            dir.place = Some((parent, name.to_owned()));
        }
    }

    /// Whether a number is that of a directory.
    pub(super) fn knows(&self, wd: Wd) -> bool {
        self.dirs.contains_key(&wd)
    }

    /// Whether a directory of that name is known in another.
    pub(super) fn has(&self, wd: Wd, name: &OsStr) -> bool {
        self.dirs.get(&wd).is_some_and(|dir| dir.children.contains_key(name))
    }

    /// Which directory it is.
    pub(super) fn identity(&self, wd: Wd) -> Option<Identity> {
        self.dirs.get(&wd)?.identity
    }

    /// Takes the directory of that name out of its place, with all below it.
    pub(super) fn take(&mut self, parent: Wd, name: &OsStr) -> Option<Wd> {
        let wd = *self.dirs.get(&parent)?.children.get(name)?;
        self.detach(wd);
        Some(wd)
    }

    fn detach(&mut self, wd: Wd) {
        let Some((parent, name)) = self.dirs.get_mut(&wd).and_then(|dir| dir.place.take()) else {
            return;
        };
        if let Some(parent) = self.dirs.get_mut(&parent)
            && parent.children.get(&name) == Some(&wd)
        {
            parent.children.remove(&name);
        }
    }

    /// Forgets one directory: the system has.
    pub(super) fn forget(&mut self, wd: Wd) {
        self.detach(wd);
        self.dirs.remove(&wd);
    }

    /// Forgets a directory and all below it, if it has not been put anywhere since it was taken. Their numbers.
    pub(super) fn forget_all(&mut self, wd: Wd) -> Vec<Wd> {
        if wd == self.root || self.dirs.get(&wd).is_none_or(|dir| dir.place.is_some()) {
            return Vec::new();
        }
        let mut gone = vec![wd];
        let mut at = 0;
        while let Some(wd) = gone.get(at) {
            if let Some(dir) = self.dirs.remove(wd) {
                gone.extend(dir.children.into_values());
            }
            at += 1;
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_moved_directory_takes_all_below_it_along() {
        let mut dirs = Dirs::new(1);
        assert!(dirs.put(2, 1, "a".as_ref(), (0, 2)));
        assert!(dirs.put(3, 2, "b".as_ref(), (0, 3)));
        assert!(dirs.put(4, 3, "c".as_ref(), (0, 4)));
        assert_eq!(dirs.path(4).unwrap(), Path::new("a/b/c"));
        assert_eq!(dirs.take(2, "b".as_ref()), Some(3));
        assert_eq!(dirs.path(4), None);
        assert!(!dirs.put(3, 1, "d".as_ref(), (0, 3)));
        assert_eq!(dirs.path(4).unwrap(), Path::new("d/c"));
        assert!(dirs.forget_all(3).is_empty());
        assert_eq!(dirs.take(1, "d".as_ref()), Some(3));
        assert_eq!(dirs.forget_all(3), [3, 4]);
        assert_eq!(dirs.path(4), None);
    }

    #[test]
    fn a_name_that_was_given_to_another_stays_with_it() {
        let mut dirs = Dirs::new(1);
        dirs.put(2, 1, "a".as_ref(), (0, 2));
        dirs.put(3, 1, "a".as_ref(), (0, 3));
        dirs.forget(2);
        assert_eq!(dirs.take(1, "a".as_ref()), Some(3));
    }
}
