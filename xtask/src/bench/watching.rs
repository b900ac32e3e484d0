//! A tool that watches: started, seen to be ready, and always ended, with all processes that it has started.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::tool::Pair;

/// A running tool; dropped, it is ended.
pub struct Watching<'a> {
    child: Child,
    pair: &'a Pair,
}

impl<'a> Watching<'a> {
    /// Starts `command`, and returns when a change has gone over in each direction.
    pub fn start(mut command: Command, pair: &'a Pair) -> Result<Watching<'a>> {
        let child = command.spawn().context("the tool cannot be started")?;
        let mut watching = Watching { child, pair };
        for (round, from_left) in [(0u8, true), (1, false), (2, true), (3, false)] {
            watching.edit(Path::new("probe.txt"), &[b'p', round], from_left, Duration::from_secs(60))?;
        }
        sleep(Duration::from_secs(2));
        Ok(watching)
    }

    /// Writes `bytes` to a file on one side, closes it, and tells how long it takes until the other side holds them.
    ///
    /// Waits by asking for metadata, and opens the file on the other side only once something has changed: opening is
    /// an event, too, and would keep the watcher busy.
    pub fn edit(&mut self, name: &Path, bytes: &[u8], from_left: bool, patience: Duration) -> Result<Duration> {
        let (here, there) = if from_left {
            (&self.pair.left, &self.pair.right)
        } else {
            (&self.pair.right, &self.pair.left)
        };
        let (here, there) = (here.join(name), there.join(name));
        let before = look(&there);
        fs::write(&here, bytes).with_context(|| format!("the bench cannot write {}", here.display()))?;
        let start = Instant::now();
        let mut changed = false;
        loop {
            changed = changed || look(&there) != before;
            if changed && fs::read(&there).is_ok_and(|found| found == bytes) {
                return Ok(start.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the tool has stopped watching ({status}): {}", self.pair.last_words());
            }
            if start.elapsed() > patience {
                bail!(
                    "an edit had not arrived after {} s: {}",
                    patience.as_secs(),
                    self.pair.last_words()
                );
            }
            sleep(Duration::from_micros(500));
        }
    }

    /// CPU time so far, of the tool and all that it has started. None where there is no /proc.
    pub fn cpu(&self) -> Option<Duration> {
        // SAFETY: sysconf takes a number and returns one.
        let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok()?;
        let mut ticks = 0;
        for pid in family(self.child.id()) {
            let stat = fs::read_to_string(process(pid).join("stat")).ok()?;
            // After the name in brackets; utime, stime, and those of the children that have ended: proc(5), 14 to 17.
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            ticks += fields
                .get(11..15)?
                .iter()
                .filter_map(|field| field.parse::<u64>().ok())
                .sum::<u64>();
        }
        Some(Duration::from_millis(ticks * 1000 / per_second))
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let family = family(self.child.id());
        signal(&family, libc::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(20));
        }
        signal(&family, libc::SIGKILL);
        // It is dead or was so before: there is nothing to be done with an error.
        let _ = self.child.wait();
    }
}

fn signal(processes: &[u32], signal: libc::c_int) {
    for pid in processes.iter().filter_map(|&pid| libc::pid_t::try_from(pid).ok()) {
        // SAFETY: kill touches no memory of ours; the ids are of our child and its children, seen just now.
        unsafe { libc::kill(pid, signal) };
    }
}

/// The process, and all processes that it has started.
fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        let tasks = fs::read_dir(process(parent).join("task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

fn process(pid: u32) -> PathBuf {
    ["/proc".into(), pid.to_string()].iter().collect()
}

/// What changes of a file's metadata when it is written or replaced.
fn look(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}
