//! Devices that do not keep to the protocol, against real daemons on the loopback interface: whatever they say, the daemon lives, the
//! folder goes on between those who keep to it, and nothing is written that should not be.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod world;

use bifold_chunk::{Chunk, ChunkId, Manifest, Packing};
use bifold_net::membership::{Addresses, Known, Membership, ReplicaName};
use bifold_net::roster::{Claim, Entry, Role, Roster};
use bifold_net::ticket::Ticket;
use bifold_net::{DeviceId, SecretKey};
use bifold_protocol::content::{ItemHead, Lane, Request, Wanted};
use bifold_protocol::wire::{Farewell, Hello, MAX_FRAME_BYTES, Packet};
use bifold_protocol::{Answer, Complete, Message};
use bifold_testpeer::decoders::sign;
use bifold_testpeer::peer::{Member, Reply, Rogue, Wire, content, frames, item};
use bifold_tree::{Content, ContentId, Dot, Gone, Kind, Node, NodeId, Place, ReplicaId, Vector};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use world::fleet::Device;
use world::{World, until};

/// Two devices that keep to the protocol, and share a folder.
struct Scene<'a> {
    world: &'a World,
    anna: Device<'a>,
    ben: Device<'a>,
    turn: Cell<u32>,
}

impl<'a> Scene<'a> {
    fn new(world: &'a World) -> Scene<'a> {
        world.put("outside/precious", "precious");
        let (anna, ben) = (Device::new(world, "anna"), Device::new(world, "ben"));
        anna.put("doc", "one");
        anna.put("dir/two", "two");
        anna.add();
        ben.join(&anna.ticket(&[]));
        ben.gets("dir/two", "two");
        Scene {
            world,
            anna,
            ben,
            turn: Cell::new(0),
        }
    }

    /// A ticket of Anna's.
    fn ticket(&self, role: &str) -> Ticket {
        Ticket::parse(&self.anna.ticket(&["--role", role])).unwrap()
    }

    /// The daemons live, what they share goes both ways, and nothing of theirs was touched, nor anything outside of their folders.
    fn is_fine(&self, after: &str) {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        for device in [&self.anna, &self.ben] {
            assert_ne!(
                device.try_ask(&["status"]).code,
                Some(2),
                "{after}: {} is dead\n{}",
                device.name,
                device.log()
            );
        }
        let (from_anna, from_ben) = (format!("turn/anna {turn}"), format!("turn/ben {turn}"));
        self.anna.put(&from_anna, after);
        self.ben.put(&from_ben, after);
        self.ben.gets(&from_anna, after);
        self.anna.gets(&from_ben, after);
        for device in [&self.anna, &self.ben] {
            assert_eq!(
                (device.text("doc"), device.text("dir/two")),
                ("one".into(), "two".into()),
                "{after}"
            );
        }
        let outside = world::tree(&self.world.at("outside"));
        assert_eq!(outside.len(), 1, "{after}: {outside:?}");
        assert_eq!(self.world.text("outside/precious"), "precious", "{after}");
        let mut beside: Vec<_> = std::fs::read_dir(self.world.at(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        beside.sort();
        let all = [
            "anna",
            "ben",
            "home-anna",
            "home-ben",
            "left",
            "log-anna",
            "log-ben",
            "outside",
            "right",
        ];
        beside.retain(|name| name != "log");
        assert_eq!(beside, all, "{after}");
    }

    /// The paths of Anna's folder, but for those that [`Scene::is_fine`] made.
    fn paths(&self, device: &Device<'_>) -> Vec<String> {
        let tree = device.tree();
        let paths = tree.keys().map(|path| path.to_str().unwrap().to_owned());
        paths.filter(|path| path != "turn" && !path.starts_with("turn/")).collect()
    }

    /// Memory that Anna's daemon holds, in MiB.
    #[cfg(target_os = "linux")]
    fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.anna.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    }

    #[cfg(not(target_os = "linux"))]
    fn memory(&self) -> usize {
        0
    }
}

/// What is there from the beginning.
const PATHS: [&str; 3] = ["dir", "dir/two", "doc"];

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis() as u64
}

/// Comes as a member, says something once the session has begun, and is sent away for it; the reason that it is told.
fn sent_away(
    rogue: &Rogue,
    ticket: &Ticket,
    member: &mut Member,
    what: &str,
    say: impl FnOnce(&mut Wire<'_>, &Member),
) -> String {
    let mut wire = rogue.come(ticket, member);
    wire.begin(member);
    say(&mut wire, member);
    wire.refused(what)
}

#[test]
fn who_is_not_invited_gets_nowhere_whatever_it_says() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    // The number of the folder and the roster's first entry have become known.
    let (editor, stranger) = (Rogue::new(1), Rogue::new(2));
    let (wire, member) = editor.join(&ticket);
    wire.close();
    // What is no hello ends it; one of another version too.
    let garbage: [&[u8]; 6] = [
        &[0, 0, 0, 0],
        &[0xff; 4],
        &[1, 0, 0, 0, 0xff],
        &[3, 0, 0, 0, 8, 1, 1],
        &[40, 0, 0, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for bytes in garbage {
        let mut wire = stranger.dial(&ticket);
        wire.say_bytes(bytes);
        wire.half_close();
        assert_eq!(wire.ended().farewell, None, "{bytes:?}");
    }
    let mut wire = stranger.dial(&ticket);
    wire.say(&Packet::Hello(Hello {
        version: 9,
        run: 1,
        program: "later".into(),
    }));
    assert!(matches!(wire.ended().farewell, Some((Farewell::Version, _))));
    let mut wire = stranger.meet(&ticket);
    wire.say(&stranger.hello());
    wire.refused("hello twice");
    // Long frames, nodes, and what cannot be read are not for strangers.
    let frame = |bytes: usize| [&[0][..], &vec![7; bytes - 1]].concat();
    let nodes = member.records(vec![member.file(5, 0, "x", b"x")]);
    let long = frames(&nodes)[0][4..].to_vec();
    for bytes in [
        frame(5_000),
        frame(MAX_FRAME_BYTES),
        long,
        vec![4, 1, 0xff, 0xff, 0xff, 0x7f],
        vec![200],
    ] {
        let mut wire = stranger.meet(&ticket);
        wire.say_frame(&bytes);
        wire.refused("a stranger's frame");
    }
    // What would be right if a member said it is not heard, and nothing is answered.
    let mut wire = stranger.meet(&ticket);
    let own = SecretKey::from_bytes(&[2; 32]);
    let claim = |role, after: Vec<_>| Claim {
        folder: member.folder,
        device: *own.public().as_bytes(),
        role,
        name: "friend".into(),
        after,
    };
    let mut membership = member.membership(&[
        sign(&claim(Role::Owner, vec![member.roster.root()]), stranger.key()),
        sign(&claim(Role::Owner, vec![]), stranger.key()),
    ]);
    membership.known[0].device = stranger.device();
    membership.known[0].replicas = vec![ReplicaName::new(stranger.device(), member.folder, 1)];
    membership.asks = true;
    for packet in [
        member.packet(&membership),
        member.session(member.offer()),
        member.session(Message::Lacks(vec![NodeId::ROOT])),
        Packet::Admitted { folder: member.folder },
        Packet::Rejected { reason: "no".into() },
        Packet::Close {
            folder: member.folder,
            reason: "I say so".into(),
        },
        Packet::Pong(3),
    ] {
        assert!(wire.say(&packet));
        assert_eq!(wire_says_only_pong(&mut wire), Vec::new(), "{packet:?}");
    }
    let wanted = [
        Wanted::Contents(vec![(ContentId(ChunkId::of(b"one").0), 3)]),
        Wanted::Manifest {
            content: ContentId(ChunkId::of(b"one").0),
            have: None,
        },
    ];
    for wanted in wanted {
        let request = Request {
            folder: member.folder,
            lane: Lane::Interactive,
            wanted,
        };
        assert_eq!(wire.ask(&request.encode().unwrap()), Some(Vec::new()), "no items");
    }
    // Guessed tickets.
    for n in 0..100 {
        wire.say(&Packet::Join {
            secret: [n; 16],
            name: "guess".into(),
        });
        let heard = wire.hear();
        assert!(
            matches!(&heard, Some(Packet::Rejected { reason }) if !reason.contains("team")),
            "{heard:?}"
        );
    }
    // In the end it is sent away.
    assert!(matches!(wire.ended().farewell, Some((Farewell::Strangers, _))));
    let devices = scene.anna.folder()["devices"].clone();
    assert_eq!(devices.as_array().unwrap().len(), 2, "{devices:#}");
    assert_eq!(
        scene.anna.folder()["why"],
        serde_json::Value::Null,
        "what a stranger says is not told"
    );
    scene.is_fine("a stranger");
    assert_eq!(scene.paths(&scene.anna), PATHS);
}

/// What comes before the answer to a ping.
fn wire_says_only_pong(wire: &mut Wire<'_>) -> Vec<Packet> {
    let number = 0xfeed;
    assert!(wire.say(&Packet::Ping(number)));
    let mut heard = Vec::new();
    loop {
        match wire.hear() {
            Some(Packet::Pong(n)) if n == number => return heard,
            Some(packet) => heard.push(packet),
            None => panic!("it ended after {heard:?}"),
        }
    }
}

#[test]
fn who_answers_must_prove_its_key() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    // At Anna's address, for somebody else's key.
    let rogue = Rogue::new(1);
    let false_ticket = Ticket {
        device: Rogue::new(2).device(),
        ..ticket.clone()
    };
    assert!(rogue.try_dial(&false_ticket).is_none());
    let _ = rogue.meet(&ticket);
}

#[test]
fn the_home_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let scene = Scene::new(&world);
    let mode = |path: &str| world.at(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("home-anna"), mode("home-anna/key"), mode("home-anna/control.sock")),
        (0o700, 0o600, 0o600)
    );
    let _ = scene.ticket("editor");
    let folders = std::fs::read_dir(world.at("home-anna/folders")).unwrap();
    let id = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .next()
        .unwrap();
    // Who has a copy of what the folder's file says of an open ticket has no ticket.
    let text = world.text(format!("home-anna/folders/{id}/folder.json"));
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let ticket = scene.ticket("editor");
    let kept = file["invitations"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|i| i["secret"].as_str());
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    assert!(kept.clone().count() > 0 && !text.contains(&hex(&ticket.secret.0)));
    let rogue = Rogue::new(1);
    let mut wire = rogue.meet(&ticket);
    for hash in kept {
        let hash = hash.as_bytes();
        let mut secret = [0; 16];
        for (i, pair) in hash.chunks(2).take(16).enumerate() {
            secret[i] = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        }
        let shown = Ticket {
            secret: bifold_net::ticket::Secret(secret),
            ..ticket.clone()
        };
        assert!(wire.join(&shown).unwrap_err().contains("not known"));
    }
}

#[test]
fn connections_that_say_nothing_do_not_keep_others_out() {
    let world = World::new();
    let mut scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogues: Vec<Rogue> = (10..18).map(Rogue::new).collect();
    let before = scene.memory();
    let mut wires = Vec::new();
    for rogue in &rogues {
        for n in 0..24 {
            let mut wire = rogue.dial(&ticket);
            match n % 4 {
                0 => {}
                // Of a frame of two MiB, a byte.
                1 => assert!(wire.say_bytes(&[0, 0, 0x20, 0, 4])),
                2 => assert!(wire.say_bytes(&[1])),
                _ => {
                    wire.say(&rogue.hello());
                    // A request that is begun, and not ended.
                    let _ = wire.leave_open(&[1, 2, 3], false);
                }
            }
            wires.push(wire);
        }
    }
    // Who belongs there gets in, all the same.
    scene.ben.stop();
    scene.ben.start();
    scene.ben.sees("anna", true);
    scene.is_fine("connections that say nothing");
    let after = scene.memory();
    assert!(after < before + 150, "{before} MiB, then {after}");
    drop(wires);
}

#[test]
fn a_ticket_is_shown_in_vain_once_it_is_used_up() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let (first, second) = (Rogue::new(1), Rogue::new(2));
    let (wire, member) = first.join(&ticket);
    wire.close();
    let mut wire = second.meet(&ticket);
    for _ in 0..20 {
        assert!(wire.join(&ticket).unwrap_err().contains("used up"));
    }
    wire.close();
    // Who was let in and taken out shows it again.
    scene.anna.ask(&["device", "remove", "mallory"]);
    let mut wire = first.meet(&ticket);
    let refused = wire.join(&ticket).unwrap_err();
    assert!(refused.contains("not known") || refused.contains("used up"), "{refused}");
    // And says that it never heard of that: its own old roster, and entries of its own.
    let back = Claim {
        folder: member.folder,
        device: first.device().0,
        role: Role::Editor,
        name: "mallory".into(),
        after: member.roster.entries().map(Entry::id).max().into_iter().collect(),
    };
    for more in [Vec::new(), vec![sign(&back, first.key())]] {
        assert!(wire.say(&member.packet(&member.membership(&more))));
        wire.say(&member.session(member.offer()));
        wire.say(&Packet::Ping(9));
        let heard = wire.hear_until(|p| matches!(p, Packet::Pong(9) | Packet::Membership { .. }));
        assert_eq!(heard, Some(Packet::Pong(9)), "it is told of the folder");
    }
    let request = Request {
        folder: member.folder,
        lane: Lane::Interactive,
        wanted: Wanted::Contents(vec![(ContentId(ChunkId::of(b"one").0), 3)]),
    };
    assert_eq!(wire.ask(&request.encode().unwrap()), Some(Vec::new()));
    let devices = scene.anna.folder()["devices"].clone();
    assert_eq!(devices.as_array().unwrap().len(), 1, "{devices:#}");
    scene.is_fine("tickets");
}

#[test]
fn nodes_that_cannot_be_are_refused_and_nothing_is_written() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (wire, mut member) = rogue.join(&ticket);
    wire.close();
    let (me, time) = (member.id(), now_ms());
    let absolute = world.at("outside/new");
    let long = "x".repeat(1021);
    let mut names = vec![
        "",
        ".",
        "..",
        "../outside/new",
        "a/b",
        "/",
        "/etc/passwd",
        "a\0",
        "\0",
        ".bifold",
        ".BIFOLD",
        ".Bifold",
        &long,
    ];
    names.push(absolute.to_str().unwrap());
    let good = |m: &Member| m.file(time, 0, "good", b"good");
    let mut bad: Vec<(String, Node)> = Vec::new();
    for name in names {
        for content in [content(b"x"), Content::Dir, Content::Link { target: "x".into() }] {
            bad.push((
                format!("the name {name:?}"),
                member.node(time, 0, NodeId::ROOT, name, content),
            ));
        }
    }
    let mut add = |what: &str, change: &dyn Fn(&mut Node)| {
        let mut node = good(&member);
        change(&mut node);
        bad.push((what.to_owned(), node));
    };
    let dot = |time| Dot { time, replica: me };
    add("the root", &|n| n.id = NodeId::ROOT);
    add("no place", &|n| n.places.clear());
    add("no content", &|n| n.contents.clear());
    add("another kind", &|n| n.kind = Kind::Dir);
    add("a link's content", &|n| {
        n.contents[0].1 = Content::Link { target: "x".into() }
    });
    add("nothing known", &|n| n.context.clear());
    add("less known than there is", &|n| n.context[0].1 -= 1);
    add("replicas twice", &|n| {
        let twice = n.context[0];
        n.context.push(twice);
    });
    add("values twice", &|n| {
        let twice = n.places[0].clone();
        n.places.push(twice);
    });
    add("too many values", &|n| {
        n.modes = (0..129).map(|i| (dot(time - 129 + i), true)).collect()
    });
    add("too many writers", &|n| {
        n.context = (0..4097).map(|i| (ReplicaId(i + 1), 1)).collect()
    });
    add("a time in a hundred and one years", &|n| {
        let far = time + 101 * 366 * 24 * 3600 * 1000;
        n.context[0].1 = far;
        n.places[0].0.time = far;
    });
    add("the last time of all", &|n| n.context[0].1 = u64::MAX);
    add("a deletion of too much", &|n| {
        let seen = (0..129).map(|i| bifold_tree::Head {
            register: bifold_tree::Register::Place,
            dot: dot(i),
        });
        let seen = seen.collect();
        n.gones.push((dot(time), Gone { seen, under: None }));
    });
    for target in ["x\0y".to_owned(), "x".repeat(4097)] {
        let content = Content::Link { target: target.into() };
        bad.push(("a target".into(), member.node(time, 0, NodeId::ROOT, "link", content)));
    }
    for (what, node) in bad {
        let said = sent_away(&rogue, &ticket, &mut member, &what, |wire, m| {
            let packet = m.records(vec![node]);
            assert!(wire.say(&packet));
        });
        assert!(said.contains("a node that cannot be"), "{what}: {said}");
    }
    // What came before it in the same frame counts, as if it had come alone; its bytes are nowhere.
    let mut second = good(&member);
    second.id.index = 1;
    second.kind = Kind::Dir;
    second.contents[0].1 = Content::Dir;
    second.places[0].1.name = "a directory".into();
    let mut changed = second.clone();
    changed.kind = Kind::File;
    changed.contents[0].1 = content(b"x");
    let said = sent_away(&rogue, &ticket, &mut member, "another kind for one id", |wire, m| {
        wire.say(&m.records(vec![second]));
        wire.say(&m.records(vec![changed]));
    });
    assert!(said.contains("a node that cannot be"), "{said}");
    until("the directory", || world.exists("ben/a directory"));
    scene.is_fine("nodes that cannot be");
    let paths = ["a directory", "dir", "dir/two", "doc"];
    assert_eq!(
        (scene.paths(&scene.anna), scene.paths(&scene.ben)),
        (paths.map(String::from).into(), paths.map(String::from).into())
    );
}

#[test]
fn who_does_not_keep_to_the_order_is_sent_away() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (wire, mut member) = rogue.join(&ticket);
    let annas = member.replica_of(ticket.device).unwrap();
    wire.close();
    let offer_of = |replica| Message::Offer {
        replica,
        joining: false,
        have: Vector::default(),
        heard: BTreeMap::new(),
    };
    // Before the offer, and instead of it.
    let first: Vec<(&str, Message)> = vec![
        (
            "nodes first",
            Message::Records {
                nodes: Vec::new(),
                complete: None,
            },
        ),
        ("questions first", Message::Lacks(vec![NodeId::ROOT])),
        (
            "answers first",
            Message::Shows(Answer {
                of: vec![member.id()],
                shown: Vec::new(),
            }),
        ),
        ("another's replica", offer_of(ReplicaId(77))),
        ("the other's own replica", offer_of(annas)),
    ];
    for (what, message) in first {
        let mut wire = rogue.come(&ticket, &mut member);
        wire.hear_offer(&member);
        let packet = member.session(message);
        wire.say(&packet);
        let said = wire.refused(what);
        assert!(said.contains("order") || said.contains("same replica"), "{what}: {said}");
    }
    let bytes = |bytes: &[u8]| bytes.to_vec();
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    // Frames whose counts lie: maps, lists and texts that say that they are longer than all there is.
    let mut lies: Vec<(&str, Vec<u8>)> = vec![
        ("no packet", bytes(&[11])),
        ("a text without end", [&[7, 7][..], &huge].concat()),
        ("a membership without end", [&[4, 7][..], &huge].concat()),
        ("an offer without end", [&[5, 7, 0, 1, 0][..], &huge].concat()),
        ("a list without end", [&[5, 7, 2][..], &huge].concat()),
        ("answers without end", [&[5, 7, 3][..], &huge].concat()),
        ("acks without end", [&[6, 7, 0, 1, 1, 0][..], &huge].concat()),
        ("nodes that are not packed", bytes(&[5, 7, 1, 0, 0])),
        ("half a node", bytes(&[6, 7, 0, 0, 1, 2, 3])),
        ("another packing", bytes(&[6, 7, 2, 0, 1, 2, 3])),
        ("a false frame of zstd", bytes(&[6, 7, 1, 0, 1, 2, 3])),
        ("more than a packet", bytes(&[8, 1, 1])),
        ("a long reason", [&[7, 7, 0xff, 0x0f][..], &[b'x'; 2047]].concat()),
    ];
    // Little that says that it unpacks to much, and little that does.
    let bomb = bifold_chunk::pack(&vec![0; 64 << 20]).bytes.into_owned();
    lies.push(("a bomb", [&[6, 7, 1, 0][..], &bomb].concat()));
    let many = bifold_chunk::pack(&vec![0; 2 << 20]).bytes.into_owned();
    lies.push(("many empty nodes", [&[6, 7, 1, 0][..], &many].concat()));
    for (what, frame) in lies {
        let before = scene.memory();
        sent_away(&rogue, &ticket, &mut member, what, |wire, _| {
            wire.say_frame(&frame);
        });
        let after = scene.memory();
        assert!(after < before + 100, "{what}: {before} MiB, then {after}");
    }
    // Packets that can be read, and may not be.
    let later: Vec<(&str, Packet)> = vec![
        ("a second offer", member.session(member.offer())),
        ("too many questions", member.session(Message::Lacks(vec![NodeId::ROOT; 513]))),
        (
            "for too many",
            member.session(Message::Shows(Answer {
                of: (1..=65).map(ReplicaId).collect(),
                shown: Vec::new(),
            })),
        ),
        (
            "no membership",
            Packet::Membership {
                folder: member.folder,
                bytes: vec![1, 2, 3],
            },
        ),
        ("hello once more", rogue.hello()),
    ];
    for (what, packet) in later {
        sent_away(&rogue, &ticket, &mut member, what, |wire, _| {
            wire.say(&packet);
        });
    }
    // Requests that are none, or ask for too much.
    let too_much = Request {
        folder: member.folder,
        lane: Lane::Bulk,
        wanted: Wanted::Contents(vec![(ContentId::empty(), 16 << 20)]),
    };
    let mut too_much = too_much.encode().unwrap();
    *too_much.last_mut().unwrap() += 1;
    for request in [vec![9; 20], too_much] {
        sent_away(&rogue, &ticket, &mut member, "a request", |wire, _| {
            let _ = wire.ask(&request);
        });
    }
    // Answers that nobody asked for, and what belongs to no session, change nothing.
    let mut wire = rogue.come(&ticket, &mut member);
    wire.begin(&member);
    for packet in [
        Packet::Admitted { folder: member.folder },
        Packet::Admitted { folder: 1 },
        Packet::Rejected { reason: "no".into() },
        Packet::Pong(5),
        Packet::Close {
            folder: 12345,
            reason: "another".into(),
        },
        Packet::Session {
            folder: 12345,
            message: member.offer(),
        },
        member.session(Message::Shows(Answer {
            of: vec![member.id(), annas],
            shown: Vec::new(),
        })),
        member.session(Message::Lacks(vec![member.file(1, 1, "x", b"").id])),
    ] {
        assert!(wire.say(&packet) && wire.is_heard(), "{packet:?}");
    }
    // It says that it says no more, and goes on listening.
    wire.half_close();
    let _ = wire.ended();
    scene.is_fine("the order of messages");
    assert_eq!(scene.paths(&scene.anna), PATHS);
}

#[test]
fn numbers_that_jump_and_writes_of_others_lose_nothing() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (wire, mut member) = rogue.join(&ticket);
    wire.close();
    let (me, annas) = (member.id(), member.replica_of(ticket.device).unwrap());
    let time = now_ms();
    // Sequences that jump, and go back; acknowledgements of all for all; replicas that nobody has.
    let mut wire = rogue.come(&ticket, &mut member);
    wire.begin(&member);
    let complete = |sequence, have: &Vector, of: &[ReplicaId]| Complete {
        sequence,
        have: have.clone(),
        acks: of.iter().map(|r| (*r, have.clone())).collect(),
    };
    let many = Vector((0..5_000).map(|n| (ReplicaId(1_000_000 + n), 1)).collect());
    let own = Vector(BTreeMap::from([(me, time)]));
    for (what, complete) in [
        ("the last number", complete(u64::MAX, &own, &[me])),
        ("back to none", complete(0, &own, &[me])),
        (
            "many that are nobody's",
            complete(3, &many, &[me, ReplicaId(8), ReplicaId(9)]),
        ),
        ("as none", complete(4, &Vector::default(), &[])),
    ] {
        wire.say(&member.session(Message::Records {
            nodes: Vec::new(),
            complete: Some(complete),
        }));
        assert!(wire.is_heard(), "{what}");
    }
    scene.is_fine("numbers that jump");
    wire.close();
    // Later writes of Anna's replica than it made: it begins anew, once; who says so again is sent away.
    let offer = |heard: u64, have: u64| Message::Offer {
        replica: me,
        joining: false,
        have: Vector(BTreeMap::from([(annas, have)])),
        heard: BTreeMap::from([(annas, heard)]),
    };
    let mut wire = rogue.come(&ticket, &mut member);
    let first = wire.hear_offer(&member);
    wire.say(&member.session(offer(u64::MAX, 0)));
    let began_anew = |packet: &Packet| match packet {
        Packet::Session {
            message: Message::Offer { replica, .. },
            ..
        } => Some(*replica) != replica_of(&first),
        _ => false,
    };
    // (It says that the folder is gone, and comes back with another replica: the rogue introduces itself again.)
    loop {
        match wire.hear() {
            Some(packet) if began_anew(&packet) => break,
            Some(Packet::Membership { .. }) => wire.introduce(&member),
            Some(_) => {}
            None => wire = rogue.come(&ticket, &mut member),
        }
    }
    drop(wire);
    scene.is_fine("an index that was put back, as someone says");
    let mut wire = rogue.come(&ticket, &mut member);
    let Message::Offer { replica: now, .. } = wire.hear_offer(&member) else {
        panic!()
    };
    assert_ne!(now, annas);
    let offer = Message::Offer {
        replica: me,
        joining: false,
        have: Vector(BTreeMap::from([(now, u64::MAX)])),
        heard: BTreeMap::new(),
    };
    wire.say(&member.session(offer));
    wire.refused("put back once more");
    // A node that bears a write of Anna's that she never made.
    let said = sent_away(&rogue, &ticket, &mut member, "a forged write", |wire, m| {
        let mut node = m.file(time + 5, 0, "forged", b"forged");
        node.context.push((now, time + 1_000_000));
        node.context.sort();
        wire.say(&m.records(vec![node]));
    });
    assert!(said.contains("that it never made"), "{said}");
    scene.is_fine("forged writes");
    assert_eq!(scene.paths(&scene.anna), PATHS);
    assert_eq!(scene.paths(&scene.ben), PATHS);
}

fn replica_of(message: &Message) -> Option<ReplicaId> {
    match message {
        Message::Offer { replica, .. } => Some(*replica),
        _ => None,
    }
}

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
#[ignore = "it waits for those who are silent as long as the program does"]
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

#[test]
fn trees_that_nobody_would_make_are_shown_within_the_folder() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (mut wire, member) = rogue.join(&ticket);
    wire.begin(&member);
    let time = now_ms();
    let mut index = 0;
    let mut node = |parent: Option<NodeId>, name: &str, content: Content| {
        index += 1;
        member.node(time, index, parent.unwrap_or(NodeId::ROOT), name, content)
    };
    let mut nodes = Vec::new();
    // Each in the next, in a circle; one in itself; in one that nobody has; in a file; in a link that leads out.
    let mut circle: Vec<Node> = ["one", "two", "three"].map(|name| node(None, name, Content::Dir)).into();
    let ids: Vec<NodeId> = circle.iter().map(|n| n.id).collect();
    for (i, n) in circle.iter_mut().enumerate() {
        n.places[0].1.parent = ids[(i + 1) % 3];
    }
    nodes.extend(circle);
    let mut itself = node(None, "itself", Content::Dir);
    itself.places[0].1.parent = itself.id;
    nodes.push(itself);
    let nobodys = NodeId {
        dot: Dot {
            time: 77,
            replica: ReplicaId(77),
        },
        index: 7,
    };
    nodes.push(node(Some(nobodys), "orphan", Content::Dir));
    let link = |target: &str| Content::Link { target: target.into() };
    for (name, target) in [
        ("up", "../outside"),
        ("absolute", world.at("outside").to_str().unwrap()),
        ("root", "/"),
    ] {
        let out = node(None, name, link(target));
        let inside = node(Some(out.id), "new", Content::Dir);
        nodes.extend([out, inside]);
    }
    // A directory and a link of one name, and something in the directory; names in other case.
    let dir = node(None, "both", Content::Dir);
    let inside = node(Some(dir.id), "new", Content::Dir);
    nodes.extend([
        dir,
        inside,
        node(None, "both", link("../outside")),
        node(None, "DOC", Content::Dir),
    ]);
    // Many of one name; and deeper than any path can be.
    nodes.extend((0..200).map(|n| {
        let mut same = member.node(time + n, 100_000, NodeId::ROOT, "same", link(&format!("{n}")));
        same.born = n;
        same
    }));
    let mut parent = None;
    for _ in 0..60 {
        let dir = node(parent, &"deep".repeat(25), Content::Dir);
        parent = Some(dir.id);
        nodes.push(dir);
    }
    let packet = member.records(nodes);
    assert!(wire.say(&packet) && wire.is_heard());
    until("it is there", || {
        world.exists("anna/both/new") && world.exists("ben/both/new")
    });
    until("all of one name", || {
        [&scene.anna, &scene.ben]
            .iter()
            .all(|d| scene.paths(d).iter().filter(|p| p.starts_with("same")).count() == 200)
    });
    scene.is_fine("strange trees");
    for device in [&scene.anna, &scene.ben] {
        let paths = scene.paths(device);
        for name in ["up", "absolute", "root", "DOC"] {
            assert!(paths.iter().any(|p| p == name), "{name}: {paths:?}");
        }
        for name in ["one", "two", "three", "itself", "orphan"] {
            assert!(
                paths.iter().any(|p| p.rsplit('/').next().unwrap().starts_with(name)),
                "{name}"
            );
        }
    }
}

#[test]
fn a_reader_changes_nothing_whatever_it_says() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("reader");
    let rogue = Rogue::new(1);
    let (mut wire, mut member) = rogue.join(&ticket);
    let annas = member.replica_of(ticket.device).unwrap();
    let time = now_ms();
    let replica = replica_of(&wire.hear_offer(&member));
    assert!(wire.say(&member.session(member.offer())));
    let told =
        wire.hear_until(|p| matches!(p, Packet::Session { message: Message::Records { nodes, .. }, .. } if !nodes.is_empty()));
    let Some(Packet::Session {
        message: Message::Records { nodes, .. },
        ..
    }) = told
    else {
        panic!("it is told of nothing")
    };
    let doc = nodes.iter().find(|n| &*n.places[0].1.name == "doc").unwrap();
    wire.close();
    // It says that Anna's index was put back: that is not believed.
    let mut wire = rogue.come(&ticket, &mut member);
    wire.hear_offer(&member);
    let all = Vector(BTreeMap::from([(annas, u64::MAX)]));
    let offer = Message::Offer {
        replica: member.id(),
        joining: false,
        have: all,
        heard: BTreeMap::from([(annas, u64::MAX)]),
    };
    assert!(wire.say(&member.session(offer)) && wire.is_heard());
    // Nodes of its own, a deletion of another's, an edit, and names that cannot be.
    let dot = Dot {
        time,
        replica: member.id(),
    };
    let mut deleted = doc.as_ref().clone();
    let seen = deleted
        .heads()
        .filter(|h| matches!(h.register, bifold_tree::Register::Place | bifold_tree::Register::Content));
    let seen = seen.collect();
    deleted.write(dot, bifold_tree::Value::Gone(Gone { seen, under: None }), &[]);
    let mut edited = doc.as_ref().clone();
    let over: Vec<_> = edited.heads().collect();
    edited.write(dot, bifold_tree::Value::Content(content(b"by a reader")), &over[1..2]);
    let mut moved = doc.as_ref().clone();
    let place = Place {
        parent: NodeId::ROOT,
        name: "moved".into(),
    };
    moved.write(dot, bifold_tree::Value::Place(place), &over[..1]);
    let bad = member.file(time, 3, "../outside/new", b"x");
    for node in [
        member.node(time, 1, NodeId::ROOT, "new", Content::Dir),
        deleted,
        edited,
        moved,
        bad,
    ] {
        assert!(wire.say(&member.records(vec![node])) && wire.is_heard());
    }
    // What it says of others' disks.
    let all = Vector(BTreeMap::from([(annas, u64::MAX), (member.id(), u64::MAX)]));
    let complete = Complete {
        sequence: u64::MAX,
        have: all.clone(),
        acks: BTreeMap::from([(annas, all.clone()), (ReplicaId(77), all.clone()), (member.id(), all)]),
    };
    wire.say(&member.session(Message::Records {
        nodes: Vec::new(),
        complete: Some(complete),
    }));
    assert!(wire.is_heard());
    // It may read.
    let request = Request {
        folder: member.folder,
        lane: Lane::Interactive,
        wanted: Wanted::Contents(vec![(ContentId(ChunkId::of(b"one").0), 3)]),
    };
    assert_eq!(wire.ask(&request.encode().unwrap()), Some(item(Packing::Plain, b"one")));
    wire.close();
    scene.is_fine("what a reader writes");
    for device in [&scene.anna, &scene.ben] {
        assert_eq!(scene.paths(device), PATHS);
    }
    let now = replica_of(&rogue.come(&ticket, &mut member).hear_offer(&member));
    assert_eq!(now, replica, "the replica has not begun anew");
}

#[test]
fn a_roster_cannot_be_forged_or_filled() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("reader");
    let rogue = Rogue::new(1);
    let (wire, mut member) = rogue.join(&ticket);
    wire.close();
    let newest: Vec<_> = member.roster.entries().map(Entry::id).collect();
    let folder = member.folder;
    let claim = |device: [u8; 32], role, name: String| Claim {
        folder,
        device,
        role,
        name,
        after: {
            let mut after = newest.clone();
            after.sort();
            after
        },
    };
    let friend = *SecretKey::from_bytes(&[9; 32]).public().as_bytes();
    // Signed by itself: it has no right to.
    let own = [
        sign(&claim(rogue.device().0, Role::Owner, "me".into()), rogue.key()),
        sign(&claim(friend, Role::Editor, "friend".into()), rogue.key()),
        sign(&claim(ticket.device.0, Role::Removed, "anna".into()), rogue.key()),
    ];
    let mut wire = rogue.come(&ticket, &mut member);
    wire.begin(&member);
    assert!(wire.say(&member.packet(&member.membership(&own))) && wire.is_heard());
    // What only looks as if an owner had signed it.
    let good = postcard::to_stdvec(member.roster.entries().next().unwrap()).unwrap();
    let mut told: Vec<Membership> = Vec::new();
    for at in [40, good.len() - 70, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        if let Ok(entry) = postcard::from_bytes::<Entry>(&bytes) {
            told.push(member.membership(&[entry]));
        }
    }
    let mut other = claim(rogue.device().0, Role::Reader, "other folder".into());
    other.folder ^= 1;
    told.push(member.membership(&[sign(&other, rogue.key())]));
    let mut backwards = claim(rogue.device().0, Role::Reader, "backwards".into());
    backwards.after.reverse();
    told.push(member.membership(&[sign(&backwards, rogue.key())]));
    told.push(member.membership(&[sign(&claim(rogue.device().0, Role::Reader, "x".repeat(129)), rogue.key())]));
    for membership in told {
        let packet = member.packet(&membership);
        sent_away(&rogue, &ticket, &mut member, "a forged entry", |wire, _| {
            wire.say(&packet);
        });
    }
    // Replicas that are others', of others and of itself; another root.
    let mut wire = rogue.come(&ticket, &mut member);
    let mut lies = member.membership(&[]);
    let annas = member.known[0].clone();
    lies.known[0].replicas = annas.replicas.clone();
    lies.known.push(Known {
        device: ticket.device,
        replicas: vec![member.replica],
        addresses: Addresses::default(),
    });
    lies.known.push(Known {
        device: DeviceId(friend),
        ..annas
    });
    assert!(wire.say(&member.packet(&lies)) && wire.is_heard());
    lies.root = bifold_net::roster::EntryId([1; 32]);
    assert!(wire.say(&member.packet(&lies)) && wire.is_heard());
    wire.close();
    // As many as there may be, about itself, each of which is right by itself: until there is no room for one more.
    let mut signed = 0;
    let mut many = |count| -> Vec<Entry> {
        let from = signed;
        signed += count;
        let name = |n| format!("{n}");
        (from..signed)
            .map(|n| sign(&claim(rogue.device().0, Role::Reader, name(n)), rogue.key()))
            .collect()
    };
    for count in [900, 100, 10, 5, 2, 1, 1, 1, 1, 1] {
        let mut wire = rogue.come(&ticket, &mut member);
        let packet = member.packet(&member.membership(&many(count)));
        wire.say(&packet);
        wire.say(&Packet::Ping(1));
        wire.hear_until(|p| *p == Packet::Pong(1));
        wire.close();
    }
    scene.is_fine("a roster");
    // Owners can still invite, and take out.
    let other = Rogue::new(5);
    let (wire, _) = other.join(&scene.ticket("editor"));
    wire.close();
    let devices = scene.anna.json(&["devices"]);
    let reader = devices
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["id"] == rogue.device().to_string())
        .unwrap();
    assert_eq!(reader["folders"][0][1], "reader", "{devices:#}");
    assert!(
        devices
            .as_array()
            .unwrap()
            .iter()
            .all(|d| d["id"] != DeviceId(friend).to_string()),
        "{devices:#}"
    );
    scene.anna.ask(&["device", "remove", &rogue.device().to_string()]);
    until("it is out", || {
        let devices = scene.ben.json(&["devices"]);
        devices
            .as_array()
            .unwrap()
            .iter()
            .all(|d| d["id"] != rogue.device().to_string())
    });
    scene.is_fine("a roster that was to be full");
}

#[test]
fn who_was_taken_out_gets_nothing_more() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (mut wire, member) = rogue.join(&ticket);
    wire.begin(&member);
    assert!(wire.is_heard());
    scene.anna.ask(&["device", "remove", "mallory"]);
    let closed = wire.hear_until(|p| matches!(p, Packet::Close { .. }));
    assert!(matches!(closed, Some(Packet::Close { .. })), "{closed:?}");
    scene.anna.put("secret", "secret");
    scene.ben.gets("secret", "secret");
    // On the same connection, as if nothing had happened.
    let membership = member.packet(&member.membership(&[]));
    for packet in [
        membership,
        member.session(member.offer()),
        member.records(vec![member.node(now_ms(), 1, NodeId::ROOT, "new", Content::Dir)]),
    ] {
        wire.say(&packet);
    }
    let request = |bytes: &[u8]| Request {
        folder: member.folder,
        lane: Lane::Interactive,
        wanted: Wanted::Contents(vec![(ContentId(ChunkId::of(bytes).0), bytes.len() as u64)]),
    };
    for bytes in [&b"secret"[..], b"one"] {
        let answer = wire.ask(&request(bytes).encode().unwrap());
        assert!(answer.as_ref().is_none_or(Vec::is_empty), "{answer:?}");
    }
    wire.say(&Packet::Ping(1));
    while let Some(packet) = wire.hear() {
        match packet {
            Packet::Pong(1) => break,
            Packet::Session { .. } => panic!("it is told: {packet:?}"),
            _ => {}
        }
    }
    drop(wire);
    scene.is_fine("who was taken out");
    assert!(!world.exists("anna/new") && !world.exists("ben/new"));
}
