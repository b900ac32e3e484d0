//! Names that a hostile device chose, on disks that take several of them for one, or forbid them: each thing gets a place of its own,
//! nothing takes another's place, and nothing is put into the engine's own directory.
#![allow(clippy::unwrap_used, reason = "tests")]

use bifold_chunk::ChunkId;
use bifold_disk::apply::{Applier, Job};
use bifold_disk::fs::Fs;
use bifold_disk::ignore::Ignore;
use bifold_disk::names::{Fold, MaxName, NameRules, System};
use bifold_disk::stage::{Origin, Supply};
use bifold_disk::turns::Turns;
use bifold_testkit::disk::{SimFs, Thing, Traits};
use bifold_testkit::moments::Moments;
use bifold_tree::{
    Action, Bytes, Content, ContentId, Dot, Kind, Malformed, Names, Node, NodeId, Outcome, Place, Policy, Replica, ReplicaId,
    is_own_name,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const BY: ReplicaId = ReplicaId(9);

fn id_of(bytes: &[u8]) -> ContentId {
    ContentId(ChunkId::of(bytes).0)
}

fn node(index: u32, parent: NodeId, name: &str, kind: Kind) -> Node {
    let dot = Dot { time: 5, replica: BY };
    let mut node = Node::unwritten(NodeId { dot, index }, kind, u64::from(index));
    node.context.push((BY, 5));
    let content = match kind {
        Kind::Dir => Content::Dir,
        // Each its own bytes, so that it is seen which is which.
        Kind::File => Content::File {
            id: id_of(format!("{index}").as_bytes()),
            size: format!("{index}").len() as u64,
            mtime_ns: 1,
            base: None,
        },
        Kind::Link => Content::Link {
            target: format!("../../{index}").into(),
        },
    };
    node.contents.push((dot, content));
    let name = name.into();
    node.places.push((dot, Place { parent, name }));
    node
}

/// Brings a disk to what a replica has, with the bytes from another disk.
fn show(fs: &SimFs, from: &SimFs, replica: &mut Replica) {
    let ignore = Ignore::new(&[]).unwrap();
    let stop = AtomicBool::new(false);
    let mut left = Vec::new();
    for run in 0..20 {
        left.clear();
        let mut plan = replica.plan(&|_| false, usize::MAX);
        if plan.steps.is_empty() {
            return;
        }
        let supply = |action: &Action| {
            let Action::Make { wanted, .. } = action else {
                return Supply::default();
            };
            let Bytes::File(content) = wanted.bytes else {
                return Supply::default();
            };
            let origin = Origin {
                fs: Arc::new(from.clone()),
                path: content.hex(),
                local: false,
            };
            Supply {
                origins: vec![origin],
                ..Supply::default()
            }
        };
        let jobs: Vec<Job> = plan
            .steps
            .iter()
            .map(|step| Job {
                supply: supply(&step.action),
                action: step.action.clone(),
                after_commit: step.after_commit,
                leaving: step.leaving,
            })
            .collect();
        let turns = Arc::new(Turns::new(Arc::new(fs.clone()), Box::new(|_| false)));
        let applier = Applier::new(fs, &ignore, &turns, &stop, run, 1);
        let mut next = 0;
        applier.apply(&jobs, &[], &|_| {}, &mut |applied, _| {
            for outcome in applied.outcomes {
                replica.applied(&mut plan, next, &outcome);
                if !matches!(outcome, Outcome::Done(_)) {
                    left.push((jobs[next].action.clone(), outcome));
                }
                next += 1;
            }
            true
        });
    }
    panic!("it does not come to an end: {:?} {left:?}", fs.traits().rules);
}

#[test]
fn names_of_a_hostile_device_take_no_others_place() {
    let names = [
        "a",
        "A",
        "\u{e9}",
        "e\u{301}",
        "E\u{301}",
        "ß",
        "ss",
        "SS",
        "k",
        "\u{212a}",
        "i",
        "\u{131}",
        "\u{130}",
        "ſ",
        "s",
        "con",
        "CON",
        "con.txt",
        "a.",
        "a ",
        "a:b",
        "a\\b",
        "..\\x",
        "... ",
        "\u{f03a}",
        "\u{f77f}a",
        "\u{202e}txt",
        ".b\u{131}fold",
        ".bifold.",
        ".bifold ",
        ".bifold\u{200c}",
        "stage",
        "~",
        "A~1",
        "a (kept 1)",
    ];
    for system in [System::Unix, System::Mac, System::Windows] {
        for (case, form) in [(false, false), (true, false), (false, true), (true, true)] {
            let rules = NameRules {
                system,
                fold: Fold { case, form },
                max: MaxName::Bytes(255),
            };
            let traits = Traits {
                rules,
                ..Traits::default()
            };
            let (fs, from) = (
                SimFs::new(traits, Arc::new(Moments::default())),
                SimFs::new(Traits::default(), Arc::new(Moments::default())),
            );
            Applier::prepare(&fs).unwrap();
            let mut marker = fs.create(".bifold/root.json").unwrap();
            marker.append(b"whose it is").unwrap();
            marker.finish(false, 0).unwrap();
            let mut replica = Replica::new(ReplicaId(1), Arc::new(rules), Policy::Ask);
            let mut files = BTreeSet::new();
            let mut index = 0;
            // (The simulated disk takes it for the engine's own name, as no real one does.)
            let names = names.into_iter().filter(|name| !case || *name != ".b\u{131}fold");
            let count = names.clone().count();
            for name in names {
                // All three at once: a directory, with something in it, a file and a link.
                for kind in [Kind::Dir, Kind::File, Kind::Link] {
                    index += 1;
                    let outer = node(index, NodeId::ROOT, name, kind);
                    index += 1;
                    let inner = (kind == Kind::Dir).then(|| node(index, outer.id, name, Kind::File));
                    for node in std::iter::once(outer).chain(inner) {
                        if node.kind == Kind::File {
                            let bytes = format!("{}", node.id.index).into_bytes();
                            from.write(&id_of(&bytes).hex(), &bytes);
                            files.insert(bytes);
                        }
                        replica.receive(&Arc::new(node), 10).unwrap();
                    }
                }
            }
            show(&fs, &from, &mut replica);
            let all = fs.tree();
            let found: BTreeSet<Vec<u8>> = all
                .values()
                .filter_map(|thing| match thing {
                    Thing::File { bytes, .. } => Some(bytes.as_ref().clone()),
                    _ => None,
                })
                .collect();
            let what = format!("{system:?}, case {case}, form {form}");
            assert_eq!(found, files, "{what}: every file is there with its bytes");
            let links = all.values().filter(|thing| matches!(thing, Thing::Link(_))).count();
            assert_eq!(links, count, "{what}");
            // No two are one to the disk, and none is the engine's own.
            let mut folded = BTreeSet::new();
            for path in all.keys() {
                assert!(folded.insert(rules.fold(path)), "{what}: {path:?} is there twice");
                assert!(!path.split('/').any(is_own_name), "{what}: {path:?}");
            }
            let own = fs.everything();
            assert!(
                matches!(&own[".bifold/root.json"], Thing::File { bytes, .. } if bytes.as_slice() == b"whose it is"),
                "{what}"
            );
            let strange = own.keys().filter(|path| path.starts_with(".bifold/")).count();
            assert_eq!(strange, 5, "{what}: {own:?}");
        }
    }
}

#[test]
fn the_engines_own_name_is_refused_however_it_is_written() {
    let rules = NameRules::of_this_system();
    let mut replica = Replica::new(ReplicaId(1), Arc::new(rules), Policy::Ask);
    let dir = node(1, NodeId::ROOT, "dir", Kind::Dir);
    replica.receive(&Arc::new(dir.clone()), 10).unwrap();
    let long = "x".repeat(1021);
    for name in [
        ".bifold", ".BIFOLD", ".Bifold", ".bIFOLd", "..", ".", "", "a/b", "/", "/etc", "../x", "a\0b", "\0", &long,
    ] {
        for parent in [NodeId::ROOT, dir.id] {
            for kind in [Kind::Dir, Kind::File, Kind::Link] {
                let node = Arc::new(node(2, parent, name, kind));
                assert_eq!(replica.receive(&node, 10), Err(Malformed::Name), "{name:?}");
            }
        }
    }
    assert_eq!(replica.node_count(), 1);
}
