//! What a run came to: as JSON, and as an exit code.

use bifold_disk::stage::HISTORY;
use bifold_engine::core::{HostState, ListedConflict, Status, Taken};
use bifold_tree::{Action, Bytes, ConflictKind};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether both sides are the same, and nothing waits or failed.
pub fn in_sync(status: &Status) -> bool {
    status.conflicts.is_empty()
        && status
            .hosts
            .iter()
            .all(|h| h.state == HostState::UpToDate && h.problems.is_empty() && h.held.is_none())
}

/// The whole result.
///
/// `planned`: of a dry run, what would be done.
pub fn json(status: &Status, planned: Option<&[(&str, Vec<Action>)]>) -> Value {
    let applied: serde_json::Map<String, Value> = status.hosts.iter().map(|h| (h.name.clone(), json!(h.applied))).collect();
    let problems = status.hosts.iter().flat_map(|h| {
        let halted = h
            .halted
            .iter()
            .map(|halted| json!({ "replica": h.name, "path": "", "kind": "halted", "message": halted.why }));
        let rest = h
            .problems
            .iter()
            .map(|p| json!({ "replica": h.name, "path": p.path, "kind": p.kind, "message": p.message }));
        halted.chain(rest)
    });
    let held = status.hosts.iter().filter_map(|h| {
        let (removals, overwrites, files) = h.held?;
        let message = held_message(&h.name, h.held?);
        Some(json!({ "replica": h.name, "removals": removals, "overwrites": overwrites, "files": files, "message": message }))
    });
    let decided = status.decided.iter().map(|d| {
        let taken = match &d.taken {
            Taken::Side(who) => who.first().map_or("side", String::as_str),
            Taken::Both => "both",
            Taken::Place => "place",
            Taken::Edit => "edit",
            Taken::Deletion => "deletion",
        };
        let kept = d
            .kept
            .iter()
            .map(|(replica, stored)| json!({ "replica": replica, "path": format!("{HISTORY}/{stored}") }));
        json!({ "path": d.path, "kind": kind(d.kind), "taken": taken, "kept": kept.collect::<Vec<_>>() })
    });
    let mut result = json!({
        "in_sync": in_sync(status),
        "applied": applied,
        "bytes": {
            "copied": status.hosts.iter().map(|h| h.moved.copied).sum::<u64>(),
            "reused": status.hosts.iter().map(|h| h.moved.reused).sum::<u64>(),
        },
        "files": status.hosts.iter().map(|h| (h.name.clone(), json!(h.files))).collect::<serde_json::Map<String, Value>>(),
        "conflicts": status.conflicts.iter().map(conflict).collect::<Vec<_>>(),
        "problems": problems.collect::<Vec<_>>(),
        "held": held.collect::<Vec<_>>(),
        "decided": decided.collect::<Vec<_>>(),
        "undecided": status.undecided,
    });
    if let Some(planned) = planned {
        for host in &status.hosts {
            let steps = planned
                .iter()
                .filter(|(side, _)| *side == host.name)
                .flat_map(|(_, steps)| steps);
            result["planned"][&host.name] = steps.map(step).collect();
        }
    }
    result
}

/// What would be done.
fn step(step: &Action) -> Value {
    let path = step.path();
    match step {
        Action::Make { wanted, .. } if wanted.bytes == Bytes::Dir => json!({ "step": "new", "path": path, "directory": true }),
        Action::Make { wanted, .. } => json!({ "step": "new", "path": path, "size": wanted.size }),
        Action::Write { wanted, .. } => json!({ "step": "edited", "path": path, "size": wanted.size }),
        Action::SetMode { exec, .. } => json!({ "step": "mode", "path": path, "executable": exec }),
        Action::Rename { to, .. } => json!({ "step": "moved", "path": path, "to": to }),
        Action::Remove { .. } => json!({ "step": "deleted", "path": path }),
        Action::RemoveDir { .. } => json!({ "step": "deleted", "path": path, "directory": true }),
    }
}

/// A conflict, with one entry for each side and replica that has it.
fn conflict(c: &ListedConflict) -> Value {
    let sides = c.sides.iter().flat_map(|side| {
        let who: Vec<Option<&String>> = if side.replicas.is_empty() {
            vec![None]
        } else {
            side.replicas.iter().map(Some).collect()
        };
        who.into_iter().map(move |replica| {
            let mut one =
                json!({ "replica": replica, "size": side.size, "modified": side.modified_ns.map(time), "content": side.content });
            if side.content.is_none() {
                one = json!({ "replica": replica, "deleted": true });
            }
            if let (Some(path), Some(map)) = (&side.path, one.as_object_mut()) {
                map.insert("path".into(), json!(path));
            }
            one
        })
    });
    json!({
        "path": c.path,
        "kind": kind(c.kind),
        "base": c.base.as_ref().map(|(content, size)| json!({ "content": content, "size": size })),
        "sides": sides.collect::<Vec<_>>(),
    })
}

/// The word for a kind of conflict.
pub fn kind(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Content => "content",
        ConflictKind::Deleted => "deleted",
        ConflictKind::Renamed => "renamed",
        ConflictKind::Name => "name",
        ConflictKind::Cycle => "cycle",
        ConflictKind::Orphan => "orphan",
    }
}

/// What is said of a change that is held: how many files would be removed and overwritten, of how many.
pub fn held_message(name: &str, (removals, overwrites, files): (usize, usize, usize)) -> String {
    let other = if name == "left" { "right" } else { "left" };
    let (would, back) = match (removals, overwrites) {
        (r, 0) => (format!("{r} of {files} files would be removed"), "put them back"),
        (0, o) => (format!("{o} of {files} files would be overwritten"), "undo the change"),
        (r, o) => (
            format!("{r} of {files} files would be removed and {o} overwritten"),
            "undo the change",
        ),
    };
    format!("{would} on the {name}. If that is meant, allow it with --allow-mass-change; if not, {back} on the {other}")
}

/// A time in RFC 3339, in UTC.
pub fn time(ns: i64) -> String {
    let at = if ns >= 0 {
        UNIX_EPOCH.checked_add(Duration::from_nanos(ns.unsigned_abs()))
    } else {
        UNIX_EPOCH.checked_sub(Duration::from_nanos(ns.unsigned_abs()))
    };
    match at {
        Some(at) if ns >= 0 => humantime::format_rfc3339_seconds(at).to_string(),
        _ => format!("{} s before 1970", ns.unsigned_abs() / 1_000_000_000),
    }
}

/// Seconds since a moment, for people.
pub fn took(since: SystemTime) -> String {
    let seconds = since.elapsed().unwrap_or_default().as_secs_f64();
    if seconds < 100.0 {
        format!("{seconds:.1} s")
    } else {
        humantime::format_duration(Duration::from_secs(seconds as u64)).to_string()
    }
}
