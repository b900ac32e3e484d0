//! What comes from other devices: who they are, which folders they share, and what their replicas say to ours.

use crate::core::Input;
use crate::daemon::face::{ConnectionKind, Event, Trouble, TroubleKind};
use crate::daemon::files::{FolderFile, hex};
use crate::daemon::folder::{Pump, Running};
use crate::daemon::{Daemon, REJOIN_MS, role_of};
use crate::run::{Others, wall_ms};
use bifold_net::DeviceId;
use bifold_net::link::{Answerer, Item, Kind, NetEvent, Peer, Why};
use bifold_net::membership::{Known, Membership, ReplicaName};
use bifold_net::roster::{Role, Roster};
use bifold_net::ticket::Secret;
use bifold_protocol::content::Request;
use bifold_protocol::wire::{Farewell, Packet};
use bifold_protocol::{Message, Refused};
use bifold_tree::ReplicaId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a device that has nothing in common with this one may stay connected.
const STRANGERS: Duration = Duration::from_secs(20);
/// How often it is noted, in milliseconds, that another is connected.
const SEEN_MS: u64 = 10 * 60 * 1000;

/// What a device is told that an owner has taken out of a folder.
const TAKEN_OUT: &str = "this device was taken out of the folder by an owner";

/// A folder of this device.
pub(crate) struct Folder {
    pub(crate) file: FolderFile,
    pub(crate) number: u64,
    pub(crate) roster: Roster,
    pub(crate) running: Option<Running>,
    /// Why it does not run, though it should.
    pub(crate) trouble: Option<Trouble>,
    pub(crate) links: BTreeMap<DeviceId, Link>,
    /// What was told of it last.
    pub(crate) told: Option<crate::daemon::face::FolderStatus>,
    /// The loop has halted one of its roots.
    pub(crate) halted: bool,
    /// The device that has just let this one in.
    pub(crate) from: Option<DeviceId>,
    /// When it began anew by itself, milliseconds since 1970.
    pub(crate) rejoined_ms: Option<u64>,
    /// Devices that do not share it with this one any more, and why.
    pub(crate) refused: BTreeMap<DeviceId, String>,
}

/// A connected device that shares a folder.
pub(crate) struct Link {
    pub(crate) peer: Peer,
    /// It was told of the folder.
    pub(crate) told: bool,
    /// It told of the folder: its own replica.
    pub(crate) replica: Option<ReplicaId>,
    /// The two replicas can talk.
    pub(crate) linked: bool,
    /// They have begun to: what the loop said before that was for a connection that is no more.
    pub(crate) begun: bool,
    /// That device may read only.
    pub(crate) reads: bool,
}

/// What is to be told to a loop, outside the lock.
type Tell = (Pump, Input);

/// How a device is connected.
pub(crate) fn connection(peer: Option<&Peer>) -> ConnectionKind {
    match peer.filter(|p| p.is_up()).map(|p| p.kind()) {
        None => ConnectionKind::None,
        Some(Some(Kind::Relayed)) => ConnectionKind::Relayed,
        Some(Some(Kind::Direct)) => ConnectionKind::Direct,
        Some(Some(Kind::Lan) | None) => ConnectionKind::Lan,
    }
}

impl Folder {
    pub(crate) fn new(file: FolderFile, number: u64, roster: Roster) -> Folder {
        Folder {
            file,
            number,
            roster,
            running: None,
            trouble: None,
            links: BTreeMap::new(),
            told: None,
            halted: false,
            from: None,
            rejoined_ms: None,
            refused: BTreeMap::new(),
        }
    }

    pub(crate) fn replica(&self) -> Option<ReplicaId> {
        self.running.as_ref().and_then(|r| r.replicas.first()).copied()
    }

    /// What is told of it to other members.
    fn membership(&self, daemon: &Daemon, device: DeviceId) -> Option<Packet> {
        let me = daemon.me();
        let replicas = self.file.known(me).map(|k| k.replicas.clone()).unwrap_or_default();
        let mut known = vec![Known {
            device: me,
            replicas,
            addresses: daemon.net().addresses(),
        }];
        for device in self.roster.members().keys().map(|key| DeviceId(*key)) {
            if device == me || !self.roster.admits(&device.0) {
                continue;
            }
            let kept = self.file.known(device);
            let now = self.links.get(&device).map(|link| link.peer.addresses());
            let addresses = now.filter(|a| !a.is_empty()).or_else(|| kept.map(|k| k.addresses.clone()));
            known.push(Known {
                device,
                replicas: kept.map(|k| k.replicas.clone()).unwrap_or_default(),
                addresses: addresses.unwrap_or_default(),
            });
        }
        let membership = Membership {
            name: self.file.name.clone(),
            root: self.roster.root(),
            entries: self.roster.entries().cloned().collect(),
            known: if self.roster.admits(&device.0) { known } else { Vec::new() },
            asks: self.links.get(&device).is_none_or(|link| link.replica.is_none()),
        };
        let bytes = membership.encode().ok()?;
        Some(Packet::Membership {
            folder: self.number,
            bytes,
        })
    }

    /// Tells a member of the folder, if it was not told, or there is news.
    pub(crate) fn introduce(&mut self, daemon: &Daemon, device: DeviceId, news: bool) {
        if !self.roster.admits(&device.0) || self.running.is_none() {
            return;
        }
        let Some(peer) = daemon.net().peer(device).filter(Peer::is_up) else {
            return;
        };
        let link = self.links.entry(device).or_insert_with(|| Link {
            peer: peer.clone(),
            told: false,
            replica: None,
            linked: false,
            begun: false,
            reads: false,
        });
        peer.know();
        if link.peer != peer {
            link.peer = peer.clone();
            (link.told, link.replica, link.linked) = (false, None, false);
        }
        if link.told && !news {
            return;
        }
        link.told = true;
        if let Some(packet) = self.membership(daemon, device) {
            peer.send(packet);
        }
    }

    /// Lets two replicas talk, once both devices were told of the folder.
    fn link(&mut self, device: DeviceId, tell: &mut Vec<Tell>) {
        let (Some(running), Some(link)) = (&self.running, self.links.get_mut(&device)) else {
            return;
        };
        let (Some(there), Some(here)) = (link.replica, running.replicas.first().copied()) else {
            return;
        };
        if link.linked || !link.told {
            return;
        }
        (link.linked, link.begun) = (true, false);
        let reads = self.roster.role(&device.0) == Some(Role::Reader);
        link.reads = reads;
        tell.push((running.pump.clone(), Input::ConnectFar { here, there, reads }));
    }

    /// They cannot talk any more.
    pub(crate) fn unlink(&mut self, device: DeviceId, tell: &mut Vec<Tell>) {
        let Some(link) = self.links.remove(&device) else { return };
        if let (true, Some(there), Some(here), Some(running)) = (link.linked, link.replica, self.replica(), &self.running) {
            tell.push((running.pump.clone(), Input::Disconnect(here, there)));
        }
    }

    /// Notes of those that are connected that they are, now and then: whoever is killed has noted it. Says whether that is news.
    pub(crate) fn note_seen(&mut self, now_ms: u64) -> bool {
        let mut news = false;
        for (device, _) in self.links.iter().filter(|(_, link)| link.linked) {
            let seen = &mut self.file.device(*device).seen_ms;
            if seen.is_none_or(|seen| now_ms.abs_diff(seen) >= SEEN_MS) {
                *seen = Some(now_ms);
                news = true;
            }
        }
        news
    }

    /// What people call the replicas of other devices.
    pub(crate) fn names(&self) -> BTreeMap<ReplicaId, String> {
        let mut names = BTreeMap::new();
        for (device, known) in &self.file.devices {
            let Some(device) = DeviceId::parse(device) else { continue };
            let Some(member) = self.roster.members().get(&device.0) else {
                continue;
            };
            for replica in &known.replicas {
                names.insert(ReplicaId(replica.id), member.name.clone());
            }
        }
        names
    }

    /// The replicas that will never speak again: those that their devices have no more, and those of devices that were taken out.
    pub(crate) fn retired(&self) -> BTreeSet<ReplicaId> {
        let mut retired = BTreeSet::new();
        for (device, known) in &self.file.devices {
            let Some(device) = DeviceId::parse(device) else { continue };
            retired.extend(known.gone.iter().map(|name| ReplicaId(name.id)));
            let member = self.roster.members().contains_key(&device.0);
            if member && !self.roster.admits(&device.0) {
                retired.extend(known.replicas.iter().map(|name| ReplicaId(name.id)));
            }
        }
        retired
    }

    /// Has its loop told who its members are.
    fn tell_members(&self, tell: &mut Vec<Tell>) {
        if let Some(running) = &self.running {
            tell.push((running.pump.clone(), Input::Named(self.names())));
            tell.push((running.pump.clone(), Input::Retired(self.retired())));
        }
    }
}

impl Daemon {
    /// Takes in what comes from other devices, until there is no more.
    pub(crate) async fn hear(self: Arc<Self>, mut events: mpsc::Receiver<NetEvent>) {
        while let Some(event) = events.recv().await {
            let mut tell = Vec::new();
            let mut said_by = None;
            match event {
                NetEvent::Up(peer) => self.up(&peer),
                NetEvent::Down(peer, why) => self.down(&peer, &why, &mut tell),
                NetEvent::Packet(peer, packet, _room) => {
                    self.packet(&peer, packet, &mut tell);
                    said_by = Some(peer);
                }
                NetEvent::Cloned(device) => self.cloned(device),
                NetEvent::Unreachable(device, why) => {
                    self.lock().unreachable.insert(device, why);
                }
            }
            for (pump, input) in tell {
                let taken = pump.pass(input).await;
                if let (false, Some(peer)) = (taken, &said_by) {
                    // What it says next would be understood only with what was left out.
                    tracing::warn!(?peer, "a folder does not take in what it says: its disk may be stuck");
                    peer.farewell(Farewell::Stopping, "a folder does not keep up; it is tried again");
                }
            }
        }
    }

    fn up(self: &Arc<Self>, peer: &Peer) {
        let device = peer.device();
        let mut state = self.lock();
        state.unreachable.remove(&device);
        let mut named = None;
        for folder in state.folders.values_mut() {
            if let Some(member) = folder.roster.members().get(&device.0) {
                named = Some(member.name.clone());
            }
            if folder.roster.role(&device.0) == Some(Role::Removed) {
                peer.send(Packet::Close {
                    folder: folder.number,
                    reason: TAKEN_OUT.into(),
                });
            }
            folder.introduce(self, device, false);
        }
        drop(state);
        if let Some(name) = named {
            self.tell(Event::Connected {
                device: device.to_string(),
                name,
                connection: connection(Some(peer)),
            });
        }
        let (daemon, peer) = (self.clone(), peer.clone());
        tokio::spawn(async move {
            tokio::time::sleep(STRANGERS).await;
            let state = daemon.lock();
            let common = state.folders.values().any(|f| f.roster.admits(&peer.device().0));
            if !common && !state.joining.contains_key(&peer.device()) && peer.is_up() {
                peer.farewell(Farewell::Strangers, "the two devices have no folder in common");
            }
        });
    }

    fn down(&self, peer: &Peer, why: &Why, tell: &mut Vec<Tell>) {
        let device = peer.device();
        let mut state = self.lock();
        let mut name = None;
        for folder in state.folders.values_mut() {
            if folder.links.get(&device).is_some_and(|link| link.peer == *peer) {
                folder.unlink(device, tell);
                folder.file.device(device).seen_ms = Some(wall_ms());
                name = folder.roster.members().get(&device.0).map(|m| m.name.clone());
                if let Err(trouble) = self.home().write_folder(&folder.file) {
                    tracing::warn!(%trouble, "not noted");
                }
            }
        }
        // (Of a stranger it means nothing.)
        if why.farewell == Some(Farewell::Cloned) && state.folders.values().any(|f| f.roster.admits(&device.0)) {
            state.cloned_ms = Some(wall_ms());
        }
        let another = self.net().peer(device).is_some_and(|now| now.is_up());
        let joining = if another { None } else { state.joining.remove(&device) };
        if let Some(joining) = joining {
            let _ = joining.send(Err(Trouble::new(
                TroubleKind::Unreachable,
                format!("the device that gave the ticket out ended the connection: {}", why.text),
            )));
        }
        drop(state);
        if let Some(name) = name {
            self.tell(Event::Disconnected {
                device: device.to_string(),
                name,
                why: why.text.clone(),
            });
        }
    }

    fn cloned(&self, device: DeviceId) {
        self.tell(Event::Notice {
            message: format!(
                "two computers use the key of the device {}: neither is talked to while both are connected",
                device.short()
            ),
        });
    }

    fn packet(self: &Arc<Self>, peer: &Peer, packet: Packet, tell: &mut Vec<Tell>) {
        match packet {
            Packet::Join { secret, name } => self.wants_in(peer, Secret(secret), &name),
            Packet::Admitted { folder } => {
                let mut state = self.lock();
                if state.joining.contains_key(&peer.device()) {
                    state.admitted.insert(peer.device(), folder);
                }
            }
            Packet::Rejected { reason } => {
                if let Some(joining) = self.lock().joining.remove(&peer.device()) {
                    let _ = joining.send(Err(Trouble::new(TroubleKind::NotAllowed, reason)));
                }
            }
            Packet::Membership { folder, bytes } => match Membership::decode(&bytes) {
                Ok(told) => self.membership(peer, folder, told, tell),
                Err(e) => peer.farewell(Farewell::Protocol, &e.to_string()),
            },
            Packet::Session { folder, message } => {
                let state = self.lock();
                let Some(folder) = state.folders.get(&folder) else { return };
                let link = folder.links.get(&peer.device()).filter(|l| l.linked && l.peer == *peer);
                let there = link.and_then(|l| l.replica);
                if let (Some(from), Some(to), Some(running)) = (there, folder.replica(), &folder.running) {
                    tell.push((running.pump.clone(), Input::Message { from, to, message }));
                }
            }
            Packet::Close { folder, reason } => {
                tracing::info!(?peer, folder, reason, "does not share the folder now");
                // (Of a stranger it means nothing.)
                let mut state = self.lock();
                let folder = state.folders.get_mut(&folder);
                if let Some(folder) = folder.filter(|f| f.roster.admits(&peer.device().0)) {
                    folder.unlink(peer.device(), tell);
                    folder.refused.insert(peer.device(), reason);
                }
            }
            Packet::Hello(_) | Packet::Ping(_) | Packet::Pong(_) | Packet::Goodbye { .. } => {}
        }
    }

    /// Someone shows a ticket's secret.
    fn wants_in(self: &Arc<Self>, peer: &Peer, secret: Secret, name: &str) {
        let device = peer.device();
        let hash = hex(&secret.hash());
        let mut state = self.lock();
        let given = |folder: &Folder| folder.file.invitations.iter().position(|given| given.secret == hash);
        let found = state
            .folders
            .iter()
            .find_map(|(number, folder)| Some((*number, given(folder)?)));
        let reject = |reason: &str| peer.send(Packet::Rejected { reason: reason.into() });
        let Some((number, at)) = found else {
            return reject("this ticket is not known there: it may have been used up or withdrawn. Ask for a new one");
        };
        let Some(folder) = state.folders.get_mut(&number) else {
            return;
        };
        let invitation = &mut folder.file.invitations[at];
        if invitation.expires_ms <= wall_ms() {
            return reject("this ticket has expired: ask for a new one");
        }
        let role = invitation.role;
        let is_more = folder.roster.role(&device.0).is_none_or(|has| has < role);
        if is_more && invitation.uses == 0 {
            return reject("this ticket has been used up: ask for a new one");
        }
        if folder.running.is_none() {
            return reject("the folder is paused or halted on the device that gave the ticket out: try again when it runs");
        }
        let before = (folder.roster.clone(), folder.file.clone());
        let mut clean: String = name.chars().filter(|c| !c.is_control()).collect();
        clean.truncate(clean.floor_char_boundary(64));
        let name = if clean.trim().is_empty() { device.short() } else { clean };
        if is_more {
            if let Err(e) = folder.roster.set(self.key(), device.0, role, &name) {
                return reject(&format!(
                    "the device that gave the ticket out may not let anyone in any more ({e})"
                ));
            }
            folder.file.keep_roster(&folder.roster);
        }
        if is_more {
            invitation_used(&mut folder.file, at);
        }
        if let Err(trouble) = self.home().write_folder(&folder.file) {
            (folder.roster, folder.file) = before;
            return reject(&format!("the device that gave the ticket out cannot note it: {trouble}"));
        }
        peer.send(Packet::Admitted { folder: number });
        folder.introduce(self, device, true);
        let others: Vec<DeviceId> = folder.links.keys().copied().filter(|d| *d != device).collect();
        for other in others {
            folder.introduce(self, other, true);
        }
        let folder_name = folder.file.name.clone();
        drop(state);
        self.net().want(device, &peer.addresses());
        self.tell(Event::Joined {
            folder: folder_name,
            device: device.to_string(),
            name,
            role: role_of(role),
        });
    }

    /// A device says who belongs to a folder.
    fn membership(&self, peer: &Peer, number: u64, told: Membership, tell: &mut Vec<Tell>) {
        let device = peer.device();
        let mut state = self.lock();
        if !state.folders.contains_key(&number) {
            // Only what was asked for is taken in.
            if state.admitted.get(&device) == Some(&number) {
                state.admitted.remove(&device);
                if let Some(joining) = state.joining.remove(&device) {
                    let _ = joining.send(Ok((number, told)));
                }
            }
            return;
        }
        if state.admitted.remove(&device) == Some(number)
            && let Some(joining) = state.joining.remove(&device)
        {
            let _ = joining.send(Err(Trouble::new(
                TroubleKind::InTheWay,
                "this device has that folder already",
            )));
        }
        let Some(folder) = state.folders.get_mut(&number) else {
            return;
        };
        if told.root != folder.roster.root() {
            tracing::warn!(?peer, "has another folder under the same number");
            return;
        }
        // What someone says who does not belong to the folder, even if all of it is true, is not heard.
        let mut roster = folder.roster.clone();
        let news = match roster.merge(told.entries) {
            Ok(_) if !roster.admits(&device.0) && !folder.roster.admits(&device.0) && roster.admits(&self.me().0) => {
                folder.unlink(device, tell);
                return;
            }
            Ok(news) => {
                folder.roster = roster;
                news
            }
            Err(e) => {
                tracing::warn!(?peer, %e, "sent a roster that cannot be");
                peer.farewell(Farewell::Protocol, &e.to_string());
                return;
            }
        };
        if !folder.roster.admits(&self.me().0) {
            folder.file.keep_roster(&folder.roster);
            drop(state);
            self.taken_out(number);
            return;
        }
        if !folder.roster.admits(&device.0) {
            // It has taken itself out, or tells that another one has.
            folder.file.keep_roster(&folder.roster);
            if let Err(trouble) = self.home().write_folder(&folder.file) {
                tracing::warn!(%trouble, "not noted");
            }
            folder.unlink(device, tell);
            self.roster_changed(folder, tell);
            return;
        }
        peer.know();
        folder.refused.remove(&device);
        let mut changed = news;
        for (i, known) in told.known.iter().enumerate() {
            let is_of = |name: &ReplicaName| name.is_of(known.device, number);
            if known.device == self.me() || !folder.roster.admits(&known.device.0) || !known.replicas.iter().all(is_of) {
                continue;
            }
            let own = i == 0 && known.device == device;
            let entry = folder.file.device(known.device);
            // A device speaks for itself; of others, only what is not known better.
            if own || entry.replicas.is_empty() {
                changed |= entry.has(known.replicas.clone());
            }
            let better = own || entry.addresses.is_empty();
            if better && !known.addresses.is_empty() {
                changed |= entry.addresses != known.addresses;
                entry.addresses = known.addresses.clone();
            }
            if !own {
                let addresses = entry.addresses.clone();
                self.net().want(known.device, &addresses);
            }
        }
        let addresses = folder.file.known(device).map(|k| k.addresses.clone()).unwrap_or_default();
        self.net().want(device, &addresses);
        let own_replica = told
            .known
            .first()
            .filter(|k| k.device == device)
            .and_then(|k| k.replicas.first());
        if changed {
            folder.file.keep_roster(&folder.roster);
            folder.file.device(device).seen_ms = Some(wall_ms());
            if let Err(trouble) = self.home().write_folder(&folder.file) {
                tracing::warn!(%trouble, "not noted");
            }
            folder.tell_members(tell);
        }
        let own_replica = own_replica.filter(|name| name.is_of(device, number));
        folder.introduce(self, device, told.asks);
        if let (Some(replica), Some(link)) = (own_replica, folder.links.get_mut(&device)) {
            let replica = ReplicaId(replica.id);
            if link.linked && link.replica != Some(replica) {
                // It began anew in its place.
                folder.unlink(device, tell);
                folder.introduce(self, device, false);
            }
            if let Some(link) = folder.links.get_mut(&device) {
                link.replica = Some(replica);
            }
        }
        folder.link(device, tell);
        if news {
            self.roster_changed(folder, tell);
        }
    }

    /// Who belongs to a folder has changed: those who do not any more are left, the others told.
    pub(crate) fn roster_changed(&self, folder: &mut Folder, tell: &mut Vec<Tell>) {
        let linked: Vec<DeviceId> = folder.links.keys().copied().collect();
        for device in linked {
            if !folder.roster.admits(&device.0) {
                if let Some(link) = folder.links.get(&device) {
                    // It is told that it was taken out, and by whom: the entry says so.
                    if let Some(packet) = folder.membership(self, device) {
                        link.peer.send(packet);
                    }
                    link.peer.send(Packet::Close {
                        folder: folder.number,
                        reason: TAKEN_OUT.into(),
                    });
                }
                folder.unlink(device, tell);
                continue;
            }
            // With another role it begins anew.
            let reads = folder.roster.role(&device.0) == Some(Role::Reader);
            if let Some(link) = folder.links.get(&device).filter(|link| link.linked && link.reads != reads) {
                link.peer.send(Packet::Close {
                    folder: folder.number,
                    reason: "the role of this device has changed".into(),
                });
                folder.unlink(device, tell);
            }
            folder.introduce(self, device, true);
        }
        // Those who have come and are connected for another folder's sake.
        let members: Vec<DeviceId> = folder.roster.members().keys().map(|key| DeviceId(*key)).collect();
        for device in members {
            folder.introduce(self, device, false);
        }
        folder.tell_members(tell);
        if let Some(running) = &folder.running {
            let reads = folder.roster.role(&self.me().0) == Some(Role::Reader);
            tell.push((running.pump.clone(), Input::Reads(reads)));
        }
    }
}

fn invitation_used(file: &mut FolderFile, at: usize) {
    if let Some(invitation) = file.invitations.get_mut(at) {
        invitation.uses = invitation.uses.saturating_sub(1);
    }
    // What is long over is forgotten.
    let now = wall_ms();
    let day = 24 * 3600 * 1000;
    file.invitations.retain(|given| given.expires_ms.saturating_add(day) > now);
}

/// Who is told what a folder's replica says to others.
pub(crate) struct ToOthers {
    pub(crate) daemon: Weak<Daemon>,
    pub(crate) folder: u64,
}

impl Others for ToOthers {
    fn send(&mut self, _from: ReplicaId, to: ReplicaId, message: Message) {
        let Some(daemon) = self.daemon.upgrade() else { return };
        let mut state = daemon.lock();
        let Some(folder) = state.folders.get_mut(&self.folder) else {
            return;
        };
        let mut links = folder.links.values_mut();
        let link = links.find(|link| link.linked && link.replica == Some(to));
        if let Some(link) = link {
            link.begun |= matches!(message, Message::Offer { .. });
            if !link.begun {
                return;
            }
            link.peer.send(Packet::Session {
                folder: self.folder,
                message,
            });
        }
    }

    fn refused(&mut self, _here: ReplicaId, there: ReplicaId, why: Refused) {
        let Some(daemon) = self.daemon.upgrade() else { return };
        let mut rejoin = matches!(why, Refused::PutBack | Refused::Malformed(bifold_tree::Malformed::Forged));
        let peer = {
            let mut state = daemon.lock();
            let Some(folder) = state.folders.get_mut(&self.folder) else {
                return;
            };
            let now = wall_ms();
            if rejoin && folder.rejoined_ms.is_some_and(|ms| now.saturating_sub(ms) < REJOIN_MS) {
                // Who says so again is not believed.
                rejoin = false;
            }
            if rejoin {
                folder.rejoined_ms = Some(now);
            }
            let link = folder.links.iter().find(|(_, link)| link.replica == Some(there));
            let Some((device, peer)) = link.map(|(device, link)| (*device, link.peer.clone())) else {
                return;
            };
            if let Some(link) = folder.links.get_mut(&device) {
                link.linked = false;
            }
            peer
        };
        if rejoin {
            // The index was put back from an older state: it knows less of what was written here than others do.
            daemon.restart_later(self.folder, true);
        } else {
            peer.farewell(Farewell::Protocol, &why.to_string());
        }
    }
}

/// Who answers requests.
pub(crate) struct Answers(pub(crate) Weak<Daemon>);

impl Answerer for Answers {
    fn answer(&self, device: DeviceId, request: Request, out: mpsc::Sender<Item>) {
        let Some(daemon) = self.0.upgrade() else { return };
        let state = daemon.lock();
        let folder = state.folders.get(&request.folder).filter(|f| f.roster.admits(&device.0));
        let Some(door) = folder.and_then(|f| f.running.as_ref()).map(|r| r.door.clone()) else {
            return;
        };
        drop(state);
        tokio::task::spawn_blocking(move || crate::daemon::serve::answer(&door, request, &out));
    }
}

/// Who waits for having been let in.
pub(crate) type Joining = oneshot::Sender<Result<(u64, Membership), Trouble>>;
