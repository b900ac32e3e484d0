//! From a story's lines to text: what histories that failed are told in. [`Expect`](super::Expect)ations are for people to write.

use super::{Act, DiskKind, Ending, Order, PickSide, Rule};

/// A line, as it is written; `None` of an expectation.
#[must_use]
pub fn tell(order: &Order, devices: &[String]) -> Option<String> {
    let name = |d: &usize| devices[*d].as_str();
    Some(match order {
        Order::Disk(d, kind) => disk(name(d), *kind),
        Order::User(d, act) => format!("{}: {}", name(d), self::act(act)),
        Order::Meanwhile(d, act) => format!("meanwhile {}: {}", name(d), self::act(act)),
        Order::Applying(d, act) => format!("while-applying {}: {}", name(d), self::act(act)),
        Order::Settle(Ending::Well) => "settle".to_owned(),
        Order::Settle(Ending::Killed) => "settle killed".to_owned(),
        Order::Settle(Ending::Cut) => "settle cut".to_owned(),
        Order::Part(a, b) => format!("part {} {}", name(a), name(b)),
        Order::Join(a, b) => format!("join {} {}", name(a), name(b)),
        Order::Restart => "restart".to_owned(),
        Order::Crash => "crash".to_owned(),
        Order::Wait(seconds) => format!("wait {seconds}"),
        Order::Ignore(pattern) => format!("ignore {}", word(pattern)),
        Order::Prefer(Rule::Ask) => "prefer ask".to_owned(),
        Order::Prefer(Rule::Newest) => "prefer newest".to_owned(),
        Order::Prefer(Rule::Both) => "prefer both".to_owned(),
        Order::Prefer(Rule::Device(d)) => format!("prefer {}", name(d)),
        Order::Allow => "allow".to_owned(),
        Order::Pick(d, path, side) => {
            let side = match side {
                PickSide::Device(d) => name(d),
                PickSide::Both => "both",
                PickSide::Delete => "delete",
            };
            format!("{}: pick {} {side}", name(d), word(path))
        }
        Order::Unmount(d) => format!("unmount {}", name(d)),
        Order::Mount(d) => format!("mount {}", name(d)),
        Order::EmptyRoot(d) => format!("empty-root {}", name(d)),
        Order::OtherDisk(d) => format!("other-disk {}", name(d)),
        Order::Unreadable(d, path, is) => format!("{} {} {}", if *is { "unreadable" } else { "readable" }, name(d), word(path)),
        Order::Unwritable(d, path, is) => format!("{} {} {}", if *is { "unwritable" } else { "writable" }, name(d), word(path)),
        Order::Room(d, Some(bytes)) => format!("full {} {bytes}", name(d)),
        Order::Room(d, None) => format!("room {}", name(d)),
        Order::LoseIndex => "lose-index".to_owned(),
        Order::SnapshotIndex(copy) => format!("snapshot-index {copy}"),
        Order::RestoreIndex(copy) => format!("restore-index {copy}"),
        Order::SnapshotFiles(d, copy) => format!("snapshot-files {} {copy}", name(d)),
        Order::RestoreFiles(d, copy) => format!("restore-files {} {copy}", name(d)),
        Order::Expect(_) => return None,
    })
}

fn disk(device: &str, kind: DiskKind) -> String {
    let word = match kind {
        DiskKind::Folds => "folds",
        DiskKind::Forms => "forms",
        DiskKind::Forbids => "forbids",
        DiskKind::NoExec => "noexec",
        DiskKind::NoLinks => "nolinks",
        DiskKind::NoExchange => "noexchange",
        DiskKind::Coarse => "coarse",
        DiskKind::Skewed(seconds) => return format!("skewed {device} {seconds}"),
    };
    format!("{word} {device}")
}

/// What a user does, without who.
#[must_use]
pub fn act(act: &Act) -> String {
    match act {
        Act::Write(path, bytes) => format!("write {} {}", word(path), text(bytes)),
        Act::Append(path, bytes) => format!("append {} {}", word(path), text(bytes)),
        Act::Save(path, bytes) => format!("save {} {}", word(path), text(bytes)),
        Act::Move(from, to) => format!("move {} {}", word(from), word(to)),
        Act::Swap(a, b) => format!("swap {} {}", word(a), word(b)),
        Act::Delete(path) => format!("delete {}", word(path)),
        Act::Mkdir(path) => format!("mkdir {}", word(path)),
        Act::Link(path, target) => format!("link {} -> {}", word(path), word(target)),
        Act::HardLink(path, second) => format!("hardlink {} {}", word(path), word(second)),
        Act::Chmod(path, exec) => format!("chmod {} {}", if *exec { "+x" } else { "-x" }, word(path)),
        Act::Touch(path, ns) => format!("touch {} {}", word(path), ns.div_euclid(1_000_000_000)),
        Act::Fifo(path) => format!("fifo {}", word(path)),
        Act::Fill(dir, count) => format!("fill {} {count}", word(dir)),
        Act::All(acts) => acts.iter().map(self::act).collect::<Vec<_>>().join(" then "),
    }
}

/// A path: bare, if it can be.
fn word(path: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !path.is_empty() && path.chars().all(bare) && !path.starts_with('-') {
        path.to_owned()
    } else {
        quoted(path.as_bytes())
    }
}

/// Bytes; those that repeat themselves are told once.
fn text(bytes: &[u8]) -> String {
    let period = (1..=bytes.len() / 2)
        .take(200)
        .find(|p| bytes.len() > 60 && bytes.len().is_multiple_of(*p) && bytes.chunks(*p).all(|c| c == &bytes[..*p]));
    match period {
        Some(p) => format!("{} x {}", quoted(&bytes[..p]), bytes.len() / p),
        None => quoted(bytes),
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\0' => text.push_str("\\0"),
                c if c.is_control() => text.push_str(&format!("\\u{{{:X}}}", u32::from(c))),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|b| text.push_str(&format!("\\x{b:02x}")));
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::Story;

    #[test]
    fn what_is_told_is_understood_as_it_was_meant() {
        let devices = vec!["anna".to_owned(), "ben".to_owned()];
        let write = |bytes: &[u8]| Act::Write("a b/ü*".into(), bytes.to_vec());
        let orders = [
            Order::Disk(1, DiskKind::Skewed(-7)),
            Order::User(0, write(b"\"1\"\n\0\xff\\")),
            Order::User(1, Act::Save("x".into(), b"12 by ben ".repeat(40))),
            Order::Applying(1, Act::All(vec![Act::Delete("-".into()), Act::Link("l".into(), "x".into())])),
            Order::Meanwhile(0, Act::Touch("t".into(), 5_000_000_000)),
            Order::User(0, Act::Chmod("x".into(), true)),
            Order::Pick(0, "x".into(), PickSide::Device(1)),
            Order::Settle(Ending::Cut),
            Order::Room(0, Some(7)),
            Order::Unreadable(1, "d".into(), false),
        ];
        let mut told = String::from("devices anna ben\n");
        for order in &orders {
            told.push_str(&tell(order, &devices).unwrap());
            told.push('\n');
        }
        assert!(told.contains("\"12 by ben \" x 40"), "{told}");
        let understood: Story = told.parse().unwrap();
        let lines: Vec<Order> = understood.lines.into_iter().map(|line| line.order).collect();
        assert_eq!(lines, orders);
    }
}
