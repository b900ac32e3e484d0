//! Scanning, as the core sees it: what was found is compared with the records, what is unknown is read, and the whole becomes
//! operations.

use crate::core::host::Phase;
use crate::core::{Commit, Core, Effect, ScanEnd, ToRead, happened};
use bifold_disk::ignore::IGNORE_FILE;
use bifold_disk::read::Read;
use bifold_disk::scan::{Scanned, Scope};
use bifold_tree::{Kind, Problem, ProblemKind, ReplicaId, Stat, Survey};
use std::sync::Arc;

/// Another device that has said nothing for so long is not waited for.
const SILENCE_MS: u64 = 60_000;
/// After so long a system has written a file to its disk, whether it was asked to or not.
const WRITTEN_BY_ITSELF_MS: u64 = 120_000;
/// With more single paths than these the whole root is scanned.
const MANY_PATHS: usize = 20_000;

impl Core {
    pub(crate) fn dirty(&mut self, id: ReplicaId, scope: Scope) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        // New rules may concern what is long known.
        let rules = |path: &String| path.rsplit('/').next() == Some(IGNORE_FILE);
        host.dirty = Some(match (host.dirty.take(), scope) {
            (Some(Scope::Paths(mut known)), Scope::Paths(more)) if known.len() + more.len() <= MANY_PATHS => {
                known.extend(more);
                if known.iter().any(rules) {
                    Scope::All
                } else {
                    Scope::Paths(known)
                }
            }
            (None, Scope::Paths(paths)) if paths.len() <= MANY_PATHS && !paths.iter().any(rules) => Scope::Paths(paths),
            _ => Scope::All,
        });
    }

    pub(crate) fn begin_scan(&mut self, id: ReplicaId, scope: Scope) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.phase = Phase::Scanning;
        let thorough = scope == Scope::All && std::mem::take(&mut host.verify);
        host.survey = if thorough { Survey::thorough() } else { Survey::new() };
        host.scope = scope.clone();
        host.unread.clear();
        match &scope {
            Scope::All => host.problems.clear(),
            Scope::Paths(paths) => {
                let within = |path: &String| paths.iter().any(|p| path == p || path.starts_with(&format!("{p}/")));
                let unread = |p: &Problem| matches!(p.kind, ProblemKind::Unreadable | ProblemKind::Unstable);
                let known = host.problems.iter().filter(|(path, problem)| within(path) && unread(problem));
                host.unread = known.map(|(path, _)| path.clone()).collect();
                host.problems.retain(|path, _| !within(path));
            }
        }
        self.effects.push_back(Effect::Scan(id, scope));
    }

    pub(crate) fn scanned(&mut self, id: ReplicaId, found: Vec<Scanned>) {
        let Some(host) = self.hosts.get_mut(&id).filter(|h| h.phase == Phase::Scanning) else {
            return;
        };
        for one in found {
            match one {
                Scanned::Listed { dir, entries } => {
                    let left_out = |path: &str, is_dir| host.ignore.as_ref().is_some_and(|rules| rules.covers(path, is_dir));
                    host.survey.listed_but(&host.replica, &dir, &entries, &left_out);
                }
                Scanned::Looked { path, stat } => host.survey.looked(&host.replica, &path, stat),
                Scanned::Problem(problem) => {
                    host.problems.insert(problem.path.clone(), problem);
                }
            }
        }
    }

    pub(crate) fn scan_ended(&mut self, id: ReplicaId, end: ScanEnd) {
        let Some(host) = self.hosts.get_mut(&id).filter(|h| h.phase == Phase::Scanning) else {
            return;
        };
        let ScanEnd::Complete(searched) = end else {
            host.survey = Survey::new();
            host.phase = Phase::Idle;
            host.unfinished = true;
            if let ScanEnd::NotTheRoot(why) = end {
                host.halted = Some(why);
                self.hangs_up(id);
            }
            return;
        };
        host.kept.extend(searched.kept);
        host.in_doubt = searched.in_doubt;
        // A step found something gone, or it is known that not all is told: where to, only a look at everything can tell.
        let unsure = std::mem::take(&mut host.surprised) || host.unwatched.is_some();
        let moved_away = unsure && host.survey.gone() > 0;
        if (host.survey.unrooted() || moved_away) && host.scope != Scope::All {
            self.begin_scan(id, Scope::All);
            return;
        }
        let unread = host.survey.unread(&host.replica);
        let since_ns = (i128::from(self.wall_ms) - i128::from(WRITTEN_BY_ITSELF_MS)) * 1_000_000;
        let is_late = |stat: &Stat| i128::from(stat.print.mtime_ns.max(stat.print.ctime_ns)) > since_ns;
        let late = unread.iter().filter(|(_, _, stat)| stat.kind == Kind::File && is_late(stat));
        host.late.clear();
        for (_, path, _) in late {
            // (A directory on the way may be as new.)
            host.late.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
            host.late.insert(path.clone());
        }
        let files: Vec<ToRead> = unread
            .into_iter()
            .map(|(index, path, stat)| ToRead {
                index,
                path,
                kind: stat.kind,
                size: stat.print.size,
            })
            .collect();
        host.phase = Phase::Reading(files.len());
        if !files.is_empty() {
            self.effects.push_back(Effect::Read(id, files));
        }
    }

    pub(crate) fn read(&mut self, id: ReplicaId, results: Vec<(usize, Result<Read, Problem>)>) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Phase::Reading(left) = &mut host.phase else { return };
        *left = left.saturating_sub(results.len());
        let mut again = Vec::new();
        for (index, result) in results {
            match result {
                Ok(read) => {
                    if let (bifold_tree::Bytes::File(content), Some(chunks)) = (&read.bytes, read.chunks) {
                        host.chunks.push((*content, Arc::new(chunks)));
                    }
                    host.survey.read(index, read.bytes, read.stat);
                }
                Err(problem) => {
                    host.survey.unreadable(&host.replica, index);
                    if self.stopping {
                        host.unfinished = true;
                        continue;
                    }
                    if problem.kind == ProblemKind::Unstable {
                        again.push(problem.path.clone());
                    }
                    host.problems.insert(problem.path.clone(), problem);
                }
            }
        }
        host.look_again.extend(again);
    }

    /// Takes the survey in, once all is read; a disk that was never taken in waits until the others have told all they have,
    /// so that what both have gets one node and not two.
    pub(crate) fn observe_if_ready(&mut self, id: ReplicaId) {
        let Some(host) = self.hosts.get(&id) else { return };
        if host.phase != Phase::Reading(0) && host.phase != Phase::Waiting {
            return;
        }
        // What could not be read may be what something else, held back until now, became.
        if host.unread.iter().any(|path| !host.problems.contains_key(path)) {
            self.begin_scan(id, Scope::All);
            return;
        }
        let wait = host.joining && self.must_wait(id);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if wait {
            host.phase = Phase::Waiting;
            return;
        }
        let survey = std::mem::take(&mut host.survey);
        let now = self.wall_ms;
        host.written.retain(|_, at| now.abs_diff(*at) < WRITTEN_BY_ITSELF_MS);
        host.written
            .extend(std::mem::take(&mut host.late).into_iter().map(|path| (path, now)));
        let before = host.replica.sequence();
        let observed = host.replica.observe(survey, self.wall_ms);
        let happened = observed.dot.map(|dot| happened::here(&host.replica, before, dot));
        // (What could not be looked into is not forgotten, whenever the program ends.)
        let settled = host.carrying && !host.in_doubt;
        host.carrying &= !settled;
        host.unsure = false;
        let kept = std::mem::take(&mut host.kept);
        (host.joining, host.looked) = (false, true);
        host.phase = Phase::Idle;
        host.plan_due = true;
        let chunks = std::mem::take(&mut host.chunks);
        self.commit(
            id,
            Commit {
                chunks,
                durable: !kept.is_empty(),
                kept,
                happened: happened.unwrap_or_default(),
                carrying: settled.then_some(false),
                ..Commit::default()
            },
        );
        self.release();
    }

    /// Whether someone connected has not yet told everything, and is not itself waiting for this one.
    fn must_wait(&self, id: ReplicaId) -> bool {
        let place = |r: ReplicaId| self.order.iter().position(|o| *o == r);
        let is_far = |(me, other): &(ReplicaId, ReplicaId)| *me == id && !self.hosts.contains_key(other);
        let mut far = self.sessions.iter().filter(|(ends, _)| is_far(ends));
        if place(id) == Some(0) && self.wall_ms < self.awaited_until_ms && !far.any(|(_, session)| session.peer().is_some()) {
            return true;
        }
        self.sessions
            .iter()
            .filter(|((me, _), _)| *me == id)
            .any(|((_, other), session)| {
                let halted = self.hosts.get(other).is_some_and(|h| h.halted.is_some());
                let other_waits = self.hosts.get(other).map_or(session.peer_joining(), |h| h.joining);
                // Of two devices' that wait for each other, the one with the lower id goes first.
                let goes_first = if self.hosts.contains_key(other) {
                    place(id) < place(*other)
                } else {
                    id < *other
                };
                let first = other_waits && goes_first;
                let spoke = self.spoke_ms.get(&(id, *other));
                // (Either way: a clock that went back says nothing of how long it was.)
                let silent = spoke.is_some_and(|ms| self.wall_ms.abs_diff(*ms) > SILENCE_MS);
                !(halted || session.heard_all() || first || silent)
            })
    }
}
