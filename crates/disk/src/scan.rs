//! Scanning: what a disk says, as far as it can be said without reading files. Nothing is inferred here, and an error is
//! never absence: what cannot be listed is told as a problem, and left out.

use crate::faults::{Fault, on};
use crate::fs::{Entry, Fs, FsError, FsResult};
use crate::ignore::{IGNORE_FILE, Ignore, join};
use bifold_tree::{Kind, Listed, PARKED_PATH, Problem, ProblemKind, Stat, is_own_name};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The whole root.
    All,
    /// These paths; what is a directory, with all that is in it.
    Paths(Vec<String>),
}

/// What a scan finds, in an order in which directories come before what is in them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scanned {
    /// All entries of a directory. Those skipped have no stat.
    Listed {
        /// The directory.
        dir: String,
        /// Its entries.
        entries: Vec<Listed>,
    },
    /// What is at one path; `None` if nothing is.
    Looked {
        /// The path.
        path: String,
        /// What is there.
        stat: Option<Stat>,
    },
    /// Something could not be looked at, or is skipped.
    Problem(Problem),
}

/// Scans. `found` is called for each directory or path; when `stop` is set, the scan ends early and says so.
///
/// Returns whether it came to its end; if not, nothing may be inferred from what is missing.
pub fn scan(fs: &dyn Fs, ignore: &Ignore, scope: &Scope, stop: &AtomicBool, found: &mut dyn FnMut(Scanned)) -> bool {
    let mut scan = Scan { fs, ignore, stop, found };
    match scope {
        Scope::All => {
            let parked = match fs.stat(PARKED_PATH) {
                Ok(Some(Entry::Plain(stat))) if stat.kind == Kind::Dir => scan.walk(PARKED_PATH),
                _ => true,
            };
            parked && scan.walk("")
        }
        Scope::Paths(paths) => scan.paths(paths),
    }
}

struct Scan<'a> {
    fs: &'a dyn Fs,
    ignore: &'a Ignore,
    stop: &'a AtomicBool,
    found: &'a mut dyn FnMut(Scanned),
}

impl Scan<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn problem(&mut self, path: &str, kind: ProblemKind, message: String) {
        (self.found)(Scanned::Problem(Problem {
            path: path.to_owned(),
            kind,
            message,
        }));
    }

    fn walk(&mut self, root: &str) -> bool {
        let mut todo = vec![root.to_owned()];
        while let Some(dir) = todo.pop() {
            if self.stopped() {
                return false;
            }
            self.list(&dir, &mut todo);
        }
        true
    }

    fn list(&mut self, dir: &str, todo: &mut Vec<String>) {
        let entries = match self.fs.list(dir) {
            Ok(entries) => entries,
            Err(FsError::NotFound) => return, // it went away meanwhile: the directory above tells, next time
            Err(_) if on(Fault::ErrorsAreAbsence) => Vec::new(),
            Err(e) => return self.problem(dir, ProblemKind::Unreadable, unreadable(&e)),
        };
        let has_rules = entries.iter().any(|(name, _)| name == IGNORE_FILE);
        if let Err(e) = self.ignore.meet(self.fs, dir, has_rules) {
            return self.problem(&join(dir, IGNORE_FILE), ProblemKind::Unreadable, unreadable(&e));
        }
        let mut listed: Vec<Listed> = Vec::with_capacity(entries.len());
        let below = todo.len();
        for (name, entry) in entries {
            let path = join(dir, &name);
            let name: Arc<str> = name.into();
            match entry {
                _ if is_own_name(&name) => {
                    let message = "Bifold's own directory, of a folder inside this one: it is skipped".to_owned();
                    self.problem(&path, ProblemKind::Special, message);
                    listed.push((name, None));
                }
                Entry::Special(what) => {
                    if !self.ignore.is_ignored(&path, false) {
                        self.problem(
                            &path,
                            ProblemKind::Special,
                            format!("a {what}: only files, directories and links are synced"),
                        );
                    }
                    listed.push((name, None));
                }
                Entry::Plain(stat) if self.ignore.is_ignored(&path, stat.kind == Kind::Dir) => listed.push((name, None)),
                Entry::Plain(stat) => {
                    if stat.kind == Kind::Dir {
                        todo.push(path);
                    }
                    listed.push((name, Some(stat)));
                }
            }
        }
        todo[below..].reverse(); // so that they are walked in the order of their names
        (self.found)(Scanned::Listed {
            dir: dir.to_owned(),
            entries: listed,
        });
    }

    fn paths(&mut self, paths: &[String]) -> bool {
        let mut paths = paths.to_vec();
        paths.sort_unstable();
        paths.dedup();
        let mut walked: Vec<String> = Vec::new();
        let mut looked = Looked::default();
        for path in paths {
            if self.stopped() {
                return false;
            }
            let inside = |dir: &String| path.strip_prefix(dir.as_str()).is_some_and(|rest| rest.starts_with('/'));
            if walked.iter().any(inside) {
                continue;
            }
            let there = if self.fs.names().folds() {
                self.by_name(&path, &mut looked)
            } else {
                self.fs.stat(&path)
            };
            match there {
                Ok(None) if self.ignore.covers(&path, false) || self.ignore.covers(&path, true) => {}
                Ok(None) => (self.found)(Scanned::Looked { path, stat: None }),
                Ok(Some(Entry::Special(what))) => {
                    self.problem(
                        &path,
                        ProblemKind::Special,
                        format!("a {what}: only files, directories and links are synced"),
                    );
                }
                Ok(Some(Entry::Plain(stat))) if self.ignore.covers(&path, stat.kind == Kind::Dir) => {}
                Ok(Some(Entry::Plain(stat))) => {
                    (self.found)(Scanned::Looked {
                        path: path.clone(),
                        stat: Some(stat),
                    });
                    if stat.kind == Kind::Dir {
                        if !self.walk(&path) {
                            return false;
                        }
                        walked.push(path);
                    }
                }
                Err(FsError::NotFound) => (self.found)(Scanned::Looked { path, stat: None }),
                Err(_) if on(Fault::ErrorsAreAbsence) => (self.found)(Scanned::Looked { path, stat: None }),
                Err(_) if self.is_below_no_directory(&path) => (self.found)(Scanned::Looked { path, stat: None }),
                Err(e) => self.problem(&path, ProblemKind::Unreadable, unreadable(&e)),
            }
        }
        true
    }

    /// Whether something else, a link for example, is where a directory above a path would have to be: it is not there, then.
    fn is_below_no_directory(&self, path: &str) -> bool {
        for (end, _) in path.match_indices('/') {
            match self.fs.stat(&path[..end]) {
                Ok(Some(Entry::Plain(stat))) if stat.kind == Kind::Dir => {}
                Ok(_) => return true,
                Err(_) => return false,
            }
        }
        false
    }
}

/// What is known of directories by exactly their names, while some paths are looked at.
#[derive(Default)]
struct Looked {
    /// They are there.
    there: HashSet<String>,
    /// What the last one has.
    listed: Option<(String, Vec<(String, Entry)>)>,
}

impl Scan<'_> {
    /// What is at a path by exactly this name, and those above it by theirs: a disk that folds names tells of another's, if asked for a path
    /// alone, and what is in a directory that has another name now would be found twice.
    fn by_name(&self, path: &str, looked: &mut Looked) -> FsResult<Option<Entry>> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !dir.is_empty() && !looked.there.contains(dir) {
            if self.by_name(dir, looked)?.is_none() {
                return Ok(None);
            }
            looked.there.insert(dir.to_owned());
        }
        if looked.listed.as_ref().is_none_or(|(known, _)| known != dir) {
            looked.listed = Some((dir.to_owned(), self.fs.list(dir)?));
        }
        let entries = looked
            .listed
            .as_ref()
            .map(|(_, entries)| entries.as_slice())
            .unwrap_or_default();
        Ok(entries.iter().find(|(n, _)| n == name).map(|(_, entry)| entry.clone()))
    }
}

fn unreadable(e: &FsError) -> String {
    format!("it cannot be read ({e}); nothing is changed there until it can be")
}
