//! Planning and applying, as the core sees it.

use crate::core::decide::Waiting;
use crate::core::host::{Held, Phase};
use crate::core::{Commit, Core, Decided, Effect, Side, Taken, ToApply, happened};
use bifold_disk::apply::{Applied, content_of};
use bifold_disk::ignore::IGNORE_FILE;
use bifold_disk::scan::Scope;
use bifold_tree::{Action, Bytes, ConflictKind, ContentId, NodeId, Outcome, PARKED_PATH, Pick, Problem, ProblemKind, ReplicaId};
use std::collections::{BTreeSet, HashSet};

/// How often in a row what changed under the hands is looked at again at once; after that with the next change or retry.
const TRIES: usize = 5;
/// Removals within so many milliseconds count as one.
const AT_ONCE_MS: u64 = 60_000;

impl Core {
    /// Plans what is to be done on a host's disk, and has it done; or finds that all is done.
    pub(crate) fn plan(&mut self, id: ReplicaId) {
        let at_hand = self.open_sides_at_hand();
        let settings = self.settings.clone();
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.held = None;
        (host.rest_ignored, host.rest_left_out) = (false, false);
        if !host.replica.is_stale() {
            host.failures.clear();
            self.settled(id);
            return;
        }
        if !settings.allow_mass_change && !host.allowed {
            let (removals, overwrites) = host.replica.foreseen();
            let (files, _) = host.replica.counts();
            // A tree that is deleted while it is watched goes little by little.
            while host
                .removed
                .front()
                .is_some_and(|(when, _)| when.saturating_add(AT_ONCE_MS) < self.wall_ms)
            {
                host.removed.pop_front();
            }
            let removed: usize = host.removed.iter().map(|(_, n)| n).sum();
            let files = files + removed;
            let many = if removals > 0 {
                removals + overwrites + removed
            } else {
                overwrites
            };
            if many > settings.mass_least && many as u64 * 100 > files as u64 * u64::from(settings.mass_percent) {
                host.held = Some(Held {
                    removals,
                    overwrites,
                    files,
                });
                return;
            }
        }
        let size = if host.plan_whole { usize::MAX } else { settings.plan_size };
        let plan = host.replica.plan(&|content| at_hand.contains(content), size);
        if !plan.partial {
            // All that is left to do is tried again: what fails then is told then.
            host.failures.clear();
        }
        if plan.steps.is_empty() {
            host.allowed = false;
            self.commit(id, Commit::default());
            if let Some(host) = self.hosts.get_mut(&id)
                && !host.replica.is_stale()
            {
                self.settled(id);
            }
            return;
        }
        let mut jobs = Vec::with_capacity(plan.steps.len());
        for (i, step) in plan.steps.iter().enumerate() {
            let of = match &step.action {
                Action::Make { wanted, .. } if wanted.bytes == Bytes::Dir => Some(Bytes::Dir.id()),
                action => content_of(action).map(|(content, _)| content),
            };
            let origins = of.map(|content| self.origins(id, &plan.nodes(i), content));
            jobs.push(ToApply {
                action: step.action.clone(),
                origins: origins.unwrap_or_default(),
                after_commit: step.after_commit,
                leaving: step.leaving,
            });
        }
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.planned = (0..plan.steps.len()).flat_map(|i| plan.nodes(i)).collect();
        host.steps_before = host.steps_done;
        host.plan = plan;
        host.phase = Phase::Applying(0);
        host.carrying = true;
        (host.makes_room, host.deferred) = (false, false);
        (host.rest_ignored, host.rest_left_out) = (true, true);
        // (Of what is removed, too: a removal that is done and not noted is no deletion by the user.)
        self.commit(
            id,
            Commit {
                carrying: Some(true),
                durable: true,
                ..Commit::default()
            },
        );
        self.effects.push_back(Effect::Apply(id, jobs));
    }

    /// The disk shows all: the others may know.
    fn settled(&mut self, id: ReplicaId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.failures.clear();
        host.allowed = false;
        host.again = 0;
        if host.replica.shows_all() {
            tracing::debug!(%id, "the disk shows everything");
        }
    }

    /// The bytes of open sides that some disk of this program shows.
    pub(crate) fn open_sides_at_hand(&mut self) -> BTreeSet<ContentId> {
        let mut wanted = Vec::new();
        for host in self.hosts.values_mut() {
            wanted.extend(
                host.replica
                    .conflicts()
                    .into_iter()
                    .filter(|c| c.sides.len() > 1)
                    .flat_map(|c| c.nodes),
            );
        }
        let mut at_hand = BTreeSet::new();
        for host in self.hosts.values() {
            at_hand.extend(wanted.iter().filter_map(|n| host.replica.recorded(*n)).map(|r| r.bytes.id()));
        }
        at_hand
    }

    pub(crate) fn applied(&mut self, id: ReplicaId, applied: Applied) {
        let Applied {
            outcomes,
            kept,
            moved,
            learned,
            elsewhere,
            unsure,
        } = applied;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Phase::Applying(told) = &mut host.phase else { return };
        let first = *told;
        *told += outcomes.len();
        host.look_everywhere |= elsewhere;
        host.unsure |= unsure;
        host.moved.copied += moved.copied;
        host.moved.reused += moved.reused;
        let mut happened = Vec::new();
        let removed = kept.iter().filter(|k| k.deleted).count();
        host.removed.extend((removed > 0).then_some((self.wall_ms, removed)));
        for (i, outcome) in outcomes.iter().enumerate() {
            let Some(action) = host.plan.steps.get(first + i).map(|step| step.action.clone()) else {
                break;
            };
            let nodes = host.plan.nodes(first + i);
            let told = happened::step(&host.replica, &action, &nodes);
            host.replica.applied(&mut host.plan, first + i, outcome);
            let ignored = matches!(outcome, Outcome::Done(_) | Outcome::Ignored);
            host.rest_ignored &= ignored;
            host.rest_left_out &= ignored || matches!(outcome, Outcome::Failed(p) if p.kind == ProblemKind::Unsupported);
            let path = action.path().to_string();
            match outcome {
                Outcome::Done(_) => {
                    host.steps_done += 1;
                    happened.extend(told);
                    let to = if let Action::Rename { to, .. } = &action {
                        to
                    } else {
                        action.path()
                    };
                    host.new_rules |= [action.path(), to]
                        .iter()
                        .any(|path| path.rsplit('/').next() == Some(IGNORE_FILE));
                    for decided in self.decided.about(&nodes) {
                        let lost = kept.iter().filter(|k| *k.path == *path);
                        decided.kept.extend(lost.map(|k| (host.name.clone(), k.stored.clone())));
                    }
                    host.failures.remove(&path);
                    host.problems.retain(|_, p| p.path != path || p.kind != ProblemKind::Missing);
                }
                Outcome::Changed => {
                    if let Action::Rename { to, .. } = &action {
                        host.look_again.insert(to.to_string());
                        if path.starts_with(PARKED_PATH) {
                            let problem = Problem {
                                path: to.to_string(),
                                kind: ProblemKind::Other,
                                message: format!("it waits in {path} for its place, where something stands that cannot be moved"),
                            };
                            host.failures.insert(to.to_string(), problem);
                        }
                    }
                    host.look_again.insert(path);
                }
                Outcome::Missing => {
                    let message =
                        "its bytes are on none of the devices that can be reached; it is fetched as soon as one has them (if none ever will, decide \
                         for its deletion)"
                            .into();
                    host.failures.insert(
                        path.clone(),
                        Problem {
                            path,
                            kind: ProblemKind::Missing,
                            message,
                        },
                    );
                }
                Outcome::Kept => {
                    let below = format!("{path}/");
                    let message = if host
                        .failures
                        .range(below.clone()..)
                        .next()
                        .is_some_and(|(p, _)| p.starts_with(&below))
                    {
                        "deleted elsewhere; it stays because of what is in it that cannot be deleted".into()
                    } else {
                        "deleted elsewhere; it stays because of what is in it that is not synced (ignored or skipped)".into()
                    };
                    host.look_again.insert(path.clone());
                    host.failures.insert(
                        path.clone(),
                        Problem {
                            path,
                            kind: ProblemKind::Kept,
                            message,
                        },
                    );
                }
                Outcome::Ignored => {}
                Outcome::Deferred => host.deferred = true,
                Outcome::Failed(problem) => {
                    host.failures.insert(path, problem.clone());
                }
            }
        }
        // A power cut must not take the note away, and leave what is done after it.
        let told = first + outcomes.len();
        let durable = host.plan.steps.get(told).is_some_and(|next| next.after_commit);
        self.commit(
            id,
            Commit {
                chunks: learned,
                kept,
                happened: happened::together(happened),
                durable,
                ..Commit::default()
            },
        );
    }

    pub(crate) fn apply_ended(&mut self, id: ReplicaId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Phase::Applying(told) = host.phase else { return };
        // What was not told was not done.
        for i in told..host.plan.steps.len() {
            host.replica.applied(&mut host.plan, i, &Outcome::Missing);
        }
        let all_told = told == host.plan.steps.len();
        let lacks = |path: &str| host.failures.get(path).is_some_and(|p| p.kind == ProblemKind::Missing);
        let steps = host.plan.steps.iter().enumerate();
        let lacking: Vec<(String, Vec<NodeId>)> = steps
            .filter(|(_, step)| lacks(step.action.path()))
            .map(|(i, step)| (step.action.path().to_string(), host.plan.nodes(i)))
            .collect();
        let partial = std::mem::take(&mut host.plan).partial;
        host.planned = HashSet::new();
        host.rest_ignored &= all_told && !partial;
        host.rest_left_out &= all_told && !partial;
        host.phase = Phase::Idle;
        let progress = host.steps_done > host.steps_before;
        if host.rest_left_out && !progress && host.replica.is_as_planned() {
            host.replica.shows_all(); // all that it is to show
        }
        host.again = if (host.look_again.is_empty() && !host.unsure) || progress {
            0
        } else {
            host.again + 1
        };
        let look_again: Vec<String> = std::mem::take(&mut host.look_again).into_iter().collect();
        // The rest is planned at once; but what failed only with a change or a retry. If all of a part failed, the whole is
        // planned, so that nothing waits behind what cannot be done.
        host.plan_whole = partial && !progress && !host.makes_room && !host.deferred;
        host.plan_due |= progress || host.plan_whole || host.makes_room || host.deferred;
        // (New rules: what was left out may be no more, and the other way round.)
        if std::mem::take(&mut host.new_rules) | std::mem::take(&mut host.look_everywhere) {
            host.dirty = Some(Scope::All);
        }
        // (Where a disk fails each time, it is looked at once the rest is tried again.)
        if host.unsure && host.again <= TRIES {
            host.dirty = Some(Scope::All);
        }
        if host.again > TRIES {
            // It is told, and tried again with all that failed.
            for path in &look_again {
                let message =
                    "each time that it is to be changed it is not as it was found; it is tried again from time to time".into();
                host.failures.entry(path.clone()).or_insert(Problem {
                    path: path.clone(),
                    kind: ProblemKind::Unstable,
                    message,
                });
            }
        }
        if !look_again.is_empty() && host.again <= TRIES {
            host.surprised = true;
            self.dirty(id, Scope::Paths(look_again));
        }
        for (path, nodes) in lacking {
            let said = |d: &Waiting| d.decide.side == Side::Deleted && d.decide.path.trim_matches('/') == path;
            if let Some(said) = self.decisions.iter().position(said) {
                let said = self.decisions.remove(said);
                if said.is_about(&self.sides(id, &nodes)) {
                    self.give_up(id, path, nodes);
                    continue;
                }
            }
            self.lacks(id, nodes);
        }
        let carrying = self.hosts.get_mut(&id).map(|host| {
            host.carrying = host.unsure || host.in_doubt;
            host.carrying
        });
        self.commit(
            id,
            Commit {
                carrying,
                ..Commit::default()
            },
        );
        self.release();
    }

    /// A person waits no longer for bytes that are nowhere.
    fn give_up(&mut self, id: ReplicaId, path: String, nodes: Vec<NodeId>) {
        let wall = self.wall_ms;
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.replica.resolve(&nodes, Pick::Delete, wall).is_ok() {
            host.plan_due = true;
            self.decided.push(Decided {
                path,
                kind: ConflictKind::Deleted,
                taken: Taken::Deletion,
                kept: Vec::new(),
                nodes,
            });
        }
    }
}
