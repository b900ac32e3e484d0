//! The hash tree: encoding, what differs between two, and what strangers send.

use crate::sample::{chunk, list};
use bifold_chunk::{
    Arriving, BadList, Chunk, ChunkList, MAX_CHUNK_BYTES, MAX_FANOUT, MAX_NODE_BYTES, Manifest, ManifestError, max_encoded_bytes,
};
use bifold_tree::ContentId;
use proptest::prelude::*;

fn manifest(seeds: impl IntoIterator<Item = u64>) -> Manifest {
    Manifest::new(list(seeds))
}

/// A node's name, as the format says it: for those who forge nodes.
fn name(node: &[u8]) -> ContentId {
    ContentId(blake3::derive_key("bifold manifest node v1", node))
}

fn parent(height: u8, children: impl IntoIterator<Item = ContentId>) -> Vec<u8> {
    std::iter::once(height)
        .chain(children.into_iter().flat_map(|c| c.0))
        .collect()
}

fn leaf(chunks: &[Chunk]) -> Vec<u8> {
    let entries = chunks.iter().flat_map(|c| c.id.0.into_iter().chain(c.length.to_le_bytes()));
    std::iter::once(0).chain(entries).collect()
}

#[test]
fn no_file_can_pass_for_a_node() {
    let manifest = manifest(0..10);
    let nodes = manifest.missing_nodes(None);
    assert_eq!(nodes, [leaf(manifest.list().chunks())]);
    assert_eq!(manifest.root(), name(&nodes[0]));
    assert_ne!(manifest.root().0, *blake3::hash(&nodes[0]).as_bytes());
}

#[test]
fn a_list_must_be_a_files() {
    let with = |lengths: &[u32]| {
        let chunks = lengths.iter().map(|l| Chunk { length: *l, ..chunk(0) }).collect();
        ChunkList::new(chunks).map(|list| list.size())
    };
    assert_eq!(with(&[]), Err(BadList::TooFew));
    assert_eq!(with(&[20_000]), Err(BadList::TooFew));
    assert_eq!(with(&[20_000, 1]), Ok(20_001));
    assert_eq!(with(&[20_000, 0]), Err(BadList::Length { index: 1, length: 0 }));
    assert_eq!(
        with(&[16_383, 20_000]),
        Err(BadList::Length {
            index: 0,
            length: 16_383
        })
    );
    assert_eq!(
        with(&[262_145, 20_000]),
        Err(BadList::Length {
            index: 0,
            length: 262_145
        })
    );
    assert_eq!(
        with(&[u32::MAX, u32::MAX]),
        Err(BadList::Length {
            index: 0,
            length: u32::MAX
        })
    );
    // Over 4 GiB, small chunks are no longer right.
    assert_eq!(with(&vec![MAX_CHUNK_BYTES as u32; 4097]), Ok(4097 << 20));
    assert_eq!(
        with(&vec![32_768; (1 << 17) + 1]),
        Err(BadList::Length {
            index: 0,
            length: 32_768
        })
    );
}

#[test]
fn an_edit_in_a_gib_costs_a_root_and_a_leaf() {
    let old = manifest(0..16_000);
    let new = manifest((0..8_000).chain([1_000_000]).chain(8_001..16_000));
    let missing = new.missing_nodes(Some(&old));
    let bytes: usize = missing.iter().map(Vec::len).sum();
    assert_eq!(missing.len(), 2);
    assert!(bytes < 40_000, "{bytes}");
    assert_eq!(Manifest::rebuild(&missing, Some(&old), new.root(), new.size()).unwrap(), new);
    assert!(new.missing_nodes(Some(&new)).is_empty());
}

#[test]
fn a_file_of_equal_chunks_is_sent_as_few_nodes() {
    let zeros = manifest(std::iter::repeat_n(0, 20 * MAX_FANOUT));
    let nodes = zeros.missing_nodes(None);
    assert_eq!(nodes.len(), 2);
    assert_eq!(Manifest::rebuild(&nodes, None, zeros.root(), zeros.size()).unwrap(), zeros);
}

#[test]
fn nodes_may_come_in_any_order_but_none_may_be_missing() {
    let manifest = manifest(0..5_000);
    let mut nodes = manifest.missing_nodes(None);
    assert!(nodes.len() > 5 && nodes.iter().all(|n| n.len() <= MAX_NODE_BYTES));
    nodes.reverse();
    let rebuild = |nodes: &[Vec<u8>]| Manifest::rebuild(nodes, None, manifest.root(), manifest.size());
    assert_eq!(rebuild(&nodes).as_ref(), Ok(&manifest));
    for left_out in 0..nodes.len() {
        let mut fewer = nodes.clone();
        fewer.remove(left_out);
        assert_eq!(rebuild(&fewer), Err(ManifestError::Missing));
    }
}

#[test]
fn a_tree_that_is_cut_otherwise_is_refused() {
    let all = list(0..100);
    let (a, b) = all.chunks().split_at(30);
    let (a, b) = (leaf(a), leaf(b));
    let root = parent(1, [name(&a), name(&b)]);
    let content = name(&root);
    let error = Manifest::rebuild(&[root, a, b], None, content, all.size()).unwrap_err();
    assert_eq!(
        error,
        ManifestError::Root {
            expected: content,
            got: Manifest::new(all).root()
        }
    );
}

#[test]
fn a_small_bomb_does_not_grow() {
    // Five nodes that say 1024^5 chunks.
    let mut nodes = vec![leaf(&vec![chunk(0); MAX_FANOUT])];
    for height in 1..=4 {
        let below = name(&nodes[nodes.len() - 1]);
        nodes.push(parent(height, vec![below; MAX_FANOUT]));
    }
    let content = name(&nodes[4]);
    assert_eq!(
        Manifest::rebuild(&nodes, None, content, 1 << 30),
        Err(ManifestError::TooLarge)
    );
}

#[test]
fn nodes_at_wrong_heights_are_refused() {
    let bottom = leaf(list(0..5).chunks());
    for height in [2, 4] {
        let root = parent(height, [name(&bottom)]);
        let content = name(&root);
        assert_eq!(
            Manifest::rebuild(&[root, bottom.clone()], None, content, 5 << 16),
            Err(ManifestError::Malformed)
        );
    }
    for malformed in [
        vec![],
        vec![0],
        vec![1],
        vec![0; 36],
        vec![5; 33],
        parent(1, vec![ContentId([0; 32]); 1025]),
    ] {
        let content = name(&malformed);
        assert_eq!(
            Manifest::rebuild(&[malformed], None, content, 1 << 30),
            Err(ManifestError::Malformed)
        );
    }
    let many = vec![bottom; 1000];
    assert_eq!(
        Manifest::rebuild(&many, None, ContentId::default(), 1 << 20),
        Err(ManifestError::TooLarge)
    );
}

#[test]
fn decoding_asks_for_the_right_file() {
    let manifest = manifest(0..3);
    let (bytes, root, size) = (manifest.encode(), manifest.root(), manifest.size());
    assert!(bytes.len() <= max_encoded_bytes(size));
    let other = ContentId([7; 32]);
    assert_eq!(
        Manifest::decode(&bytes, other, size),
        Err(ManifestError::Root {
            expected: other,
            got: root
        })
    );
    assert_eq!(
        Manifest::decode(&bytes, root, size + 1),
        Err(ManifestError::Size {
            expected: size + 1,
            got: size
        })
    );
    assert_eq!(Manifest::decode(&bytes, root, 0), Err(ManifestError::TooLarge));
    assert_eq!(Manifest::decode(&[], root, size), Err(ManifestError::Malformed));
    assert_eq!(
        Manifest::decode(&[&[2], &bytes[1..]].concat(), root, size),
        Err(ManifestError::Malformed)
    );
}

#[derive(Clone, Debug)]
struct Edit {
    at: prop::sample::Index,
    removed: usize,
    inserted: Vec<u64>,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (
        any::<prop::sample::Index>(),
        0_usize..50,
        prop::collection::vec(1_000_000_u64..2_000_000, 0..50),
    )
        .prop_map(|(at, removed, inserted)| Edit { at, removed, inserted });
    prop::collection::vec(edit, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn encoding_round_trips(count in 2_u64..3_000) {
        let manifest = manifest(0..count);
        prop_assert_eq!(&Manifest::decode(&manifest.encode(), manifest.root(), manifest.size()).unwrap(), &manifest);
    }

    #[test]
    fn what_was_changed_on_the_way_is_refused(count in 2_u64..400, at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index) {
        let manifest = manifest(0..count);
        let (root, size) = (manifest.root(), manifest.size());
        let mut bytes = manifest.encode();
        let shorter = &bytes[..cut.index(bytes.len())];
        prop_assert!(Manifest::decode(shorter, root, size).is_err());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Manifest::decode(&bytes, root, size).is_err());
        bytes[at] ^= flip;
        bytes.push(flip);
        prop_assert!(Manifest::decode(&bytes, root, size).is_err());
    }

    #[test]
    fn random_bytes_are_refused(bytes: Vec<u8>, nodes: Vec<Vec<u8>>, root: [u8; 32], size: u64) {
        prop_assert!(Manifest::decode(&bytes, ContentId(root), size).is_err());
        prop_assert!(Manifest::rebuild(&nodes, None, ContentId(root), size).is_err());
        if let Some(first) = nodes.first() {
            prop_assert!(Manifest::rebuild(&nodes, None, name(first), size).is_err());
        }
    }

    #[test]
    fn missing_nodes_rebuild(count in 2_u64..20_000, edits in edits(), flip: prop::sample::Index) {
        let old = manifest(0..count);
        let mut seeds: Vec<u64> = (0..count).collect();
        for Edit { at, removed, inserted } in edits {
            let start = at.index(seeds.len() + 1);
            let end = seeds.len().min(start + removed);
            seeds.splice(start..end, inserted);
        }
        prop_assume!(seeds.len() >= 2);
        let new = manifest(seeds);
        let mut missing = new.missing_nodes(Some(&old));
        let rebuild = |nodes: &[Vec<u8>]| Manifest::rebuild(nodes, Some(&old), new.root(), new.size());
        prop_assert_eq!(&rebuild(&missing).unwrap(), &new);
        if !missing.is_empty() {
            let changed = flip.index(missing.len());
            let byte = flip.index(missing[changed].len());
            missing[changed][byte] ^= 1;
            prop_assert!(rebuild(&missing).is_err());
        }
    }
}

#[test]
fn only_what_lacks_is_taken_as_it_comes() {
    // Three levels, and one who has a part of it.
    let whole = manifest(0..60_000);
    let part = manifest(0..50_000);
    for have in [None, Some(&part)] {
        let nodes = whole.missing_nodes(have);
        let mut arriving = Arriving::new(whole.root());
        assert!(nodes.iter().all(|node| arriving.takes(node)), "{} nodes", nodes.len());
        assert!(nodes.iter().all(|node| !arriving.takes(node)), "the same again");
    }
    let nodes = whole.missing_nodes(None);
    let mut arriving = Arriving::new(whole.root());
    assert!(!arriving.takes(&nodes[1]), "before its parent");
    assert!(!arriving.takes(b""), "no node");
    assert!(arriving.takes(&nodes[0]) && arriving.takes(&nodes[1]));
    assert!(!arriving.takes(&manifest(1..100).missing_nodes(None)[0]), "another's");
}
