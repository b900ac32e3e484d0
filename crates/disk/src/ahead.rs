//! Two threads for one large file: one makes blocks (reads, verifies), the other takes them (hashes, writes).

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes in a block.
pub(crate) const BLOCK: usize = 1 << 20;
/// Blocks that may wait.
const WAITING: usize = 4;
/// From so many bytes on a second thread pays.
pub(crate) const LARGE: u64 = 8 << 20;

/// Hands blocks over, and gets used ones back.
pub(crate) struct Maker {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

impl Maker {
    /// An empty block, perhaps one that was used before.
    pub(crate) fn block(&self) -> Vec<u8> {
        self.empty.try_recv().unwrap_or_default()
    }

    /// Hands a block over; false when nobody wants more.
    pub(crate) fn give(&self, block: Vec<u8>) -> bool {
        self.full.send(block).is_ok()
    }
}

/// Takes blocks.
pub(crate) struct Taker {
    full: Receiver<Vec<u8>>,
    empty: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Taker {
    /// The next block; `None` at the end. The one before is used again.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let used = std::mem::take(&mut self.current);
        if used.capacity() > 0 {
            let _ = self.empty.try_send(used); // no matter if there are enough
        }
        self.current = self.full.recv().ok()?;
        Some(&self.current)
    }
}

impl io::Read for Taker {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            self.at = 0;
            if self.next().is_none() {
                return Ok(0);
            }
        }
        let n = buf.len().min(self.current.len() - self.at);
        buf[..n].copy_from_slice(&self.current[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Runs `make` in a thread of its own while `take` runs here; returns what both came to.
pub(crate) fn both<M: Send, T>(make: impl FnOnce(&Maker) -> M + Send, take: impl FnOnce(&mut Taker) -> T) -> (Option<M>, T) {
    let (full, full_out) = sync_channel(WAITING);
    let (empty, empty_out) = sync_channel(WAITING);
    std::thread::scope(|scope| {
        let maker = scope.spawn(move || make(&Maker { full, empty: empty_out }));
        let mut taker = Taker {
            full: full_out,
            empty,
            current: Vec::new(),
            at: 0,
        };
        let taken = take(&mut taker);
        drop(taker); // so that the maker ends, if it was not wanted to its end
        (maker.join().ok(), taken)
    })
}
