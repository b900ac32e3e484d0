//! The files that are synced: making them, the same in each run, and checking that both sides hold them.
//!
//! Everything streams: the bench itself must stay small, see `measure`.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::random::Random;

/// How many files, and how many bytes in all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount {
    pub files: u64,
    pub size_bytes: u64,
}

/// How big each file is.
#[derive(Clone, Copy)]
pub enum Sizes {
    /// As in a folder of documents: median 4 KiB, mean 8 KiB, at most 1 MiB.
    Lognormal,
    /// From the first to the last, in bytes, each as likely.
    Even(u64, u64),
}

/// A directory full of files that are made of nothing but a seed.
#[derive(Clone, Copy)]
pub struct Recipe {
    pub files: u64,
    pub sizes: Sizes,
}

const BLOCK_BYTES: usize = 256 * 1024;

/// Directories at the top, and directories in each of these.
const SPREAD: (u64, u64) = (97, 13);

impl Recipe {
    /// Writes the files below `root`, which is made.
    pub fn make(self, root: &Path) -> Result<Amount> {
        let mut random = Random::seeded(1);
        let mut block = vec![0; BLOCK_BYTES];
        let mut size_bytes = 0;
        fs::create_dir_all(root).with_context(|| cannot("make", root))?;
        for number in 0..self.files {
            let path = root.join(self.name(number));
            if number < SPREAD.0 * SPREAD.1
                && let Some(parent) = path.parent()
            {
                fs::create_dir_all(parent).with_context(|| cannot("make", parent))?;
            }
            let size = match self.sizes {
                Sizes::Lognormal => (random.lognormal(8.3, 1.2) as u64).min(1 << 20),
                Sizes::Even(low, high) => random.between(low, high),
            };
            write_random(&path, size, &mut random, &mut block)?;
            size_bytes += size;
        }
        Ok(Amount {
            files: self.files,
            size_bytes,
        })
    }

    /// The name of the file with this number, relative to the root.
    pub fn name(self, number: u64) -> PathBuf {
        let (top, below) = (number % SPREAD.0, number % SPREAD.1);
        [format!("d{top:02}"), format!("e{below:02}"), format!("f{number:06}.dat")]
            .iter()
            .collect()
    }
}

/// One file of random bytes in `root`, which is made.
pub fn make_large(root: &Path, size_bytes: u64) -> Result<Amount> {
    fs::create_dir_all(root).with_context(|| cannot("make", root))?;
    write_random(
        &root.join("large.bin"),
        size_bytes,
        &mut Random::seeded(2),
        &mut vec![0; BLOCK_BYTES],
    )?;
    Ok(Amount { files: 1, size_bytes })
}

fn write_random(path: &Path, size_bytes: u64, random: &mut Random, block: &mut [u8]) -> Result<()> {
    let mut write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        let mut left = size_bytes;
        while left > 0 {
            let part = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            random.fill(&mut block[..part]);
            file.write_all(&block[..part])?;
            left -= part as u64;
        }
        Ok(())
    };
    write().with_context(|| cannot("write", path))
}

/// Reads every file once, so that no tool finds colder caches than another.
pub fn warm(root: &Path) -> Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    walk(root, &mut |path, _| {
        let mut file = File::open(path)?;
        while file.read(&mut block)? > 0 {}
        Ok(())
    })
}

/// Whether both sides hold just what they should: as many files, as many bytes, and in a sample of some 200 files
/// (all, when there are fewer) the same bytes.
///
/// # Errors
/// Says what differs; a run that ends so must not be counted.
pub fn check(left: &Path, right: &Path, expected: Amount) -> Result<()> {
    for (side, root) in [("left", left), ("right", right)] {
        let found = amount(root)?;
        if found != expected {
            bail!(
                "the {side} side holds {} files of {} bytes in all, but should hold {} of {}",
                found.files,
                found.size_bytes,
                expected.files,
                expected.size_bytes
            );
        }
    }
    let every = (expected.files / 200).max(1);
    let mut number = 0;
    walk(left, &mut |path, _| {
        number += 1;
        if number % every == 0 {
            let name = path.strip_prefix(left).unwrap_or(path);
            if !same_bytes(path, &right.join(name))? {
                return Err(std::io::Error::other(format!(
                    "{} is not the same on both sides",
                    name.display()
                )));
            }
        }
        Ok(())
    })
}

fn amount(root: &Path) -> Result<Amount> {
    let mut amount = Amount { files: 0, size_bytes: 0 };
    walk(root, &mut |_, size_bytes| {
        amount.files += 1;
        amount.size_bytes += size_bytes;
        Ok(())
    })?;
    Ok(amount)
}

/// Calls `visit` for each file (its path, its size in bytes), in sorted order. A directory that Bifold keeps for itself
/// at the top of a root is no part of the folder.
fn walk(root: &Path, visit: &mut dyn FnMut(&Path, u64) -> std::io::Result<()>) -> Result<()> {
    fn below(directory: &Path, at_top: bool, visit: &mut dyn FnMut(&Path, u64) -> std::io::Result<()>) -> Result<()> {
        let list = || fs::read_dir(directory)?.collect::<std::io::Result<Vec<_>>>();
        let mut entries = list().with_context(|| cannot("list", directory))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let metadata = entry.metadata().with_context(|| cannot("look at", &path))?;
            if !metadata.is_dir() {
                visit(&path, metadata.len()).with_context(|| cannot("use", &path))?;
            } else if !(at_top && entry.file_name().to_string_lossy().starts_with(".bifold")) {
                below(&path, false, visit)?;
            }
        }
        Ok(())
    }
    below(root, true, visit)
}

fn same_bytes(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut ones, mut others) = (vec![0; BLOCK_BYTES / 4], vec![0; BLOCK_BYTES / 4]);
    loop {
        let read = one.read(&mut ones)?;
        if read == 0 {
            return Ok(true);
        }
        match other.read_exact(&mut others[..read]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        if ones[..read] != others[..read] {
            return Ok(false);
        }
    }
}

/// Removes a directory and what is in it; it may be gone already.
pub fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| cannot("remove", directory)),
        _ => Ok(()),
    }
}

fn cannot(what: &str, path: &Path) -> String {
    format!("the bench cannot {what} {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_gives_the_same_twice_and_a_changed_byte_is_seen() {
        let top = crate::sample::fresh_directory(&std::env::temp_dir(), "bifold-bench-test").unwrap();
        let (left, right) = (top.join("left"), top.join("right"));
        let recipe = Recipe {
            files: 40,
            sizes: Sizes::Lognormal,
        };
        let amount = recipe.make(&left).unwrap();
        assert_eq!(recipe.make(&right).unwrap(), amount);
        check(&left, &right, amount).unwrap();

        let victim = right.join(recipe.name(17));
        let mut bytes = fs::read(&victim).unwrap();
        bytes[5] ^= 1;
        fs::write(&victim, bytes).unwrap();
        assert!(format!("{:#}", check(&left, &right, amount).unwrap_err()).contains("not the same on both sides"));

        fs::remove_file(&victim).unwrap();
        assert!(
            check(&left, &right, amount)
                .unwrap_err()
                .to_string()
                .contains("the right side holds 39 files")
        );
        remove(&top).unwrap();
    }
}
