//! What the daemon says, for people.

use crate::report::time;
use crate::words::{count, shown};
use bifold_engine::daemon::face::{
    Conflict, ConnectionKind, Content, ContentKind, DeviceStatus, Differs, Direction, Event, Explained, FileVersion,
    FolderStatus, Ignored, Invitation, Limit, LogEntry, Pending, PendingItem, Remedy, Role, Status,
};
use indicatif::HumanBytes;

/// Columns, as wide as they need to be.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut all = vec![head.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()];
    all.extend(rows);
    let width = |column: usize| {
        all.iter()
            .map(|row| row.get(column).map_or(0, |cell| cell.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Editor => "editor",
        Role::Reader => "reader",
    }
}

fn how(connection: ConnectionKind) -> &'static str {
    match connection {
        ConnectionKind::None => "not connected",
        ConnectionKind::Lan => "same network",
        ConnectionKind::Direct => "direct",
        ConnectionKind::Relayed => "through a relay",
    }
}

fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}

fn amount(pending: &Pending) -> String {
    if pending.count == 0 {
        "-".into()
    } else {
        format!("{} ({})", pending.count, bytes(pending.bytes))
    }
}

fn when(ms: Option<u64>) -> String {
    let ns = ms.and_then(|ms| i64::try_from(ms).ok()?.checked_mul(1_000_000));
    ns.map_or_else(|| "never".into(), time)
}

pub fn folders(folders: &[FolderStatus]) -> String {
    if folders.is_empty() {
        return "there are no folders; share one with bifold add PATH, or join one".into();
    }
    let row = |f: &FolderStatus| {
        vec![
            shown(&f.name),
            f.state.word().into(),
            count(f.files, "file"),
            bytes(f.bytes),
            role(f.role).into(),
            f.id[..8].to_owned(),
            f.path.display().to_string(),
        ]
    };
    table(
        &["FOLDER", "STATE", "FILES", "BYTES", "ROLE", "ID", "PATH"],
        folders.iter().map(row).collect(),
    )
}

pub fn folder(folder: &FolderStatus) -> String {
    let mut text = format!(
        "{}: {}; {}, {}; {}\n",
        shown(&folder.name),
        folder.state.word(),
        count(folder.files, "file"),
        bytes(folder.bytes),
        folder.path.display()
    );
    let mut line = |line: String| text.push_str(&format!("  {line}\n"));
    if let Some(why) = &folder.why {
        line(why.clone());
    }
    match folder.remedy {
        None => {}
        Some(Remedy::Rejoin) => line(format!("to merge what is there now as new: bifold rejoin {:?}", folder.name)),
        Some(Remedy::Rebuild) => line(format!(
            "to set the index aside and make it anew from the files: bifold rebuild {:?}",
            folder.name
        )),
    }
    if folder.paused_until_ms.is_some() {
        line(format!("it goes on by itself: {}", when(folder.paused_until_ms)));
    }
    if folder.pending_in.count > 0 {
        line(format!("to do here: {}", amount(&folder.pending_in)));
    }
    if folder.conflicts > 0 {
        line(format!(
            "{}: bifold conflicts lists them",
            count(folder.conflicts, "conflict")
        ));
    }
    for held in &folder.held {
        line(format!(
            "held: {} of {} files would be deleted and {} overwritten in {}; to let it pass: bifold allow {:?}; if that is wrong, put them back",
            held.removals,
            held.files,
            held.overwrites,
            held.path.display(),
            folder.name
        ));
    }
    for share in &folder.hosts {
        let why = share.why.as_ref().map(|w| format!(": {w}")).unwrap_or_default();
        line(format!("share {}: {}{why}", share.path.display(), share.state.word()));
        if share.remedy == Some(Remedy::Rejoin) {
            line(format!("to merge what is there now as new: bifold rejoin {:?}", share.path));
        }
    }
    for device in &folder.devices {
        let behind = match (device.agrees, device.behind.count) {
            (true, _) => "has everything".into(),
            (false, 0) => "may have more".into(),
            (false, _) => format!("lacks {}", amount(&device.behind)),
        };
        let seen = if device.connection == ConnectionKind::None {
            format!(", seen {}", when(device.last_seen_ms))
        } else {
            String::new()
        };
        line(format!(
            "{} ({}): {}{seen}, {behind}",
            shown(&device.name),
            role(device.role),
            how(device.connection)
        ));
    }
    for problem in folder.problems.iter().take(20) {
        line(if problem.path.is_empty() {
            problem.message.clone()
        } else {
            format!("{}: {}", shown(&problem.path), problem.message)
        });
    }
    if folder.problems.len() > 20 {
        line(format!("and {} more", count(folder.problems.len() as u64 - 20, "problem")));
    }
    text
}

pub fn status(status: &Status) -> String {
    let mut text = format!("{} ({})\n", shown(&status.name), &status.device[..8]);
    if let Some(why) = &status.why {
        text.push_str(&format!("{why}\n"));
    }
    if status.folders.is_empty() {
        text.push_str("there are no folders; share one with bifold add PATH, or join one\n");
    }
    for one in &status.folders {
        text.push_str(&folder(one));
    }
    text
}

pub fn devices(devices: &[DeviceStatus]) -> String {
    let row = |d: &DeviceStatus| {
        let folders = d.folders.iter().map(|(name, r)| format!("{} ({})", shown(name), role(*r)));
        vec![
            shown(&d.name),
            if d.this { "this one".into() } else { how(d.connection).into() },
            when(d.last_seen_ms),
            d.id[..8].to_owned(),
            folders.collect::<Vec<_>>().join(", "),
            d.why
                .clone()
                .filter(|_| d.connection == ConnectionKind::None)
                .unwrap_or_default(),
        ]
    };
    table(
        &["DEVICE", "CONNECTION", "SEEN", "ID", "FOLDERS", ""],
        devices.iter().map(row).collect(),
    )
}

pub fn invitation(invitation: &Invitation) -> String {
    format!(
        "good for {} until {}, as {}. On the other device, say bifold join TICKET PATH, or open the link:\n{}\n{}",
        count(u64::from(invitation.uses), "device"),
        when(Some(invitation.expires_ms)),
        role(invitation.role),
        invitation.link,
        invitation.ticket
    )
}

pub fn pending(items: &[PendingItem]) -> String {
    if items.is_empty() {
        return "nothing is pending".into();
    }
    let row = |i: &PendingItem| {
        vec![
            shown(&i.folder),
            if i.direction == Direction::In { "in" } else { "out" }.into(),
            shown(&i.to),
            i.what.clone(),
            bytes(i.bytes),
            match &i.from {
                Some(from) => format!("{} -> {}", shown(from), shown(&i.path)),
                None => shown(&i.path),
            },
            i.why.clone().unwrap_or_default(),
        ]
    };
    table(
        &["FOLDER", "WAY", "TO", "WHAT", "BYTES", "PATH", ""],
        items.iter().map(row).collect(),
    )
}

pub fn log(entries: &[LogEntry]) -> String {
    if entries.is_empty() {
        return "nothing is noted".into();
    }
    let row = |e: &LogEntry| {
        let path = match (&e.from, e.count) {
            (_, 2..) => format!(
                "{} in {}",
                count(e.count, "file"),
                if e.path.is_empty() { "." } else { &e.path }
            ),
            (Some(from), _) => format!("{} -> {}", shown(from), shown(&e.path)),
            (None, _) => shown(&e.path),
        };
        vec![time(nanoseconds(e.at_ms)), shown(&e.by), e.what.clone(), bytes(e.size), path]
    };
    table(&["WHEN", "BY", "WHAT", "BYTES", "PATH"], entries.iter().map(row).collect())
}

pub fn versions(versions: &[FileVersion]) -> String {
    if versions.is_empty() {
        return "no version of it lies on this device".into();
    }
    let row = |v: &FileVersion| vec![time(nanoseconds(v.at_ms)), v.reason.clone(), bytes(v.size), v.id.clone()];
    table(&["WHEN", "WHY", "BYTES", "VERSION"], versions.iter().map(row).collect())
}

fn nanoseconds(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// Of what is no text.
pub fn content(content: &Content) -> String {
    match content.kind {
        ContentKind::Text => "text".into(),
        ContentKind::Image => format!("a picture of {}", bytes(content.size)),
        ContentKind::Binary => format!("{}, which are no text", bytes(content.size)),
        ContentKind::TooLarge => format!("{}: too large to be shown", bytes(content.size)),
        ContentKind::Nothing => "nothing: it was deleted, or is a directory".into(),
    }
}

pub fn differs(differs: &Differs) -> String {
    match &differs.diff {
        _ if differs.same => "they are the same".into(),
        Some(diff) => diff.clone(),
        None if [differs.left, differs.right].contains(&ContentKind::TooLarge) => {
            "they differ, and are too large to be compared line by line; bifold resolve decides between them all the same".into()
        }
        None => "they differ, and not both are text".into(),
    }
}

pub fn ignored(ignored: &Ignored) -> String {
    let mut text = String::new();
    for line in &ignored.bad {
        text.push_str(&format!("not understood: {line}\n"));
    }
    for path in &ignored.matched {
        text.push_str(&shown(path));
        text.push('\n');
    }
    let more = ignored.count.saturating_sub(ignored.matched.len() as u64);
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    if !ignored.whole {
        text.push_str("(a part of the folder was looked at: it is very large)\n");
    }
    if text.is_empty() {
        text.push_str("nothing is ignored");
    }
    text
}

pub fn conflicts(conflicts: &[Conflict]) -> String {
    if conflicts.is_empty() {
        return "there are no conflicts".into();
    }
    let mut text = String::new();
    for conflict in conflicts {
        text.push_str(&format!(
            "{}: {} ({})\n",
            shown(&conflict.folder),
            shown(&conflict.path),
            conflict.kind
        ));
        for side in &conflict.sides {
            let mine = if side.mine { ", mine" } else { "" };
            let what = match (&side.content, &side.path) {
                (None, _) => "deleted".to_owned(),
                (_, Some(path)) if *path != conflict.path => format!("as {}", shown(path)),
                (Some(content), _) => format!("{}, {}", bytes(side.size), &content[..content.len().min(8)]),
            };
            let changed = side
                .modified_ns
                .map(|ns| format!(", changed {}", time(ns)))
                .unwrap_or_default();
            let devices = side.devices.iter().map(|d| shown(d)).collect::<Vec<_>>().join(" and ");
            text.push_str(&format!("  {devices}{mine}: {what}{changed}\n"));
        }
    }
    text.push_str("to decide one: bifold resolve FOLDER PATH --pick mine|theirs|both|DEVICE");
    // (In the order of their paths.)
    if conflicts
        .windows(2)
        .any(|two| (&two[0].folder, &two[0].path) == (&two[1].folder, &two[1].path))
    {
        text.push_str(" [--kind KIND]");
    }
    text
}

pub fn explained(told: &Explained) -> String {
    let mut text = format!("{}: {} here", shown(&told.path), told.here);
    if let Some(content) = &told.content {
        text.push_str(&format!(", {}, {}", bytes(told.size), &content[..content.len().min(16)]));
    }
    text.push('\n');
    for version in &told.versions {
        let what = match &version.content {
            Some(content) => format!("{}, {}", bytes(version.size), &content[..content.len().min(16)]),
            None if told.here == "directory" => "a directory".into(),
            None => "deleted".into(),
        };
        text.push_str(&format!(
            "  {what}, by {} at {}\n",
            shown(&version.by),
            when(Some(version.at_ms))
        ));
    }
    if !told.shown_by.is_empty() {
        text.push_str(&format!("  also shown by: {}\n", told.shown_by.join(", ")));
    }
    for sentence in &told.sentences {
        text.push_str(&format!("{sentence}\n"));
    }
    text
}

pub fn put_aside(paths: &Vec<String>) -> String {
    if paths.is_empty() {
        return "nothing was changed here".into();
    }
    let mut text = format!(
        "{} put into .bifold/history; what the others have comes in their place:\n",
        count(paths.len() as u64, "file")
    );
    for path in paths {
        text.push_str(&format!("  {}\n", shown(path)));
    }
    text
}

pub fn limits(limits: &[Limit]) -> String {
    let rate = |rate: Option<u32>| rate.map_or_else(|| "no limit".into(), |r| format!("{}/s", bytes(u64::from(r))));
    let row = |l: &Limit| {
        vec![
            l.device.clone().unwrap_or_else(|| "all together".into()),
            rate(l.up),
            rate(l.down),
        ]
    };
    table(&["DEVICE", "UP", "DOWN"], limits.iter().map(row).collect())
}

pub fn event(event: &Event) -> String {
    match event {
        Event::Folder { folder } => format!(
            "{}: {}; {}, to do {}, {}",
            shown(&folder.name),
            folder.state.word(),
            count(folder.files, "file"),
            amount(&folder.pending_in),
            count(folder.conflicts, "conflict")
        ),
        Event::FolderGone { id } => format!("the folder {id} is not here any more"),
        Event::Applying { folder, path, steps, .. } => {
            format!("{}: {} in {}", shown(folder), count(*steps, "change"), path.display())
        }
        Event::Progress {
            folder, bytes: done, of, ..
        } => format!("{}: {} of {}", shown(folder), bytes(*done), bytes(*of)),
        Event::Connected { name, connection, .. } => format!("{} is connected, {}", shown(name), how(*connection)),
        Event::Disconnected { name, why, .. } => format!("{} is not connected any more: {why}", shown(name)),
        Event::Joined {
            folder, name, role: r, ..
        } => format!("{} has joined {} as {}", shown(name), shown(folder), role(*r)),
        Event::Notice { message } => message.clone(),
    }
}
