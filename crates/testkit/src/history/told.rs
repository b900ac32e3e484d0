//! A history, told in the language of stories, as far as that can say it. The rest stands in comments.

use super::tape::{DEVICES, Event, History, What};
use super::{Broken, tape::Deed};
use crate::moments::End;
use crate::story::{Act, Ending, Order, Rule, tell};
use bifold_engine::core::Prefer;

/// The lines of a history.
#[must_use]
pub fn told(history: &History, broken: &Broken) -> String {
    let names: Vec<String> = DEVICES[..history.disks.len()].iter().map(|name| (*name).to_owned()).collect();
    let mut lines = vec![
        format!("# Seed {}: {}", history.seed, broken.what.replace('\n', " ")),
        "only simulated".to_owned(),
        format!("devices {}", names.join(" ")),
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
    let mut deeds = history
        .workload
        .iter()
        .filter(|(_, deed)| deed.device < names.len())
        .peekable();
    let mut amid = None;
    for (at, event) in &history.schedule {
        while let Some((_, deed)) = deeds.next_if(|(when, _)| when <= at) {
            lines.extend(deed_told(deed, amid.take(), &names));
        }
        if let Event::Amid(call, touch) = event {
            amid = Some((*call, *touch));
        } else {
            lines.push(event_told(event, &names));
        }
    }
    deeds.for_each(|(_, deed)| lines.extend(deed_told(deed, amid.take(), &names)));
    lines.push("# in the end all is mended, and all see each other".to_owned());
    lines.push("settle".to_owned());
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn deed_told(deed: &Deed, amid: Option<(u64, bool)>, names: &[String]) -> Option<String> {
    let device = deed.device;
    match (&deed.what, amid) {
        (What::Act(act), None) => tell(&Order::User(device, act.clone()), names),
        (What::Act(act), Some((_, touch))) => {
            let acts = Act::All(match act {
                Act::All(acts) => acts.clone(),
                act => vec![act.clone()],
            });
            let order = if touch {
                Order::Applying(device, acts)
            } else {
                Order::Meanwhile(device, acts)
            };
            tell(&order, names)
        }
        (What::Decide(nth, how), _) => Some(format!("# {} decides a conflict ({nth}, {how})", names[device])),
    }
}

fn event_told(event: &Event, names: &[String]) -> String {
    let name = |d: usize| names.get(d).map_or("?", String::as_str);
    let there = |d: usize| d < names.len();
    let order = match *event {
        Event::Settle => Some(Order::Settle(Ending::Well)),
        Event::Wait(seconds) if seconds >= 0 => Some(Order::Wait(seconds)),
        Event::Part(a, b) if there(a) && there(b) => Some(Order::Part(a, b)),
        Event::Join(a, b) if there(a) && there(b) => Some(Order::Join(a, b)),
        Event::Restart => Some(Order::Restart),
        Event::Full(d, bytes) if there(d) => Some(Order::Room(d, Some(bytes))),
        _ => None,
    };
    if let Some(line) = order.and_then(|order| tell(&order, names)) {
        return line;
    }
    match *event {
        Event::Go(turns) => format!("# the programs do {turns} things"),
        Event::End(d, End::Kill, at) => format!("# {} is killed at change {at} from here", name(d)),
        Event::End(d, End::PowerCut, at) => format!("# the power of {} is cut at change {at} from here", name(d)),
        Event::Sleep(d) => format!("# {} is switched off", name(d)),
        Event::Wake(d) => format!("# {} is switched on", name(d)),
        Event::Unreadable(d, n) => format!("# of what {} has, number {n} cannot be read", name(d)),
        Event::Unwritable(d, n) => format!("# in directory number {n} of {} nothing can be changed", name(d)),
        Event::Heal(d) => format!("# the disk of {} is mended", name(d)),
        Event::Skew(d, seconds) => format!("# the clock of {} is wrong by {seconds} seconds", name(d)),
        ref event => format!("# {event:?}"),
    }
}
