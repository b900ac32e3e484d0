//! What the new version of a file can take from bytes at hand.

use crate::chunk::{Chunk, ChunkId};
use std::collections::HashMap;
use std::ops::Range;

/// Where the bytes of a run come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// They lie in a file at hand.
    Old {
        /// Which of the files, by number.
        file: usize,
        /// The place of the run's first byte in it.
        offset: u64,
    },
    /// They are to be fetched.
    ///
    /// This is where sub-chunk deltas come in: a `New` run that lies between two `Old` runs of one file replaces what lies
    /// between these there, and a signature of that range can go with the request.
    New,
}

/// Bytes of a new file that come from one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// The place of its first byte in the new file.
    pub offset: u64,
    /// Bytes, at least one.
    pub length: u64,
    /// Its chunks, by number in the new list. A chunk that occurs several times in `New` runs need be fetched once only.
    pub chunks: Range<usize>,
    /// Where they come from.
    pub source: Source,
}

/// Which parts of `new` lie in the files `old` and which are to be fetched: runs that follow each other without a gap
/// from the first byte of the new file to its last, each as long as it can be where the chunk before goes on.
///
/// The lists are in order, as [`ChunkList::chunks`](crate::ChunkList::chunks) has them; see [`Chunk::sole`] for files of
/// one chunk. Of several places of a chunk, that which continues the run is taken, else the first in the order given.
/// The bytes on the disk may have changed since the lists were made: what is assembled is to be verified.
#[must_use]
pub fn runs(old: &[&[Chunk]], new: &[Chunk]) -> Vec<Run> {
    let places = places(old);
    let mut runs: Vec<Run> = Vec::new();
    let mut offset = 0;
    // The place in the old files behind the chunk that was found last: there a run goes on best.
    let mut behind: Option<Place> = None;
    for (index, chunk) in new.iter().enumerate() {
        let place = behind
            .filter(|next| old[next.file].get(next.index) == Some(chunk))
            .or_else(|| {
                places
                    .get(&chunk.id)
                    .copied()
                    .filter(|p| old[p.file][p.index].length == chunk.length)
            });
        let length = u64::from(chunk.length);
        let source = place.map_or(Source::New, |p| Source::Old {
            file: p.file,
            offset: p.offset,
        });
        match runs.last_mut() {
            Some(run) if continues(run, source) => {
                run.length += length;
                run.chunks.end = index + 1;
            }
            _ => runs.push(Run {
                offset,
                length,
                chunks: index..index + 1,
                source,
            }),
        }
        behind = place.map(|p| Place {
            file: p.file,
            index: p.index + 1,
            offset: p.offset + length,
        });
        offset += length;
    }
    runs
}

/// A chunk of an old file.
#[derive(Clone, Copy)]
struct Place {
    file: usize,
    /// Its number in the file's list.
    index: usize,
    /// Its first byte in the file.
    offset: u64,
}

/// The first place of each chunk. Ids may be of a peer's choosing, so the map's hash is a keyed one.
fn places(old: &[&[Chunk]]) -> HashMap<ChunkId, Place> {
    let mut places = HashMap::with_capacity(old.iter().map(|chunks| chunks.len()).sum());
    for (file, chunks) in old.iter().enumerate() {
        let mut offset = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            places.entry(chunk.id).or_insert(Place { file, index, offset });
            offset += u64::from(chunk.length);
        }
    }
    places
}

/// Whether bytes from `source` go on where the run ends.
fn continues(run: &Run, source: Source) -> bool {
    match (run.source, source) {
        (Source::New, Source::New) => true,
        (Source::Old { file, offset }, Source::Old { file: next, offset: at }) => file == next && offset + run.length == at,
        _ => false,
    }
}
