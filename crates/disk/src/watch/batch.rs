//! Gathers changes that come together. Pure: the time is an argument.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// A batch is complete when nothing more has come for so long,
const QUIET: Duration = Duration::from_millis(8);
/// or when so much has passed since its first change.
const LONGEST: Duration = Duration::from_millis(50);
/// A file that is open for writing is told of so long after it was first written to, and again after as long. (Told of
/// at once, it would be read half written.)
const UNCLOSED: Duration = Duration::from_millis(500);

/// Changes that have not been told yet.
#[derive(Default)]
pub(super) struct Batch {
    ready: BTreeSet<String>,
    /// When the first and the last of the ready ones came.
    came: Option<(Instant, Instant)>,
    /// Files that are open for writing, and since when they are untold of.
    open: HashMap<String, Instant>,
}

impl Batch {
    /// Something has come, gone, or changed and is complete.
    pub(super) fn changed(&mut self, path: String, now: Instant) {
        self.open.remove(&path);
        self.ready.insert(path);
        self.came = Some((self.came.map_or(now, |(first, _)| first), now));
    }

    /// A file is being written to, and will be closed at some time. (Only inotify tells of closing.)
    #[cfg(any(test, target_os = "linux", target_os = "android"))]
    pub(super) fn writing(&mut self, path: String, now: Instant) {
        if !self.ready.contains(&path) {
            self.open.entry(path).or_insert(now);
        }
    }

    /// When the next batch is complete; `None` while there is nothing to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        let ready = self.came.map(|(first, last)| (last + QUIET).min(first + LONGEST));
        let open = self.open.values().min().map(|&since| since + UNCLOSED);
        ready.into_iter().chain(open).min()
    }

    /// The batch, if one is complete; else nothing.
    pub(super) fn take(&mut self, now: Instant) -> Vec<String> {
        if self.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.came = None;
        let mut batch = std::mem::take(&mut self.ready);
        batch.extend(
            self.open
                .extract_if(|_, since| *since + UNCLOSED <= now)
                .map(|(path, _)| path),
        );
        batch.into_iter().collect()
    }

    /// Forgets all: it was told otherwise.
    pub(super) fn clear(&mut self) {
        *self = Batch::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn changes_that_come_together_are_told_together_and_once() {
        let (mut batch, start) = (Batch::default(), Instant::now());
        assert_eq!(batch.due(), None);
        batch.changed("b".into(), start);
        batch.changed("a".into(), start + ms(3));
        batch.changed("b".into(), start + ms(4));
        assert_eq!(batch.take(start + ms(5)), [""; 0]);
        assert_eq!(batch.due(), Some(start + ms(4) + QUIET));
        assert_eq!(batch.take(start + ms(4) + QUIET), ["a", "b"]);
        assert_eq!(batch.due(), None);
    }

    #[test]
    fn changes_that_never_pause_are_told_all_the_same() {
        let (mut batch, start) = (Batch::default(), Instant::now());
        for n in 0..=50 {
            batch.changed("a".into(), start + ms(n));
        }
        assert_eq!(batch.due(), Some(start + LONGEST));
    }

    #[test]
    fn a_file_is_told_when_it_is_closed_or_after_a_while() {
        let (mut batch, start) = (Batch::default(), Instant::now());
        batch.writing("a".into(), start);
        batch.writing("log".into(), start + ms(1));
        batch.changed("a".into(), start + ms(20));
        assert_eq!(batch.take(start + ms(20) + QUIET), ["a"]);
        batch.writing("log".into(), start + ms(300));
        assert_eq!(batch.due(), Some(start + ms(1) + UNCLOSED));
        assert_eq!(batch.take(start + ms(1) + UNCLOSED), ["log"]);
        assert_eq!(batch.due(), None);
    }
}
