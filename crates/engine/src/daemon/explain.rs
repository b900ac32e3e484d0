//! Why a path is as it is.

use crate::core::Core;
use crate::daemon::face::{Explained, Trouble, Version, Where};
use crate::daemon::files::KnownDevice;
use crate::daemon::{Daemon, not_found};
use bifold_net::DeviceId;
use bifold_tree::{Kind, NodeId, Replica, ReplicaId};
use std::collections::BTreeMap;

/// A folder's name, what its replicas are called, and which of them are connected.
pub(crate) type Called = (String, BTreeMap<ReplicaId, String>, Vec<ReplicaId>);

impl Daemon {
    /// Why a path is as it is: who has which version, what it waits for, what to do.
    ///
    /// # Errors
    /// If there is no such folder, or it does not run.
    pub async fn explain(&self, at: Where) -> Result<Explained, Trouble> {
        let number = self.find(&at.folder)?;
        let (door, replicas) = self.door(number)?;
        let path = at.path.trim_start_matches("./").trim_matches('/').to_owned();
        let (name, names, connected) = self.replica_names(number)?;
        door.ask(move |core, carrier| {
            let ignored = carrier.root(replicas[0]).is_some_and(|root| root.ignore.covers(&path, false));
            explain(core, &name, &path, &replicas, &names, &connected, ignored)
        })
        .await
        .ok_or_else(|| not_found("the folder ended"))
    }

    /// A folder's name, what its replicas are called, and which of them are connected.
    pub(crate) fn replica_names(&self, number: u64) -> Result<Called, Trouble> {
        let state = self.lock();
        let folder = state
            .folders
            .get(&number)
            .ok_or_else(|| not_found("the folder is not here any more"))?;
        let mut names: BTreeMap<ReplicaId, String> = BTreeMap::new();
        for (device, known) in &folder.file.devices {
            let Some(id) = DeviceId::parse(device).filter(|id| folder.roster.admits(&id.0)) else {
                continue;
            };
            let name = folder.roster.members().get(&id.0).map(|m| m.name.clone()).unwrap_or_default();
            let KnownDevice { replicas, .. } = known;
            for (i, replica) in replicas.iter().enumerate() {
                names.insert(
                    ReplicaId(replica.id),
                    if i == 0 { name.clone() } else { format!("a share of {name}") },
                );
            }
        }
        let connected = folder
            .links
            .values()
            .filter(|l| l.linked)
            .filter_map(|l| l.replica)
            .collect::<Vec<_>>();
        Ok((folder.file.name.clone(), names, connected))
    }
}

fn explain(
    core: &mut Core,
    folder: &str,
    path: &str,
    replicas: &[ReplicaId],
    names: &BTreeMap<ReplicaId, String>,
    connected: &[ReplicaId],
    ignored: bool,
) -> Explained {
    let own = replicas[0];
    let mut told = Explained {
        folder: folder.to_owned(),
        path: path.to_owned(),
        here: "nothing".into(),
        content: None,
        size: 0,
        versions: Vec::new(),
        shown_by: Vec::new(),
        not_yet: Vec::new(),
        sentences: Vec::new(),
    };
    let status = core.status();
    let conflict = status.conflicts.iter().find(|c| c.path == path).cloned();
    let host = status.hosts.iter().find(|h| h.replica == own).cloned();
    let Some(replica) = core.replica_mut(own) else { return told };
    let recorded = replica.recorded_at(path);
    let mut node: Option<NodeId> = recorded.as_ref().and_then(|r| r.nodes.first().copied());
    if let Some(recorded) = &recorded {
        told.here = word(recorded.kind).into();
        told.size = recorded.print.size;
        told.content = (recorded.kind == Kind::File).then(|| recorded.bytes.id().hex());
    }
    if node.is_none() {
        let nothing = |_: &_| false;
        node = replica
            .project(&nothing)
            .into_iter()
            .find(|p| p.path == path)
            .and_then(|p| p.nodes.first().copied());
    }
    let name_of = |r: ReplicaId| {
        names
            .get(&r)
            .cloned()
            .unwrap_or_else(|| "a device that is not on the roster now".into())
    };
    if let Some(node) = node.and_then(|id| replica.node(id)).cloned() {
        for (dot, content) in &node.contents {
            told.versions.push(Version {
                content: (node.kind == Kind::File).then(|| content.id().hex()),
                size: content.size(),
                by: name_of(dot.replica),
                at_ms: dot.time,
            });
        }
        for (dot, _) in &node.gones {
            told.versions.push(Version {
                content: None,
                size: 0,
                by: name_of(dot.replica),
                at_ms: dot.time,
            });
        }
        who(replica, &node, names, connected, own, &mut told);
    }
    let say = &mut told.sentences;
    if ignored {
        say.push("It is ignored here, by a pattern in .bifoldignore: it is neither sent nor taken.".into());
    } else if node.is_none() {
        say.push("Nothing of that name is known in this folder.".into());
        say.push("See that the path is relative to the folder, and that the change was noticed: bifold status --wait looks at the disk.".into());
    } else if recorded.is_none() {
        say.push("Others have it; it is not shown on this device yet.".into());
    }
    let in_conflict = conflict.is_some();
    if let Some(conflict) = conflict {
        let sides = conflict
            .sides
            .iter()
            .map(|s| s.replicas.join(" and "))
            .collect::<Vec<_>>()
            .join(", ");
        say.push(format!("It is in conflict, between: {sides}. Each keeps its own until someone picks: bifold resolve {folder:?} {path:?} --pick mine|theirs|both."));
    }
    if let Some(host) = host {
        for problem in host
            .problems
            .iter()
            .filter(|p| p.path == path || path.starts_with(&format!("{}/", p.path)))
        {
            say.push(problem.message.clone());
        }
        if let Some(halted) = host.halted {
            say.push(halted.why);
        }
        if let Some((removals, overwrites, files)) = host.held {
            say.push(format!(
                "A change that would delete {removals} and overwrite {overwrites} of {files} files here is held until you let it pass: bifold allow {folder:?}."
            ));
        }
    }
    if in_conflict {
        told.shown_by.clear();
    } else if told.not_yet.is_empty() && recorded.is_some() && !ignored {
        say.push("All devices show it as it is here.".into());
    } else if !told.not_yet.is_empty() {
        let names = told.not_yet.join(", ");
        say.push(format!("It is not known to be shown yet by: {names}."));
    }
    told
}

/// Which devices show a node as it is now.
fn who(
    replica: &Replica,
    node: &bifold_tree::Node,
    names: &BTreeMap<ReplicaId, String>,
    connected: &[ReplicaId],
    own: ReplicaId,
    told: &mut Explained,
) {
    for (there, name) in names.iter().filter(|(there, _)| **there != own) {
        let ack = replica.acks().get(there);
        if ack.is_some_and(|ack| node.context.iter().all(|(r, t)| *t <= ack.time(*r))) {
            told.shown_by.push(name.clone());
        } else if connected.contains(there) {
            told.not_yet.push(name.clone());
        } else {
            told.not_yet.push(format!("{name} (not connected)"));
        }
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "directory",
        Kind::Link => "link",
    }
}
