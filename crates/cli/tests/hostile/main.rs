//! Devices that do not keep to the protocol, against real daemons on the loopback interface: whatever they say, the daemon lives, the
//! folder goes on between those who keep to it, and nothing is written that should not be.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod bytes;
mod editors;
mod members;
mod strangers;
#[path = "../world/mod.rs"]
mod world;

use bifold_net::ticket::Ticket;
use bifold_protocol::Message;
use bifold_testpeer::peer::{Member, Rogue, Wire};
use bifold_tree::ReplicaId;
use std::cell::Cell;
use world::World;
use world::fleet::Device;

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
        beside.retain(|name| name != "log" && !name.starts_with("other"));
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

fn replica_of(message: &Message) -> Option<ReplicaId> {
    match message {
        Message::Offer { replica, .. } => Some(*replica),
        _ => None,
    }
}
