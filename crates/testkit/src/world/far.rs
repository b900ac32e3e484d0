//! Bytes from other programs, at once and without a network.

use super::program::Program;
use bifold_chunk::{Chunk, Manifest};
use bifold_disk::far::Far;
use bifold_disk::stage::Origin;
use bifold_tree::ContentId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the bytes for a plan lie that other programs have.
pub(super) struct Reachable {
    places: BTreeMap<ContentId, Vec<Origin>>,
    manifests: BTreeMap<ContentId, Manifest>,
    /// Reads until the connection is cut.
    left: Arc<AtomicU64>,
}

impl Reachable {
    /// `left`: so many reads succeed before the connection is cut.
    pub(super) fn new(wanted: impl Iterator<Item = ContentId>, others: &[&Program], left: Arc<AtomicU64>) -> Reachable {
        let (mut places, mut manifests) = (BTreeMap::new(), BTreeMap::new());
        for content in wanted {
            places.insert(content, others.iter().flat_map(|p| p.places_of(content)).collect());
            manifests.extend(others.iter().find_map(|p| p.manifest(content)).map(|m| (content, m)));
        }
        Reachable { places, manifests, left }
    }

    fn read(&self, content: ContentId, offset: u64, size: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.places.get(&content).into_iter().flatten().filter_map(move |origin| {
            let left = |left: u64| left.checked_sub(1);
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).ok()?;
            let mut file = origin.fs.open(&origin.path).ok()?;
            let mut bytes = vec![0; size];
            let mut filled = 0;
            while filled < size {
                match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                    Ok(n) if n > 0 => filled += n,
                    _ => return None,
                }
            }
            Some(bytes)
        })
    }
}

impl Far for Reachable {
    fn at_once(&self) -> usize {
        1 // one thing after the other, the same in every run
    }

    fn contents(&self, wanted: &[(ContentId, u64)], take: &mut dyn FnMut(usize, &[u8]) -> bool) {
        for (i, (content, size)) in wanted.iter().enumerate() {
            let size = usize::try_from(*size).expect("a small file");
            let _taken = self.read(*content, 0, size).any(|bytes| take(i, &bytes));
        }
    }

    fn manifest(&self, content: ContentId, _size: u64, _have: Option<&Manifest>) -> Option<Manifest> {
        self.manifests.get(&content).cloned()
    }

    fn chunks(&self, content: ContentId, wanted: &[(u64, Chunk)], give: &mut dyn FnMut(Vec<u8>) -> bool) -> bool {
        wanted.iter().all(|(offset, chunk)| {
            let right = |bytes: &Vec<u8>| bifold_chunk::ChunkId::of(bytes) == chunk.id;
            let bytes = self.read(content, *offset, chunk.length as usize).find(right);
            bytes.is_some_and(&mut *give)
        })
    }
}
