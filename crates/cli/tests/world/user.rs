//! Someone who works in both folders at random, and knows each content they ever wrote. They lose none themselves: what they
//! replace or delete goes to a bin.

use super::World;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Small random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below this one.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % n
    }
}

/// Says in the log what the user does, where it is kept.
macro_rules! say {
    ($user:expr, $($what:tt)*) => {
        if let Some(mut log) = $user.world.log() {
            let text = format!($($what)*).replace(&format!("{}/", $user.world.at("").display()), "");
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
            let line = format!("{:02}.{:06} user {text}\n", now.as_secs() % 60, now.subsec_micros());
            std::io::Write::write_all(&mut log, line.as_bytes()).unwrap();
        }
    };
}

pub struct User<'w> {
    world: &'w World,
    pub random: Random,
    /// All that was ever written: what is told of it, by its hash.
    wrote: BTreeMap<[u8; 32], String>,
    /// The same, and what was begun and not done, by its first line: how long it was to be.
    begun: BTreeMap<String, usize>,
    /// The longest file, in bytes.
    pub longest: usize,
    /// How often they did something.
    pub acts: usize,
    binned: usize,
}

impl<'w> User<'w> {
    pub fn new(world: &'w World, seed: u64) -> User<'w> {
        world.mkdir("bin");
        world.mkdir("desk");
        User {
            world,
            random: Random::new(seed),
            wrote: BTreeMap::new(),
            begun: BTreeMap::new(),
            longest: 200_000,
            acts: 0,
            binned: 0,
        }
    }

    fn side(&mut self) -> PathBuf {
        self.world.at(["left", "right"][self.random.below(2)])
    }

    /// A content that nobody wrote before.
    fn content(&mut self, what: &Path) -> Vec<u8> {
        let line = format!("content {} of {}\n", self.begun.len(), what.display());
        let mut bytes = line.clone().into_bytes();
        if self.random.below(8) == 0 {
            let length = self.random.below(self.longest);
            bytes.extend((0..length).map(filling));
        }
        self.begun.insert(line, bytes.len());
        self.wrote.insert(
            *blake3::hash(&bytes).as_bytes(),
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned(),
        );
        bytes
    }

    fn bin(&mut self) -> PathBuf {
        self.binned += 1;
        self.world.at("bin").join(self.binned.to_string())
    }

    /// A path in a small world, so that it is often met again.
    fn fresh(&mut self, side: &Path) -> PathBuf {
        let mut path = side.to_owned();
        for _ in 0..self.random.below(3) {
            path.push(format!("dir{}", self.random.below(4)));
        }
        path.join(format!("file{}", self.random.below(12)))
    }

    /// Something that is there.
    fn some(&mut self, side: &Path, dirs: bool) -> Option<PathBuf> {
        let mut found = Vec::new();
        let mut todo = vec![side.to_owned()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if entry.file_name() == ".bifold" {
                    continue;
                }
                let is_dir = entry.file_type().is_ok_and(|t| t.is_dir());
                if is_dir {
                    todo.push(entry.path());
                }
                if is_dir == dirs {
                    found.push(entry.path());
                }
            }
        }
        let n = found.len();
        (n > 0).then(|| found.swap_remove(self.random.below(n)))
    }

    /// Does something. What does not succeed, because the program was there first, is left.
    pub fn act(&mut self) {
        self.acts += 1;
        let side = self.side();
        match self.random.below(20) {
            0..=5 => {
                let path = self.fresh(&side);
                let _ = fs::create_dir_all(path.parent().unwrap());
                let content = self.content(&path);
                self.make(&path, &content);
            }
            6..=11 => {
                let Some(path) = self.some(&side, false) else { return };
                let content = self.content(&path);
                let aside = self.bin();
                if self.random.below(2) == 0 {
                    // Written aside, put in its place; what was there is kept.
                    fs::write(&aside, &content).unwrap();
                    let done = exchange(&aside, &path);
                    say!(self, "edits {} {done}: {}", path.display(), hash(&content));
                    if !done {
                        self.wrote.remove(blake3::hash(&content).as_bytes());
                    }
                } else if fs::rename(&path, &aside).is_ok() {
                    say!(self, "moves {} to {}", path.display(), aside.display());
                    self.make(&path, &content);
                } else {
                    self.wrote.remove(blake3::hash(&content).as_bytes());
                }
            }
            12..=13 => {
                let Some(path) = self.some(&side, false) else { return };
                let bin = self.bin();
                let done = fs::rename(&path, &bin).is_ok();
                say!(self, "deletes {} {done}", path.display());
            }
            14..=15 => {
                let Some(from) = self.some(&side, false) else { return };
                let to = self.fresh(&side);
                let _ = fs::create_dir_all(to.parent().unwrap());
                let done = rename_if_free(&from, &to);
                say!(self, "renames {} {} {done}", from.display(), to.display());
            }
            16..=17 => {
                let Some(from) = self.some(&side, true) else { return };
                let to = side.join(format!("dir{}", self.random.below(4)));
                let done = rename_if_free(&from, &to);
                say!(self, "renames {}/ {} {done}", from.display(), to.display());
            }
            18 => {
                let Some(path) = self.some(&side, true) else { return };
                let done = fs::rename(&path, self.bin()).is_ok();
                say!(self, "deletes {}/ {done}", path.display());
            }
            _ => {
                let path = self.fresh(&side);
                let _ = fs::create_dir_all(path.parent().unwrap().join("empty"));
            }
        }
    }

    /// Makes a file, only if nothing is there: else somebody's content would be lost without their knowing.
    fn make(&mut self, path: &Path, content: &[u8]) {
        let made = fs::File::create_new(path).and_then(|mut file| std::io::Write::write_all(&mut file, content));
        say!(self, "makes {} {}: {}", path.display(), made.is_ok(), hash(content));
        if made.is_err() {
            self.wrote.remove(blake3::hash(content).as_bytes());
        }
    }

    /// What was written and is nowhere: neither in a folder, nor in its history, nor in the bin.
    pub fn lost(&self) -> Vec<&str> {
        let mut there: BTreeSet<[u8; 32]> = BTreeSet::new();
        for place in ["left", "right", "bin"] {
            for item in super::tree(&self.world.at(place)).into_values() {
                if let super::Item::File { bytes, .. } = item {
                    there.insert(*blake3::hash(&bytes).as_bytes());
                }
            }
        }
        self.wrote
            .iter()
            .filter(|(hash, _)| !there.contains(*hash))
            .map(|(_, what)| what.as_str())
            .collect()
    }

    /// What is in a folder or its history, and was never written: neither all of it, nor its beginning while it was being written.
    pub fn strange(&self) -> Vec<String> {
        let is_written = |bytes: &[u8]| {
            let line = bytes.iter().position(|b| *b == b'\n').map_or(bytes, |at| &bytes[..=at]);
            let (line, rest) = (String::from_utf8_lossy(line), &bytes[line.len()..]);
            let whole = self.begun.get(&*line).is_some_and(|length| bytes.len() <= *length);
            let begins = rest.is_empty()
                && self
                    .begun
                    .range(line.to_string()..)
                    .next()
                    .is_some_and(|(l, _)| l.starts_with(&*line));
            (whole || begins) && rest.iter().enumerate().all(|(i, b)| *b == filling(i))
        };
        let mut strange = Vec::new();
        for place in ["left", "right"] {
            for (path, item) in super::tree(&self.world.at(place)) {
                let own = path.starts_with(".bifold") && !path.starts_with(".bifold/history");
                if let super::Item::File { bytes, .. } = item
                    && !own
                    && !is_written(&bytes)
                {
                    strange.push(format!("{place}/{}: {} bytes", path.display(), bytes.len()));
                }
            }
        }
        strange
    }

    pub fn contents(&self) -> usize {
        self.wrote.len()
    }
}

/// A byte of a long content.
fn filling(at: usize) -> u8 {
    (at * 31 % 251) as u8
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..8].to_owned()
}

#[cfg(target_os = "linux")]
fn rename2(from: &Path, to: &Path, flags: libc::c_uint) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let text = |path: &Path| std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: strings that end with NUL.
    unsafe { libc::renameat2(libc::AT_FDCWD, text(from).as_ptr(), libc::AT_FDCWD, text(to).as_ptr(), flags) == 0 }
}

#[cfg(target_os = "linux")]
pub fn exchange(a: &Path, b: &Path) -> bool {
    rename2(a, b, libc::RENAME_EXCHANGE)
}

#[cfg(target_os = "linux")]
pub fn rename_if_free(from: &Path, to: &Path) -> bool {
    rename2(from, to, libc::RENAME_NOREPLACE)
}

/// Elsewhere there is a moment between the look and the deed, or between two.
#[cfg(not(target_os = "linux"))]
pub fn exchange(a: &Path, b: &Path) -> bool {
    let aside = a.with_extension("aside");
    fs::rename(b, &aside).is_ok() && fs::rename(a, b).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub fn rename_if_free(from: &Path, to: &Path) -> bool {
    to.symlink_metadata().is_err() && fs::rename(from, to).is_ok()
}
