//! Someone who works in a folder: in directories of their own, of which they know what is to be there at the end, and in some that all share, of which they know
//! what they themselves wrote last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bench::random::Random;

/// The documents that all edit.
const SHARED: u64 = 12;
/// Files of a burst.
const BURST: u64 = 2000;
/// How many files of one's own there are at most, but for bursts.
const MOST: usize = 900;
/// How many large ones.
const MOST_LARGE: usize = 4;

/// The name of bytes: FNV-1a, and how many they are. (Nobody here means ill.)
pub type Name = (u64, u64);

pub fn name_of(bytes: &[u8]) -> Name {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    (bytes.iter().fold(0xcbf2_9ce4_8422_2325, step), bytes.len() as u64)
}

pub struct Worker {
    pub name: &'static str,
    root: PathBuf,
    random: Random,
    /// What is in the worker's own directories.
    pub own: BTreeMap<String, Name>,
    /// What was found to be otherwise there, when it was looked at again.
    pub wrong: Vec<String>,
    /// What the worker wrote last into each shared document.
    pub shared: BTreeMap<String, Name>,
    pub deeds: u64,
    dirs: u64,
    /// The directory of the last burst.
    burst: Option<String>,
}

impl Worker {
    pub fn new(name: &'static str, root: PathBuf, seed: u64) -> Worker {
        Worker {
            name,
            root,
            random: Random::seeded(seed),
            own: BTreeMap::new(),
            wrong: Vec::new(),
            shared: BTreeMap::new(),
            deeds: 0,
            dirs: 0,
            burst: None,
        }
    }

    /// Works until told to stop. Only the daemon, or another's change on its way in, can be in the way: what does not succeed because of it is left.
    pub fn work(&mut self, stop: &AtomicBool) {
        let mut next_burst = Instant::now() + Duration::from_secs(self.random.between(5, 40));
        while !stop.load(Ordering::Relaxed) {
            if Instant::now() > next_burst {
                self.bursts();
                next_burst = Instant::now() + Duration::from_secs(self.random.between(45, 120));
            } else {
                self.deed();
            }
            self.deeds += 1;
            let pause_ms = match self.random.between(1, 60) {
                1 => self.random.between(4_000, 12_000),
                _ => self.random.between(5, 250),
            };
            let end = Instant::now() + Duration::from_millis(pause_ms);
            while Instant::now() < end && !stop.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(pause_ms.min(100)));
            }
        }
    }

    fn bytes(&mut self, size: u64) -> Vec<u8> {
        // Half of it can be packed well, the other half not.
        let mut bytes = format!("{} {}\n", self.name, self.deeds).into_bytes();
        let half = size as usize / 2;
        bytes.resize(bytes.len() + half, b'-');
        let at = bytes.len();
        bytes.resize(at + half, 0);
        self.random.fill(&mut bytes[at..]);
        bytes
    }

    fn small(&mut self) -> Vec<u8> {
        let size = (self.random.lognormal(8.3, 1.2) as u64).min(200_000);
        self.bytes(size)
    }

    fn one_of<'a>(random: &mut Random, paths: &[&'a String]) -> Option<&'a String> {
        let last = paths.len().checked_sub(1)?;
        Some(paths[random.between(0, last as u64) as usize])
    }

    /// A file of one's own; a large one, or one that is not.
    fn some(&mut self, large: bool) -> Option<String> {
        let fits = |path: &&String| path.contains("/large") == large && !path.contains("/burst");
        let paths: Vec<&String> = self.own.keys().filter(fits).collect();
        let path = Worker::one_of(&mut self.random, &paths).cloned()?;
        self.look(&path);
        Some(path)
    }

    /// Nobody else writes there: a file of one's own has to be as it was left.
    fn look(&mut self, path: &str) {
        let there = fs::read(self.root.join(path)).map(|bytes| name_of(&bytes));
        match (there, self.own.get(path)) {
            (Ok(there), Some(left)) if there == *left => {}
            (there, left) => {
                let what = format!("{path} of {} was left as {left:?}, and is {there:?}", self.name);
                eprintln!("{what}");
                self.wrong.push(what);
            }
        }
    }

    fn fresh_dir(&mut self) -> String {
        if self.dirs < 12 || self.random.between(1, 40) == 1 {
            self.dirs += 1;
            return format!("{}/dir{}", self.name, self.dirs);
        }
        let of = |path: &String| Some(path.rsplit_once('/')?.0.to_owned());
        self.some(false)
            .and_then(|path| of(&path))
            .unwrap_or_else(|| format!("{}/dir1", self.name))
    }

    /// Writes a new file, and notes it.
    fn put(&mut self, path: &str, bytes: &[u8]) {
        let at = self.root.join(path);
        if let Some(dir) = at.parent() {
            let _ = fs::create_dir_all(dir);
        }
        if fs::write(&at, bytes).is_ok() {
            self.own.insert(path.to_owned(), name_of(bytes));
        } else {
            self.note(path);
        }
    }

    /// Notes what is there, after something did not go as meant.
    fn note(&mut self, path: &str) {
        match fs::read(self.root.join(path)) {
            Ok(bytes) => self.own.insert(path.to_owned(), name_of(&bytes)),
            Err(_) => self.own.remove(path),
        };
    }

    fn deed(&mut self) {
        let many = self.own.keys().filter(|path| !path.contains("/burst")).count() > MOST;
        match self.random.between(0, 99) {
            0..=24 if many => self.delete(),
            0..=24 => {
                let path = format!("{}/file{}", self.fresh_dir(), self.deeds);
                let bytes = self.small();
                self.put(&path, &bytes);
            }
            25..=42 => self.edit_in_place(false),
            43..=60 => self.save_atomically(),
            61..=66 => self.delete(),
            67..=71 => self.rename(),
            72..=75 => self.rename_directory(),
            76 => self.delete_directory(),
            77 => {
                let large = self.own.keys().filter(|path| path.contains("/large")).count();
                if large < MOST_LARGE {
                    let path = format!("{}/large{}", self.fresh_dir(), self.deeds);
                    let size = self.random.between(1 << 20, 6 << 20);
                    let bytes = self.bytes(size);
                    self.put(&path, &bytes);
                } else {
                    self.edit_in_place(true);
                }
            }
            78..=89 => self.edit_shared(),
            _ => self.common(),
        }
    }

    /// Changes a part of a file, and perhaps its length.
    fn edit_in_place(&mut self, large: bool) {
        let Some(path) = self.some(large) else { return };
        let at = self.root.join(&path);
        let size = at.metadata().map_or(0, |m| m.len());
        let offset = self.random.between(0, size);
        let length = self.random.between(1, 3_000);
        let bytes = self.bytes(length);
        let edit = |file: &mut File| {
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(&bytes)
        };
        let _ = File::options().write(true).open(&at).and_then(|mut file| edit(&mut file));
        self.note(&path);
    }

    /// Writes a new version aside and renames it over the old one.
    fn save_atomically(&mut self) {
        let Some(path) = self.some(false) else { return };
        let bytes = self.small();
        self.save(&path, &bytes);
        self.note(&path);
    }

    fn save(&self, path: &str, bytes: &[u8]) -> bool {
        let at = self.root.join(path);
        let aside = at.with_extension("saving");
        fs::write(&aside, bytes).is_ok() && fs::rename(&aside, &at).is_ok()
    }

    fn delete(&mut self) {
        let Some(path) = self.some(false) else { return };
        let _ = fs::remove_file(self.root.join(&path));
        self.note(&path);
    }

    fn rename(&mut self) {
        let Some(path) = self.some(false) else { return };
        let to = format!("{}/moved{}", self.fresh_dir(), self.deeds);
        let (from, at) = (self.root.join(&path), self.root.join(&to));
        if let Some(dir) = at.parent() {
            let _ = fs::create_dir_all(dir);
        }
        let _ = fs::rename(from, at);
        self.note(&path);
        self.note(&to);
    }

    fn rename_directory(&mut self) {
        let Some(path) = self.some(false) else { return };
        let Some((dir, _)) = path.rsplit_once('/') else { return };
        let to = format!("{}/renamed{}", self.name, self.deeds);
        if fs::rename(self.root.join(dir), self.root.join(&to)).is_ok() {
            let inside = format!("{dir}/");
            let moved: Vec<String> = self.own.range(inside.clone()..).map(|(path, _)| path.clone()).collect();
            for path in moved.into_iter().take_while(|path| path.starts_with(&inside)) {
                if let Some(name) = self.own.remove(&path) {
                    self.own.insert(format!("{to}/{}", &path[inside.len()..]), name);
                }
            }
        }
    }

    fn delete_directory(&mut self) {
        let Some(path) = self.some(false) else { return };
        let Some((dir, _)) = path.rsplit_once('/') else { return };
        self.delete_all(dir);
    }

    fn delete_all(&mut self, dir: &str) {
        let _ = fs::remove_dir_all(self.root.join(dir));
        let inside = format!("{dir}/");
        let gone: Vec<String> = self.own.keys().filter(|path| path.starts_with(&inside)).cloned().collect();
        gone.iter().for_each(|path| self.note(path));
    }

    /// Many files at once; those of the last time are edited, or go.
    fn bursts(&mut self) {
        if let Some(old) = self.burst.take() {
            self.delete_all(&old);
        }
        let dir = format!("{}/burst{}", self.name, self.deeds);
        for i in 0..BURST {
            let bytes = format!("{i} of {dir} ").repeat(1 + i as usize % 40);
            self.put(&format!("{dir}/{}/{i}", i % 20), bytes.as_bytes());
        }
        self.burst = Some(dir);
    }

    /// Edits a document that others edit, too.
    fn edit_shared(&mut self) {
        let path = format!("shared/doc{}", self.random.between(1, SHARED));
        let at = self.root.join(&path);
        let _ = fs::create_dir_all(self.root.join("shared"));
        let bytes = self.small();
        let written = if self.random.between(0, 1) == 0 {
            self.save(&path, &bytes)
        } else {
            fs::write(&at, &bytes).is_ok()
        };
        if written {
            self.shared.insert(path, name_of(&bytes));
        } else {
            // (A save that was not finished may have taken the old one along.)
            self.shared.remove(&path);
        }
    }

    /// Something in directories that all rename, fill and delete: it is only to become equal.
    fn common(&mut self) {
        let dir = |random: &mut Random| format!("common/dir{}", random.between(1, 8));
        let (from, to) = (self.root.join(dir(&mut self.random)), self.root.join(dir(&mut self.random)));
        match self.random.between(0, 9) {
            0..=6 => {
                let _ = fs::create_dir_all(&from);
                let bytes = self.bytes(500);
                let file = format!("file{}", self.random.between(1, 20));
                let _ = fs::write(from.join(file), bytes);
            }
            7 => drop(fs::rename(from, to)),
            8 => drop(fs::rename(&from, to.join("inside"))),
            _ => drop(fs::remove_dir_all(from)),
        }
    }
}

/// Everything below a directory but Bifold's own: directories, and files with the names of their bytes.
pub fn tree(root: &Path) -> std::io::Result<BTreeMap<String, Option<Name>>> {
    let mut tree = BTreeMap::new();
    let mut todo = vec![String::new()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(root.join(&dir))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if dir.is_empty() && name == ".bifold" {
                continue;
            }
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if entry.file_type()?.is_dir() {
                tree.insert(path.clone(), None);
                todo.push(path);
            } else {
                tree.insert(path, Some(name_of(&fs::read(entry.path())?)));
            }
        }
    }
    Ok(tree)
}
