//! A reader, and whoever is no owner.

use super::{PATHS, Scene, now_ms, replica_of, sent_away};
use crate::world::{World, until};
use bifold_chunk::{ChunkId, Packing};
use bifold_net::membership::{Addresses, Known, Membership};
use bifold_net::roster::{Claim, Entry, Role};
use bifold_net::{DeviceId, SecretKey};
use bifold_protocol::content::{Lane, Request, Wanted};
use bifold_protocol::wire::Packet;
use bifold_protocol::{Complete, Message};
use bifold_testpeer::decoders::sign;
use bifold_testpeer::peer::{Rogue, content, item};
use bifold_tree::{Content, ContentId, Dot, Gone, NodeId, Place, ReplicaId, Vector};
use std::collections::BTreeMap;

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
    deleted.write(dot, bifold_tree::Value::Gone(Gone { seen, under: None }), &[], &[]);
    let mut edited = doc.as_ref().clone();
    let over: Vec<_> = edited.heads().collect();
    edited.write(dot, bifold_tree::Value::Content(content(b"by a reader")), &over[1..2], &[]);
    let mut moved = doc.as_ref().clone();
    let place = Place {
        parent: NodeId::ROOT,
        name: "moved".into(),
    };
    moved.write(dot, bifold_tree::Value::Place(place), &over[..1], &[]);
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
