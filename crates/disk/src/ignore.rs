//! Which paths are not the folder's business: patterns given by the user, and `.bifoldignore` files, with the syntax and
//! precedence of `.gitignore`.

use crate::fs::{Fs, FsError};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The name of the files that hold patterns. They are files of the folder like any other.
pub const IGNORE_FILE: &str = ".bifoldignore";
/// The longest such file that is read, in bytes.
const MAX_IGNORE_FILE: usize = 1 << 20;
/// A root that is nobody's, under which the patterns are matched: they know paths, not disks.
const NOWHERE: &str = "/bifold";

/// A pattern that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the ignore pattern {pattern:?} cannot be understood: {reason}")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Debug for Ignore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ignore")
            .field("given", &self.given.len())
            .field("files", &self.files().len())
            .finish()
    }
}

/// The rules of one root. Files are read when a scan meets them, and known from then on.
pub struct Ignore {
    given: Gitignore,
    /// The rules of directories that have some, by path.
    files: Mutex<Arc<HashMap<String, Gitignore>>>,
}

impl Ignore {
    /// With the user's patterns, which go before those of files.
    ///
    /// # Errors
    /// A pattern that cannot be understood.
    pub fn new(patterns: &[String]) -> Result<Ignore, BadPattern> {
        let mut builder = GitignoreBuilder::new(NOWHERE);
        for pattern in patterns {
            let bad = |e: ignore::Error| BadPattern {
                pattern: pattern.clone(),
                reason: e.to_string(),
            };
            builder.add_line(None, pattern).map_err(bad)?;
        }
        let all = patterns.join(", ");
        let given = builder.build().map_err(|e| BadPattern {
            pattern: all,
            reason: e.to_string(),
        })?;
        Ok(Ignore {
            given,
            files: Mutex::default(),
        })
    }

    fn files(&self) -> Arc<HashMap<String, Gitignore>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, dir: &str, rules: Option<Gitignore>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.is_none() && !files.contains_key(dir) {
            return;
        }
        let map = Arc::make_mut(&mut files);
        match rules {
            Some(rules) => map.insert(dir.to_owned(), rules),
            None => map.remove(dir),
        };
    }

    /// Notes whether a directory has an ignore file, and reads it. Lines that cannot be understood are passed over.
    ///
    /// # Errors
    /// If it cannot be read: then nothing below the directory may be judged.
    pub fn meet(&self, fs: &dyn Fs, dir: &str, has_file: bool) -> Result<(), FsError> {
        if !has_file {
            self.set(dir, None);
            return Ok(());
        }
        let path = join(dir, IGNORE_FILE);
        let mut file = match fs.open(&path) {
            Ok(file) => file,
            Err(FsError::NotFound) => {
                self.set(dir, None);
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let mut text = vec![0; MAX_IGNORE_FILE];
        let mut length = 0;
        while length < text.len() {
            match file.read_at(&mut text[length..], length as u64)? {
                0 => break,
                n => length += n,
            }
        }
        let mut builder = GitignoreBuilder::new(nowhere(dir));
        for line in String::from_utf8_lossy(&text[..length]).lines() {
            let _ = builder.add_line(None, line);
        }
        self.set(dir, builder.build().ok());
        Ok(())
    }

    /// Whether a path is ignored by itself: not because a directory above it is (a scan does not get there).
    #[must_use]
    pub fn is_ignored(&self, path: &str, is_dir: bool) -> bool {
        let full = nowhere(path);
        match self.given.matched(&full, is_dir) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => {}
        }
        let files = self.files();
        if files.is_empty() {
            return false;
        }
        let mut dir = path;
        loop {
            dir = dir.rsplit_once('/').map_or("", |(d, _)| d);
            if let Some(rules) = files.get(dir) {
                match rules.matched(&full, is_dir) {
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                    Match::None => {}
                }
            }
            if dir.is_empty() {
                return false;
            }
        }
    }

    /// Whether a path, or a directory above it, is ignored.
    #[must_use]
    pub fn covers(&self, path: &str, is_dir: bool) -> bool {
        if self.given.is_empty() && self.files().is_empty() {
            return false;
        }
        let above = path.match_indices('/').any(|(at, _)| self.is_ignored(&path[..at], true));
        above || self.is_ignored(path, is_dir)
    }
}

fn nowhere(path: &str) -> PathBuf {
    if path.is_empty() {
        PathBuf::from(NOWHERE)
    } else {
        Path::new(NOWHERE).join(path)
    }
}

pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}
