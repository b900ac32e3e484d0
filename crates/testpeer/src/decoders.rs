//! What is fuzzed: each takes any bytes, and panics where something does not hold that has to hold of all. `fuzz/` has them as targets of
//! cargo-fuzz; a test of this crate runs each for a moment.

use crate::samples::{self, FOLDER, device, entries, key, replica};
use bifold_chunk::{Manifest, Packing, unpack};
use bifold_disk::ignore::Ignore;
use bifold_disk::names::{Fold, MaxName, NameRules, System};
use bifold_engine::daemon::face;
use bifold_engine::daemon::{is_folder_file, is_home_file};
use bifold_net::membership::Membership;
use bifold_net::roster::{Claim, Entry, Role, Roster};
use bifold_net::ticket::Ticket;
use bifold_protocol::content::{ITEM_HEAD_BYTES, ItemHead, Request};
use bifold_protocol::wire::{Encoder, MAX_NODES_BYTES, Packet, WireError, decode, frame_length};
use bifold_protocol::{Answer, Complete, Message, Refused, Session};
use bifold_tree::{
    Base, Content, ContentId, Dot, ExactNames, Gone, Head, Kind, Malformed, Node, NodeId, Place, Policy, Replica, ReplicaId,
    ReplicaState, StoredRecord, Vector, is_name, is_own_name,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A decoder, by name.
pub type Decoder = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Decoder; 15] = [
    ("packet", packet),
    ("session", session),
    ("tree", tree),
    ("request", request),
    ("packed", packed),
    ("manifest", manifest),
    ("membership", membership),
    ("roster", roster),
    ("claims", claims),
    ("ticket", ticket),
    ("files", files),
    ("control", control),
    ("ignore", ignore),
    ("names", names),
    ("index", index),
];

/// The wall clock of all that has one.
const NOW_MS: u64 = 1_000;

/// A packet: what is one is written and read again as the same; strangers may say less.
pub fn packet(bytes: &[u8]) {
    let as_stranger = decode(bytes, false);
    let Ok(packet) = decode(bytes, true) else {
        assert!(as_stranger.is_err());
        return;
    };
    if let Ok(heard) = as_stranger {
        assert_eq!(heard, packet);
    }
    let mut again = Vec::new();
    let encoded: Result<(), WireError> = Encoder::default().encode(&packet, &mut |frame| {
        assert_eq!(frame_length(frame[..4].try_into().unwrap()).unwrap(), frame.len() - 4);
        again.push(decode(&frame[4..], true).unwrap());
        Ok(())
    });
    encoded.unwrap();
    match (packet, again) {
        // Many nodes go in several frames.
        (
            Packet::Session {
                message: Message::Records { nodes, complete },
                ..
            },
            frames,
        ) => {
            let mut all = Vec::new();
            let mut last = None;
            for frame in frames {
                let Packet::Session {
                    message: Message::Records { nodes, complete },
                    ..
                } = frame
                else {
                    panic!("nodes became something else")
                };
                all.extend(nodes);
                last = complete;
            }
            assert_eq!((all, last), (nodes, complete));
        }
        (packet, again) => assert_eq!(again, [packet]),
    }
}

/// A request, and the head of an item.
pub fn request(bytes: &[u8]) {
    if let Ok(request) = Request::decode(bytes) {
        assert_eq!(Request::decode(&request.encode().unwrap()).unwrap(), request);
    }
    if let Some(head) = bytes.first_chunk::<ITEM_HEAD_BYTES>()
        && let Ok(item) = ItemHead::decode(*head)
    {
        assert_eq!(item.encode(), *head);
    }
}

/// Packed bytes: never more than the limit.
pub fn packed(bytes: &[u8]) {
    for limit in [0, 100, MAX_NODES_BYTES] {
        for packing in [Packing::Plain, Packing::Zstd] {
            if let Ok(unpacked) = unpack(packing, bytes, limit) {
                assert!(unpacked.len() <= limit);
            }
        }
    }
}

/// A manifest: the size of 8 bytes, then its nodes, each with its length of two bytes. The first one is what is asked for.
pub fn manifest(bytes: &[u8]) {
    let Some((size, mut rest)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let size = u64::from_le_bytes(*size);
    let mut nodes = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (node, tail) = tail.split_at(usize::from(u16::from_le_bytes(*length)).min(tail.len()));
        nodes.push(node);
        rest = tail;
    }
    let Some(first) = nodes.first() else { return };
    let content = ContentId(blake3::derive_key("bifold manifest node v1", first));
    let held = Manifest::new(crate::samples::chunks(70));
    for have in [None, Some(&held)] {
        if let Ok(manifest) = Manifest::rebuild(&nodes, have, content, size) {
            assert_eq!((manifest.root(), manifest.size()), (content, size));
            assert_eq!(Manifest::decode(&manifest.encode(), content, size).as_ref(), Ok(&manifest));
        }
    }
    let _ = Manifest::decode(bytes, content, size);
}

/// A word on membership.
pub fn membership(bytes: &[u8]) {
    let Ok(told) = Membership::decode(bytes) else { return };
    assert_eq!(Membership::decode(&told.encode().unwrap()).unwrap(), told);
    let mut mine = samples::roster();
    if mine.merge(told.entries).is_ok() {
        assert_eq!(mine.members(), samples::roster().members(), "nobody else can sign");
    }
}

/// Entries of a roster: who has no key of an owner adds nobody.
pub fn roster(bytes: &[u8]) {
    let Ok((entries, _)) = postcard::take_from_bytes::<Vec<Entry>>(bytes) else {
        return;
    };
    let known = samples::roster();
    let mut fresh = Roster::joined(FOLDER, known.root());
    if fresh.merge(entries.clone()).is_ok() {
        for (device, member) in fresh.members() {
            assert!(known.members().contains_key(device), "{member:?} was signed by nobody");
        }
        assert_eq!(fresh.merge(entries.clone()), Ok(false), "the same again is no news");
    }
    let mut mine = samples::roster();
    let before = mine.clone();
    match mine.merge(entries) {
        Ok(_) => assert_eq!(mine.members(), before.members(), "nobody else can sign"),
        Err(_) => assert!(mine.entries().eq(before.entries()), "all or nothing"),
    }
}

/// A claim, signed with any key: as who has that key, and keeps to nothing, would.
#[must_use]
pub fn sign(claim: &Claim, key: &bifold_net::SecretKey) -> Entry {
    let bytes = postcard::to_extend(claim, b"bifold roster entry 1".to_vec()).unwrap();
    let signature = key.sign(&bytes).to_bytes();
    let halves: ([u8; 32], [u8; 32]) = (signature[..32].try_into().unwrap(), signature[32..].try_into().unwrap());
    let encoded = postcard::to_stdvec(&(claim, key.public().as_bytes(), halves)).unwrap();
    postcard::from_bytes(&encoded).unwrap()
}

/// Numbers from bytes; zeros at their end.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Entries that are signed well, by an editor, a reader, one who was removed and two strangers, and claim what they like. Two devices
/// take them in in other orders.
pub fn claims(bytes: &[u8]) {
    let mut source = Source(bytes);
    let honest = samples::roster();
    let mut ids: Vec<_> = honest.entries().map(Entry::id).collect();
    let mut forged: Vec<Entry> = Vec::new();
    while !source.is_empty() && forged.len() < 24 {
        let by = source.of(&[2, 3, 4, 5, 6u8]);
        let mut after = Vec::new();
        for _ in 0..source.below(4) {
            let at = source.below(ids.len());
            after.push(ids[at]);
        }
        after.sort_unstable();
        after.dedup();
        let claim = Claim {
            folder: FOLDER,
            device: device(source.of(&[by, 0, 1, 2, 3, 5, 6])),
            role: source.of(&[Role::Removed, Role::Reader, Role::Editor, Role::Owner]),
            name: format!("{}", source.byte()),
            after,
        };
        let entry = sign(&claim, &key(by));
        ids.push(entry.id());
        forged.push(entry);
    }
    let mut a = honest.clone();
    a.merge(forged.clone()).unwrap();
    let mut b = Roster::joined(FOLDER, honest.root());
    b.merge(entries()).unwrap();
    for some in forged.rchunks(7) {
        b.merge(some.to_vec()).unwrap();
    }
    // What one has kept, the other is told.
    b.merge(a.entries().cloned().collect::<Vec<_>>()).unwrap();
    a.merge(b.entries().cloned().collect::<Vec<_>>()).unwrap();
    assert_eq!(a.members(), b.members());
    for (n, most) in [(2, Role::Editor), (3, Role::Reader), (4, Role::Removed)] {
        assert!(a.role(&device(n)) <= Some(most), "device {n} has become more");
    }
    assert_eq!((a.role(&device(5)), a.role(&device(6))), (None, None));
    assert_eq!(
        (a.role(&device(0)), a.role(&device(1))),
        (Some(Role::Owner), Some(Role::Owner))
    );
    // And an owner can still do with them what owners do.
    for n in [2, 3] {
        a.set(&key(1), device(n), Role::Removed, "out").unwrap();
        assert!(!a.admits(&device(n)));
    }
}

/// A ticket, as text.
pub fn ticket(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(ticket) = Ticket::parse(text) {
        assert_eq!(Ticket::parse(&ticket.to_link()), Ok(ticket));
    }
}

/// The files of a home.
pub fn files(bytes: &[u8]) {
    let _ = is_folder_file(bytes);
    let _ = is_home_file(bytes);
}

/// What is asked of the control.
pub fn control(bytes: &[u8]) {
    macro_rules! read {
        ($($name:ident)*) => {
            $(
                if let Ok(asked) = serde_json::from_slice::<face::$name>(bytes) {
                    let again = serde_json::to_vec(&asked).unwrap();
                    assert_eq!(serde_json::from_slice::<face::$name>(&again).unwrap(), asked);
                }
            )*
        };
    }
    read!(Add Which Invite Join HostShare Remove RemoveDevice SetRole Resolve Allow Where ListLog Restore Cat Diff PreviewIgnore SetIgnore SetLimits Pause);
    if let Ok(join) = serde_json::from_slice::<face::Join>(bytes) {
        let _ = Ticket::parse(&join.ticket);
    }
}

/// Patterns, as a peer's `.bifoldignore` has them.
pub fn ignore(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".bifoldignore"), bytes).unwrap();
    let fs = bifold_disk::native::NativeFs::open_read_only(dir.path()).unwrap();
    let file = Ignore::new(&[]).unwrap();
    let _ = file.meet(&fs, "", true);
    for rules in [Ignore::new(&lines).ok(), Some(file)].into_iter().flatten() {
        for path in ["a", "a/b/c.o", "build", ".bifoldignore", "\u{e9}/\u{fffd}"] {
            // What lies in a directory that is left out is left out.
            if rules.covers(path, true) {
                assert!(rules.covers(&format!("{path}/below"), false), "{path}");
            }
            let _ = rules.is_ignored(path, false);
        }
    }
}

/// A name: whatever a node may be called has a form on every disk that leads nowhere else, and comes back as it was.
pub fn names(bytes: &[u8]) {
    let Ok(name) = std::str::from_utf8(bytes) else { return };
    // What a disk has: either nothing that can be told to others, or a name that all take.
    for system in [System::Unix, System::Mac, System::Windows] {
        let rules = NameRules {
            system,
            fold: Fold::default(),
            max: MaxName::Bytes(255),
        };
        if let Some(told) = rules.to_tree(name.as_ref()).filter(|_| is_name(name)) {
            assert!(is_name(&told), "{name:?} is told as {told:?}");
        }
    }
    if !is_name(name) || is_own_name(name) {
        return;
    }
    for system in [System::Unix, System::Mac, System::Windows] {
        let rules = NameRules {
            system,
            fold: Fold { case: true, form: true },
            max: MaxName::Bytes(255),
        };
        let on_disk = rules.to_disk(name);
        let raw = on_disk.as_encoded_bytes();
        assert!(!raw.is_empty() && !raw.contains(&b'/') && !raw.contains(&0), "{on_disk:?}");
        assert!(
            raw != b"." && raw != b".." && !raw.eq_ignore_ascii_case(b".bifold"),
            "{on_disk:?}"
        );
        if system == System::Windows {
            assert!(!raw.contains(&b'\\') && !raw.contains(&b':'), "{on_disk:?}");
            assert!(!raw.ends_with(b".") && !raw.ends_with(b" "), "{on_disk:?}");
        }
        if cfg!(unix) {
            assert_eq!(rules.to_tree(&on_disk).as_deref(), Some(name));
        }
    }
}

/// What an index has of a replica.
pub fn index(bytes: &[u8]) {
    type Kept = (ReplicaState, Vec<(Node, u64)>, Vec<StoredRecord>);
    let Ok((kept, _)) = postcard::take_from_bytes::<Kept>(bytes) else {
        return;
    };
    let (state, nodes, records) = kept;
    // (Room is made for as many records as the greatest number says: that is as it was written, by the row's check.)
    if records.iter().any(|record| record.id.0 > 100_000) {
        return;
    }
    let mut replica = Replica::new(ReplicaId(1), Arc::new(ExactNames), Policy::Ask);
    let nodes = nodes.into_iter().map(|(node, sequence)| (Arc::new(node), sequence));
    if replica.load(state, nodes, records).is_ok() {
        use_it(&mut replica);
    }
}

/// All that is done with a replica, whatever is in it.
fn use_it(replica: &mut Replica) {
    for projected in replica.project(&|_| false) {
        for name in projected.path.split('/') {
            assert!(is_name(name) && !is_own_name(name), "{:?}", projected.path);
        }
    }
    let plan = replica.plan(&|_| false, usize::MAX);
    for step in &plan.steps {
        // (What is put out of the way is put into the engine's own directory.)
        let path = step.action.path();
        assert!(
            path.starts_with(".bifold/tmp/") || path.split('/').all(|name| is_name(name) && !is_own_name(name)),
            "{path:?}"
        );
    }
    let _ = replica.conflicts();
    let _ = replica.behind_here();
    let _ = replica.behind(&Vector::default(), 10);
    let _ = replica.foreseen();
    let _ = replica.only_here(10);
    let _ = replica.bytes_shown();
    let _ = replica.collect();
    let _ = replica.take_changes();
}

/// What two devices say to each other, until neither has anything to say.
fn talk(a: &mut Replica, b: &mut Replica) -> Result<(), Refused> {
    let mut ends = [Session::new(), Session::new()];
    for _ in 0..100 {
        let mut silent = true;
        for i in 0..2 {
            let (me, other) = if i == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
            while let Some(message) = ends[i].poll(me, false) {
                silent = false;
                ends[1 - i].handle(other, &message, NOW_MS)?;
            }
        }
        if silent {
            return Ok(());
        }
    }
    panic!("they talk without end");
}

/// A peer that says several packets, each with its length; of those that are one the session takes or refuses what they say.
pub fn session(bytes: &[u8]) {
    let mut me = replica(1, &["one", "two", "three"], 10);
    for reads in [false, true] {
        let mut session = Session::with(ReplicaId(9), reads);
        let mut rest = bytes;
        let before = me.node_count();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let Ok(length) = frame_length(*length) else { break };
            let Some((frame, tail)) = tail.split_at_checked(length) else {
                break;
            };
            rest = tail;
            let Ok(Packet::Session { message, .. }) = decode(frame, true) else {
                continue;
            };
            if session.handle(&mut me, &message, NOW_MS).is_err() {
                session = Session::with(ReplicaId(9), reads);
            }
            while session.poll(&me, false).is_some() {}
        }
        if reads {
            assert_eq!(me.node_count(), before, "a reader has written");
        }
        use_it(&mut me);
    }
}

const NAMES: [&str; 12] = [
    "a", "b", "A", "c", "one", "a\u{301}", "..", "", "a/b", ".bifold", "x\0", "nul.",
];

/// A peer that makes nodes of all shapes, most of which can be. What was taken in can be shown, and told to others, who take it.
pub fn tree(bytes: &[u8]) {
    let mut source = Source(bytes);
    let mut me = replica(1, &["one", "two"], 10);
    let mut session = Session::with(ReplicaId(9), false);
    let mut ids: Vec<NodeId> = me.changed_since(0).iter().map(|node| node.id).collect();
    ids.push(NodeId::ROOT);
    let mut nodes: BTreeMap<NodeId, Node> = BTreeMap::new();
    let mut clock = 20u64;
    let mut steps = 0;
    while !source.is_empty() && steps < 60 {
        steps += 1;
        let message = match source.below(12) {
            0 | 1 => Message::Offer {
                replica: ReplicaId(source.of(&[9, 9, 9, 1, 5])),
                joining: source.flag(),
                have: vector(&mut source, clock),
                heard: BTreeMap::from([(ReplicaId(1), u64::from(source.byte()) % 4)]),
            },
            2 => Message::Lacks(ids.clone()),
            3 => Message::Shows(Answer {
                of: vec![ReplicaId(9), ReplicaId(5)],
                shown: me.shown_of(&ids).into_iter().map(|shown| (shown, source.flag())).collect(),
            }),
            _ => {
                let mut some = Vec::new();
                for _ in 0..1 + source.below(3) {
                    clock += 1;
                    let node = node(&mut source, clock, &ids, &nodes, &me);
                    ids.push(node.id);
                    nodes.insert(node.id, node.clone());
                    some.push(Arc::new(node));
                }
                let complete = source.flag().then(|| Complete {
                    sequence: u64::from(source.byte()),
                    have: vector(&mut source, clock),
                    acks: BTreeMap::from([(ReplicaId(9), vector(&mut source, clock))]),
                });
                Message::Records { nodes: some, complete }
            }
        };
        let offers = matches!(message, Message::Offer { .. });
        match session.handle(&mut me, &message, NOW_MS) {
            Ok(_) => {}
            // Mostly it goes on after an offer that is right.
            Err(_) => {
                session = Session::with(ReplicaId(9), false);
                if !offers || source.flag() {
                    let offer = Message::Offer {
                        replica: ReplicaId(9),
                        joining: false,
                        have: Vector::default(),
                        heard: BTreeMap::new(),
                    };
                    session.handle(&mut me, &offer, NOW_MS).unwrap();
                }
            }
        }
        while session.poll(&me, false).is_some() {}
    }
    use_it(&mut me);
    // Who keeps to the protocol takes it from who keeps to it.
    let mut third = replica(3, &["three"], 15);
    if let Err(why) = talk(&mut me, &mut third) {
        panic!("what was taken in is refused by another: {why}");
    }
    use_it(&mut third);
    use_it(&mut me);
    // And the index has it as it is.
    let mut again = Replica::new(ReplicaId(1), Arc::new(ExactNames), Policy::Ask);
    let state = me.state();
    let kept: Vec<(Arc<Node>, u64)> = (0..).zip(me.changed_since(0)).map(|(i, node)| (node, i + 1)).collect();
    again.load(state, kept, Vec::new()).unwrap();
}

fn vector(source: &mut Source<'_>, clock: u64) -> Vector {
    let mut vector = Vector::default();
    for _ in 0..source.below(3) {
        vector.note(ReplicaId(source.of(&[9, 5, 1])), u64::from(source.byte()) % (clock + 2));
    }
    // (What it says of who writes here ends in a new replica, and is another matter.)
    let own = vector.time(ReplicaId(1)).min(10);
    vector.0.insert(ReplicaId(1), own);
    vector
}

fn node(source: &mut Source<'_>, clock: u64, ids: &[NodeId], nodes: &BTreeMap<NodeId, Node>, me: &Replica) -> Node {
    let dot = |source: &mut Source<'_>, replica: u64| Dot {
        time: clock.saturating_sub(u64::from(source.byte()) % 8),
        replica: ReplicaId(replica),
    };
    let by = source.of(&[9, 9, 9, 9, 5]);
    let own = dot(source, by);
    // One that was made before, one that is there, or a new one.
    let old = ids[source.below(ids.len())];
    let old = nodes
        .get(&old)
        .cloned()
        .or_else(|| me.node(old).map(|node| node.as_ref().clone()));
    let mut node = match (source.below(3), old) {
        (0 | 1, Some(old)) => old,
        _ => {
            let kind = source.of(&[Kind::Dir, Kind::Dir, Kind::File, Kind::Link]);
            let index = u32::from(source.byte()) % 4;
            let mut node = Node::unwritten(NodeId { dot: own, index }, kind, u64::from(source.byte()) % 2);
            node.context.push((own.replica, own.time));
            node
        }
    };
    for _ in 0..1 + source.below(3) {
        let written = Dot {
            time: clock,
            replica: ReplicaId(by),
        };
        let over: Vec<Head> = if source.flag() { node.heads().collect() } else { Vec::new() };
        let value = match source.below(5) {
            0 | 1 => bifold_tree::Value::Place(Place {
                parent: source.of(ids),
                name: if source.below(8) == 0 {
                    source.of(&NAMES)
                } else {
                    source.of(&NAMES[..6])
                }
                .into(),
            }),
            2 => bifold_tree::Value::Content(match node.kind {
                Kind::Dir => Content::Dir,
                Kind::File => Content::File {
                    id: ContentId([source.byte() % 4; 32]),
                    size: source.of(&[0, 1, 1 << 20, u64::MAX / 2, u64::MAX]),
                    mtime_ns: source.of(&[0, i64::MIN, i64::MAX]),
                    base: source.flag().then(|| {
                        Box::new(Base {
                            id: ContentId([9; 32]),
                            size: u64::MAX,
                        })
                    }),
                },
                Kind::Link => Content::Link {
                    target: source.of(&NAMES).into(),
                },
            }),
            3 => bifold_tree::Value::Mode(source.flag()),
            _ => bifold_tree::Value::Gone(Gone {
                seen: if source.flag() {
                    node.heads().collect()
                } else {
                    Default::default()
                },
                under: source.flag().then(|| source.of(ids)),
            }),
        };
        let of_one: Vec<Head> = over.into_iter().filter(|head| head.register == value.register()).collect();
        if !node.has(Head {
            register: value.register(),
            dot: written,
        }) {
            node.write(written, value, &of_one, &[]);
        }
    }
    // Mostly it is one that can be.
    let written = Dot {
        time: clock,
        replica: ReplicaId(by),
    };
    if source.below(16) > 0 {
        if node.places.is_empty() {
            let name = source.of(&NAMES[..6]).into();
            node.write(
                written,
                bifold_tree::Value::Place(Place {
                    parent: NodeId::ROOT,
                    name,
                }),
                &[],
                &[],
            );
        }
        if node.contents.is_empty() {
            let content = match node.kind {
                Kind::Dir => Content::Dir,
                Kind::File => crate::peer::content(b"x"),
                Kind::Link => Content::Link { target: "x".into() },
            };
            node.write(written, bifold_tree::Value::Content(content), &[], &[]);
        }
    }
    if matches!(node.check(), Err(Malformed::Order)) && source.flag() {
        node.gones.clear();
    }
    node
}
