//! A history as text: in the language of stories, with some orders more, each line with its time. `read` understands it.

use super::tape::{At, DEVICES, Event, History, What};
use super::{Broken, tape::Deed};
use crate::moments::End;
use crate::story::{Ending, Order, Rule, tell};
use bifold_engine::core::Prefer;

/// The names of all devices that there can be.
pub(super) fn names() -> Vec<String> {
    DEVICES.iter().map(|name| (*name).to_owned()).collect()
}

/// The text of a history, and above it what it broke.
#[must_use]
pub fn told(history: &History, broken: &Broken) -> String {
    format!("# {}: {}\n{}", broken.rule, broken.what.replace('\n', " "), text_of(history))
}

/// The text of a history.
#[must_use]
pub fn text_of(history: &History) -> String {
    let names = names();
    let mut lines = vec![
        format!("history {}", history.seed),
        format!("devices {}", names[..history.disks.len()].join(" ")),
    ];
    let mut say = |order: Order| lines.extend(tell(&order, &names));
    for (d, kinds) in history.disks.iter().enumerate() {
        kinds.iter().for_each(|kind| say(Order::Disk(d, *kind)));
    }
    match history.prefer {
        Prefer::Newest => say(Order::Prefer(Rule::Newest)),
        Prefer::Both => say(Order::Prefer(Rule::Both)),
        _ => {}
    }
    let mut deeds = history.workload.iter().peekable();
    for (at, event) in &history.schedule {
        while let Some((at, deed)) = deeds.next_if(|(when, _)| when <= at) {
            lines.push(deed_told(*at, deed, &names));
        }
        lines.push(format!("@{at} {}", event_told(event, &names)));
    }
    lines.extend(deeds.map(|(at, deed)| deed_told(*at, deed, &names)));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn deed_told(at: At, deed: &Deed, names: &[String]) -> String {
    let what = match &deed.what {
        What::Act(act) => crate::story::act(act),
        What::Decide(nth, how) => format!("decide {nth} {how}"),
    };
    format!("@{at} {}: {what}", names[deed.device])
}

fn event_told(event: &Event, names: &[String]) -> String {
    let name = |d: usize| &names[d];
    let order = match *event {
        Event::Settle => Order::Settle(Ending::Well),
        Event::Wait(seconds) => Order::Wait(seconds),
        Event::Part(a, b) => Order::Part(a, b),
        Event::Join(a, b) => Order::Join(a, b),
        Event::Restart => Order::Restart,
        Event::Full(d, bytes) => Order::Room(d, Some(bytes)),
        Event::Go(turns) => return format!("go {turns}"),
        Event::End(d, End::Kill, at) => return format!("kill {} {at}", name(d)),
        Event::End(d, End::PowerCut, at) => return format!("cut {} {at}", name(d)),
        Event::Sleep(d) => return format!("sleep {}", name(d)),
        Event::Wake(d) => return format!("wake {}", name(d)),
        Event::Duplicate => return "duplicate".to_owned(),
        Event::Fetches(parts) => return format!("fetches {parts}"),
        Event::Amid(number, false) => return format!("amid-call {number}"),
        Event::Amid(number, true) => return format!("amid-change {number}"),
        Event::Flaky(d, reads, writes, every) => {
            let which = match (reads, writes) {
                (true, false) => "reads",
                (false, true) => "writes",
                _ => "calls",
            };
            return format!("flaky {} {which} {every}", name(d));
        }
        Event::Slow(d, ms) => return format!("slow {} {ms}", name(d)),
        Event::Unreadable(d, nth) => return format!("unreadable-nth {} {nth}", name(d)),
        Event::Unwritable(d, nth) => return format!("unwritable-nth {} {nth}", name(d)),
        Event::Heal(d) => return format!("heal {}", name(d)),
        Event::Skew(d, seconds) => return format!("skew {} {seconds}", name(d)),
        Event::CopyIndex(d) => return format!("copy-index {}", name(d)),
        Event::RestoreIndex(d) => return format!("put-back-index {}", name(d)),
        Event::LoseIndex(d) => return format!("lose-index {}", name(d)),
        Event::CopyDisk(d) => return format!("copy-disk {}", name(d)),
        Event::RestoreDisk(d) => return format!("put-back-disk {}", name(d)),
    };
    tell(&order, names).unwrap_or_default()
}
