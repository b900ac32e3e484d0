//! Looking at folders, for whoever asks.

use crate::core::{Core, Halted, HostState, ListedConflict, Side as CoreSide, Taken};
use crate::daemon::face::{
    Conflict, ConnectionKind, DeviceStatus, Direction, FolderDevice, FolderState, FolderStatus, HeldChange, HostedShare,
    PathProblem, Pending, PendingItem, Remedy, Side, Trouble, TroubleKind, Which,
};
use crate::daemon::folder::Missing;
use crate::daemon::hub::connection;
use crate::daemon::{Daemon, not_found, role_of};
use crate::run::wall_ms;
use bifold_disk::fs::{Entry, Fs as _};
use bifold_disk::native::NativeFs;
use bifold_net::DeviceId;
use bifold_net::roster;
use bifold_tree::{Action, Behind, ConflictKind, ContentId, Kind, ProblemKind, Recorded, ReplicaId};
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How long a folder's loop may take to say how it is.
const ANSWERS_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
/// How long after a folder was started it is not yet said of devices that they are away, unless dialling them failed.
const CONNECTS_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);
/// Paths that are listed for one device at most.
const MOST_LISTED: usize = 1000;

/// The way to the loop of a folder that runs, with its replicas.
pub(crate) type Way = (crate::run::Door, Vec<ReplicaId>);

/// What a folder's loop knows.
struct Looked {
    status: crate::core::Status,
    bytes: u64,
    behind_here: Pending,
    /// By replica: how much it is behind, and whether both agree.
    others: BTreeMap<ReplicaId, (Pending, bool)>,
    all_shown: bool,
    /// Changed here, where that is nobody's but this device's own.
    only_here: Vec<String>,
}

fn pending(behind: &Behind) -> Pending {
    Pending {
        count: behind.entries as u64,
        bytes: behind.bytes,
        wire_bytes: behind.bytes,
    }
}

/// Of sizes as others said them.
fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

impl Daemon {
    /// A folder's state.
    ///
    /// # Errors
    /// If it is not there any more.
    pub(crate) async fn folder_status(&self, number: u64) -> Result<FolderStatus, Trouble> {
        let gone = || not_found("the folder is not here any more");
        let (door, replicas, theirs) = {
            let state = self.lock();
            let folder = state.folders.get(&number).ok_or_else(gone)?;
            let running = folder.running.as_ref().map(|r| (r.door.clone(), r.replicas.clone()));
            let (door, replicas) = running.unzip();
            let own = |(device, known): (&String, &crate::daemon::files::KnownDevice)| {
                Some((DeviceId::parse(device)?, ReplicaId(known.replicas.first()?.id)))
            };
            let theirs: BTreeMap<DeviceId, ReplicaId> = folder.file.devices.iter().filter_map(own).collect();
            (door, replicas.unwrap_or_default(), theirs)
        };
        let asked: Vec<ReplicaId> = theirs.values().copied().collect();
        let mut stuck = false;
        let looked = match (door, replicas.first().copied()) {
            (Some(door), Some(me)) => {
                let looked = door.ask(move |core, carrier| {
                    let status = core.status();
                    let all_shown = core.all_shown();
                    let mut others = BTreeMap::new();
                    for there in asked {
                        let agrees = core.agrees(me, there);
                        let Some(replica) = core.replica(me) else { break };
                        let behind = match replica.acks().get(&there) {
                            Some(ack) => pending(&replica.behind(ack, 0)),
                            None => pending(&replica.behind(&Default::default(), 0)),
                        };
                        others.insert(there, (behind, agrees));
                    }
                    let mut here = Pending::default();
                    let mut bytes = 0;
                    if let Some(replica) = core.replica_mut(me) {
                        bytes = replica.bytes_shown();
                        let behind = replica.behind_here();
                        here = pending(&behind);
                        let mut seen = BTreeSet::new();
                        let lacking = behind.contents.iter().filter(|(content, _)| seen.insert(*content));
                        let lacking: Vec<_> = lacking.collect();
                        // (Of very many it is not found out which are here already.)
                        here.wire_bytes = if lacking.len() > MOST_LISTED {
                            total(lacking.iter().map(|(_, size)| *size))
                        } else {
                            let far = lacking
                                .iter()
                                .filter(|(content, _)| carrier.places_of(core, *content).is_empty());
                            total(far.map(|(_, size)| *size))
                        };
                    }
                    let only_here = if core.reads() { only_here(core, me) } else { Vec::new() };
                    Looked {
                        only_here,
                        status,
                        bytes,
                        behind_here: here,
                        others,
                        all_shown,
                    }
                });
                let looked = tokio::time::timeout(ANSWERS_WITHIN, looked).await;
                stuck = looked.is_err();
                looked.ok().flatten()
            }
            _ => None,
        };
        let state = self.lock();
        let folder = state.folders.get(&number).ok_or_else(gone)?;
        let is_new = folder.running.as_ref().is_some_and(|r| r.since.elapsed() < CONNECTS_WITHIN);
        let mut dialling = false;
        let mut devices = Vec::new();
        for (key, member) in folder.roster.members() {
            let device = DeviceId(*key);
            if device == self.me() || member.role == roster::Role::Removed {
                continue;
            }
            let link = folder.links.get(&device).filter(|link| link.linked);
            let how = connection(link.map(|l| &l.peer));
            dialling |= is_new && how == ConnectionKind::None && !state.unreachable.contains_key(&device);
            let there = theirs.get(&device).and_then(|r| looked.as_ref()?.others.get(r));
            let (behind, agrees) = there.copied().unwrap_or_default();
            devices.push(FolderDevice {
                id: device.to_string(),
                name: member.name.clone(),
                role: role_of(member.role),
                connection: how,
                last_seen_ms: if how == ConnectionKind::None {
                    folder.file.known(device).and_then(|k| k.seen_ms)
                } else {
                    Some(wall_ms())
                },
                behind,
                agrees: agrees && how != ConnectionKind::None,
            });
        }
        let mut status = FolderStatus {
            id: folder.file.id.clone(),
            name: folder.file.name.clone(),
            path: folder.file.path.clone(),
            // (Without trouble it is just being opened.)
            state: if folder.trouble.is_some() || stuck {
                FolderState::Halted
            } else {
                FolderState::Syncing
            },
            why: folder.trouble.as_ref().map(|t| match &t.hint {
                Some(hint) => format!("{}. {hint}", t.message),
                None => t.message.clone(),
            }),
            remedy: folder.trouble.as_ref().and_then(|t| match t.kind {
                TroubleKind::NotTheRoot => Some(Remedy::Rejoin),
                TroubleKind::IndexDamaged => Some(Remedy::Rebuild),
                _ => None,
            }),
            paused_until_ms: None,
            role: folder
                .roster
                .role(&self.me().0)
                .map_or(crate::daemon::face::Role::Reader, role_of),
            files: folder.told.as_ref().map_or(0, |told| told.files),
            dirs: folder.told.as_ref().map_or(0, |told| told.dirs),
            bytes: folder.told.as_ref().map_or(0, |told| told.bytes),
            pending_in: Pending::default(),
            pending_out: devices
                .iter()
                .map(|d| d.behind)
                .max_by_key(|p| (p.count, p.bytes))
                .unwrap_or_default(),
            conflicts: 0,
            problems: Vec::new(),
            held: Vec::new(),
            devices,
            hosts: Vec::new(),
            settled: false,
        };
        if stuck {
            status.why = Some("it does not answer: its disk may be stuck, or very slow".into());
        }
        if folder.file.paused {
            status.state = FolderState::Paused;
            (status.why, status.remedy) = (None, None);
            status.paused_until_ms = folder.file.paused_until_ms;
        }
        let mut roots: Vec<PathBuf> = std::iter::once(&folder.file.path)
            .chain(&folder.file.shares)
            .cloned()
            .collect();
        let mut missing = Vec::new();
        if let (Some(running), Some(_)) = (&folder.running, &looked) {
            (roots, missing) = (running.paths.clone(), running.missing.clone());
        }
        let refused = folder.refused.values().next().cloned();
        let Some(looked) = looked else {
            status.hosts = roots[1..]
                .iter()
                .map(|path| HostedShare {
                    path: path.clone(),
                    state: status.state,
                    why: None,
                    remedy: None,
                })
                .collect();
            return Ok(status);
        };
        drop(state);
        fill(&mut status, &looked, &roots, &missing);
        // Who may be there in a moment is waited for.
        status.settled &= !dialling;
        if status.state == FolderState::Offline && status.why.is_none() {
            status.why = refused;
        }
        Ok(status)
    }

    /// All devices that share folders with this one, and this one.
    pub async fn devices(&self) -> Vec<DeviceStatus> {
        let state = self.lock();
        let me = self.me();
        let mut all: BTreeMap<DeviceId, DeviceStatus> = BTreeMap::new();
        let new = |id: DeviceId, name: String| {
            let peer = self.net().peer(id);
            let (sent, received) = peer.as_ref().map(|p| p.traffic()).unwrap_or_default();
            DeviceStatus {
                id: id.to_string(),
                name,
                this: id == me,
                connection: connection(peer.as_ref()),
                last_seen_ms: None,
                why: state.unreachable.get(&id).cloned(),
                sent,
                received,
                folders: Vec::new(),
            }
        };
        all.insert(me, new(me, state.file.name.clone()));
        for folder in state.folders.values() {
            for (key, member) in folder.roster.members() {
                if member.role == roster::Role::Removed {
                    continue;
                }
                let id = DeviceId(*key);
                let device = all.entry(id).or_insert_with(|| new(id, member.name.clone()));
                device.folders.push((folder.file.name.clone(), role_of(member.role)));
                let seen = folder.file.known(id).and_then(|k| k.seen_ms);
                device.last_seen_ms = if device.connection == ConnectionKind::None && !device.this {
                    device.last_seen_ms.max(seen)
                } else {
                    Some(wall_ms())
                };
            }
        }
        let mut all: Vec<DeviceStatus> = all.into_values().collect();
        all.sort_by_key(|d| (!d.this, d.name.clone()));
        all
    }

    /// Open conflicts.
    ///
    /// # Errors
    /// If there is no such folder.
    pub async fn conflicts(&self, which: &Which) -> Result<Vec<Conflict>, Trouble> {
        let mut all = Vec::new();
        for number in self.find_all(which)? {
            let (name, running) = self.named(number)?;
            let Some((door, replicas)) = running else { continue };
            let listed = door.ask(move |core, _| {
                let status = core.status();
                let sides = |c: &ListedConflict| mine(core, c, &replicas);
                let mine: Vec<Vec<bool>> = status.conflicts.iter().map(sides).collect();
                (status.conflicts, mine)
            });
            let Some((conflicts, mine)) = listed.await else { continue };
            for (conflict, mine) in conflicts.into_iter().zip(mine) {
                all.push(Conflict {
                    folder: name.clone(),
                    kind: format!("{:?}", conflict.kind).to_lowercase(),
                    base: conflict.base.map(|(id, _)| id),
                    path: conflict.path,
                    sides: conflict
                        .sides
                        .into_iter()
                        .zip(mine)
                        .map(|(side, mine)| Side {
                            devices: side.replicas,
                            mine,
                            content: side.content,
                            size: side.size,
                            modified_ns: side.modified_ns,
                            path: side.path,
                        })
                        .collect(),
                });
            }
        }
        Ok(all)
    }

    pub(crate) fn named(&self, number: u64) -> Result<(String, Option<Way>), Trouble> {
        let state = self.lock();
        let folder = state
            .folders
            .get(&number)
            .ok_or_else(|| not_found("the folder is not here any more"))?;
        let running = folder.running.as_ref().map(|r| (r.door.clone(), r.replicas.clone()));
        Ok((folder.file.name.clone(), running))
    }

    /// What is to be done, in and out.
    ///
    /// # Errors
    /// If there is no such folder.
    pub async fn pending(&self, which: &Which) -> Result<Vec<PendingItem>, Trouble> {
        let mut all = Vec::new();
        for number in self.find_all(which)? {
            let (name, running) = self.named(number)?;
            let Some((door, replicas)) = running else { continue };
            let (places, others) = {
                let state = self.lock();
                let Some(folder) = state.folders.get(&number) else { continue };
                let mut places = vec![state.file.name.clone()];
                let paths = folder.running.iter().flat_map(|running| running.paths.iter().skip(1));
                places.extend(paths.map(|p| p.display().to_string()));
                let admitted =
                    |device: &String| DeviceId::parse(device).is_some_and(|d| d != self.me() && folder.roster.admits(&d.0));
                let named = |(device, known): (&String, &crate::daemon::files::KnownDevice)| {
                    let member = folder.roster.members().get(&DeviceId::parse(device)?.0)?;
                    Some((ReplicaId(known.replicas.first()?.id), member.name.clone()))
                };
                let others: Vec<(ReplicaId, String)> = folder
                    .file
                    .devices
                    .iter()
                    .filter(|(d, _)| admitted(d))
                    .filter_map(named)
                    .collect();
                (places, others)
            };
            let folder = name.clone();
            let (_, names, _) = self.replica_names(number)?;
            let me = places.first().cloned().unwrap_or_default();
            let items = door.ask(move |core, carrier| {
                let mut items = Vec::new();
                let problems = problems(core);
                let called = |id: ReplicaId| match names.get(&id) {
                    _ if replicas.contains(&id) => me.clone(),
                    Some(name) => name.clone(),
                    None => String::new(),
                };
                for (replica, to) in replicas.iter().zip(places) {
                    for (action, last) in core.pending(*replica).into_iter().take(MOST_LISTED) {
                        let (path, from) = match &action {
                            Action::Rename { from, to, .. } => (to.to_string(), Some(from.to_string())),
                            action => (action.path().to_string(), None),
                        };
                        let content = bifold_disk::apply::content_of(&action);
                        let far = content.filter(|(content, _)| carrier.places_of(core, *content).is_empty());
                        items.push(PendingItem {
                            folder: folder.clone(),
                            direction: Direction::In,
                            to: to.clone(),
                            what: what(&action).into(),
                            bytes: content.map_or(0, |(_, size)| size),
                            wire_bytes: far.map_or(0, |(_, size)| size),
                            from,
                            by: last.map(|dot| called(dot.replica)),
                            at_ms: last.map(|dot| dot.time),
                            why: problems.get(&path).cloned(),
                            path,
                        });
                    }
                }
                for (there, to) in others {
                    let Some(replica) = core.replica_mut(replicas[0]) else {
                        continue;
                    };
                    let ack = replica.acks().get(&there).cloned().unwrap_or_default();
                    for node in replica.behind(&ack, MOST_LISTED).some {
                        let projected = replica.projected(node);
                        let Some(path) = projected
                            .as_ref()
                            .map(|p| p.path.clone())
                            .or_else(|| replica.recorded(node).map(|r| r.path))
                        else {
                            continue;
                        };
                        let last = crate::core::last(replica, &[node]);
                        items.push(PendingItem {
                            by: last.map(|dot| called(dot.replica)),
                            at_ms: last.map(|dot| dot.time),
                            folder: folder.clone(),
                            direction: Direction::Out,
                            to: to.clone(),
                            path,
                            what: "change".into(),
                            bytes: projected.as_ref().map_or(0, |p| p.content.size()),
                            wire_bytes: projected.map_or(0, |p| p.content.size()),
                            from: None,
                            why: None,
                        });
                    }
                }
                items
            });
            all.extend(items.await.unwrap_or_default());
        }
        Ok(all)
    }
}

/// Paths of what was changed here and is nobody's but this device's own.
fn only_here(core: &mut Core, me: ReplicaId) -> Vec<String> {
    let Some(replica) = core.replica_mut(me) else {
        return Vec::new();
    };
    let nodes = replica.only_here(MOST_LISTED);
    let path = |node| {
        replica
            .recorded(node)
            .map(|r| r.path)
            .or_else(|| replica.node(node).and_then(last_name))
    };
    nodes.into_iter().filter_map(path).collect()
}

/// What is known of the place of something that is not on the disk any more.
fn last_name(node: &std::sync::Arc<bifold_tree::Node>) -> Option<String> {
    node.places.last().map(|(_, place)| place.name.to_string())
}

fn problems(core: &mut Core) -> BTreeMap<String, String> {
    let hosts = core.status().hosts.into_iter();
    hosts.flat_map(|h| h.problems).map(|p| (p.path, p.message)).collect()
}

fn what(action: &Action) -> &'static str {
    match action {
        Action::Make { .. } => "make",
        Action::Write { .. } => "write",
        Action::SetMode { .. } => "mode",
        Action::Rename { .. } => "rename",
        Action::Remove { .. } | Action::RemoveDir { .. } => "remove",
    }
}

/// Of the sides of a conflict, which are this device's.
fn mine(core: &Core, conflict: &ListedConflict, replicas: &[ReplicaId]) -> Vec<bool> {
    let shown = replicas
        .first()
        .and_then(|own| core.replica(*own)?.recorded_at(&conflict.path));
    let shown = shown.map(|recorded| recorded.bytes.id().hex());
    // (An edit of something deleted is shown by all.)
    let by_bytes = conflict.kind == ConflictKind::Content
        && conflict
            .sides
            .iter()
            .any(|side| side.content.is_some() && side.content == shown);
    let is_mine = |side: &crate::core::ListedSide| {
        if by_bytes {
            side.content == shown
        } else {
            replicas.first() == Some(&side.by)
        }
    };
    conflict.sides.iter().map(is_mine).collect()
}

/// What a person means.
pub(crate) fn side_of(
    core: &mut Core,
    (path, kind): (&str, Option<ConflictKind>),
    pick: &str,
    device: Option<&[u64]>,
    replicas: &[ReplicaId],
) -> Result<CoreSide, Trouble> {
    let conflicts = core.status().conflicts;
    let found = conflicts
        .iter()
        .find(|c| c.path == path && kind.is_none_or(|kind| kind == c.kind));
    let conflict =
        found.ok_or_else(|| not_found(format!("there is no conflict at {path}")).hint("bifold conflicts lists them."))?;
    let mine = mine(core, conflict, replicas);
    let own = replicas.first().copied().unwrap_or(ReplicaId(0));
    let others = || {
        conflict
            .sides
            .iter()
            .zip(&mine)
            .filter(|(_, mine)| !**mine)
            .map(|(side, _)| side)
    };
    let names = || {
        let all = conflict.sides.iter().flat_map(|s| s.replicas.clone());
        all.collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>().join(", ")
    };
    let of = |side: &crate::core::ListedSide| match side.content {
        None => CoreSide::Deleted,
        Some(_) => CoreSide::Replica(side.by),
    };
    let bad = |message: String| Trouble::new(TroubleKind::Bad, message);
    match (pick, device) {
        ("both", _) => Ok(CoreSide::Both),
        ("delete", _) => Ok(CoreSide::Deleted),
        ("mine", _) => match conflict.sides.iter().zip(&mine).find(|(_, mine)| **mine) {
            Some((side, _)) if side.content.is_none() => Ok(CoreSide::Deleted),
            Some(_) => Ok(CoreSide::Replica(own)),
            None => Err(bad(format!("none of the sides of {path} is this device's"))
                .hint(format!("Name the device whose side it shall be: {}.", names()))),
        },
        ("theirs", _) => {
            let sides: Vec<CoreSide> = others().map(of).collect();
            match sides.as_slice() {
                [one] => Ok(*one),
                _ => Err(bad(format!("{path} has several other sides"))
                    .hint(format!("Name the device whose side it shall be: {}.", names()))),
            }
        }
        (_, Some(of_device)) => {
            let side = conflict
                .sides
                .iter()
                .zip(&mine)
                .find(|(side, mine)| of_device.contains(&side.by.0) || (**mine && of_device.contains(&own.0)));
            match side {
                Some((side, _)) => Ok(of(side)),
                None => Err(bad(format!("{pick} has no side of {path}")).hint(format!("These have: {}.", names()))),
            }
        }
        _ => Err(bad(format!("{pick:?} is no side")).hint("Say mine, theirs, both, delete, or the name of a device.")),
    }
}

/// The content of a side of the conflict at a path, with its size; of a deletion none. `None` if there is no conflict there, or no such
/// side.
pub(crate) fn side_content(
    core: &mut Core,
    path: &str,
    side: &str,
    device: Option<&[u64]>,
    replicas: &[ReplicaId],
) -> Result<Option<Option<(ContentId, u64)>>, Trouble> {
    let conflicts = core.status().conflicts;
    let Some(conflict) = conflicts.iter().find(|c| c.path == path) else {
        return Ok(None);
    };
    let of = |id: &str, size| ContentId::from_hex(id).map(|id| (id, size));
    if side == "base" {
        return match &conflict.base {
            Some((id, size)) => Ok(Some(of(id, *size))),
            None => Err(not_found(format!("nothing is known that the sides of {path} had in common"))),
        };
    }
    let mine = mine(core, conflict, replicas);
    let own = replicas.first().copied();
    let wanted: Vec<&crate::core::ListedSide> = conflict
        .sides
        .iter()
        .zip(&mine)
        .filter(|(listed, mine)| match (side, device) {
            ("mine", _) => **mine,
            ("theirs", _) => !**mine,
            (_, Some(device)) => device.contains(&listed.by.0) || (**mine && own.is_some_and(|own| device.contains(&own.0))),
            _ => false,
        })
        .map(|(listed, _)| listed)
        .collect();
    match wanted.as_slice() {
        [one] => Ok(Some(one.content.as_deref().and_then(|id| of(id, one.size)))),
        [] => Ok(None),
        _ => Err(Trouble::new(TroubleKind::Bad, format!("{path} has several other sides")).hint("Name the device.")),
    }
}

/// Whether a path waits for bytes that nobody who can be reached has.
pub(crate) async fn is_nowhere(door: &crate::run::Door, path: &str) -> bool {
    let path = path.to_owned();
    let found = door.ask(move |core, _| {
        let mut hosts = core.status().hosts.into_iter();
        hosts.any(|h| h.problems.iter().any(|p| p.kind == ProblemKind::Missing && p.path == path))
    });
    found.await.unwrap_or(false)
}

/// A kind of conflict, by its word.
pub(crate) fn kind_of(word: &str) -> Result<ConflictKind, Trouble> {
    let known: Result<_, serde::de::value::Error> = ConflictKind::deserialize(word.into_deserializer());
    known.map_err(|e| Trouble::new(TroubleKind::Bad, format!("there is no such kind of conflict: {e}")))
}

/// What a decision came to, in a word.
pub(crate) fn word_of(taken: &Taken) -> String {
    match taken {
        Taken::Side(of) if of.is_empty() => "one side".into(),
        Taken::Side(of) => format!("the side of {}", of.join(" and ")),
        Taken::Both => "both".into(),
        Taken::Place => "the place where it stands".into(),
        Taken::Edit => "the edit".into(),
        Taken::Deletion => "the deletion".into(),
    }
}

fn remedy(halted: Option<&Halted>) -> Option<Remedy> {
    halted.is_some_and(|halted| halted.rejoin).then_some(Remedy::Rejoin)
}

/// Fills in what the loop knows.
fn fill(status: &mut FolderStatus, looked: &Looked, roots: &[PathBuf], missing: &[Missing]) {
    let connected = status.devices.iter().any(|d| d.connection != ConnectionKind::None);
    let alone = status.devices.is_empty();
    for (i, host) in looked.status.hosts.iter().enumerate() {
        let path = roots.get(i).cloned().unwrap_or_default();
        let waits_only =
            host.problems.iter().all(|p| p.kind == ProblemKind::Missing) && !host.problems.is_empty() && host.held.is_none();
        let state = match host.state {
            HostState::Halted => FolderState::Halted,
            HostState::Scanning | HostState::Syncing => FolderState::Syncing,
            // What lacks comes with a device that has it.
            HostState::NeedsYou if waits_only && connected => FolderState::Syncing,
            HostState::NeedsYou if waits_only => FolderState::Offline,
            HostState::NeedsYou => FolderState::NeedsYou,
            HostState::UpToDate => FolderState::UpToDate,
        };
        let prefix = if i == 0 {
            String::new()
        } else {
            format!("{}: ", path.display())
        };
        for problem in &host.problems {
            status.problems.push(PathProblem {
                path: problem.path.clone(),
                kind: format!("{:?}", problem.kind).to_lowercase(),
                message: format!("{prefix}{}", problem.message),
            });
        }
        if let Some(why) = &host.unwatched {
            status.problems.push(PathProblem {
                path: String::new(),
                kind: "unwatched".into(),
                message: format!("{prefix}it is looked at from time to time: {why}. Then pause the folder and resume it"),
            });
        }
        if let Some((removals, overwrites, files)) = host.held {
            status.held.push(HeldChange {
                path: path.clone(),
                removals: removals as u64,
                overwrites: overwrites as u64,
                files: files as u64,
            });
        }
        if i == 0 {
            (status.files, status.dirs) = (host.files as u64, host.dirs as u64);
            status.state = state;
            status.why = host.halted.as_ref().map(|halted| halted.why.clone());
            status.remedy = remedy(host.halted.as_ref());
        } else {
            if state == FolderState::Syncing && status.state == FolderState::UpToDate {
                status.state = FolderState::Syncing;
            }
            if matches!(state, FolderState::NeedsYou | FolderState::Halted) && status.state == FolderState::UpToDate {
                status.state = FolderState::NeedsYou;
            }
            status.hosts.push(HostedShare {
                path,
                state,
                why: host.halted.as_ref().map(|halted| halted.why.clone()),
                remedy: remedy(host.halted.as_ref()),
            });
        }
    }
    for share in missing {
        if status.state == FolderState::UpToDate {
            status.state = FolderState::NeedsYou;
        }
        status.hosts.push(HostedShare {
            path: share.path.clone(),
            state: FolderState::Halted,
            why: Some(share.halted.why.clone()),
            remedy: remedy(Some(&share.halted)),
        });
    }
    for path in &looked.only_here {
        status.problems.push(PathProblem {
            path: path.clone(),
            kind: "only_here".into(),
            message: format!(
                "changed here, where this device may read only: the others do not get it; to take all such changes back: bifold revert {:?}",
                status.name
            ),
        });
    }
    if !looked.only_here.is_empty() && status.state == FolderState::UpToDate {
        status.state = FolderState::NeedsYou;
    }
    status.bytes = looked.bytes;
    status.pending_in = looked.behind_here;
    status.conflicts = looked.status.conflicts.len() as u64;
    if status.state == FolderState::UpToDate && status.conflicts > 0 {
        status.state = FolderState::NeedsYou;
    }
    if status.state == FolderState::UpToDate && !connected && !alone {
        status.state = FolderState::Offline;
    }
    let reachable = status.devices.iter().filter(|d| d.connection != ConnectionKind::None);
    status.settled = looked.all_shown && reachable.into_iter().all(|d| d.agrees);
}

/// Puts files into the history of a root, whoever changes them meanwhile; says which.
pub(crate) fn put_aside(root: &Path, recorded: &[Recorded]) -> Vec<String> {
    let Ok(fs) = NativeFs::open(root) else { return Vec::new() };
    let run = wall_ms() << 12;
    let mut aside = Vec::new();
    let mut dirs = Vec::new();
    for (i, one) in recorded.iter().enumerate() {
        if one.kind == Kind::Dir {
            dirs.push(one.path.clone());
            continue;
        }
        let name = one.path.rsplit('/').next().unwrap_or(&one.path);
        let name = &name[..name.floor_char_boundary(160)];
        let stored = format!("{}/{run:x}-{i}-{name}", bifold_disk::stage::HISTORY);
        if fs.rename(&one.path, &stored).is_ok() {
            aside.push(one.path.clone());
        }
    }
    dirs.sort_by_key(|path| std::cmp::Reverse(path.len()));
    for dir in dirs {
        let _ = fs.remove_dir(&dir);
    }
    aside
}

/// Takes what is Bifold's own out of a root, and with `delete` the files too that are as they were synced. Says what stays.
pub(crate) fn clear_root(root: &Path, recorded: &[Recorded], delete: bool) -> Vec<String> {
    let mut said = Vec::new();
    let Ok(fs) = NativeFs::open(root) else {
        return vec![format!("{} cannot be opened; what is in it stays", root.display())];
    };
    let mut stays = 0;
    if delete {
        let mut dirs = Vec::new();
        for one in recorded {
            if one.kind == Kind::Dir {
                dirs.push(one.path.clone());
                continue;
            }
            let same =
                matches!(fs.stat(&one.path), Ok(Some(Entry::Plain(stat))) if stat.print == one.print && stat.key == one.key);
            if !same || fs.remove_file(&one.path).is_err() {
                stays += 1;
            }
        }
        dirs.sort_by_key(|path| std::cmp::Reverse(path.len()));
        for dir in dirs.into_iter().filter(|d| !d.is_empty()) {
            let _ = fs.remove_dir(&dir);
        }
    }
    for dir in [bifold_disk::stage::STAGE, bifold_disk::far::PARTIAL] {
        for (name, _) in fs.list(dir).unwrap_or_default() {
            let _ = fs.remove_file(&format!("{dir}/{name}"));
        }
        let _ = fs.remove_dir(dir);
    }
    for file in [bifold_disk::root::MARKER, ".bifold/lock"] {
        let _ = fs.remove_file(file);
    }
    for dir in [bifold_tree::PARKED_PATH, bifold_disk::stage::HISTORY, ".bifold"] {
        let _ = fs.remove_dir(dir);
    }
    if stays > 0 {
        said.push(format!("{stays} files in {} were changed since, and stay", root.display()));
    }
    if !matches!(fs.stat(bifold_disk::stage::HISTORY), Ok(None) | Err(_)) {
        said.push(format!(
            "what was replaced or deleted lately stays in {}",
            root.join(bifold_disk::stage::HISTORY).display()
        ));
    }
    said
}
