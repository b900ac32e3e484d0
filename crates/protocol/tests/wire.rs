//! Packets as bytes: what is sent comes out as it was, and what a stranger sends breaks nothing.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use bifold_chunk::{Chunk, ChunkId, Packing};
use bifold_protocol::content::{ITEM_HEAD_BYTES, ItemHead, Lane, MAX_ANSWER_BYTES, Request, Wanted};
use bifold_protocol::wire::{Encoder, Farewell, Hello, MAX_FRAME_BYTES, Packet, WireError, decode, frame_length};
use bifold_protocol::{Answer, Complete, Message, Refused, Session};
use bifold_tree::{
    Bytes, Content, ContentId, Dot, ExactNames, FileKey, Fingerprint, Gone, Kind, Node, NodeId, Place, Policy, Replica,
    ReplicaId, Stat, Survey, Value, Vector,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn replica(id: u64) -> Replica {
    Replica::new(ReplicaId(id), Arc::new(ExactNames), Policy::Ask)
}

/// A disk that shows these files in its root, all with bytes of their own.
fn observe(replica: &mut Replica, names: &[String], wall_ms: u64) {
    let entry = |(i, name): (usize, &String)| {
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
        (Arc::from(name.as_str()), Some(stat))
    };
    let entries: Vec<_> = names.iter().enumerate().map(entry).collect();
    let mut survey = Survey::new();
    survey.listed(replica, "", &entries);
    for (i, path, stat) in survey.unread(replica) {
        let content = ContentId(ChunkId::of(path.as_bytes()).0);
        survey.read(i, Bytes::File(content), stat);
    }
    replica.observe(survey, wall_ms);
}

fn frames(packet: &Packet) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let send: &mut dyn FnMut(Vec<u8>) -> Result<(), WireError> = &mut |frame| {
        frames.push(frame);
        Ok(())
    };
    Encoder::default().encode(packet, send).unwrap();
    for frame in &mut frames {
        let length = frame_length(frame[..4].try_into().unwrap()).unwrap();
        assert_eq!(length, frame.len() - 4);
        frame.drain(..4);
    }
    frames
}

/// Two replicas that talk over bytes until neither has anything to say; the bytes that it took.
fn talk(a: &mut Replica, b: &mut Replica) -> Result<usize, Refused> {
    let mut ends = [Session::new(), Session::new()];
    let mut bytes = 0;
    loop {
        let mut silent = true;
        for i in 0..2 {
            let (me, other) = if i == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
            while let Some(message) = ends[i].poll(me, false) {
                silent = false;
                for frame in frames(&Packet::Session { folder: 7, message }) {
                    bytes += frame.len();
                    let Packet::Session { folder: 7, message } = decode(&frame, true).unwrap() else {
                        panic!("another packet came out");
                    };
                    ends[1 - i].handle(other, &message, 1_000)?;
                }
            }
        }
        if silent {
            return Ok(bytes);
        }
    }
}

fn names(from: usize, to: usize) -> Vec<String> {
    (from..to)
        .map(|i| format!("a file with a long name, number {i}.txt"))
        .collect()
}

#[test]
fn replicas_agree_over_bytes_and_then_tell_only_news() {
    let (mut a, mut b) = (replica(1), replica(2));
    observe(&mut a, &names(0, 5_000), 10);
    let first = talk(&mut a, &mut b).unwrap();
    assert!(first < 5_000 * 150, "{first} bytes for 5,000 files");
    assert_eq!((a.node_count(), a.have()), (b.node_count(), b.have()));
    // What was shown by all is known: only what is new is told, also on a new connection.
    let mut more = names(0, 5_000);
    more.push("one more".into());
    observe(&mut a, &more, 20);
    let again = talk(&mut a, &mut b).unwrap();
    assert!(again < 2_000, "{again} bytes for one file");
    assert_eq!((a.node_count(), a.have()), (b.node_count(), b.have()));
    let nothing = talk(&mut a, &mut b).unwrap();
    assert!(nothing < 1_000, "{nothing} bytes for nothing");
}

#[test]
fn an_index_that_was_put_back_is_noticed() {
    let (mut a, mut b) = (replica(1), replica(2));
    observe(&mut a, &names(0, 3), 10);
    talk(&mut a, &mut b).unwrap();
    let mut restored = replica(1);
    observe(&mut restored, &names(0, 2), 9);
    assert_eq!(talk(&mut restored, &mut b), Err(Refused::PutBack));
    // Also when it has written as much since, and later.
    let mut restored = replica(1);
    observe(&mut restored, &names(0, 4), 20);
    assert!(restored.sequence() >= a.sequence() && restored.have().time(ReplicaId(1)) > a.have().time(ReplicaId(1)));
    assert_eq!(talk(&mut restored, &mut b), Err(Refused::PutBack));
}

/// What came before something that cannot be is here, and others have to be told of it: `have` alone does not say so.
#[test]
fn what_came_before_a_refused_node_is_told_on() {
    let (mut a, mut b, mut c) = (replica(1), replica(2), replica(3));
    observe(&mut a, &names(0, 2), 10);
    let mut nodes: Vec<_> = a.changed_since(0).to_vec();
    let mut bad = nodes[1].as_ref().clone();
    bad.places.clear();
    nodes[1] = Arc::new(bad);
    let mut end = Session::new();
    end.handle(&mut b, &Session::new().poll(&a, false).unwrap(), 10).unwrap();
    let some = Message::Records { nodes, complete: None };
    assert!(matches!(end.handle(&mut b, &some, 10), Err(Refused::Malformed(_))));
    assert_eq!(b.node_count(), 1);
    talk(&mut b, &mut c).unwrap();
    assert_eq!(c.node_count(), 1);
}

/// A reader has something of its own in a directory that all others deleted, and forgot, since the reader shows what others wrote. Once it
/// may write, the directory comes with it.
#[test]
fn what_was_forgotten_comes_back_with_what_is_in_it() {
    let by = |replica, time| Dot {
        time,
        replica: ReplicaId(replica),
    };
    let node = |dot, kind, parent, name: &str, content| {
        let mut node = Node::unwritten(NodeId { dot, index: 0 }, kind, 0);
        let name = name.into();
        node.write(dot, Value::Place(Place { parent, name }), &[], &[]);
        node.write(dot, Value::Content(content), &[], &[]);
        node
    };
    let dead = |time, parent, name: &str| {
        let mut dead = node(by(1, time), Kind::Dir, parent, name, Content::Dir);
        let seen = dead.heads().collect();
        dead.write(by(1, 20), Value::Gone(Gone { seen, under: None }), &[], &[]);
        dead
    };
    let outer = dead(9, NodeId::ROOT, "d");
    let inner = dead(10, outer.id, "e");
    let link = Content::Link { target: "x".into() };
    let new = node(by(2, 25), Kind::Link, inner.id, "new", link);
    // All have shown that it is dead.
    let upto = Vector(BTreeMap::from([(ReplicaId(1), 20)]));
    let mut third = replica(3);
    for id in 1..=3 {
        third.add_member(ReplicaId(id));
    }
    let acks = (1..=2).map(|id| (ReplicaId(id), upto.clone())).collect();
    third.received_all(&upto, &acks);
    third.shows_all();
    // (In the order of their last changes.)
    let some = [Arc::new(new), Arc::new(outer), Arc::new(inner)];
    assert_eq!(third.receive_some(&some[1..], 30), Ok(0), "forgotten");
    assert_eq!(third.receive_some(&some, 30), Ok(3));
    let shown = third.project(&|_| true);
    assert!(shown.iter().any(|p| p.path == "d/e/new"), "{shown:?}");
}

/// What was shown here is forgotten by others, once all have shown it. So it is no use to go on with an index that knows of less.
#[test]
fn an_index_that_has_shown_less_than_others_heard_is_noticed() {
    let (mut a, mut b, mut c) = (replica(1), replica(2), replica(3));
    observe(&mut b, &names(0, 3), 10);
    talk(&mut a, &mut b).unwrap();
    // It shows what it has heard of, and says so to one; another one hears that from there.
    a.shows_all();
    talk(&mut a, &mut b).unwrap();
    talk(&mut b, &mut c).unwrap();
    let mut restored = replica(1);
    let mut end = Session::new();
    let offer = Session::new().poll(&c, false).unwrap();
    end.handle(&mut restored, &offer, 30).unwrap();
    let all = Message::Records {
        nodes: Vec::new(),
        complete: Some(Complete {
            sequence: c.sequence(),
            have: c.have().clone(),
            acks: c.acks().clone(),
        }),
    };
    assert_eq!(end.handle(&mut restored, &all, 30), Err(Refused::PutBack));
}

#[test]
fn who_has_retired_is_not_heard_and_is_told_so() {
    let (mut a, mut b, mut c) = (replica(1), replica(2), replica(3));
    observe(&mut b, &names(0, 3), 10);
    talk(&mut a, &mut b).unwrap();
    talk(&mut b, &mut c).unwrap();
    assert!(a.retire(ReplicaId(2)) && !a.retire(ReplicaId(2)), "news, and no news");
    assert!(!a.retire(ReplicaId(1)), "oneself never");
    talk(&mut a, &mut c).unwrap();
    assert!(c.is_retired(ReplicaId(2)), "one hears it from the other");
    assert!(c.waited_for().all(|(replica, _)| replica != ReplicaId(2)));
    let before = (c.node_count(), c.have().clone());
    observe(&mut b, &names(0, 9), 20);
    assert_eq!(talk(&mut b, &mut c), Err(Refused::PutBack));
    assert_eq!(before, (c.node_count(), c.have().clone()), "nothing of it was taken in");
    // What an index says of it stays.
    c.received_all(&Vector::default(), &BTreeMap::from([(ReplicaId(2), b.have().clone())]));
    assert!(c.is_retired(ReplicaId(2)));
}

#[test]
fn who_reads_only_speaks_for_nobody_else_of_what_it_shows() {
    let mut me = replica(1);
    let offer = |replica| Message::Offer {
        replica: ReplicaId(replica),
        joining: false,
        have: Vector::default(),
        heard: BTreeMap::new(),
    };
    observe(&mut me, &names(0, 1), 10);
    let nodes: Vec<_> = me.changed_since(0).iter().map(|node| node.id).collect();
    let answer = Answer {
        of: vec![ReplicaId(2), ReplicaId(3)],
        shown: me.shown_of(&nodes).into_iter().map(|shown| (shown, true)).collect(),
    };
    for reads in [false, true] {
        let mut session = Session::with(ReplicaId(2), reads);
        assert_eq!(
            session.handle(&mut me, &Message::Lacks(nodes.clone()), 20),
            Err(Refused::Order),
            "before an offer"
        );
        session.handle(&mut me, &offer(2), 20).unwrap();
        assert_eq!(
            session.handle(&mut me, &Message::Lacks(nodes.clone()), 20).unwrap().lacked,
            nodes
        );
        let many = vec![nodes[0]; 513];
        assert_eq!(session.handle(&mut me, &Message::Lacks(many), 20), Err(Refused::Order));
        let heard = session
            .handle(&mut me, &Message::Shows(answer.clone()), 20)
            .unwrap()
            .answer
            .unwrap();
        assert_eq!(heard.of.len(), if reads { 1 } else { 2 });
        assert_eq!(heard.shown.iter().any(|(_, lacks)| *lacks), !reads);
    }
}

#[test]
fn many_nodes_go_in_frames_of_a_bounded_size() {
    let mut a = replica(1);
    observe(&mut a, &names(0, 20_000), 10);
    let packet = Packet::Session {
        folder: 1,
        message: Message::Records {
            nodes: a.changed_since(0),
            complete: None,
        },
    };
    let frames = frames(&packet);
    assert!(frames.len() > 2);
    let total: usize = frames
        .iter()
        .map(|frame| match decode(frame, true).unwrap() {
            Packet::Session {
                message: Message::Records { nodes, complete: None },
                ..
            } => nodes.len(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(total, 20_000);
}

#[test]
fn lengths_are_checked_before_anything_else() {
    assert!(frame_length([0; 4]).is_err());
    assert!(frame_length([255; 4]).is_err());
    assert!(decode(&vec![0; MAX_FRAME_BYTES + 1], true).is_err());
    let long = Packet::Goodbye {
        code: Farewell::Stopping,
        reason: "x".repeat(2_000),
    };
    assert!(decode(&frames(&long)[0], true).is_err());
    let chunk = Chunk {
        id: ChunkId::of(b""),
        length: 1 << 20,
    };
    let request = |n| Request {
        folder: 1,
        lane: Lane::Bulk,
        wanted: Wanted::Chunks {
            content: ContentId::empty(),
            chunks: vec![(0, chunk); n],
        },
    };
    assert!(request(16).encode().is_ok() && request(17).encode().is_err());
    for length in [0u32, 1, MAX_ANSWER_BYTES as u32, u32::MAX] {
        for packing in [Packing::Plain, Packing::Zstd] {
            let head = ItemHead::Bytes { packing, length };
            let fits = u64::from(length) <= MAX_ANSWER_BYTES;
            assert_eq!(ItemHead::decode(head.encode()).ok(), fits.then_some(head));
        }
    }
}

/// Packets that are damaged.
const PACKETS: usize = 13;

fn samples() -> Vec<Vec<u8>> {
    let mut a = replica(1);
    observe(&mut a, &names(0, 20), 10);
    let lacking: Vec<_> = a.changed_since(0).iter().map(|node| node.id).collect();
    let vector = |n: u64| Vector(BTreeMap::from([(ReplicaId(n), n)]));
    let offer = Message::Offer {
        replica: ReplicaId(3),
        joining: true,
        have: vector(4),
        heard: BTreeMap::from([(ReplicaId(1), 5)]),
    };
    let hello = Hello {
        version: 1,
        run: 7,
        program: "bifold 1".into(),
    };
    let packets = [
        Packet::Hello(hello),
        Packet::Session {
            folder: 1,
            message: offer,
        },
        Packet::Session {
            folder: 1,
            message: Message::Records {
                nodes: a.changed_since(0),
                complete: Some(bifold_protocol::Complete {
                    sequence: 20,
                    have: a.have().clone(),
                    acks: a.acks().clone(),
                }),
            },
        },
        Packet::Session {
            folder: 1,
            message: Message::Lacks(lacking.clone()),
        },
        Packet::Session {
            folder: 1,
            message: Message::Shows(Answer {
                of: vec![ReplicaId(3), ReplicaId(4)],
                shown: a.shown_of(&lacking).into_iter().map(|shown| (shown, true)).collect(),
            }),
        },
        Packet::Membership {
            folder: 1,
            bytes: vec![1, 2, 3],
        },
        Packet::Close {
            folder: 1,
            reason: "gone".into(),
        },
        Packet::Join {
            secret: [7; 16],
            name: "desk".into(),
        },
        Packet::Admitted { folder: 1 },
        Packet::Rejected { reason: "no".into() },
        Packet::Ping(1),
        Packet::Pong(2),
        Packet::Goodbye {
            code: Farewell::Cloned,
            reason: "bye".into(),
        },
    ];
    packets
        .iter()
        .flat_map(|packet| {
            let frames = frames(packet);
            assert_eq!(decode(&frames[0], true).unwrap(), *packet);
            frames
        })
        .collect()
}

#[test]
fn what_is_sent_comes_out() {
    assert_eq!(samples().len(), PACKETS);
    // Who is not known may not say everything.
    let allowed: Vec<bool> = samples().iter().map(|frame| decode(frame, false).is_ok()).collect();
    assert_eq!(allowed.iter().filter(|ok| !**ok).count(), 1, "{allowed:?}");
    let membership = Packet::Membership {
        folder: 1,
        bytes: vec![7; 100_000],
    };
    assert!(decode(&frames(&membership)[0], false).is_ok());
}

/// What a peer did to a frame.
#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(i, b)| Damage::Set(i, b)),
        index().prop_map(Damage::Cut),
        (index(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(i, b)| Damage::Insert(i, b)),
        (index(), index()).prop_map(|(i, j)| Damage::Swap(i, j)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A peer that speaks nonsense, or nearly sense: an error, or a packet that a session then takes or refuses; never a panic.
    #[test]
    fn nonsense_breaks_nothing(which in 0usize..PACKETS, damages in prop::collection::vec(damage(), 0..4), tail in prop::collection::vec(any::<u8>(), 0..40)) {
        thread_local! {
            static SAMPLES: Vec<Vec<u8>> = samples();
        }
        let mut frame = SAMPLES.with(|samples| samples[which].clone());
        for damage in damages {
            let n = frame.len();
            if n == 0 { break; }
            match damage {
                Damage::Set(i, b) => frame[i.index(n)] = b,
                Damage::Cut(i) => frame.truncate(i.index(n)),
                Damage::Insert(i, bytes) => { let at = i.index(n); frame.splice(at..at, bytes); }
                Damage::Swap(i, j) => frame.swap(i.index(n), j.index(n)),
            }
        }
        for bytes in [&frame, &tail] {
            let Ok(packet) = decode(bytes, true) else { continue };
            if let Packet::Session { message, .. } = packet {
                let mut me = replica(2);
                observe(&mut me, &names(0, 3), 5);
                let mut session = Session::new();
                let offer = Message::Offer { replica: ReplicaId(9), joining: false, have: Vector::default(), heard: BTreeMap::new() };
                if !matches!(message, Message::Offer { .. }) {
                    session.handle(&mut me, &offer, 1_000).unwrap();
                }
                let _ = session.handle(&mut me, &message, 1_000);
                // What it took in is a tree that can be shown and told.
                me.project(&|_| false);
                let _ = me.plan(&|_| false, usize::MAX);
                while session.poll(&me, false).is_some() {}
            }
        }
        let _ = Request::decode(&frame);
        if let Ok(head) = <[u8; ITEM_HEAD_BYTES]>::try_from(tail.get(..ITEM_HEAD_BYTES).unwrap_or_default()) {
            let _ = ItemHead::decode(head);
        }
    }
}
