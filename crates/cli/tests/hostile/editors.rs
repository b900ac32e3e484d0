//! An editor whose words break the rules: nodes, the order of messages, numbers, trees.

use super::{PATHS, Scene, now_ms, replica_of, sent_away};
use crate::world::fleet::Device;
use crate::world::{World, until};
use bifold_net::membership::{Addresses, Known};
use bifold_net::ticket::Ticket;
use bifold_protocol::content::{Lane, Request, Wanted};
use bifold_protocol::wire::Packet;
use bifold_protocol::{Answer, Complete, Message};
use bifold_testpeer::peer::{Member, Rogue, content};
use bifold_tree::{Content, ContentId, Dot, Gone, Kind, Node, NodeId, ReplicaId, Shown, Vector};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Duration;

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
fn addresses_that_are_false_mislead_nobody() {
    let world = World::new();
    let mut scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (mut wire, member) = rogue.join(&ticket);
    wire.begin(&member);
    // Somebody else's socket, as Ben's.
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    nobody.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let mut membership = member.membership(&[]);
    membership.known.push(Known {
        device: bens(&member, &ticket).device,
        replicas: Vec::new(),
        addresses: Addresses {
            ip: vec![nobody.local_addr().unwrap()],
            relay: None,
        },
    });
    assert!(wire.say(&member.packet(&membership)) && wire.is_heard());
    // What Ben said of himself, and what was seen, counts more.
    scene.ben.stop();
    assert!(nobody.recv(&mut [0; 2000]).is_err(), "he is looked for there");
    scene.ben.start();
    scene.ben.sees("anna", true);
    scene.is_fine("false addresses");
}

/// What is known of Ben.
fn bens(member: &Member, ticket: &Ticket) -> Known {
    let mut known = member.known.iter();
    let found = known.find(|k| k.device != ticket.device && k.device != member.device && !k.addresses.is_empty());
    found.unwrap().clone()
}

/// A dot is the name of one write. Who gives it to two has them differ; nothing that others wrote is touched by it, and all else goes on.
#[test]
fn two_things_under_one_dot_touch_nothing_of_others() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (wire, mut member) = rogue.join(&ticket);
    wire.close();
    let ben = bens(&member, &ticket);
    let to_ben = Ticket {
        device: ben.device,
        addresses: ben.addresses,
        ..ticket.clone()
    };
    let time = now_ms();
    let mut wires = [&ticket, &to_ben].map(|to| {
        let mut wire = rogue.come(to, &mut member);
        wire.begin(&member);
        assert!(wire.is_heard());
        wire
    });
    for (wire, name) in wires.iter_mut().zip(["one", "other"]) {
        wire.say(&member.records(vec![member.node(time, 0, NodeId::ROOT, name, Content::Dir)]));
    }
    // (If one of the two tells the other first, it is one thing.)
    until("each has what it was told", || {
        let has = |device, path: &str| scene.paths(device).iter().any(|p| p == path);
        [&scene.anna, &scene.ben].iter().all(|d| has(*d, "one") || has(*d, "other"))
    });
    drop(wires);
    scene.anna.put("one/in it", "annas");
    scene.ben.put("other/in it too", "bens");
    scene.is_fine("two names under one dot");
    for device in [&scene.anna, &scene.ben] {
        let paths = scene.paths(device);
        let there = |name: &str| paths.iter().any(|p| p.ends_with(name));
        until("what is in it goes on", || there("in it") && there("in it too"));
    }
}

/// What others have, and what their disks show, is told by themselves. Who tells it for them may have them wait, or a deletion forgotten too
/// early; what people wrote stays, and all become the same.
#[test]
fn what_is_claimed_of_others_loses_nothing() {
    let world = World::new();
    let mut scene = Scene::new(&world);
    scene.anna.put("gone", "to go");
    scene.ben.gets("gone", "to go");
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (wire, mut member) = rogue.join(&ticket);
    wire.close();
    let (annas, bens) = (
        member.replica_of(ticket.device).unwrap(),
        member.replica_of(bens(&member, &ticket).device).unwrap(),
    );
    scene.ben.kill();
    let mut wire = rogue.come(&ticket, &mut member);
    wire.begin(&member);
    let Some(Packet::Session {
        message: Message::Records { nodes, .. },
        ..
    }) = wire.hear_until(
        |packet| matches!(packet, Packet::Session { message: Message::Records { nodes, .. }, .. } if !nodes.is_empty()),
    )
    else {
        panic!("nothing of Anna's is heard");
    };
    let later = Vector(BTreeMap::from([(annas, now_ms() + 3_600_000), (bens, now_ms() + 3_600_000)]));
    let own = Vector(BTreeMap::from([(member.id(), 1)]));
    // Ben has all that Anna will do in the next hour; and what each of the two shows is something that nobody has.
    wire.say(&member.session(Message::Records {
        nodes: Vec::new(),
        complete: Some(Complete {
            sequence: 1,
            have: own,
            acks: BTreeMap::from([(bens, later)]),
        }),
    }));
    assert!(wire.is_heard());
    for is_there in [true, false] {
        let nowhere = content(b"nobody has this").id();
        let shown = nodes.iter().map(|node| Shown {
            node: node.id,
            contents: vec![nowhere],
            is_there,
        });
        wire.say(&member.session(Message::Shows(Answer {
            of: vec![annas, bens],
            shown: shown.map(|shown| (shown, true)).collect(),
        })));
        assert!(wire.is_heard());
    }
    std::fs::remove_file(world.at("anna/gone")).unwrap();
    scene.anna.put("kept", "annas");
    scene.ben.put("from ben", "bens");
    until("Anna has seen to it", || scene.anna.folder()["files"] == 3);
    scene.ben.start();
    scene.ben.gets("kept", "annas");
    scene.anna.gets("from ben", "bens");
    until("they are the same", || scene.paths(&scene.anna) == scene.paths(&scene.ben));
    scene.is_fine("claims of others");
}

/// As far ahead as is let pass: others' clocks follow, and whoever writes after it is newer.
#[test]
fn times_far_ahead_hold_nothing_up() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (mut wire, member) = rogue.join(&ticket);
    wire.begin(&member);
    let far = now_ms() + 99 * 365 * 24 * 3_600_000;
    let link = Content::Link {
        target: "nowhere".into(),
    };
    wire.say(&member.records(vec![member.node(far, 0, NodeId::ROOT, "later", link)]));
    assert!(wire.is_heard());
    let has = |device: &Device<'_>| scene.paths(device).iter().any(|p| p == "later");
    until("it comes", || has(&scene.anna) && has(&scene.ben));
    scene.is_fine("times far ahead");
    std::fs::remove_file(world.at("ben/later")).unwrap();
    until("it goes", || !has(&scene.anna));
    scene.is_fine("a deletion after it");
    assert_eq!(scene.anna.try_ask(&["conflicts"]).code, Some(0));
}

#[test]
fn what_is_said_in_one_folder_keeps_no_other_from_going_on() {
    let world = World::new();
    let scene = Scene::new(&world);
    let share = |device: &Device<'_>| {
        world.mkdir(format!("other-{}", device.name));
        world.at(format!("other-{}", device.name)).to_str().unwrap().to_owned()
    };
    scene.anna.ask(&["add", &share(&scene.anna), "--name", "other"]);
    let invited = scene.anna.ask(&["invite", "other"]);
    scene
        .ben
        .ask(&["join", invited.trim().lines().last().unwrap(), &share(&scene.ben)]);
    let ticket = scene.ticket("editor");
    let rogue = Rogue::new(1);
    let (wire, mut member) = rogue.join(&ticket);
    wire.close();
    for n in 0..10 {
        sent_away(&rogue, &ticket, &mut member, "no packet", |wire, _| {
            wire.say_frame(&[11]);
        });
        world.put(format!("other-anna/{n}"), format!("file {n}"));
        let path = world.at(format!("other-ben/{n}"));
        until("it comes", || {
            std::fs::read_to_string(&path).is_ok_and(|text| text == format!("file {n}"))
        });
    }
    // Nor does who belongs to one folder hear of another.
    let mut wire = rogue.come(&ticket, &mut member);
    wire.say(&Packet::Ping(7));
    let foreign =
        |p: &Packet| matches!(p, Packet::Membership { folder, .. } | Packet::Session { folder, .. } if *folder != member.folder);
    let heard = wire.hear_until(|p| matches!(p, Packet::Pong(7)) || foreign(p));
    assert_eq!(heard, Some(Packet::Pong(7)));
    scene.is_fine("another folder");
}
