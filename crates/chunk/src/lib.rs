//! Bytes to chunks and back: where a file is cut, how the pieces and the whole are named, what of it is held already,
//! and how the rest is packed.
//!
//! Pure: this crate opens no file and no socket, reads no clock and starts no thread. Bytes come in as slices or through
//! [`std::io::Read`].
//!
//! Reading order: [`ChunkSizes`] (how large chunks are), [`Chunker`] and [`ContentHasher`] (one pass over the bytes),
//! [`ChunkList`] and [`Manifest`] (the list, and the hash tree that names it), [`runs`] (what an old version gives to a
//! new one), [`pack`] (on the wire), [`Verifier`] (are these the bytes that were asked for?).
//!
//! # What enters a content id
//!
//! Two devices must give the same bytes the same id. So these are part of the format, and a pinned test holds them:
//! the [`ChunkSizes`] and their dependence on the file's size; FastCDC's cut points (crate `fastcdc`, `v2020`,
//! normalisation level 1, seed 0); BLAKE3; the encoding and the cut points of the manifest's nodes.

mod chunk;
mod chunker;
mod cutter;
mod hasher;
mod manifest;
mod pack;
mod reuse;
mod sizes;
mod verifier;

pub use chunk::{BadList, Chunk, ChunkId, ChunkList, MAX_CHUNKS};
pub use chunker::Chunker;
pub use cutter::{HashError, Hashed, hash_bytes};
pub use hasher::ContentHasher;
pub use manifest::{Arriving, MAX_FANOUT, MAX_NODE_BYTES, MIN_FANOUT, Manifest, ManifestError, max_encoded_bytes};
pub use pack::{Packed, Packer, Packing, UnpackError, pack, unpack};
pub use reuse::{Run, Source, runs};
pub use sizes::{ChunkSizes, MAX_CHUNK_BYTES};
pub use verifier::{Verifier, VerifyError};
