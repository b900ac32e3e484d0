//! What people read: what is planned, how far it is, what came of it.

use crate::args::Sync;
use crate::report;
use bifold_engine::core::Status;
use bifold_tree::{Action, Bytes, ConflictKind};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::SystemTime;

/// Steps that are shown one by one; of more only the number.
const SHOWN: usize = 30;

/// Writes for people.
pub struct People {
    bar: Option<ProgressBar>,
    shown: usize,
    hidden: usize,
    started: SystemTime,
}

impl People {
    pub fn new() -> People {
        People {
            bar: None,
            shown: 0,
            hidden: 0,
            started: SystemTime::now(),
        }
    }

    pub fn planned(&mut self, side: &str, steps: &[Action]) {
        self.clear();
        let arrow = if side == "left" { "←" } else { "→" };
        for step in steps {
            if self.shown < SHOWN {
                self.shown += 1;
                println!("  {arrow} {}", line(step));
            } else {
                self.hidden += 1;
            }
        }
    }

    fn tell_hidden(&mut self) {
        if self.hidden > 0 {
            println!("  … and {} more", HumanCount(self.hidden as u64));
        }
        (self.shown, self.hidden) = (0, 0);
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

    /// The end of a run, or of a round of watching.
    pub fn summary(&mut self, status: &Status, sync: &Sync) {
        self.clear();
        self.tell_hidden();
        for conflict in &status.conflicts {
            println!("{}", conflict_text(conflict, sync));
        }
        for host in &status.hosts {
            if let Some(why) = &host.halted {
                println!("Halted: {why}");
            }
            for problem in &host.problems {
                println!("Problem on the {} side: {}: {}", host.name, problem.path, problem.message);
            }
            if let Some((removals, overwrites, files)) = host.held {
                println!("Held: {}", report::held_message(&host.name, removals, overwrites, files));
            }
        }
        println!("{}", self.one_line(status, sync));
    }

    fn one_line(&self, status: &Status, sync: &Sync) -> String {
        let applied: Vec<String> = status
            .hosts
            .iter()
            .filter(|h| h.applied > 0)
            .map(|h| format!("{} on the {}", changes(h.applied), h.name))
            .collect();
        let copied: u64 = status.hosts.iter().map(|h| h.moved.copied).sum();
        let reused: u64 = status.hosts.iter().map(|h| h.moved.reused).sum();
        let mut said = Vec::new();
        if sync.dry_run {
            said.push("nothing was changed (dry run)".to_owned());
        } else if applied.is_empty() {
            said.push("nothing to do".to_owned());
        }
        said.extend(applied);
        if copied > 0 {
            said.push(format!("{} copied", HumanBytes(copied)));
        }
        if reused > 0 {
            said.push(format!("{} reused", HumanBytes(reused)));
        }
        let count = |n: usize, word: &str| (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }));
        said.extend(count(status.conflicts.len(), "conflict"));
        said.extend(count(status.hosts.iter().map(|h| h.problems.len()).sum(), "problem"));
        let files = status.hosts.iter().map(|h| h.files).max().unwrap_or(0);
        let state = match (report::in_sync(status), sync.dry_run) {
            (true, _) => "In sync",
            (false, true) => "Not in sync",
            (false, false) => "Not all in sync",
        };
        format!(
            "{state}: {} ({} files, {})",
            said.join(", "),
            HumanCount(files as u64),
            report::took(self.started)
        )
    }
}

fn changes(n: u64) -> String {
    format!("{} change{}", HumanCount(n), if n == 1 { "" } else { "s" })
}

fn line(step: &Action) -> String {
    match step {
        Action::Make { path, wanted } => match &wanted.bytes {
            Bytes::Dir => format!("new      {path}/"),
            Bytes::Link(target) => format!("new      {path} → {target}"),
            Bytes::File(_) => format!("new      {path}  {}", HumanBytes(wanted.size)),
        },
        Action::Write { path, wanted, .. } => format!("edited   {path}  {}", HumanBytes(wanted.size)),
        Action::SetMode { path, exec, .. } => format!("mode     {path}  {}", if *exec { "executable" } else { "not executable" }),
        Action::Rename { from, to, .. } => format!("moved    {from} → {to}"),
        Action::Remove { path, .. } => format!("deleted  {path}"),
        Action::RemoveDir { path, .. } => format!("deleted  {path}/"),
    }
}

fn conflict_text(c: &bifold_engine::core::ListedConflict, sync: &Sync) -> String {
    let what = match c.kind {
        ConflictKind::Content => "both sides changed it; each keeps its own",
        ConflictKind::Deleted => "deleted on one side, edited on the other; the edit stays",
        ConflictKind::Renamed => "renamed to different places; the newest is shown",
        ConflictKind::Name => "another file has its name; rename either of them",
        ConflictKind::Cycle => "directories were moved into each other; move it to where it belongs",
        ConflictKind::Orphan => "its directory is not known (yet); move it to where it belongs",
    };
    let mut text = format!("Conflict: {}: {what}", c.path);
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
            (Some(_), Some(path)) => format!("\n    {who:<7} {path}"),
            (Some(_), None) => format!("\n    {who:<7} {}{when}", HumanBytes(side.size)),
        };
    }
    let (left, right) = (sync.left.display(), sync.right.display());
    let choices = match c.kind {
        ConflictKind::Content => "left|right|both",
        ConflictKind::Deleted => "left|right|delete",
        ConflictKind::Renamed => "left|right",
        _ => return text,
    };
    text + &format!("\n    decide: bifold sync {left} {right} --resolve '{}={choices}'", c.path)
}
