//! Who is not invited, and who is no more.

use super::{PATHS, Scene, now_ms};
use crate::world::World;
use crate::world::fleet::Device;
use bifold_chunk::ChunkId;
use bifold_net::SecretKey;
use bifold_net::membership::ReplicaName;
use bifold_net::roster::{Claim, Entry, Role};
use bifold_net::ticket::Ticket;
use bifold_protocol::Message;
use bifold_protocol::content::{Lane, Request, Wanted};
use bifold_protocol::wire::{Farewell, Hello, MAX_FRAME_BYTES, Packet};
use bifold_testpeer::decoders::sign;
use bifold_testpeer::peer::{Rogue, Wire, frames};
use bifold_tree::{Content, ContentId, NodeId};

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
    // Who dials is a real daemon, too: it does not show its ticket to who answers there.
    let cleo = Device::new(&world, "cleo");
    let path = world.at("cleo");
    let said = cleo.refused(&["join", &false_ticket.to_text(), path.to_str().unwrap()]);
    assert!(said.contains("cannot be reached"), "{said}");
    // (It is good for one use.)
    cleo.join(&ticket.to_text());
    cleo.gets("doc", "one");
    let _ = rogue.meet(&ticket);
}

#[test]
fn the_home_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let mut scene = Scene::new(&world);
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
    wire.close();
    // A key that others can read is not used.
    let key = world.at("home-anna/key");
    let allow = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    scene.anna.stop();
    for mode in [0o640, 0o604] {
        allow(mode);
        assert!(!scene.anna.try_start(), "{mode:o}");
        assert!(scene.anna.log().contains("chmod 600"), "{}", scene.anna.log());
    }
    allow(0o600);
    scene.anna.start();
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

/// A ticket of more than one use is no way back to what one was.
#[test]
fn a_lesser_role_ends_tickets_of_the_former_one() {
    let world = World::new();
    let scene = Scene::new(&world);
    let ticket = Ticket::parse(&scene.anna.ticket(&["--role", "editor", "--uses", "5"])).unwrap();
    let reading = scene.ticket("reader");
    let rogue = Rogue::new(1);
    let (wire, _) = rogue.join(&ticket);
    wire.close();
    scene.anna.ask(&["device", "role", "mallory", "reader"]);
    let mut wire = rogue.meet(&ticket);
    assert!(wire.join(&ticket).unwrap_err().contains("not known"));
    // One for readers is still good.
    let other = Rogue::new(2);
    let (wire, _) = other.join(&reading);
    drop(wire);
    let devices = scene.anna.folder()["devices"].clone();
    let role = |name: &str| devices.as_array().unwrap().iter().find(|d| d["name"] == name).unwrap()["role"].clone();
    assert_eq!(role("mallory"), "reader", "{devices:#}");
    scene.is_fine("a lesser role");
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
