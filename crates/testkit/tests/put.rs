//! Putting a file where a person wants it, on disks that can exchange files and on those that cannot: whatever fails, and whenever the
//! program is ended, something stands at the path afterwards, and what a scan takes for a deletion is one.
#![allow(clippy::unwrap_used, reason = "tests")]

use bifold_disk::apply::Applier;
use bifold_disk::fs::FsError;
use bifold_disk::restore::{What, put};
use bifold_testkit::disk::{SimFs, Thing, Traits};
use bifold_testkit::moments::{End, Moments};
use std::collections::BTreeSet;
use std::sync::Arc;

/// More calls, or changes, than putting one file makes.
const MOST: u64 = 60;

fn disk(exchange: bool) -> (SimFs, Arc<Moments>) {
    let moments = Arc::new(Moments::default());
    let traits = Traits {
        exchange,
        ..Traits::default()
    };
    let fs = SimFs::new(traits, moments.clone());
    Applier::prepare(&fs).unwrap();
    fs.make_directory("dir");
    fs.write("dir/doc", b"old");
    (fs, moments)
}

fn put_new(fs: &SimFs) -> Result<(), FsError> {
    put(fs, "dir/doc", &What::Bytes(b"new"), 1_700_000_000_000).map(drop)
}

fn text(fs: &SimFs, path: &str) -> Option<String> {
    match fs.at(path)? {
        Thing::File { bytes, .. } => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(format!("{other:?}")),
    }
}

/// All that the history has.
fn kept(fs: &SimFs) -> BTreeSet<String> {
    let tree = fs.everything();
    let of_history = |path: &&String| path.starts_with(".bifold/history/");
    tree.keys().filter(of_history).filter_map(|path| text(fs, path)).collect()
}

/// What was noted for an end amid it is gone again.
fn no_notes(fs: &SimFs) -> bool {
    !fs.everything().keys().any(|path| path.starts_with(".bifold/back/"))
}

#[test]
fn a_disk_that_fails_leaves_no_gap() {
    for exchange in [true, false] {
        let mut hit = 0;
        for call in 0..MOST {
            let (fs, _) = disk(exchange);
            fs.fail_in(Some(call));
            let done = put_new(&fs);
            let failed = fs.fault_hits() > 0;
            fs.heal();
            let there = text(&fs, "dir/doc");
            assert!(
                matches!(there.as_deref(), Some("old" | "new")),
                "{exchange}, {call}: {there:?}, {done:?}"
            );
            assert!(done.is_err() || there.as_deref() == Some("new"), "{exchange}, {call}");
            assert!(
                there.as_deref() == Some("old") || kept(&fs).contains("old"),
                "{exchange}, {call}: {:?}",
                kept(&fs)
            );
            hit += u32::from(failed);
        }
        assert!(hit > 5, "{hit}");
    }
}

#[test]
fn an_end_leaves_no_gap() {
    for exchange in [true, false] {
        for end in [End::Kill, End::PowerCut] {
            let mut ended = 0;
            for at in 0..MOST {
                for luck in 0..8 {
                    let (fs, moments) = disk(exchange);
                    moments.arm(at);
                    let _ = put_new(&fs);
                    ended += u32::from(moments.disarm());
                    let mut number: usize = luck;
                    if end == End::PowerCut {
                        fs.cut_power(&mut |below| {
                            number = number.wrapping_mul(31).wrapping_add(7 + luck);
                            (number >> 2) % below
                        });
                    }
                    Applier::prepare(&fs).unwrap();
                    let there = text(&fs, "dir/doc");
                    let what = format!("{exchange}, {end:?} at {at}, luck {luck}: {there:?}");
                    assert!(matches!(there.as_deref(), Some("old" | "new")), "{what}");
                    assert!(there.as_deref() == Some("old") || kept(&fs).contains("old"), "{what}");
                    assert!(no_notes(&fs), "{what}");
                }
            }
            assert!(ended > 40, "{ended}");
        }
    }
}

/// Nothing can be put anywhere any more once the old one is out of the way.
fn stuck() -> SimFs {
    let (fs, _) = disk(false);
    fs.at_touch(3, |fs| fs.set_unwritable("dir", true));
    assert!(put_new(&fs).is_err());
    assert_eq!(text(&fs, "dir/doc"), None);
    fs.set_unwritable("dir", false);
    fs
}

#[test]
fn what_cannot_be_put_back_at_once_is_put_back_later() {
    let fs = stuck();
    Applier::prepare(&fs).unwrap();
    assert_eq!(text(&fs, "dir/doc").as_deref(), Some("old"));
    assert!(no_notes(&fs));
    // Where its user is quicker, theirs stays.
    let fs = stuck();
    fs.write("dir/doc", b"mine");
    Applier::prepare(&fs).unwrap();
    assert_eq!(text(&fs, "dir/doc").as_deref(), Some("mine"));
    assert!(kept(&fs).contains("old") && no_notes(&fs));
    // Nor does it come back where its user took the directory away.
    let fs = stuck();
    fs.delete("dir");
    Applier::prepare(&fs).unwrap();
    assert!(kept(&fs).contains("old") && no_notes(&fs));
}

#[test]
fn what_is_written_meanwhile_stays() {
    let (fs, _) = disk(false);
    fs.at_touch(3, |fs| fs.write("dir/doc", b"mine"));
    assert!(matches!(put_new(&fs), Err(FsError::Exists)));
    assert_eq!(text(&fs, "dir/doc").as_deref(), Some("mine"));
    assert_eq!(kept(&fs), BTreeSet::from(["old".to_owned()]));
    assert!(no_notes(&fs));
}

#[test]
fn a_directory_that_comes_meanwhile_is_no_file_of_the_history() {
    for exchange in [true, false] {
        let (fs, _) = disk(exchange);
        fs.at_touch_of("dir/doc", |fs| {
            fs.delete("dir/doc");
            fs.make_directory("dir/doc");
            fs.write("dir/doc/mine", b"mine");
        });
        assert!(matches!(put_new(&fs), Err(FsError::Exists)));
        assert_eq!(text(&fs, "dir/doc/mine").as_deref(), Some("mine"));
        assert_eq!(kept(&fs), BTreeSet::new());
        assert!(no_notes(&fs));
    }
}

#[test]
fn what_was_put_away_has_a_name_as_what_steps_put_away() {
    for exchange in [true, false] {
        let (fs, _) = disk(exchange);
        for _ in 0..2 {
            put_new(&fs).unwrap();
        }
        let tree = fs.everything();
        let names: Vec<&str> = tree.keys().filter_map(|path| path.strip_prefix(".bifold/history/")).collect();
        assert_eq!(names.len(), 2);
        for name in names {
            let parts: Vec<&str> = name.splitn(3, '-').collect();
            assert!(
                u64::from_str_radix(parts[0], 16).is_ok() && parts[1].parse::<u32>().is_ok(),
                "{name}"
            );
            assert_eq!(parts[2], "doc");
        }
    }
}
