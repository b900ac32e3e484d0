//! Whether what must hold does.

use super::{Expect, Shown, What};
use crate::disk::Thing;
use crate::world::{Listed, Listing};
use std::collections::{BTreeMap, BTreeSet};

/// A disk, as its user sees it.
pub type Tree = BTreeMap<String, Thing>;

/// What there is to look at.
pub(super) struct Seen<'a> {
    pub(super) devices: &'a [String],
    pub(super) trees: &'a [Tree],
    pub(super) histories: &'a dyn Fn(usize) -> Vec<Vec<u8>>,
    pub(super) names_on_disk: &'a dyn Fn(usize) -> Vec<String>,
    pub(super) listing: &'a Listing,
}

/// The content id of some bytes, in hexadecimal digits.
fn id(bytes: &[u8]) -> String {
    bifold_chunk::hash_bytes(bytes)
        .expect("bytes that are not too many")
        .content
        .hex()
}

pub(super) fn check(expect: &Expect, seen: &Seen<'_>) -> Result<(), String> {
    let name = |d: &usize| seen.devices[*d].as_str();
    let ok = |holds: bool, message: &dyn Fn() -> String| if holds { Ok(()) } else { Err(message()) };
    let of = |who: &Option<usize>| match who {
        Some(d) => vec![*d],
        None => (0..seen.devices.len()).collect(),
    };
    let listing = seen.listing;
    match expect {
        Expect::Tree(who, shown) => of(who).iter().try_for_each(|d| tree(name(d), &seen.trees[*d], shown)),
        Expect::Count(who, dir, count) => of(who).iter().try_for_each(|d| {
            let is_in = |path: &str| dir == "." || path.strip_prefix(dir.as_str()).is_some_and(|rest| rest.starts_with('/'));
            let files = seen.trees[*d]
                .iter()
                .filter(|(path, thing)| **thing != Thing::Dir && is_in(path))
                .count();
            ok(files == *count, &|| format!("{} has {files} files in {dir}", name(d)))
        }),
        Expect::Conflict { path, kind, base, sides } => {
            let found = listing.conflicts.iter().find(|c| c.kind == *kind && matches(path, &c.path));
            let found = found.ok_or_else(|| format!("there is no such conflict; listed: {:#?}", listing.conflicts))?;
            conflict(found, base.as_deref(), sides, seen.devices)
        }
        Expect::NoConflicts => ok(listing.conflicts.is_empty(), &|| {
            format!("conflicts: {:#?}", listing.conflicts)
        }),
        Expect::Problem(d, path, kind) => {
            let is = |p: &&crate::world::ListedProblem| p.device == name(d) && matches(path, &p.path) && p.kind == *kind;
            ok(listing.problems.iter().any(|p| is(&p)), &|| {
                format!("problems: {:?}", listing.problems)
            })
        }
        Expect::NoProblems => ok(listing.problems.is_empty(), &|| format!("problems: {:?}", listing.problems)),
        Expect::Held(d) => ok(listing.held.contains(name(d)), &|| format!("held: {:?}", listing.held)),
        Expect::NotHeld(d) => ok(!listing.held.contains(name(d)), &|| "it is held".to_owned()),
        Expect::Halted(d) => {
            let refused = listing
                .refused
                .as_ref()
                .is_some_and(|why| why.contains(&format!("/{}", name(d))));
            let halted = listing.halted.contains_key(name(d));
            ok(refused || halted, &|| {
                format!("halted: {:?}, refused: {:?}", listing.halted, listing.refused)
            })
        }
        Expect::NotHalted => {
            let quiet = listing.halted.is_empty() && listing.refused.is_none();
            ok(quiet, &|| {
                format!("halted: {:?}, refused: {:?}", listing.halted, listing.refused)
            })
        }
        Expect::History(d, bytes) => {
            let kept = (seen.histories)(*d);
            ok(kept.contains(bytes), &|| {
                format!("{} keeps {:?}", name(d), kept.iter().map(|b| text(b)).collect::<Vec<_>>())
            })
        }
        Expect::NoHistory(d) => {
            let kept = (seen.histories)(*d);
            ok(kept.is_empty(), &|| {
                format!("{} keeps {:?}", name(d), kept.iter().map(|b| text(b)).collect::<Vec<_>>())
            })
        }
        Expect::Copied(most) => ok(listing.copied <= *most, &|| format!("{} bytes were copied", listing.copied)),
        Expect::NameOnDisk(d, wanted) => {
            let names = (seen.names_on_disk)(*d);
            ok(names.contains(wanted), &|| format!("{} has {names:?}", name(d)))
        }
    }
}

fn conflict(found: &Listed, base: Option<&[u8]>, sides: &[(usize, Vec<u8>)], devices: &[String]) -> Result<(), String> {
    if let Some(base) = base
        && found.base != Some(id(base))
    {
        return Err(format!("its base is {:?}", found.base));
    }
    for (device, bytes) in sides {
        let wanted = id(bytes);
        let side = found.sides.iter().find(|(_, content)| content.as_ref() == Some(&wanted));
        let (shown_by, _) = side.ok_or_else(|| format!("{} is no side of {found:#?}", text(bytes)))?;
        if !shown_by.contains(&devices[*device]) {
            return Err(format!(
                "{} is shown by {shown_by:?}, not by {}",
                text(bytes),
                devices[*device]
            ));
        }
    }
    let stated: BTreeSet<String> = sides.iter().map(|(_, bytes)| id(bytes)).collect();
    let listed = found.sides.iter().filter(|(_, content)| content.is_some()).count();
    if !sides.is_empty() && stated.len() != listed {
        return Err(format!("it has {listed} sides: {found:#?}"));
    }
    Ok(())
}

fn tree(device: &str, tree: &Tree, shown: &[Shown]) -> Result<(), String> {
    let mut left: BTreeMap<&String, &Thing> = tree.iter().collect();
    for one in shown {
        let found = left
            .iter()
            .find(|(path, thing)| matches(&one.path, path) && is(&one.what, thing))
            .map(|(path, _)| *path);
        let Some(path) = found else {
            return Err(format!("{device} does not show {}; it shows\n{}", describe(one), list(tree)));
        };
        left.remove(path);
    }
    // Directories with something in them need not be said.
    left.retain(|path, thing| **thing != Thing::Dir || !tree.keys().any(|p| p.starts_with(&format!("{path}/"))));
    match left.into_iter().next() {
        Some((path, _)) => Err(format!("{device} shows {path} too; it shows\n{}", list(tree))),
        None => Ok(()),
    }
}

fn is(what: &What, thing: &Thing) -> bool {
    match (what, thing) {
        (What::Dir, Thing::Dir) => true,
        (
            What::File { bytes, exec, mtime_ns },
            Thing::File {
                bytes: b,
                exec: x,
                mtime_ns: m,
            },
        ) => *bytes == **b && x.is_none_or(|x| x == *exec) && mtime_ns.is_none_or(|wanted| wanted == *m),
        (What::Link(target), Thing::Link(t)) => target == t,
        (What::Fifo, Thing::Special(_)) => true,
        _ => false,
    }
}

/// Whether a path is of a pattern: `*` is any characters but slashes.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((start, rest)) => path.strip_prefix(start).is_some_and(|path| {
            let end = path.find('/').unwrap_or(path.len());
            (0..=end)
                .filter(|i| path.is_char_boundary(*i))
                .any(|i| matches(rest, &path[i..]))
        }),
    }
}

fn text(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
    if bytes.len() > 60 {
        format!("{shown:?}… ({} bytes)", bytes.len())
    } else {
        format!("{shown:?}")
    }
}

fn describe(shown: &Shown) -> String {
    match &shown.what {
        What::Dir => format!("{}/", shown.path),
        What::File { bytes, exec, mtime_ns } => {
            let (x, at) = (
                if *exec { " +x" } else { "" },
                mtime_ns.map(|ns| format!(" at {ns} ns")).unwrap_or_default(),
            );
            format!("{} {}{x}{at}", shown.path, text(bytes))
        }
        What::Link(target) => format!("{} -> {target}", shown.path),
        What::Fifo => format!("{} fifo", shown.path),
    }
}

/// A tree, for people.
pub(super) fn list(tree: &Tree) -> String {
    let line = |(path, thing): (&String, &Thing)| match thing {
        Thing::Dir => format!("    {path}/\n"),
        Thing::File { bytes, exec, mtime_ns } => {
            format!(
                "    {path} {}{} ({mtime_ns})\n",
                text(bytes),
                if *exec == Some(true) { " +x" } else { "" }
            )
        }
        Thing::Link(target) => format!("    {path} -> {target}\n"),
        Thing::Special(what) => format!("    {path} {what}\n"),
    };
    tree.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        assert!(matches("c (*).txt", "c (k7f2).txt"));
        assert!(matches("*", "") && matches("a*b*c", "aXbYYc"));
        assert!(!matches("a*c", "a/c") && !matches("a*", "b"));
    }
}
