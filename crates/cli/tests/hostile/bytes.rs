//! An editor whose bytes are not what it says, or never come; and floods.

use super::{PATHS, Scene, now_ms};
use crate::world::{World, until};
use bifold_chunk::{Chunk, Manifest, Packing};
use bifold_net::membership::{Membership, ReplicaName};
use bifold_net::roster::Roster;
use bifold_net::ticket::Ticket;
use bifold_protocol::content::{ItemHead, Lane, Request, Wanted};
use bifold_protocol::wire::Packet;
use bifold_protocol::{Answer, Complete, Message};
use bifold_testpeer::peer::{Member, Reply, Rogue, frames, item};
use bifold_tree::{Content, ContentId, Gone, Node, NodeId, ReplicaId, Vector};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A large file of chunks that can be had, with its manifest.
fn large(seed: u64) -> (Vec<u8>, Manifest) {
    let mut bytes = Vec::new();
    let mut state = seed;
    while bytes.len() < 1 << 20 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state >> 16).to_le_bytes());
    }
    let list = bifold_chunk::hash_bytes(&bytes).unwrap().chunks.unwrap();
    (bytes, Manifest::new(list))
}

fn file_of(content: ContentId, size: u64) -> Content {
    Content::File {
        id: content,
        size,
        mtime_ns: 1_700_000_000_000_000_000,
        base: None,
    }
}

#[test]
fn bytes_that_are_wrong_are_never_put_in_place() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (mut wire, member) = rogue.join(&ticket);
    let bomb = bifold_chunk::pack(&vec![0; 64 << 20]).bytes.into_owned();
    let absent = ItemHead::Absent.encode().to_vec();
    // What is answered, by content; manifests and chunks of large ones apart.
    let mut replies: BTreeMap<ContentId, Reply> = BTreeMap::new();
    let mut nodes = Vec::new();
    let time = now_ms();
    let small: Vec<(&str, Reply)> = vec![
        ("other bytes", Reply::items(&[b"0ther bytes"])),
        ("fewer", Reply::items(&[b"fewe"])),
        ("more", Reply::items(&[b"more and more"])),
        ("absent", Reply::Bytes(absent.clone())),
        ("no items", Reply::Bytes(Vec::new())),
        ("no head", Reply::Bytes(vec![1, 2])),
        ("false head", Reply::Bytes(vec![9, 1, 0, 0, 0, 1])),
        ("huge head", Reply::Bytes(vec![1, 0xff, 0xff, 0xff, 0xff])),
        ("cut", Reply::Bytes([&[1, 3, 0, 0, 0][..], b"c"].concat())),
        ("bomb", Reply::Bytes(item(Packing::Zstd, &bomb))),
        ("no zstd", Reply::Bytes(item(Packing::Zstd, b"no zstd"))),
        ("reset", Reply::Reset),
        ("endless", Reply::Endless(Vec::new(), item(Packing::Plain, b"endless!"))),
    ];
    for (name, reply) in small {
        let node = member.file(time, nodes.len() as u32, &format!("bad {name}"), name.as_bytes());
        replies.insert(node.contents[0].1.id(), reply);
        nodes.push(node);
    }
    let mut large_file = |name: &str, size: u64, content: ContentId, list: Reply| {
        replies.insert(content, list);
        nodes.push(member.node(
            time,
            nodes.len() as u32,
            NodeId::ROOT,
            &format!("bad {name}"),
            file_of(content, size),
        ));
    };
    let as_items = |manifest: &Manifest| -> Vec<u8> {
        let nodes = manifest.missing_nodes(None);
        let end = ItemHead::Absent.encode();
        nodes.iter().flat_map(|n| item(Packing::Plain, n)).chain(end).collect()
    };
    let (bytes, right) = large(1);
    let other = large(2).1;
    large_file(
        "list of another",
        right.size(),
        ContentId([1; 32]),
        Reply::Bytes(as_items(&other)),
    );
    large_file("no list", right.size(), ContentId([2; 32]), Reply::items(&[b"no list"]));
    large_file(
        "list without end",
        1 << 40,
        ContentId([3; 32]),
        Reply::Endless(Vec::new(), item(Packing::Plain, &right.missing_nodes(None)[0])),
    );
    large_file(
        "size that lies",
        right.size() + 1,
        right.root(),
        Reply::Bytes(as_items(&right)),
    );
    large_file(
        "greatest size",
        u64::MAX,
        ContentId([4; 32]),
        Reply::Endless(Vec::new(), item(Packing::Plain, &[0; 37])),
    );
    large_file(
        "greatest size again",
        u64::MAX,
        ContentId([5; 32]),
        Reply::Bytes(absent.clone()),
    );
    large_file("wrong chunks", other.size(), other.root(), Reply::Bytes(as_items(&other)));
    let asked: Arc<Mutex<BTreeMap<ContentId, usize>>> = Arc::default();
    let (noted, wrong) = (asked.clone(), bytes.clone());
    wire.answer(move |request| {
        let is_first = |content: ContentId| {
            let mut noted = noted.lock().unwrap();
            let count = noted.entry(content).or_default();
            *count += 1;
            *count == 1
        };
        match request.wanted {
            // What was asked for before is absent, so that each that is asked for for the first time gets its own wrong answer.
            Wanted::Contents(contents) => {
                let mut first = Vec::new();
                for (content, _) in contents {
                    match replies.get(&content) {
                        Some(reply) if is_first(content) => match reply {
                            Reply::Bytes(bytes) => first.extend(bytes),
                            Reply::Endless(_, bytes) => return Reply::Endless(first, bytes.clone()),
                            other => return other.clone(),
                        },
                        _ => first.extend(&absent),
                    }
                }
                Reply::Bytes(first)
            }
            Wanted::Manifest { content, .. } => {
                is_first(content);
                replies.get(&content).cloned().unwrap_or(Reply::Reset)
            }
            // The right lengths, of other bytes.
            Wanted::Chunks { chunks, .. } => {
                let one = |(at, c): &(u64, Chunk)| item(Packing::Plain, &wrong[*at as usize..][..c.length as usize]);
                Reply::Bytes(chunks.iter().flat_map(one).collect())
            }
        }
    });
    wire.begin(&member);
    let before = scene.memory();
    // Alone, so that each is asked for alone.
    let contents: Vec<ContentId> = nodes.iter().map(|node| node.contents[0].1.id()).collect();
    for (i, node) in nodes.into_iter().enumerate() {
        let packet = member.records(vec![node]);
        assert!(wire.say(&packet));
        until("it is asked for", || asked.lock().unwrap().contains_key(&contents[i]));
    }
    scene.is_fine("wrong bytes");
    let after = scene.memory();
    assert!(after < before + 300, "{before} MiB, then {after}");
    for device in [&scene.anna, &scene.ben] {
        assert_eq!(scene.paths(device), PATHS, "{}", device.name);
    }
    // It says what it waits for.
    assert!(scene.anna.folder()["pending_in"]["count"].as_u64().unwrap() >= contents.len() as u64);
    assert!(scene.anna.ask(&["pending"]).contains("bad other bytes"));
    // The same device with the right bytes.
    let node = member.node(time + 1, 500, NodeId::ROOT, "right", file_of(right.root(), right.size()));
    let (list, size) = (as_items(&right), right.size());
    drop(wire);
    let mut member = member;
    let mut wire = rogue.come(&ticket, &mut member);
    let chunks = bytes.clone();
    wire.answer(move |request| match request.wanted {
        Wanted::Manifest { content, .. } if content == right.root() => Reply::Bytes(list.clone()),
        Wanted::Chunks { content, chunks: wanted } if content == right.root() => {
            let one = |(at, c): &(u64, Chunk)| item(Packing::Plain, &chunks[*at as usize..][..c.length as usize]);
            Reply::Bytes(wanted.iter().flat_map(one).collect())
        }
        _ => Reply::Bytes(Vec::new()),
    });
    wire.begin(&member);
    wire.say(&member.records(vec![node]));
    until("the right bytes", || world.exists("ben/right"));
    assert_eq!(std::fs::metadata(world.at("anna/right")).unwrap().len(), size);
    assert!(std::fs::read(world.at("ben/right")).unwrap() == bytes);
}

#[test]
fn who_never_answers_is_not_waited_for_for_ever() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (mut wire, member) = rogue.join(&ticket);
    let asked = Arc::new(AtomicUsize::new(0));
    let noted = asked.clone();
    wire.answer(move |_| {
        noted.fetch_add(1, Ordering::Relaxed);
        Reply::Open(Vec::new())
    });
    wire.begin(&member);
    wire.say(&member.records(vec![member.file(now_ms(), 0, "never", b"never")]));
    until("it is asked", || asked.load(Ordering::Relaxed) > 0);
    scene.is_fine("who never answers");
}

#[test]
fn floods_take_bounded_memory() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (wire, mut member) = rogue.join(&ticket);
    wire.close();
    let large: Vec<u8> = large(3).0;
    scene.anna.put("large", &large);
    until("it is everywhere", || world.exists("ben/large"));
    let before = scene.memory();
    let mut most = 0;
    let mut flood = |what: &str, packet: &Packet, count: usize| {
        let mut wire = rogue.come(&ticket, &mut member);
        wire.begin(&member);
        let bytes: Vec<u8> = frames(packet).concat();
        let at_once = bytes.repeat((64 << 10) / bytes.len() + 1);
        let mut said = 0;
        while said < count && wire.say_bytes(&at_once) {
            said += at_once.len() / bytes.len();
        }
        // Nothing of what comes back was read.
        let memory = scene.memory();
        most = most.max(memory);
        assert!(memory < before + 250, "{what}: {before} MiB, then {memory}");
        wire.close();
        // (Who says too much may be sent away; but not before it was much.)
        assert!(said * 10 >= count, "{what}: only {said} of {count} were taken");
    };
    let sample = scene_member(&rogue, &ticket);
    flood("pings", &Packet::Ping(1), 200_000);
    flood(
        "joins",
        &Packet::Join {
            secret: [1; 16],
            name: "x".into(),
        },
        50_000,
    );
    let mut asking = sample.membership(&[]);
    asking.asks = true;
    flood("memberships", &sample.packet(&asking), 20_000);
    flood(
        "questions",
        &sample.session(Message::Lacks((0..500).map(|n| sample.file(5, n, "x", b"").id).collect())),
        2_000,
    );
    let shown = Message::Shows(Answer {
        of: vec![sample.id(); 60],
        shown: Vec::new(),
    });
    flood("answers", &sample.session(shown), 50_000);
    // Acknowledgements of very many, in one word each time.
    let acks = (0..50_000).map(|n| (ReplicaId(1 + n), Vector::default())).collect();
    let complete = Complete {
        sequence: 1,
        have: Vector::default(),
        acks,
    };
    let told = Message::Records {
        nodes: Vec::new(),
        complete: Some(complete),
    };
    flood("acknowledgements", &sample.session(told), 600);
    // Requests of which nothing is read, and some that do not end.
    let wanted = Wanted::Contents(vec![(hashed(&large), large.len() as u64); 15]);
    let request = Request {
        folder: sample.folder,
        lane: Lane::Bulk,
        wanted,
    };
    let request = request.encode().unwrap();
    let mut wire = rogue.come(&ticket, &mut member);
    wire.begin(&member);
    let mut open = Vec::new();
    for n in 0..80 {
        let Some(stream) = wire.leave_open(&request, n % 4 != 0) else {
            break;
        };
        open.push(stream);
    }
    assert!(open.len() <= 64, "{} requests at a time", open.len());
    std::thread::sleep(Duration::from_secs(2));
    let memory = scene.memory();
    assert!(memory < before + 250, "unread answers: {before} MiB, then {memory}");
    scene.is_fine("floods");
    eprintln!("{before} MiB before, {most} at most in floods, {memory} with answers that nobody reads");
}

/// The id of bytes of several chunks.
fn hashed(bytes: &[u8]) -> ContentId {
    bifold_chunk::hash_bytes(bytes).unwrap().content
}

/// What a member knows of the folder, by coming once more.
fn scene_member(rogue: &Rogue, ticket: &Ticket) -> Member {
    let mut wire = rogue.meet(ticket);
    let Some(Packet::Membership { folder, bytes }) = wire.hear_until(|p| matches!(p, Packet::Membership { .. })) else {
        panic!("not told of the folder")
    };
    let told = Membership::decode(&bytes).unwrap();
    let mut roster = Roster::joined(folder, told.root);
    roster.merge(told.entries).unwrap();
    let device = rogue.device();
    wire.close();
    Member {
        folder,
        roster,
        replica: ReplicaName::new(device, folder, 1),
        known: told.known,
        device,
    }
}

#[test]
fn a_million_tiny_records_take_bounded_memory() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (mut wire, member) = rogue.join(&ticket);
    wire.begin(&member);
    let time = now_ms();
    // Files that are gone already: nothing of them is on any disk.
    let gone = |index: u32| {
        let mut node = member.file(time, index, "x", b"");
        let seen = node.heads().collect();
        node.gones.push((node.id.dot, Gone { seen, under: None }));
        node.places[0].1.name = format!("{index:x}").into();
        node
    };
    let nodes: Vec<Arc<Node>> = (0..16_000).map(|i| Arc::new(gone(i))).collect();
    let packet = member.session(Message::Records { nodes, complete: None });
    let bytes: Vec<u8> = frames(&packet).concat();
    let before = scene.memory();
    let mut most = 0;
    for _ in 0..63 {
        assert!(wire.say_bytes(&bytes), "{:?}", scene.anna.log());
        most = most.max(scene.memory());
    }
    assert!(wire.is_heard());
    most = most.max(scene.memory());
    eprintln!("{before} MiB before, {most} at most; {} bytes for 16,000", bytes.len());
    assert!(most < before + 250, "{before} MiB, then {most}");
    scene.is_fine("a million records");
    assert_eq!(scene.paths(&scene.anna), PATHS);
}
