//! Content ids, and the three ways to them.

use crate::sample::bytes;
use bifold_chunk::{
    Chunk, ChunkId, ChunkSizes, Chunker, ContentHasher, HashError, Hashed, Manifest, Verifier, VerifyError, hash_bytes,
};
use bifold_tree::ContentId;
use proptest::prelude::*;
use std::collections::HashSet;
use std::io::{self, Read};

fn read(bytes: &[u8]) -> Hashed {
    Chunker::new().hash_reader(&mut &*bytes, bytes.len() as u64).unwrap()
}

#[test]
fn a_file_of_one_chunk_is_named_as_b3sum_does() {
    for length in [0, 1, 1000, 16 << 10] {
        let bytes = bytes(1, length);
        let hashed = read(&bytes);
        assert_eq!(hashed.content.0, *blake3::hash(&bytes).as_bytes());
        assert_eq!((hashed.size, hashed.chunks), (length as u64, None));
    }
    assert_eq!(read(b"").content, ContentId::empty());
    let hex = read(b"").content.hex();
    assert_eq!(hex, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    assert_eq!(
        Chunk::sole(read(b"abc").content, 3),
        Some(Chunk {
            id: ChunkId::of(b"abc"),
            length: 3
        })
    );
    assert_eq!(Chunk::sole(ContentId::empty(), 0), None);
}

/// If this fails, the format has changed: all devices would have to hash all large files anew.
#[test]
fn the_ids_of_large_files_are_pinned() {
    let pinned = [
        (1 << 20, "feca4aafb4787269315c7e7fe9bb5cc989b26c8255dacf57d560b2f0ced31c8e"),
        (40 << 20, "eab49c12ba3389bfeae5b8b368d7daf1bd435e1a7229533ae5f9b89c036b0c56"),
    ];
    for (length, root) in pinned {
        assert_eq!(read(&bytes(2, length)).content.hex(), root, "{length}");
    }
}

#[test]
fn the_chunks_are_those_of_the_bytes() {
    let bytes = bytes(3, 3 << 20);
    let hashed = read(&bytes);
    let list = hashed.chunks.unwrap();
    assert_eq!(list.size(), bytes.len() as u64);
    assert_eq!(Manifest::new(list.clone()).root(), hashed.content);
    let sizes = ChunkSizes::of_file(list.size());
    let mut end = 0;
    for (offset, chunk) in list.with_offsets() {
        let piece = &bytes[offset as usize..][..chunk.length as usize];
        assert_eq!((offset, chunk.id), (end, ChunkId::of(piece)));
        end += u64::from(chunk.length);
        assert!(piece.len() <= sizes.max());
        assert!(piece.len() >= sizes.min() || end == list.size());
    }
    assert_eq!(end, list.size());
}

#[test]
fn an_insertion_leaves_most_chunks_as_they_are() {
    let old = bytes(4, 8 << 20);
    let mut new = old.clone();
    new.splice(1_000_000..1_000_000, *b"inserted");
    let (old, new) = (read(&old).chunks.unwrap(), read(&new).chunks.unwrap());
    let old: HashSet<Chunk> = old.into_chunks().into_iter().collect();
    let fresh = new.chunks().iter().filter(|c| !old.contains(*c)).count();
    assert!((1..=4).contains(&fresh), "{fresh} of {} chunks are new", new.chunks().len());
}

#[test]
fn equal_bytes_in_a_row_give_the_longest_chunks() {
    let list = read(&vec![0; 1 << 20]).chunks.unwrap();
    assert!(list.chunks().iter().all(|c| c.length == 256 << 10));
}

#[test]
fn a_chunker_serves_many_files() {
    let mut chunker = Chunker::new();
    for (seed, length) in [(1, 3 << 20), (2, 10), (3, 0), (4, 700_000), (5, 10)] {
        let bytes = bytes(seed, length);
        assert_eq!(
            chunker.hash_reader(&mut &*bytes, length as u64).unwrap(),
            hash_bytes(&bytes).unwrap()
        );
    }
}

/// Gives a few bytes at a time, and is interrupted in between.
struct Slow<'a>(&'a [u8], bool);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        let few = buffer.len().min(4099);
        if self.1 {
            Err(io::ErrorKind::Interrupted.into())
        } else {
            self.0.read(&mut buffer[..few])
        }
    }
}

#[test]
fn a_slow_reader_gives_the_same() {
    let bytes = bytes(5, 2_500_000);
    let hashed = Chunker::new().hash_reader(&mut Slow(&bytes, false), 2_500_000).unwrap();
    assert_eq!(hashed, hash_bytes(&bytes).unwrap());
}

#[test]
fn a_reader_that_fails_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let error = Chunker::new().hash_reader(&mut Broken, 1).unwrap_err();
    assert!(matches!(error, HashError::Io(e) if e.kind() == io::ErrorKind::PermissionDenied));
}

#[test]
fn a_wrong_size_matters_only_where_the_chunks_would_be_others() {
    let bytes = bytes(6, 1 << 20);
    let right = hash_bytes(&bytes).unwrap();
    assert_eq!(Chunker::new().hash_reader(&mut &*bytes, 0).unwrap(), right);
    assert_eq!(Chunker::new().hash_reader(&mut &*bytes, 4 << 30).unwrap(), right);
    let error = Chunker::new().hash_reader(&mut &*bytes, 5 << 30).unwrap_err();
    assert!(matches!(error, HashError::SizeChanged { said, read } if (said, read) == (5 << 30, 1 << 20)));
}

#[test]
fn the_verifier_takes_the_right_bytes_only() {
    let right = bytes(7, 600_000);
    let Hashed { content, size, .. } = hash_bytes(&right).unwrap();
    let verify = |bytes: &[u8]| {
        let mut verifier = Verifier::new(content, size);
        bytes.chunks(50_000).try_for_each(|piece| verifier.update(piece))?;
        verifier.finish()
    };
    assert_eq!(verify(&right).unwrap(), hash_bytes(&right).unwrap());
    assert!(matches!(
        verify(&right[1..]),
        Err(VerifyError::Size {
            expected: 600_000,
            got: 599_999
        })
    ));
    assert!(matches!(
        verify(&[&right[..], b"x"].concat()),
        Err(VerifyError::Size {
            expected: 600_000,
            got: 600_001
        })
    ));
    let mut wrong = right.clone();
    wrong[300_000] ^= 1;
    assert!(matches!(verify(&wrong), Err(VerifyError::Content { expected, .. }) if expected == content));
}

#[test]
fn after_too_many_bytes_a_verifier_stays_failed() {
    let mut verifier = Verifier::new(hash_bytes(b"ab").unwrap().content, 2);
    verifier.update(b"ab").unwrap();
    verifier.update(b"c").unwrap_err();
    verifier.finish().unwrap_err();
}

/// Updates from one byte to more than the longest chunk.
fn updates() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![0_usize..5, 1_000_usize..70_000, 200_000_usize..700_000];
    prop::collection::vec(length, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same(seed: u64, length in 0_usize..3_000_000, zeros in 0_usize..600_000, updates in updates()) {
        let mut bytes = bytes(seed, length);
        let middle = length / 2;
        bytes.splice(middle..middle, std::iter::repeat_n(0, zeros));
        let whole = hash_bytes(&bytes).unwrap();
        let mut hasher = ContentHasher::new(bytes.len() as u64);
        let mut rest = &bytes[..];
        for length in updates {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            hasher.update(piece).unwrap();
            rest = after;
        }
        // What is left goes in small pieces.
        for piece in rest.chunks(30_011) {
            hasher.update(piece).unwrap();
        }
        prop_assert_eq!(&hasher.finish().unwrap(), &whole);
        prop_assert_eq!(&read(&bytes), &whole);
    }
}
