//! What happened, in the words of the log.

use bifold_store::{Deed, Happened};
use bifold_tree::{Action, Bytes, Dot, Kind, Node, NodeId, Replica, ReplicaId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of so many alike at once each has an entry; more have one together.
const EACH: usize = 200;
/// More directories than these are not within each other.
const DEEPEST: usize = 4096;
/// What lies here is no place for people.
const OWN: &str = ".bifold";

/// What a scan found, whose operations have this dot and came after this sequence.
pub(crate) fn here(replica: &Replica, before: u64, dot: Dot) -> Vec<Happened> {
    let mut all = Vec::new();
    for node in replica.changed_since(before) {
        let placed = node.places.iter().any(|(d, _)| *d == dot);
        let filled = node.contents.iter().find(|(d, _)| *d == dot);
        let gone = node.gones.iter().find(|(d, _)| *d == dot);
        let moded = node.modes.iter().any(|(d, _)| *d == dot);
        let deed = match (gone, placed, filled) {
            // With its directory, which says so.
            (Some((_, gone)), ..) if gone.under.is_some() => continue,
            (Some(_), ..) => Deed::Deleted,
            (None, true, Some(_)) if node.kind == Kind::Dir => continue,
            (None, true, Some(_)) => Deed::Added,
            (None, true, None) => Deed::Moved,
            (None, false, Some(_)) if node.kind != Kind::Dir => Deed::Edited,
            (None, false, None) if moded => Deed::Mode,
            _ => continue,
        };
        let Some(path) = path_of(replica, &node) else { continue };
        let size = node.contents.last().map_or(0, |(_, content)| content.size());
        all.push(one(deed, dot.replica, path, None, size));
    }
    together(all)
}

/// What a step comes to, while the records are as before it.
pub(crate) fn step(replica: &Replica, action: &Action, nodes: &[NodeId]) -> Option<Happened> {
    let of = |path: &str| !path.starts_with(OWN);
    let by = last_of(replica, action, nodes).map_or(replica.id(), |dot| dot.replica);
    let (deed, path, from, size) = match action {
        Action::Make { path, wanted } => match &wanted.bytes {
            Bytes::Dir => return None,
            _ => (Deed::Added, path, None, wanted.size),
        },
        Action::Write { path, wanted, .. } => (Deed::Edited, path, None, wanted.size),
        Action::SetMode { path, .. } => (Deed::Mode, path, None, 0),
        Action::Rename { from, to, .. } => (Deed::Moved, to, Some(from.to_string()).filter(|from| of(from)), 0),
        Action::Remove { path, .. } | Action::RemoveDir { path, .. } => (Deed::Deleted, path, None, 0),
    };
    of(path).then(|| one(deed, by, path.to_string(), from, size))
}

/// Many alike have one entry.
pub(crate) fn together(all: Vec<Happened>) -> Vec<Happened> {
    if all.len() <= EACH {
        return all;
    }
    let mut count: BTreeMap<(Deed, ReplicaId), usize> = BTreeMap::new();
    for one in &all {
        *count.entry((one.deed, one.by)).or_default() += 1;
    }
    let mut few = Vec::new();
    let mut many: BTreeMap<(Deed, ReplicaId), Happened> = BTreeMap::new();
    for mut one in all {
        let alike = (one.deed, one.by);
        if count.get(&alike).is_none_or(|n| *n <= EACH) {
            few.push(one);
            continue;
        }
        one.path.truncate(one.path.rfind('/').unwrap_or(0));
        match many.get_mut(&alike) {
            None => {
                one.from = None;
                many.insert(alike, one);
            }
            Some(entry) => {
                entry.count += one.count;
                entry.size += one.size;
                let common = common(&entry.path, &one.path).to_owned();
                entry.path = common;
            }
        }
    }
    few.extend(many.into_values());
    few
}

fn one(deed: Deed, by: ReplicaId, path: String, from: Option<String>, size: u64) -> Happened {
    Happened {
        deed,
        by,
        path,
        from,
        size,
        count: 1,
    }
}

/// The directory that two directories lie in, or are.
fn common<'a>(a: &'a str, b: &str) -> &'a str {
    let mut end = 0;
    for (at, part) in a.split('/').zip(b.split('/')) {
        if at != part {
            break;
        }
        end += at.len() + 1;
    }
    a.get(..end.saturating_sub(1)).unwrap_or_default()
}

/// Who wrote last to what a step is about, and when.
pub(crate) fn last_of(replica: &Replica, action: &Action, nodes: &[NodeId]) -> Option<Dot> {
    last(replica, nodes).or_else(|| last(replica, &replica.recorded_at(action.path())?.nodes))
}

/// Who wrote last to some nodes, and when.
pub(crate) fn last(replica: &Replica, nodes: &[NodeId]) -> Option<Dot> {
    nodes.iter().filter_map(|id| latest(replica.node(*id)?)).max()
}

fn latest(node: &Arc<Node>) -> Option<Dot> {
    let dots = node.places.iter().map(|(d, _)| *d);
    let dots = dots.chain(node.contents.iter().map(|(d, _)| *d));
    let dots = dots.chain(node.modes.iter().map(|(d, _)| *d));
    dots.chain(node.gones.iter().map(|(d, _)| *d)).max()
}

/// Where it is on the disk, or was in the tree.
fn path_of(replica: &Replica, node: &Arc<Node>) -> Option<String> {
    if let Some(recorded) = replica.recorded(node.id) {
        return Some(recorded.path);
    }
    let mut names = Vec::new();
    let mut at = node.clone();
    for _ in 0..DEEPEST {
        let (_, place) = at.places.last()?;
        names.push(place.name.clone());
        match replica.node(place.parent) {
            Some(parent) if !parent.places.is_empty() => at = parent.clone(),
            _ => break,
        }
    }
    names.reverse();
    Some(names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_alike_have_one_entry() {
        let each = |i: usize| one(Deed::Added, ReplicaId(1), format!("a/b{}/{i}", i % 2), None, 10);
        let few = together((0..EACH).map(each).collect());
        assert_eq!(few.len(), EACH);
        let mut all: Vec<Happened> = (0..=EACH).map(each).collect();
        all.push(one(Deed::Deleted, ReplicaId(1), "a/x".into(), None, 0));
        let told = together(all);
        assert_eq!(told.len(), 2);
        assert_eq!((told[1].path.as_str(), told[1].count, told[1].size), ("a", 201, 2010));
        let top = (0..=EACH).map(|i| one(Deed::Added, ReplicaId(1), format!("{i}"), None, 1));
        assert_eq!(together(top.collect())[0].path, "");
    }

    #[test]
    fn common_directories() {
        assert_eq!(common("a/b/c", "a/b/d"), "a/b");
        assert_eq!(common("a/bc", "a/b"), "a");
        assert_eq!(common("a", "a"), "a");
        assert_eq!(common("a", "b"), "");
        assert_eq!(common("", "b"), "");
    }
}
