//! Real encodings, to begin with: what the corpora in `fuzz/corpus` are made of.

use crate::peer::{content, frames};
use bifold_chunk::{Chunk, ChunkId, ChunkList, Manifest, pack};
use bifold_net::membership::{Addresses, Known, Membership, ReplicaName};
use bifold_net::roster::{Entry, Role, Roster};
use bifold_net::ticket::{Secret, Ticket};
use bifold_net::{DeviceId, SecretKey};
use bifold_protocol::content::{ItemHead, Lane, Request, Wanted};
use bifold_protocol::wire::{Farewell, Hello, Packet};
use bifold_protocol::{Answer, Complete, Message};
use bifold_tree::{
    Bytes, Content, ContentId, Dot, ExactNames, FileKey, Fingerprint, Kind, Node, NodeId, Place, Policy, Replica, ReplicaId,
    Stat, Survey, Vector,
};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The folder of all samples.
pub const FOLDER: u64 = 7;

/// A key that is always the same.
#[must_use]
pub fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n + 1; 32])
}

/// Its device.
#[must_use]
pub fn device(n: u8) -> [u8; 32] {
    *key(n).public().as_bytes()
}

/// A roster of an owner, another owner, an editor, a reader, and one who was removed: devices 0 to 4.
#[must_use]
pub fn roster() -> Roster {
    // (Signing takes time.)
    static ROSTER: OnceLock<Roster> = OnceLock::new();
    ROSTER.get_or_init(signed_roster).clone()
}

fn signed_roster() -> Roster {
    let mut roster = Roster::found(FOLDER, &key(0), "anna").unwrap();
    for (n, role, name) in [
        (1, Role::Owner, "ben"),
        (2, Role::Editor, "cleo"),
        (3, Role::Reader, "rita"),
        (4, Role::Editor, "gone"),
        (4, Role::Removed, "gone"),
    ] {
        roster.set(&key(0), device(n), role, name).unwrap();
    }
    roster.set(&key(2), device(2), Role::Editor, "cleo's other name").unwrap();
    roster
}

/// All its entries.
#[must_use]
pub fn entries() -> Vec<Entry> {
    roster().entries().cloned().collect()
}

/// A replica whose disk shows these files.
#[must_use]
pub fn replica(id: u64, names: &[&str], wall_ms: u64) -> Replica {
    let mut replica = Replica::new(ReplicaId(id), Arc::new(ExactNames), Policy::Ask);
    let entry = |(i, name): (usize, &&str)| {
        let stat = Stat {
            kind: Kind::File,
            key: FileKey(i as u64 + 1),
            print: Fingerprint {
                size: 1,
                mtime_ns: 1,
                ctime_ns: 1,
            },
            exec: Some(false),
        };
        (Arc::from(*name), Some(stat))
    };
    let entries: Vec<_> = names.iter().enumerate().map(entry).collect();
    let mut survey = Survey::new();
    survey.listed(&replica, "", &entries);
    for (i, path, stat) in survey.unread(&replica) {
        survey.read(i, Bytes::File(ContentId(ChunkId::of(path.as_bytes()).0)), stat);
    }
    replica.observe(survey, wall_ms);
    replica
}

/// Nodes of all kinds, by replica 9.
#[must_use]
pub fn nodes() -> Vec<Node> {
    let dot = |time| Dot {
        time,
        replica: ReplicaId(9),
    };
    let node = |time, index, parent, name: &str, content| {
        let kind = match content {
            Content::Dir => Kind::Dir,
            Content::File { .. } => Kind::File,
            Content::Link { .. } => Kind::Link,
        };
        let mut node = Node::unwritten(NodeId { dot: dot(time), index }, kind, 5);
        node.context.push((ReplicaId(9), time));
        let name = name.into();
        node.places.push((dot(time), Place { parent, name }));
        node.contents.push((dot(time), content));
        node
    };
    let dir = node(1, 0, NodeId::ROOT, "dir", Content::Dir);
    let file = node(2, 0, dir.id, "file.txt", content(b"file"));
    let link = node(
        2,
        1,
        dir.id,
        "link",
        Content::Link {
            target: "../elsewhere".into(),
        },
    );
    let mut gone = node(3, 0, NodeId::ROOT, "gone", content(b"gone"));
    let seen = gone.heads().collect();
    gone.context[0].1 = 4;
    gone.gones.push((dot(4), bifold_tree::Gone { seen, under: None }));
    gone.modes.push((dot(4), true));
    vec![dir, file, link, gone]
}

/// Packets of every kind.
#[must_use]
pub fn packets() -> Vec<Packet> {
    let a = replica(1, &["one", "two", "three"], 10);
    let lacking: Vec<_> = a.changed_since(0).iter().map(|node| node.id).collect();
    let vector = |n: u64| Vector(BTreeMap::from([(ReplicaId(n), n), (ReplicaId(9), 4)]));
    let complete = Complete {
        sequence: 4,
        have: vector(9),
        acks: BTreeMap::from([(ReplicaId(9), vector(9)), (ReplicaId(2), Vector::default())]),
    };
    let session = |message| Packet::Session { folder: FOLDER, message };
    let records = |nodes: Vec<Arc<Node>>, complete| session(Message::Records { nodes, complete });
    vec![
        Packet::Hello(Hello {
            version: 1,
            run: 7,
            program: "bifold 1".into(),
        }),
        Packet::Join {
            secret: [7; 16],
            name: "desk".into(),
        },
        Packet::Admitted { folder: FOLDER },
        Packet::Rejected { reason: "no".into() },
        Packet::Membership {
            folder: FOLDER,
            bytes: membership().encode().unwrap(),
        },
        session(Message::Offer {
            replica: ReplicaId(9),
            joining: true,
            have: vector(4),
            heard: BTreeMap::from([(ReplicaId(1), 5)]),
        }),
        records(nodes().into_iter().map(Arc::new).collect(), Some(complete.clone())),
        records(a.changed_since(0), None),
        records(Vec::new(), Some(complete)),
        session(Message::Lacks(lacking.clone())),
        session(Message::Shows(Answer {
            of: vec![ReplicaId(9), ReplicaId(4)],
            shown: a.shown_of(&lacking).into_iter().map(|shown| (shown, true)).collect(),
        })),
        Packet::Close {
            folder: FOLDER,
            reason: "gone".into(),
        },
        Packet::Ping(1),
        Packet::Pong(u64::MAX),
        Packet::Goodbye {
            code: Farewell::Cloned,
            reason: "bye".into(),
        },
    ]
}

/// A word on membership.
#[must_use]
pub fn membership() -> Membership {
    let known = |n: u8| Known {
        device: DeviceId(device(n)),
        replicas: vec![ReplicaName::new(DeviceId(device(n)), FOLDER, 1)],
        addresses: Addresses {
            ip: vec!["127.0.0.1:4000".parse().unwrap(), "[::1]:4000".parse().unwrap()],
            relay: Some("https://relay.example.org".into()),
        },
    };
    Membership {
        name: "team".into(),
        root: roster().root(),
        entries: entries(),
        known: vec![known(0), known(1)],
        asks: true,
    }
}

/// A list of so many chunks.
#[must_use]
pub fn chunks(count: u32) -> ChunkList {
    let chunk = |n: u32| Chunk {
        id: ChunkId::of(&n.to_le_bytes()),
        length: 64 << 10,
    };
    ChunkList::new((0..count).map(chunk).collect()).unwrap()
}

/// A manifest as [`decoders::manifest`](crate::decoders::manifest) takes it: the size, then each node with its length.
fn manifest(count: u32) -> Vec<u8> {
    let manifest = Manifest::new(chunks(count));
    let mut bytes = manifest.size().to_le_bytes().to_vec();
    for node in manifest.missing_nodes(None) {
        bytes.extend((node.len() as u16).to_le_bytes());
        bytes.extend(node);
    }
    bytes
}

fn requests() -> Vec<Vec<u8>> {
    let list = chunks(3);
    let wanted = [
        Wanted::Contents(vec![(ContentId::empty(), 0), (ContentId([1; 32]), 70_000)]),
        Wanted::Manifest {
            content: ContentId([1; 32]),
            have: Some(ContentId([2; 32])),
        },
        Wanted::Chunks {
            content: ContentId([1; 32]),
            chunks: list.with_offsets().collect(),
        },
    ];
    let encode = |wanted| {
        let request = Request {
            folder: FOLDER,
            lane: Lane::Bulk,
            wanted,
        };
        request.encode().unwrap()
    };
    let mut all: Vec<Vec<u8>> = wanted.into_iter().map(encode).collect();
    all.push(ItemHead::Absent.encode().to_vec());
    all.push([&[2, 5, 0, 0, 0][..], b"items"].concat());
    all
}

fn tickets() -> Vec<Vec<u8>> {
    let ticket = |ip: &[&str], relay: Option<&str>| Ticket {
        device: DeviceId(device(0)),
        secret: Secret([9; 16]),
        addresses: Addresses {
            ip: ip.iter().map(|a| a.parse().unwrap()).collect(),
            relay: relay.map(str::to_owned),
        },
    };
    vec![
        ticket(&[], None).to_text().into_bytes(),
        ticket(&["10.0.0.1:4000", "[fe80::1]:4000"], Some("https://relay.example.org"))
            .to_link()
            .into_bytes(),
        ticket(&["10.0.0.1:4000"], None).to_text().to_uppercase().into_bytes(),
    ]
}

fn folder_files() -> Vec<Vec<u8>> {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let entries: Vec<String> = entries().iter().map(|e| hex(&postcard::to_stdvec(e).unwrap())).collect();
    let file = serde_json::json!({
        "id": "0000000000000007",
        "name": "team",
        "path": "/home/anna/team",
        "shares": ["/mnt/share"],
        "root": hex(&roster().root().0),
        "roster": entries,
        "invitations": [{ "secret": hex(&[1; 32]), "role": "Editor", "uses": 1, "expires_ms": 1_700_000_000_000_u64 }],
        "devices": { DeviceId(device(1)).to_string(): {
            "replicas": [{ "id": 5, "number": 6 }],
            "addresses": { "ip": ["127.0.0.1:4000"], "relay": null },
            "seen_ms": 7,
        } },
    });
    let home = serde_json::json!({ "name": "anna", "port": 4000, "limits": { "up": 1, "down": null }, "limits_of": {} });
    vec![serde_json::to_vec(&file).unwrap(), serde_json::to_vec(&home).unwrap()]
}

fn controls() -> Vec<Vec<u8>> {
    [
        r#"{"path":"/home/anna/team","name":"team"}"#,
        r#"{"folder":"team","role":"editor","uses":1,"expires_s":86400}"#,
        r#"{"ticket":"bifold:join/0000","path":"/home/anna/team"}"#,
        r#"{"folder":"team","path":"a/b","pick":"mine"}"#,
        r#"{"folder":"team","keep_files":true}"#,
        r#"{"device":"ben","role":"reader","folder":null}"#,
        r#"{"folder":"team","text":"*.o\n"}"#,
        r#"{"device":null,"up":1000,"down":null}"#,
        r#"{"folder":"team","path":"a","version":"00"}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn ignores() -> Vec<Vec<u8>> {
    [
        "*.o\n!keep.o\n/build/\n# a comment\n\\#file\n",
        "**/a/**/b[!c-e]?\nfoo\\ \n",
        "{a,b}\n[\n\\\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

/// What an index has of a replica, as [`decoders::index`](crate::decoders::index) takes it.
fn indexes() -> Vec<Vec<u8>> {
    let mut told = replica(1, &["one", "two"], 10);
    for node in nodes() {
        told.receive(&Arc::new(node), 100).unwrap();
    }
    let changes = told.take_changes().unwrap();
    let nodes: Vec<(Node, u64)> = changes.nodes.iter().map(|(node, s)| (node.as_ref().clone(), *s)).collect();
    vec![postcard::to_stdvec(&(changes.state, nodes, changes.records)).unwrap()]
}

/// Frames without their lengths.
fn packed(packets: &[Packet]) -> Vec<Vec<u8>> {
    let without = |frame: Vec<u8>| frame[4..].to_vec();
    packets.iter().flat_map(frames).map(without).collect()
}

/// Several frames, each with its length, as one peer says them one after the other.
fn scripts() -> Vec<Vec<u8>> {
    let all = packets();
    let one = |some: &[usize]| -> Vec<u8> { some.iter().flat_map(|i| frames(&all[*i])).flatten().collect() };
    vec![
        one(&[5, 6]),
        one(&[5, 7, 8, 9, 10]),
        one(&[6, 5, 5]),
        one(&[5, 6, 6, 8]),
        vec![0; 64],
        (0..=255).collect(),
    ]
}

/// What to begin with, for a decoder.
#[must_use]
pub fn of(decoder: &str) -> Vec<Vec<u8>> {
    match decoder {
        "packet" => packed(&packets()),
        "session" => scripts(),
        "tree" => vec![vec![0; 64], (0..=255).collect(), (0..=255).rev().collect()],
        "request" => requests(),
        "packed" => vec![pack(&[7; 5000]).bytes.to_vec(), pack(b"short").bytes.to_vec()],
        "manifest" => vec![manifest(3), manifest(70), manifest(700)],
        "membership" => vec![membership().encode().unwrap()],
        "roster" => vec![postcard::to_stdvec(&entries()).unwrap()],
        "claims" => vec![vec![0; 40], (0..=255).collect()],
        "ticket" => tickets(),
        "files" => folder_files(),
        "control" => controls(),
        "ignore" => ignores(),
        "names" => [
            "a",
            "a:b",
            "..x",
            ".bifold.",
            ".BIFOLD ",
            "\u{F77F}x",
            "\u{F7C3}\u{F7A9}",
            "\u{F05C}",
            "CON",
            "a\u{301}",
        ]
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect(),
        "index" => indexes(),
        other => panic!("no decoder {other}"),
    }
}
