//! What the faces of the program see: one whole status, made anew whenever it is asked for.

use crate::core::host::Phase;
use crate::core::{Core, Decided, Halted};
use bifold_disk::stage::Moved;
use bifold_tree::{ConflictKind, Content, Problem, ReplicaId};

/// The state of everything.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Status {
    /// The hosted replicas, in the order in which they were attached.
    pub hosts: Vec<HostStatus>,
    /// What a person may want to decide.
    pub conflicts: Vec<ListedConflict>,
    /// What was decided since this was told last; nothing in a status that was only asked for.
    pub decided: Vec<Decided>,
    /// Paths of decisions for which there is no such conflict.
    pub undecided: Vec<String>,
}

/// What a hosted replica is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostState {
    /// Its disk shows all that is known.
    UpToDate,
    /// It is being scanned.
    Scanning,
    /// Changes are being applied.
    Syncing,
    /// Something waits for a person, or failed.
    NeedsYou,
    /// Its root is not what was synced; nothing is done with it.
    Halted,
}

/// A hosted replica.
#[derive(Clone, PartialEq, Debug)]
pub struct HostStatus {
    /// Which.
    pub replica: ReplicaId,
    /// What people call it.
    pub name: String,
    /// What it is doing.
    pub state: HostState,
    /// Why it is halted.
    pub halted: Option<Halted>,
    /// Files and links.
    pub files: usize,
    /// Directories.
    pub dirs: usize,
    /// Steps taken since it was attached.
    pub applied: u64,
    /// Bytes brought to it.
    pub moved: Moved,
    /// Trouble with single paths.
    pub problems: Vec<Problem>,
    /// Why not all changes of its disk are told at once.
    pub unwatched: Option<String>,
    /// A change that is held: how many files would be removed and overwritten, of how many.
    pub held: Option<(usize, usize, usize)>,
}

/// A conflict, with all that a person needs to decide.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedConflict {
    /// Where the first replica shows it.
    pub path: String,
    /// What kind.
    pub kind: ConflictKind,
    /// What the sides replaced: content id in hexadecimal digits, and bytes.
    pub base: Option<(String, u64)>,
    /// The sides.
    pub sides: Vec<ListedSide>,
}

/// One side.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedSide {
    /// The replicas whose disks show it, or who did it.
    pub replicas: Vec<String>,
    /// Who wrote it.
    pub by: ReplicaId,
    /// The content id, in hexadecimal digits; `None` of a deletion.
    pub content: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Last change of the file, nanoseconds since 1970.
    pub modified_ns: Option<i64>,
    /// Of a renaming, where to.
    pub path: Option<String>,
}

impl Core {
    /// The state of everything. Its cost follows what there is to tell, not the size of the folder.
    pub fn status(&mut self) -> Status {
        let hosts = self.order.clone().into_iter().filter_map(|id| self.host_status(id)).collect();
        Status {
            hosts,
            conflicts: self.conflicts(),
            decided: Vec::new(),
            undecided: self.decisions.iter().map(|d| d.decide.path.clone()).collect(),
        }
    }

    /// The state of everything, with what was decided since this was asked last.
    pub fn report(&mut self) -> Status {
        let decided = self.decided.tell();
        Status {
            decided,
            ..self.status()
        }
    }

    fn host_status(&mut self, id: ReplicaId) -> Option<HostStatus> {
        let host = self.hosts.get_mut(&id)?;
        let mut problems: Vec<Problem> = host.problems.values().cloned().collect();
        problems.extend(
            host.failures
                .values()
                .filter(|p| !host.problems.contains_key(&p.path))
                .cloned(),
        );
        let stale = host.replica.is_stale();
        let state = match host.phase {
            _ if host.halted.is_some() => HostState::Halted,
            Phase::Scanning | Phase::Reading(_) | Phase::Waiting => HostState::Scanning,
            Phase::Applying(_) => HostState::Syncing,
            Phase::Idle if host.unfinished || host.dirty.is_some() => HostState::Scanning,
            Phase::Idle if host.held.is_some() || !problems.is_empty() => HostState::NeedsYou,
            Phase::Idle if stale && self.stopping => HostState::Syncing,
            Phase::Idle if stale && !host.rest_ignored => HostState::NeedsYou,
            Phase::Idle => HostState::UpToDate,
        };
        let (files, dirs) = host.replica.counts();
        Some(HostStatus {
            replica: id,
            name: host.name.clone(),
            state,
            halted: host.halted.clone(),
            files,
            dirs,
            applied: host.steps_done,
            moved: host.moved,
            problems,
            unwatched: host.unwatched.clone(),
            held: host.held.as_ref().map(|h| (h.removals, h.overwrites, h.files)),
        })
    }

    fn conflicts(&mut self) -> Vec<ListedConflict> {
        let Some(first) = self.order.first().copied() else {
            return Vec::new();
        };
        let Some(host) = self.hosts.get_mut(&first) else {
            return Vec::new();
        };
        let mut listed = Vec::new();
        for conflict in host.replica.conflicts() {
            let mut sides = Vec::new();
            for side in &conflict.sides {
                let place = side.place.clone();
                let by = side.dot.replica;
                let mut replicas = if conflict.kind == ConflictKind::Content {
                    self.showing(&conflict.nodes, side.content.id())
                } else {
                    Vec::new()
                };
                if replicas.is_empty() {
                    replicas.extend(self.name_of(by));
                }
                let path = place.and_then(|(parent, name)| {
                    let replica = &mut self.hosts.get_mut(&first)?.replica;
                    let dir = replica.projected(parent).map(|p| p.path).unwrap_or_default();
                    Some(if dir.is_empty() {
                        name.to_string()
                    } else {
                        format!("{dir}/{name}")
                    })
                });
                let modified_ns = if let Content::File { mtime_ns, .. } = side.content {
                    Some(mtime_ns)
                } else {
                    None
                };
                sides.push(ListedSide {
                    replicas,
                    by,
                    content: Some(side.content.id().hex()),
                    size: side.content.size(),
                    modified_ns,
                    path,
                });
            }
            if conflict.kind == ConflictKind::Deleted {
                let gones = self
                    .hosts
                    .get(&first)
                    .and_then(|h| h.replica.node(*conflict.nodes.first()?))
                    .map(|n| n.gones.clone());
                for (dot, _) in gones.into_iter().flatten() {
                    sides.push(ListedSide {
                        replicas: self.name_of(dot.replica).into_iter().collect(),
                        by: dot.replica,
                        content: None,
                        size: 0,
                        modified_ns: None,
                        path: None,
                    });
                }
            }
            listed.push(ListedConflict {
                path: conflict.path,
                kind: conflict.kind,
                base: conflict.base.map(|b| (b.id.hex(), b.size)),
                sides,
            });
        }
        listed
    }
}
