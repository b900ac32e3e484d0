//! Where bytes lie.

use crate::sample::{Disk, content, host, keep, replica};
use bifold_chunk::{Chunk, ChunkId, ChunkList, Manifest};
use bifold_store::{Place, Reason, Store, Taken};
use bifold_tree::{ContentId, ReplicaId};

/// A file of so many chunks of 32 KiB; the names of chunks are made of `first` and the numbers from there.
fn manifest(first: u8, count: u8) -> Manifest {
    let chunks = (first..first + count).map(|n| Chunk {
        id: ChunkId::of(&[n]),
        length: 32 << 10,
    });
    Manifest::new(ChunkList::new(chunks.collect()).unwrap())
}

/// Notes that a history has the content.
fn hold(store: &mut Store, content: ContentId) {
    let taken = Taken {
        replica: ReplicaId(7),
        stored: content.hex(),
        content,
        path: "a".into(),
        time_ms: 1,
        reason: Reason::Deleted,
        size: 1,
    };
    store.commit(|tx| tx.add_history(&taken)).unwrap();
}

#[test]
fn records_are_found_by_content_as_they_change() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    host(&mut store, 8);
    let (mut left, mut right) = (replica(7), replica(8));
    let mut disk = Disk::default();
    disk.write("a", "one").write("b", "one").write("l", "-> one");
    disk.scan(&mut left, 1000);
    disk.scan(&mut right, 1000);
    keep(&mut store, &mut left);
    keep(&mut store, &mut right);
    let paths = |store: &Store, replica: &bifold_tree::Replica, text: &str| {
        let found = store.find_content(replica.id(), content(text)).unwrap();
        let mut paths: Vec<String> = found.iter().map(|id| replica.recorded_by(*id).unwrap().path).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(&store, &left, "one"), ["a", "b"]);
    assert_eq!(store.find_content_anywhere(content("one")).unwrap().len(), 4);
    disk.write("b", "two").scan(&mut left, 2000);
    keep(&mut store, &mut left);
    assert_eq!(paths(&store, &left, "one"), ["a"]);
    assert_eq!(paths(&store, &left, "two"), ["b"]);
    assert_eq!(paths(&store, &right, "one"), ["a", "b"]);
    let place = Place {
        content: content("one"),
        start: 0,
    };
    assert_eq!(store.find_chunk(ChunkId(content("one").0)).unwrap(), [place]);
    assert_eq!(store.find_chunk(ChunkId(content("none").0)).unwrap(), []);
}

#[test]
fn manifests_come_back_and_tell_where_chunks_lie() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    let (old, new) = (manifest(0, 4), manifest(2, 4));
    let shared = ChunkId::of(&[3]);
    store
        .commit(|tx| {
            tx.put_manifest(&old)?;
            tx.put_manifest(&new)?;
            tx.put_manifest(&old)
        })
        .unwrap();
    assert_eq!(store.manifest(old.root()).unwrap(), Some(old.clone()));
    assert_eq!(store.manifest(content("none")).unwrap(), None);
    // Known, but no file here has it.
    assert_eq!(store.find_chunk(shared).unwrap(), []);
    hold(&mut store, old.root());
    let in_old = Place {
        content: old.root(),
        start: 3 * (32 << 10),
    };
    assert_eq!(store.find_chunk(shared).unwrap(), [in_old]);
    hold(&mut store, new.root());
    let in_new = Place {
        content: new.root(),
        start: 32 << 10,
    };
    assert_eq!(store.find_chunk(shared).unwrap(), [in_new, in_old]);

    store.commit(|tx| tx.remove_history(ReplicaId(7), &old.root().hex())).unwrap();
    assert_eq!(store.prune(&|content| content == old.root()).unwrap(), 0);
    assert_eq!(store.prune(&|_| false).unwrap(), 1);
    assert_eq!(store.manifest(old.root()).unwrap(), None);
    assert_eq!(store.manifest(new.root()).unwrap(), Some(new));
    hold(&mut store, old.root());
    assert_eq!(store.find_chunk(shared).unwrap(), [in_new]);
}

#[test]
fn a_chunk_that_is_everywhere_gives_few_places() {
    let mut store = Store::in_memory().unwrap();
    host(&mut store, 7);
    for count in 2..40 {
        let manifest = manifest(0, count);
        store.commit(|tx| tx.put_manifest(&manifest)).unwrap();
        hold(&mut store, manifest.root());
    }
    assert_eq!(store.find_chunk(ChunkId::of(&[0])).unwrap().len(), 16);
    // Zeros: the same chunk again and again.
    let zeros = Chunk {
        id: ChunkId::of(b"zeros"),
        length: 32 << 10,
    };
    let manifest = Manifest::new(ChunkList::new(vec![zeros; 100]).unwrap());
    store.commit(|tx| tx.put_manifest(&manifest)).unwrap();
    hold(&mut store, manifest.root());
    let place = Place {
        content: manifest.root(),
        start: 0,
    };
    assert_eq!(store.find_chunk(zeros.id).unwrap(), [place]);
}
