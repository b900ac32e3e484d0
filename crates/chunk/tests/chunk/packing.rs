//! On the wire.

use crate::sample::bytes;
use bifold_chunk::{Packer, Packing, UnpackError, pack, unpack};
use proptest::prelude::*;
use std::io::Read;

fn text(length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|i: u32| format!("line {i} of a text, and so on\n").into_bytes())
        .take(length)
        .collect()
}

#[test]
fn text_shrinks_and_noise_is_left_alone() {
    for length in [200, 5_000, 64 << 10, 1 << 20] {
        let (text, noise) = (text(length), bytes(1, length));
        let packed = pack(&text);
        assert_eq!(packed.packing, Packing::Zstd);
        assert!(packed.bytes.len() < length * 9 / 10);
        let packed = pack(&noise);
        assert_eq!((packed.packing, &*packed.bytes), (Packing::Plain, &*noise));
    }
    assert_eq!(pack(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").packing, Packing::Plain);
}

#[test]
fn more_than_the_limit_is_refused() {
    let text = text(10_000);
    let packed = pack(&text);
    assert_eq!(&*unpack(packed.packing, &packed.bytes, 10_000).unwrap(), text);
    assert_eq!(
        unpack(packed.packing, &packed.bytes, 9_999),
        Err(UnpackError::TooLarge { limit: 9_999 })
    );
    assert_eq!(
        unpack(Packing::Plain, &text, 9_999),
        Err(UnpackError::TooLarge { limit: 9_999 })
    );
}

#[test]
fn a_bomb_is_refused() {
    // 64 MiB of zeros, said so in the frame's head.
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    assert!(bomb.len() < 10_000);
    assert_eq!(
        unpack(Packing::Zstd, &bomb, 1 << 20),
        Err(UnpackError::TooLarge { limit: 1 << 20 })
    );
    // The same, without a word on its size.
    let silent = zstd::stream::encode_all(std::io::repeat(0).take(64 << 20), 3).unwrap();
    assert_eq!(unpack(Packing::Zstd, &silent, 1 << 20), Err(UnpackError::Damaged));
    // A small frame in front of a large one.
    let front = [zstd::bulk::compress(b"small", 3).unwrap(), bomb].concat();
    assert_eq!(unpack(Packing::Zstd, &front, 1 << 20), Err(UnpackError::Damaged));
}

proptest! {
    #[test]
    fn packing_round_trips(words in prop::collection::vec("[a-f]{1,6}|[^a]{0,30}", 0..2_000), noise in 0_usize..50_000) {
        let mut bytes = bytes(0, noise);
        bytes.extend(words.concat().bytes());
        let mut packer = Packer::new();
        for _ in 0..2 {
            let packed = packer.pack(&bytes);
            prop_assert!(packed.bytes.len() <= bytes.len());
            prop_assert_eq!(&*unpack(packed.packing, &packed.bytes, bytes.len()).unwrap(), &*bytes);
        }
    }

    #[test]
    fn damage_is_no_panic(length in 200_usize..40_000, at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index) {
        let text = text(length);
        let mut packed = pack(&text).bytes.into_owned();
        prop_assert!(unpack(Packing::Zstd, &packed[..cut.index(packed.len())], length).is_err());
        let at = at.index(packed.len());
        packed[at] ^= flip;
        // zstd may not notice; whoever asked for a chunk does, by its hash.
        if let Ok(unpacked) = unpack(Packing::Zstd, &packed, length) {
            prop_assert!(unpacked.len() <= length);
        }
    }

    #[test]
    fn noise_is_no_panic(noise: Vec<u8>) {
        if let Ok(unpacked) = unpack(Packing::Zstd, &noise, 1 << 16) {
            prop_assert!(unpacked.len() <= 1 << 16);
        }
    }
}
