//! What is the same on every system.

use super::NativeFs;
use crate::fs::{Entry, Fs, FsError};
use bifold_tree::{Kind, Stat};
use std::sync::Arc;

fn root() -> (tempfile::TempDir, NativeFs) {
    let dir = tempfile::tempdir().unwrap();
    let fs = NativeFs::open(dir.path()).unwrap();
    (dir, fs)
}

fn write(fs: &NativeFs, path: &str, bytes: &[u8]) -> Stat {
    let mut file = fs.create(path).unwrap();
    file.append(bytes).unwrap();
    file.finish(false, 1_234_567_890_000_000_000).unwrap()
}

fn read(fs: &NativeFs, path: &str) -> Vec<u8> {
    let mut buf = [0; 100];
    let n = fs.open(path).unwrap().read_at(&mut buf, 0).unwrap();
    buf[..n].to_vec()
}

fn names(fs: &dyn Fs, path: &str) -> Vec<String> {
    fs.list(path).unwrap().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn files_and_directories_are_made_described_and_removed() {
    let (_dir, fs) = root();
    fs.make_dir(".bifold").unwrap();
    fs.make_dir("d").unwrap();
    let made = write(&fs, "d/f", b"hello");
    assert_eq!(
        (made.kind, made.print.size, made.print.mtime_ns),
        (Kind::File, 5, 1_234_567_890_000_000_000)
    );
    assert_eq!(fs.stat("d/f").unwrap(), Some(Entry::Plain(made)));
    assert_eq!(fs.list("d").unwrap(), [("f".to_owned(), Entry::Plain(made))]);
    assert_eq!(read(&fs, "d/f"), b"hello");
    assert_eq!(names(&fs, ""), ["d"]);
    assert!(matches!(fs.create("d/f").err(), Some(FsError::Exists)));
    assert!(matches!(fs.make_dir("d"), Err(FsError::Exists)));
    assert!(matches!(fs.remove_dir("d"), Err(FsError::NotEmpty)));
    assert!(matches!(fs.open("d/none").err(), Some(FsError::NotFound)));
    assert!(fs.stat("none/f").unwrap().is_none() && fs.stat("d/f/x").unwrap().is_none());
    assert!(fs.open("d").is_err());
    fs.sync(&["d", "d/f", "gone"]).unwrap();
    fs.remove_file("d/f").unwrap();
    assert!(matches!(fs.remove_file("d/f"), Err(FsError::NotFound)));
    fs.remove_dir("d").unwrap();
    assert!(names(&fs, "").is_empty());
    assert!(fs.free_space().unwrap() > 0);
}

#[test]
fn renaming_takes_only_free_names() {
    let (_dir, fs) = root();
    fs.make_dir("d").unwrap();
    let a = write(&fs, "a", b"a");
    write(&fs, "b", b"b");
    assert!(matches!(fs.rename("a", "b"), Err(FsError::Exists)));
    assert!(matches!(fs.rename("a", "d"), Err(FsError::Exists | FsError::Denied(_))));
    assert!(matches!(fs.rename("none", "x"), Err(FsError::NotFound)));
    fs.rename("a", "d/a").unwrap();
    assert!(matches!(fs.stat("d/a").unwrap(), Some(Entry::Plain(stat)) if stat.key == a.key));
    fs.rename("b", "B").unwrap();
    fs.rename("d", "e").unwrap();
    // Wine keeps the old case.
    assert!(names(&fs, "") == ["B", "e"] || cfg!(windows) && names(&fs, "") == ["b", "e"]);
    assert_eq!(read(&fs, "B"), b"b");
}

#[test]
fn every_name_of_the_tree_has_its_place() {
    let (_dir, fs) = root();
    let mut all = vec![
        "a:b",
        "what?",
        "end.",
        "end ",
        "CON",
        "nul.txt",
        "\u{F03A}",
        "\u{F77F}x",
        "\u{F7C3}\u{F7A9}",
        "back\\slash",
        "-",
        "\u{1F600}",
    ];
    for name in &all {
        write(&fs, name, name.as_bytes());
    }
    all.sort_unstable();
    assert_eq!(names(&fs, ""), all);
    for name in all {
        assert_eq!(read(&fs, name), name.as_bytes());
    }
}

#[test]
fn links_are_links_where_there_are_any() {
    let (_dir, fs) = root();
    fs.make_dir("d").unwrap();
    match fs.make_link("l", "../x/d.") {
        Err(FsError::Unsupported) => return,
        done => done.unwrap(),
    }
    if cfg!(windows) && fs.stat("l").unwrap().is_none() {
        // Wine says that it has made a link, and has not.
        return;
    }
    assert_eq!(fs.read_link("l").unwrap(), "../x/d.");
    fs.make_link("k", "d").unwrap();
    assert!(fs.stat("k/x").is_err() && fs.create("k/x").is_err());
    assert!(matches!(fs.stat("k").unwrap(), Some(Entry::Plain(stat)) if stat.kind == Kind::Link));
    fs.remove_file("k").unwrap();
    assert_eq!(names(&fs, ""), ["d", "l"]);
}

#[test]
fn what_is_to_stop_reads_no_more_of_a_file() {
    use crate::stage::{Origin, StageError, Supply, stage};
    use bifold_chunk::{ChunkId, Chunker};
    use bifold_tree::{Bytes, ContentId, Wanted};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    let (dir, fs) = root();
    let fs: Arc<dyn Fs> = Arc::new(fs);
    std::fs::write(dir.path().join("f"), b"hello").unwrap();
    fs.make_dir(".bifold").unwrap();
    let content = ContentId(ChunkId::of(b"hello").0);
    let wanted = Wanted {
        bytes: Bytes::File(content),
        size: 5,
        mtime_ns: 0,
        exec: false,
    };
    let supply = Supply {
        origins: vec![Origin {
            fs: fs.clone(),
            path: "f".into(),
            local: false,
        }],
        ..Supply::default()
    };
    for stop in [true, false] {
        let stop = AtomicBool::new(stop);
        let read = crate::read::read(fs.as_ref(), "f", Kind::File, &stop, &mut Chunker::new());
        let staged = stage(fs.as_ref(), ".bifold/f", &wanted, content, &supply, None, &stop);
        if stop.into_inner() {
            assert!(read.is_err() && matches!(staged, Err(StageError::Missing)));
            assert!(fs.stat(".bifold/f").unwrap().is_none());
        } else {
            assert!(read.is_ok() && staged.is_ok());
        }
    }
}

/// Another device that has one file.
struct Holder(Vec<u8>);

impl crate::far::Far for Holder {
    fn contents(&self, wanted: &[(bifold_tree::ContentId, u64)], take: &mut dyn FnMut(usize, &[u8]) -> bool) {
        for (i, (_, size)) in wanted.iter().enumerate() {
            if *size == self.0.len() as u64 {
                take(i, &self.0);
            }
        }
    }

    fn manifest(
        &self,
        _: bifold_tree::ContentId,
        size: u64,
        _: Option<&bifold_chunk::Manifest>,
    ) -> Option<bifold_chunk::Manifest> {
        let list = bifold_chunk::hash_bytes(&self.0).unwrap().chunks?;
        (size == self.0.len() as u64).then(|| bifold_chunk::Manifest::new(list))
    }

    fn chunks(
        &self,
        _: bifold_tree::ContentId,
        wanted: &[(u64, bifold_chunk::Chunk)],
        give: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> bool {
        wanted
            .iter()
            .all(|(at, chunk)| give(self.0[*at as usize..][..chunk.length as usize].to_vec()))
    }
}

#[test]
fn who_says_a_false_size_of_some_bytes_keeps_nobody_from_the_right_one() {
    use crate::apply::{Applier, Job};
    use crate::ignore::Ignore;
    use crate::stage::Supply;
    use crate::turns::Turns;
    use bifold_tree::{Action, Bytes, Outcome, Wanted};
    use std::sync::atomic::AtomicBool;

    let long: Vec<u8> = (0..1_000_000u32)
        .flat_map(|i| i.wrapping_mul(i ^ 0x5bd1_e995).to_le_bytes())
        .take(1 << 20)
        .collect();
    for bytes in [b"hello".to_vec(), long] {
        let (_dir, fs) = root();
        let fs: Arc<dyn Fs> = Arc::new(fs);
        Applier::prepare(fs.as_ref()).unwrap();
        let content = bifold_chunk::hash_bytes(&bytes).unwrap().content;
        let right = bytes.len() as u64;
        let job = |(i, size): (usize, u64)| Job {
            action: Action::Make {
                path: format!("{i}").into(),
                wanted: Wanted {
                    bytes: Bytes::File(content),
                    size,
                    mtime_ns: 0,
                    exec: false,
                },
            },
            supply: Supply::default(),
            after_commit: false,
            leaving: false,
        };
        let jobs: Vec<Job> = [right + 1, right, u64::MAX].into_iter().enumerate().map(job).collect();
        let (ignore, stop, holder) = (Ignore::new(&[]).unwrap(), AtomicBool::new(false), Arc::new(Holder(bytes)));
        let mut outcomes = Vec::new();
        let beside = |work: crate::turns::Work| std::thread::Builder::new().spawn(work).is_ok();
        let turns = Arc::new(Turns::new(fs.clone(), Box::new(beside)));
        let applier = Applier::new(fs.as_ref(), &ignore, &turns, &stop, 1, 1).with_far(Some(holder));
        applier.apply(&jobs, &[], &|_| {}, &mut |applied, _| {
            outcomes.extend(applied.outcomes);
            true
        });
        assert!(
            matches!(outcomes[..], [Outcome::Missing, Outcome::Done(_), Outcome::Missing]),
            "{outcomes:?}"
        );
        assert_eq!(names(fs.as_ref(), ""), ["1"]);
    }
}

/// Another device that has small files, and counts how many it was asked for.
#[derive(Default)]
struct Shelf(Vec<Vec<u8>>, std::sync::atomic::AtomicUsize);

impl crate::far::Far for Shelf {
    fn contents(&self, wanted: &[(bifold_tree::ContentId, u64)], take: &mut dyn FnMut(usize, &[u8]) -> bool) {
        self.1.fetch_add(wanted.len(), std::sync::atomic::Ordering::Relaxed);
        for (i, (content, _)) in wanted.iter().enumerate() {
            let of = |bytes: &&Vec<u8>| bifold_chunk::hash_bytes(bytes).unwrap().content == *content;
            if let Some(bytes) = self.0.iter().find(of) {
                take(i, bytes);
            }
        }
    }

    fn manifest(&self, _: bifold_tree::ContentId, _: u64, _: Option<&bifold_chunk::Manifest>) -> Option<bifold_chunk::Manifest> {
        None
    }

    fn chunks(&self, _: bifold_tree::ContentId, _: &[(u64, bifold_chunk::Chunk)], _: &mut dyn FnMut(Vec<u8>) -> bool) -> bool {
        false
    }
}

#[test]
fn what_the_next_steps_need_comes_meanwhile_once_and_leaves_nothing_if_it_is_not_used() {
    use crate::apply::{Applier, Job};
    use crate::ignore::Ignore;
    use crate::stage::{STAGE, Supply};
    use crate::turns::Turns;
    use bifold_tree::{Action, Bytes, Wanted};
    use std::sync::atomic::{AtomicBool, Ordering};

    let (_dir, fs) = root();
    let fs: Arc<dyn Fs> = Arc::new(fs);
    Applier::prepare(fs.as_ref()).unwrap();
    let bytes = |i: usize| format!("file {i}").into_bytes();
    let job = |i: usize| Job {
        action: Action::Make {
            path: i.to_string().into(),
            wanted: Wanted {
                bytes: Bytes::File(bifold_chunk::hash_bytes(&bytes(i)).unwrap().content),
                size: bytes(i).len() as u64,
                mtime_ns: 0,
                exec: false,
            },
        },
        supply: Supply::default(),
        after_commit: false,
        leaving: false,
    };
    // (The last one's bytes are nowhere.)
    let jobs: Vec<Job> = (0..10).map(job).collect();
    let shelf = Arc::new(Shelf((0..9).map(bytes).collect(), 0.into()));
    let (ignore, stop) = (Ignore::new(&[]).unwrap(), AtomicBool::new(false));
    let turns = Arc::new(Turns::new(fs.clone(), Box::new(|_| false)));
    let applier = Applier::new(fs.as_ref(), &ignore, &turns, &stop, 1, 2).with_far(Some(shelf.clone()));
    let asked = || shelf.1.load(Ordering::Relaxed);
    let mut done = Vec::new();
    let mut apply = |batch: &[Job], next: &[Job]| {
        applier.apply(batch, next, &|_| {}, &mut |applied, _| {
            done.extend(applied.outcomes.iter().map(|o| matches!(o, bifold_tree::Outcome::Done(_))));
            true
        });
    };
    apply(&jobs[..3], &jobs[3..6]);
    assert_eq!(names(fs.as_ref(), "").len(), 3);
    assert_eq!((asked(), names(fs.as_ref(), STAGE).len()), (6, 3));
    apply(&jobs[3..6], &jobs[6..]);
    assert_eq!(names(fs.as_ref(), "").len(), 6);
    assert_eq!((asked(), names(fs.as_ref(), STAGE).len()), (10, 3), "each is asked for once");
    drop(applier);
    assert_eq!(names(fs.as_ref(), STAGE), [""; 0], "nobody used it");
    assert_eq!(done, [true; 6]);
    for i in 0..6 {
        let mut read = vec![0; 16];
        let n = fs.open(&i.to_string()).unwrap().read_at(&mut read, 0).unwrap();
        assert_eq!(read[..n], bytes(i));
    }
}
