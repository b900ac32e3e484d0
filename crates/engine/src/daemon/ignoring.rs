//! The patterns of a folder's ignore file, and what they match.

use crate::daemon::face::{Ignored, SetIgnore, Trouble};
use crate::daemon::past::{ToPut, put_at};
use crate::daemon::{Daemon, bad, failed};
use bifold_disk::fs::{Entry, Fs, FsError};
use bifold_disk::ignore::{IGNORE_FILE, Ignore};
use bifold_tree::Kind;
use std::sync::Arc;

/// Paths that are listed.
const MOST_LISTED: usize = 200;
/// Entries that are looked at.
const MOST_LOOKED: usize = 200_000;
/// The longest file of patterns.
const MOST_BYTES: usize = 1 << 20;
/// Bifold's own directory.
const OWN: &str = ".bifold";

impl Daemon {
    /// The patterns in the ignore file at a folder's top, and what they match; or what others would, if they are said. Nothing is written.
    ///
    /// # Errors
    /// If there is no such folder, it does not run, or the file cannot be read.
    pub async fn ignored(&self, which: &str, text: Option<String>) -> Result<Ignored, Trouble> {
        let fs = self.disk(which).await?;
        let looked = tokio::task::spawn_blocking(move || {
            let text = match text {
                Some(text) => text,
                None => read(fs.as_ref())?,
            };
            Ok(matched(fs.as_ref(), text))
        });
        looked.await.map_err(|e| failed(e.to_string()))?
    }

    /// Writes the patterns into the ignore file at a folder's top, where they are everyone's. The old ones go to the history.
    ///
    /// # Errors
    /// If a pattern cannot be understood, or the file not be written.
    pub async fn set_ignore(&self, set: SetIgnore) -> Result<Ignored, Trouble> {
        if set.text.len() > MOST_BYTES {
            return Err(bad("these are more patterns than are read").hint("Write at most 1 MiB."));
        }
        let fs = self.disk(&set.folder).await?;
        let (door, replicas) = self.door(self.find(&set.folder)?)?;
        let work = tokio::task::spawn_blocking(move || {
            let found = matched(fs.as_ref(), set.text);
            if let Some(pattern) = found.bad.first() {
                return Err(
                    bad(format!("the pattern {pattern:?} cannot be understood")).hint("The syntax is that of .gitignore.")
                );
            }
            Ok(found)
        });
        let found = work.await.map_err(|e| failed(e.to_string()))??;
        put_at(&door, replicas[0], IGNORE_FILE, ToPut::Bytes(found.text.clone().into_bytes())).await?;
        Ok(found)
    }

    async fn disk(&self, which: &str) -> Result<Arc<dyn Fs>, Trouble> {
        let (door, replicas) = self.door(self.find(which)?)?;
        let fs = door.ask(move |_, carrier| carrier.root(replicas[0]).map(|root| root.fs.clone()));
        fs.await.flatten().ok_or_else(|| failed("the folder ended"))
    }
}

fn read(fs: &dyn Fs) -> Result<String, Trouble> {
    let refused = |e: FsError| failed(format!("{IGNORE_FILE} cannot be read: {e}"));
    let mut file = match fs.open(IGNORE_FILE) {
        Err(FsError::NotFound) => return Ok(String::new()),
        opened => opened.map_err(refused)?,
    };
    let mut bytes = vec![0; MOST_BYTES];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64).map_err(refused)? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(String::from_utf8_lossy(&bytes[..filled]).into_owned())
}

/// What patterns match on a disk. What is below a directory that they match is not looked at.
fn matched(fs: &dyn Fs, text: String) -> Ignored {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (good, bad): (Vec<String>, Vec<String>) = lines
        .into_iter()
        .partition(|line| Ignore::new(std::slice::from_ref(line)).is_ok());
    let mut ignored = Ignored {
        text,
        matched: Vec::new(),
        count: 0,
        whole: true,
        bad,
    };
    let Ok(rules) = Ignore::new(&good) else { return ignored };
    let mut dirs = vec![String::new()];
    let mut looked = 0;
    while let Some(dir) = dirs.pop() {
        for (name, entry) in fs.list(&dir).unwrap_or_default() {
            looked += 1;
            if looked > MOST_LOOKED {
                ignored.whole = false;
                return ignored;
            }
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if path == OWN {
                continue;
            }
            let is_dir = matches!(&entry, Entry::Plain(stat) if stat.kind == Kind::Dir);
            if rules.is_ignored(&path, is_dir) {
                ignored.count += 1;
                if ignored.matched.len() < MOST_LISTED {
                    ignored.matched.push(if is_dir { format!("{path}/") } else { path });
                }
            } else if is_dir {
                dirs.push(path);
            }
        }
    }
    ignored
}
