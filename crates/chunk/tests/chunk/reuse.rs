//! What an old version gives to a new one.

use crate::sample::{bytes, chunk};
use bifold_chunk::{Chunk, Run, Source, hash_bytes, runs};
use proptest::prelude::*;

/// Of 64 KiB each.
fn chunks(seeds: &[u64]) -> Vec<Chunk> {
    seeds.iter().copied().map(chunk).collect()
}

const CHUNK: u64 = 64 << 10;

/// A run in words: where its chunks begin and end, and the file and the chunk there that it comes from.
type Told = (usize, usize, Option<(usize, u64)>);

fn told(runs: &[Run]) -> Vec<Told> {
    let source = |source| match source {
        Source::Old { file, offset } => Some((file, offset / CHUNK)),
        Source::New => None,
    };
    runs.iter()
        .map(|run| (run.chunks.start, run.chunks.end, source(run.source)))
        .collect()
}

#[test]
fn an_insertion_is_fetched_and_the_rest_is_taken() {
    let (old, new) = (chunks(&[1, 2, 3, 4]), chunks(&[1, 2, 9, 8, 3, 4]));
    let plan = runs(&[&old], &new);
    assert_eq!(told(&plan), [(0, 2, Some((0, 0))), (2, 4, None), (4, 6, Some((0, 2)))]);
    assert_eq!((plan[1].offset, plan[1].length), (2 * CHUNK, 2 * CHUNK));
}

#[test]
fn a_removal_and_a_move_break_the_run() {
    let old = chunks(&[1, 2, 3, 4]);
    assert_eq!(
        told(&runs(&[&old], &chunks(&[1, 3, 4]))),
        [(0, 1, Some((0, 0))), (1, 3, Some((0, 2)))]
    );
    assert_eq!(
        told(&runs(&[&old], &chunks(&[3, 4, 1, 2]))),
        [(0, 2, Some((0, 2))), (2, 4, Some((0, 0)))]
    );
}

#[test]
fn of_several_places_that_which_goes_on_is_taken() {
    let (first, second) = (chunks(&[0, 0, 1, 0, 2]), chunks(&[5, 0, 6]));
    let plan = runs(&[&first, &second], &chunks(&[1, 0, 2, 5, 0, 6, 0]));
    assert_eq!(
        told(&plan),
        [(0, 3, Some((0, 2))), (3, 6, Some((1, 0))), (6, 7, Some((0, 0)))]
    );
}

#[test]
fn nothing_from_nothing() {
    assert_eq!(runs(&[], &[]), []);
    assert_eq!(runs(&[&chunks(&[1])], &[]), []);
    assert_eq!(told(&runs(&[], &chunks(&[1, 2]))), [(0, 2, None)]);
    // An id with another length is another chunk.
    let liar = [Chunk { length: 1, ..chunk(1) }];
    assert_eq!(told(&runs(&[&liar], &chunks(&[1]))), [(0, 1, None)]);
}

#[test]
fn the_runs_put_the_new_file_together() {
    let old = bytes(1, 3 << 20);
    let mut new = old.clone();
    new.splice(500_000..900_000, bytes(2, 123_456));
    new.extend_from_within(1_000_000..1_500_000);
    let (old_chunks, new_chunks) = (
        hash_bytes(&old).unwrap().chunks.unwrap(),
        hash_bytes(&new).unwrap().chunks.unwrap(),
    );
    let mut assembled = Vec::new();
    let mut fetched = 0;
    for run in runs(&[old_chunks.chunks()], new_chunks.chunks()) {
        let length = run.length as usize;
        assembled.extend_from_slice(match run.source {
            Source::Old { offset, .. } => &old[offset as usize..][..length],
            Source::New => {
                fetched += length;
                &new[run.offset as usize..][..length]
            }
        });
    }
    assert!(assembled == new);
    assert!(fetched < 1_500_000, "{fetched}");
}

proptest! {
    #[test]
    fn runs_cover_the_new_file_exactly(
        old in prop::collection::vec(prop::collection::vec(0_u64..20, 0..30), 0..4),
        new in prop::collection::vec(0_u64..25, 0..60),
    ) {
        let old: Vec<Vec<Chunk>> = old.iter().map(|seeds| chunks(seeds)).collect();
        let old: Vec<&[Chunk]> = old.iter().map(Vec::as_slice).collect();
        let new = chunks(&new);
        let (mut offset, mut next) = (0, 0);
        for run in runs(&old, &new) {
            prop_assert_eq!((run.offset, run.chunks.start), (offset, next));
            prop_assert!(!run.chunks.is_empty());
            let wanted = &new[run.chunks.clone()];
            prop_assert_eq!(run.length, wanted.len() as u64 * CHUNK);
            match run.source {
                Source::Old { file, offset } => {
                    prop_assert_eq!(&old[file][(offset / CHUNK) as usize..][..wanted.len()], wanted);
                }
                Source::New => prop_assert!(wanted.iter().all(|c| !old.iter().any(|o| o.contains(c)))),
            }
            offset += run.length;
            next = run.chunks.end;
        }
        prop_assert_eq!(next, new.len());
    }
}
