//! What people read: what is planned, how far it is, what came of it.

use crate::args::Sync;
use crate::report;
use crate::words::{count, same_command, shown, typed};
use bifold_engine::core::{Decided, HostState, HostStatus, ListedConflict, Status, Taken};
use bifold_tree::{Action, Bytes, ConflictKind};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeSet;
use std::io::Write;
use std::time::SystemTime;

/// Steps that are shown one by one; of more only the number.
const SHOWN: usize = 30;
/// Conflicts and problems that are shown one by one.
const LISTED: usize = 20;

/// Writes for people.
pub struct People {
    bar: Option<ProgressBar>,
    /// The steps that were shown since there was last nothing to do.
    said: BTreeSet<String>,
    hidden: usize,
    /// Steps that were planned.
    would: u64,
    at_work: bool,
    since: SystemTime,
}

impl People {
    pub fn new() -> People {
        People {
            bar: None,
            said: BTreeSet::new(),
            hidden: 0,
            would: 0,
            at_work: false,
            since: SystemTime::now(),
        }
    }

    pub fn planned(&mut self, side: &str, steps: &[Action], sync: &Sync) {
        self.clear();
        if sync.watch && !self.at_work {
            self.since = SystemTime::now();
        }
        self.at_work = true;
        self.would += steps.len() as u64;
        let arrow = if side == "left" { "←" } else { "→" };
        for step in steps {
            let line = format!("  {arrow} {}", line(step));
            // What could not be done is planned again: once is enough.
            if self.said.contains(&line) {
                continue;
            }
            if self.said.len() < SHOWN {
                say(&line);
                self.said.insert(line);
            } else {
                self.hidden += 1;
            }
        }
    }

    fn tell_hidden(&mut self) {
        if self.hidden > 0 {
            say(&format!("  … and {} more", HumanCount(self.hidden as u64)));
        }
        self.said.clear();
        self.hidden = 0;
    }

    pub fn progress(&mut self, bytes: u64, of: u64) {
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(of), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("  {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left") {
                bar.set_style(style);
            }
            bar
        });
        bar.set_length(of);
        bar.set_position(bytes);
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// The end of a run, or of a round of watching. What was `told` before and is still so is not told again, but counted.
    pub fn summary(&mut self, status: &Status, told: Option<&Status>, sync: &Sync) {
        self.clear();
        self.tell_hidden();
        for decided in &status.decided {
            say(&decided_text(decided, sync));
        }
        for path in &status.undecided {
            say(&format!("Nothing to decide: there is no such conflict at {}", shown(path)));
        }
        let known = |conflict: &&ListedConflict| told.is_none_or(|t| !t.conflicts.contains(conflict));
        list(
            status.conflicts.iter().filter(known).map(|c| conflict_text(c, sync)),
            "conflict",
        );
        for host in &status.hosts {
            let before = told.and_then(|t| t.hosts.iter().find(|h| h.replica == host.replica));
            if let Some(why) = host
                .halted
                .as_ref()
                .filter(|why| before.is_none_or(|b| b.halted.as_ref() != Some(why)))
            {
                say(&format!("Halted: {why}"));
                if why.rejoin {
                    say(&format!(
                        "    merge as new: {}",
                        same_command(sync, &format!("--rejoin={}", host.name))
                    ));
                }
            }
            let known = |problem: &&bifold_tree::Problem| before.is_none_or(|b| !b.problems.contains(problem));
            let text = |p: &bifold_tree::Problem| format!("Problem on the {}: {}: {}", host.name, shown(&p.path), p.message);
            list(host.problems.iter().filter(known).map(text), "problem");
            if let Some(held) = host.held.filter(|held| before.is_none_or(|b| b.held != Some(*held))) {
                say(&format!("Held: {}", report::held_message(&host.name, held)));
                if !sync.watch {
                    say(&format!("    allow: {}", same_command(sync, "--allow-mass-change")));
                }
            }
        }
        say(&self.one_line(status, sync));
        self.at_work = false;
    }

    fn one_line(&self, status: &Status, sync: &Sync) -> String {
        let sum = |of: fn(&HostStatus) -> u64| status.hosts.iter().map(of).sum::<u64>();
        let changes = status.hosts.iter().filter(|h| h.applied > 0);
        let mut did: Vec<String> = changes
            .map(|h| format!("{} on the {}", count(h.applied, "change"), h.name))
            .collect();
        for (bytes, word) in [(sum(|h| h.moved.copied), "copied"), (sum(|h| h.moved.reused), "reused")] {
            did.extend((bytes > 0).then(|| format!("{} {word}", HumanBytes(bytes))));
        }
        let (conflicts, problems) = (status.conflicts.len() as u64, sum(|h| h.problems.len() as u64));
        let held = status.hosts.iter().any(|h| h.held.is_some());
        let mut waits = Vec::new();
        waits.extend((conflicts > 0).then(|| format!("{} to decide", count(conflicts, "conflict"))));
        waits.extend((problems > 0).then(|| count(problems, "problem")));
        waits.extend(held.then(|| "held changes".to_owned()));
        let (did, waits) = (did.join(", "), waits.join(", "));
        let is = |states: &[HostState]| status.hosts.iter().any(|h| states.contains(&h.state));
        let parts = if sync.dry_run {
            let would = if self.would > 0 {
                format!("{} would be made", count(self.would, "change"))
            } else if waits.is_empty() {
                "nothing to do".to_owned()
            } else {
                String::new()
            };
            ["Dry run, nothing was changed".to_owned(), would, waits, String::new()]
        } else if report::in_sync(status) {
            let did = if did.is_empty() { "nothing to do".to_owned() } else { did };
            [format!("In sync: {did}"), String::new(), String::new(), String::new()]
        } else if is(&[HostState::Halted]) {
            ["Not in sync".to_owned(), did, waits, String::new()]
        } else if is(&[HostState::Scanning, HostState::Syncing]) {
            [
                "Stopped before the end".to_owned(),
                did,
                waits,
                "run it again to go on".to_owned(),
            ]
        } else if waits.is_empty() {
            [
                "Not all could be done yet".to_owned(),
                did,
                String::new(),
                "run it again to go on".to_owned(),
            ]
        } else {
            let rest = if held { "" } else { "all else is in sync" };
            [waits, did, rest.to_owned(), String::new()]
        };
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let mut text = parts.join("; ");
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let files = status.hosts.iter().map(|h| h.files as u64).max().unwrap_or(0);
        format!("{text} ({}, {})", count(files, "file"), report::took(self.since))
    }
}

/// A line on standard output. Nobody may be reading any more.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn list(lines: impl Iterator<Item = String>, word: &str) {
    let mut lines = lines;
    lines.by_ref().take(LISTED).for_each(|line| say(&line));
    let rest = lines.count() as u64;
    if rest > 0 {
        say(&format!("… and {} more (--json lists them all)", count(rest, word)));
    }
}

fn line(step: &Action) -> String {
    let path = shown(step.path());
    match step {
        Action::Make { wanted, .. } => match &wanted.bytes {
            Bytes::Dir => format!("new      {path}/"),
            Bytes::Link(target) => format!("new      {path} → {}", shown(target)),
            Bytes::File(_) => format!("new      {path}  {}", HumanBytes(wanted.size)),
        },
        Action::Write { wanted, .. } => format!("edited   {path}  {}", HumanBytes(wanted.size)),
        Action::SetMode { exec, .. } => format!("mode     {path}  {}", if *exec { "executable" } else { "not executable" }),
        Action::Rename { to, .. } => format!("moved    {path} → {}", shown(to)),
        Action::Remove { .. } => format!("deleted  {path}"),
        Action::RemoveDir { .. } => format!("deleted  {path}/"),
    }
}

fn decided_text(d: &Decided, sync: &Sync) -> String {
    let what = match &d.taken {
        Taken::Side(who) if who.is_empty() => "one side was taken".to_owned(),
        Taken::Side(who) => format!("the {}'s was taken", who.join(" and ")),
        Taken::Both => "both are kept".to_owned(),
        Taken::Place => "it stays where it is".to_owned(),
        Taken::Edit => "the edit was kept".to_owned(),
        Taken::Deletion => "it was deleted".to_owned(),
    };
    let mut text = format!("Decided: {}: {what}", shown(&d.path));
    for (replica, stored) in &d.kept {
        let side = if replica == "left" { &sync.left } else { &sync.right };
        let file = side.join(bifold_disk::stage::HISTORY).join(stored);
        text += &format!("\n    kept    {}", shown(&file.to_string_lossy()));
    }
    text
}

fn conflict_text(c: &ListedConflict, sync: &Sync) -> String {
    let what = match c.kind {
        ConflictKind::Content if c.base.is_none() => "both sides have it, with different contents; each keeps its own",
        ConflictKind::Content => "both sides changed it; each keeps its own",
        ConflictKind::Deleted => "deleted on one side, edited on the other; the edit stays",
        ConflictKind::Renamed => "renamed to different places; the newest is shown",
        ConflictKind::Name => "another file has its name; rename either of them",
        ConflictKind::Cycle => "directories were moved into each other; move it to where it belongs",
        ConflictKind::Orphan => "its directory is not known (yet); move it to where it belongs",
    };
    let mut text = format!("Conflict: {}: {what}", shown(&c.path));
    if let Some((_, size)) = &c.base {
        text += &format!("\n    before  {}", HumanBytes(*size));
    }
    for side in &c.sides {
        let who = if side.replicas.is_empty() {
            "elsewhere".to_owned()
        } else {
            side.replicas.join(", ")
        };
        let when = side
            .modified_ns
            .map(|ns| format!(", changed {}", report::time(ns)))
            .unwrap_or_default();
        text += &match (&side.content, &side.path) {
            (None, _) => format!("\n    {who:<7} deleted"),
            (Some(_), Some(path)) => format!("\n    {who:<7} {}", shown(path)),
            (Some(_), None) => format!("\n    {who:<7} {}{when}", HumanBytes(side.size)),
        };
    }
    let (first, others) = match c.kind {
        ConflictKind::Content => ("left", "right, both"),
        ConflictKind::Deleted | ConflictKind::Renamed => ("left", "right"),
        _ => return text,
    };
    let decide = format!("--resolve {}", typed(&format!("{}={first}", c.path)));
    let first = if sync.watch { "stop this (Ctrl-C), then " } else { "" };
    text + &format!("\n    decide: {first}{}   (or {others})", same_command(sync, &decide))
}
