//! How fast this machine chunks, hashes and packs, on one core: `cargo run --release -p bifold-chunk --example throughput`.
#![allow(clippy::disallowed_methods, reason = "a measurement")]
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use bifold_chunk::{Chunker, ContentHasher, HashError, Packer, hash_bytes};
use std::hint::black_box;
use std::time::Instant;

const SIZE: usize = 512 << 20;
const ROUNDS: usize = 5;

/// Prints the best of some rounds over `bytes` bytes.
fn measure(what: &str, bytes: usize, mut run: impl FnMut() -> Result<(), HashError>) -> Result<(), HashError> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{what:<44} {:8.0} MB/s", bytes as f64 / best / 1e6);
    Ok(())
}

fn main() -> Result<(), HashError> {
    let mut data = vec![0; SIZE];
    blake3::Hasher::new().finalize_xof().fill(&mut data);
    let mut chunker = Chunker::new();

    measure("BLAKE3 alone", SIZE, || {
        black_box(blake3::hash(&data));
        Ok(())
    })?;
    measure("hash_bytes", SIZE, || black_box(hash_bytes(&data)).map(drop))?;
    measure("Chunker::hash_reader", SIZE, || {
        black_box(chunker.hash_reader(&mut &*data, SIZE as u64)).map(drop)
    })?;
    for kib in [16, 128, 1024, 4096] {
        measure(&format!("ContentHasher, updates of {kib} KiB"), SIZE, || {
            let mut hasher = ContentHasher::new(SIZE as u64);
            data.chunks(kib << 10).try_for_each(|piece| hasher.update(piece))?;
            black_box(hasher.finish()).map(drop)
        })?;
    }
    for kib in [1, 4, 16] {
        let files = 20_000;
        let start = Instant::now();
        measure(&format!("Chunker, {files} files of {kib} KiB"), files * (kib << 10), || {
            data.chunks_exact(kib << 10)
                .take(files)
                .try_for_each(|mut file| black_box(chunker.hash_reader(&mut file, (kib << 10) as u64)).map(drop))
        })?;
        println!(
            "{:<44} {:8.1} ms a round",
            "",
            start.elapsed().as_secs_f64() * 1e3 / ROUNDS as f64
        );
    }

    let text: Vec<u8> = (0..)
        .flat_map(|i: u32| format!("{}: line {i}\n", i.wrapping_mul(2_654_435_761)).into_bytes())
        .take(64 << 20)
        .collect();
    let mut packer = Packer::new();
    for (what, bytes) in [("pack, text", &text[..]), ("pack, noise", &data[..64 << 20])] {
        measure(what, bytes.len(), || {
            bytes.chunks(64 << 10).for_each(|chunk| drop(black_box(packer.pack(chunk))));
            Ok(())
        })?;
    }
    Ok(())
}
