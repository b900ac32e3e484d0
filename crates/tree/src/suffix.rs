//! Marked names: `name (k7f2).ext`, for what cannot have its name because something else has it.

use crate::id::NodeId;

/// Shortest mark, in characters; longer ones are used where this one is taken.
pub(crate) const SHORTEST: usize = 4;
/// Longest mark, in characters.
pub(crate) const LONGEST: usize = 16;

/// `name` with a mark of so many characters that is the node's own, before the extension.
pub(crate) fn marked(name: &str, id: NodeId, length: usize) -> String {
    let (stem, extension) = split(name);
    format!("{stem} ({}){extension}", id.short(length))
}

/// Whether `shown` is `name` with a mark that is the node's own.
pub(crate) fn is_marked(shown: &str, name: &str, id: NodeId) -> bool {
    (SHORTEST..=LONGEST).any(|length| marked(name, id, length) == shown)
}

/// A name that some disk cannot have because it is too long: cut, with a mark.
pub(crate) fn cut(name: &str, id: NodeId, length: usize, fits: &dyn Fn(&str) -> bool) -> String {
    let (stem, extension) = split(name);
    let extension = if extension.len() > 32 { "" } else { extension };
    let mut stem = stem.to_owned();
    loop {
        let cut = format!("{stem} ({}){extension}", id.short(length));
        if fits(&cut) || stem.is_empty() {
            return cut;
        }
        stem.pop();
    }
}

/// The name that `name` would be the marked form of, if it is one.
pub(crate) fn unmarked(name: &str) -> Option<String> {
    let (stem, extension) = split(name);
    let inner = stem.strip_suffix(')')?;
    let at = inner.rfind(" (")?;
    let mark = &inner[at + 2..];
    let plausible =
        (SHORTEST..=LONGEST).contains(&mark.len()) && mark.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    (plausible && at > 0).then(|| format!("{}{extension}", &inner[..at]))
}

/// Longest part of a name that a parked one tells, in bytes.
const TOLD: usize = 180;

/// What something is called while it is out of the way: a number, and the name that it had, so that it can be told what it was.
pub(crate) fn parked(number: u32, name: &str) -> String {
    let (stem, extension) = split(name);
    let extension = if extension.len() > 32 { "" } else { extension };
    let end = (0..=stem.len().min(TOLD)).rev().find(|at| stem.is_char_boundary(*at));
    format!("{number}-{}{extension}", &stem[..end.unwrap_or(0)])
}

/// The name under which a parked thing is shown of which nothing more is known.
pub(crate) fn kept(parked: &str) -> String {
    let (stem, extension) = split(parked.split_once('-').map_or(parked, |(_, name)| name));
    format!("{stem} (kept){extension}")
}

/// The stem and the extension with its dot; a leading dot begins no extension.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && at + 1 < name.len() && !name[at..].contains([' ', ')']) => name.split_at(at),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Dot, ReplicaId};

    #[test]
    fn marks_come_off_again() {
        let id = NodeId {
            dot: Dot {
                time: 7,
                replica: ReplicaId(3),
            },
            index: 1,
        };
        for name in ["a", "a.txt", ".bashrc", "archive.tar.gz", "x (1)", "no. 5 is alive", "ends."] {
            let m = marked(name, id, 4);
            assert_ne!(m, name);
            assert_eq!(unmarked(&m).as_deref(), Some(name), "{m}");
            assert!(is_marked(&m, name, id) && !is_marked(name, name, id));
        }
        assert_eq!(unmarked("report (2024).txt").as_deref(), Some("report.txt"));
        assert_eq!(unmarked("plain.txt"), None);
    }

    #[test]
    fn what_was_parked_tells_its_name() {
        for (name, shown) in [("a", "a (kept)"), ("a-b.txt", "a-b (kept).txt"), (".rc", ".rc (kept)")] {
            assert_eq!(kept(&parked(7, name)), shown);
        }
        assert_eq!(kept("7"), "7 (kept)");
        assert!(parked(u32::MAX, &("ä".repeat(127) + ".txt")).len() < 240);
    }

    #[test]
    fn cut_names_fit() {
        let id = NodeId {
            dot: Dot {
                time: 7,
                replica: ReplicaId(3),
            },
            index: 1,
        };
        let long = "ä".repeat(300) + ".txt";
        let cut = cut(&long, id, 4, &|n| n.len() <= 255);
        assert!(cut.len() <= 255 && cut.ends_with(").txt"));
    }
}
