//! Applying: the steps of a plan, carried out on a disk that its user may change at any moment. A step is taken only while the
//! disk is as expected; where that can only be seen after the fact (an exchange, a rename), what came out is looked at, and
//! put back if it is not what was expected. Nothing of the user's is ever removed: what is replaced or deleted goes to the
//! history, by rename.

use crate::ahead::LARGE;
use crate::far::{Brought, Far, PARTIAL, WINDOW_BYTES, WINDOW_FILES, fetch, is_small, write_small};
use crate::faults::{Fault, on};
use crate::fs::{Entry, Extras, Fs, FsError};
use crate::ignore::Ignore;
use crate::restore::put_back;
use crate::stage::{HISTORY, Moved, STAGE, StageError, Supply, stage};
use crate::turns::{Bringing, ToBring, Turns, Waited};
use bifold_chunk::ChunkList;
use bifold_tree::{
    Action, Bytes, ContentId, Expected, FileKey, Fingerprint, Kind, Outcome, PARKED_PATH, Problem, ProblemKind, Stat, Wanted,
};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most steps that are carried out between two syncs of the disk. (The fewer, the more of them are carried out while the next bytes
/// come.)
pub const BATCH_STEPS: usize = 2048;
/// Most bytes that are staged between two syncs of the disk, unless one file alone is larger.
pub const BATCH_BYTES: u64 = 256 << 20;

/// A step with what is needed for it.
#[derive(Clone)]
pub struct Job {
    /// The step.
    pub action: Action,
    /// Where the bytes come from, for steps that need some.
    pub supply: Supply,
    /// What became of the steps before it must be in the index first.
    pub after_commit: bool,
    /// The index says that what it is about may be gone for a moment.
    pub leaving: bool,
}

/// What was put into the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its path before.
    pub path: String,
    /// Its name in the history's directory.
    pub stored: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Their number.
    pub size: u64,
    /// Whether it was deleted (or else replaced).
    pub deleted: bool,
}

/// What became of some jobs.
#[derive(Debug, Default)]
pub struct Applied {
    /// One for each job that was looked at, in order; fewer if it was stopped.
    pub outcomes: Vec<Outcome>,
    /// What was put into the history.
    pub kept: Vec<Kept>,
    /// Bytes copied and reused.
    pub moved: Moved,
    /// Chunk lists of contents that came from other devices.
    pub learned: Vec<(ContentId, Arc<ChunkList>)>,
    /// A file was changed that has other names: at those it is changed as well, wherever they are.
    pub elsewhere: bool,
    /// The disk may show more than the outcomes tell: something was done that may not be for good, or something of the user's could not
    /// be put back, and lies in the history. It has to be looked at before anything else is heard.
    pub unsure: bool,
}

/// Carries out the steps of one plan, batch by batch.
pub struct Applier<'a> {
    fs: &'a dyn Fs,
    ignore: &'a Ignore,
    stop: &'a AtomicBool,
    /// Distinguishes the engine's own names of this run from those of others.
    run: u64,
    names: AtomicUsize,
    /// Objects that this plan renamed, or took one of the names of: what the disk says of them now.
    renamed: Mutex<HashMap<FileKey, Fingerprint>>,
    threads: usize,
    turns: &'a Arc<Turns>,
    /// Other devices, if there are any.
    far: Option<Arc<dyn Far>>,
    /// Large contents that are being fetched by this plan, with their sizes: each once. (Who says a false size keeps nobody from the right one.)
    fetched: Mutex<HashSet<(ContentId, u64)>>,
    /// What was staged ahead for the next batch, by the number of its job there.
    ahead: Mutex<Vec<(usize, Staged)>>,
    /// Something of the user's could not be put back, or something that was made or moved could not be looked at.
    stranded: AtomicBool,
}

/// A job that waits for bytes, with what the file has besides them that they replace.
type Awaited<'a> = (usize, &'a Wanted, Option<Extras>);

/// A file that was staged, or why it was not.
enum Staged {
    File(Brought),
    No(Outcome),
}

impl Staged {
    fn path(&self) -> Option<&str> {
        match self {
            Staged::File(brought) => Some(&brought.path),
            Staged::No(_) => None,
        }
    }
}

/// Puts a file together: from what is on this computer, or else with what other devices have. Small files get the name `path`.
fn bring(
    fs: &dyn Fs,
    path: &str,
    wanted: &Wanted,
    supply: &Supply,
    replaced: Option<&Extras>,
    far: Option<&dyn Far>,
    bringing: Bringing<'_>,
) -> Result<Brought, StageError> {
    match stage(fs, path, wanted, wanted.id(), supply, replaced, bringing.stop) {
        Ok((_, moved)) => Ok(Brought {
            path: path.to_owned(),
            moved,
            chunks: None,
        }),
        Err(StageError::Missing) if !bringing.stop.load(Ordering::Relaxed) => match far {
            Some(far) => fetch(fs, path, wanted, supply, replaced, far, bringing),
            None => Err(StageError::Missing),
        },
        Err(e) => Err(e),
    }
}

impl Drop for Applier<'_> {
    fn drop(&mut self) {
        let ahead = std::mem::take(&mut *self.ahead.lock().unwrap_or_else(PoisonError::into_inner));
        self.forget(ahead.into_iter().map(|(_, staged)| staged));
    }
}

fn staged(job: &Job, brought: Result<Brought, StageError>) -> Staged {
    match brought {
        Ok(brought) => Staged::File(brought),
        Err(StageError::Missing) => Staged::No(Outcome::Missing),
        Err(StageError::Target(e)) => Staged::No(failed(job.action.path(), &e)),
    }
}

impl<'a> Applier<'a> {
    /// `run` is a number that no other run of the program has (the time will do); `threads` how many files are staged at a time.
    pub fn new(
        fs: &'a dyn Fs,
        ignore: &'a Ignore,
        turns: &'a Arc<Turns>,
        stop: &'a AtomicBool,
        run: u64,
        threads: usize,
    ) -> Applier<'a> {
        Applier {
            fs,
            ignore,
            turns,
            stop,
            run,
            names: AtomicUsize::new(0),
            renamed: Mutex::default(),
            threads: threads.max(1),
            far: None,
            fetched: Mutex::default(),
            ahead: Mutex::default(),
            stranded: AtomicBool::new(false),
        }
    }

    /// Bytes that are not on this computer are fetched from other devices.
    #[must_use]
    pub fn with_far(mut self, far: Option<Arc<dyn Far>>) -> Applier<'a> {
        self.far = far;
        self
    }

    /// Makes the engine's own directories in the root, takes away what a run that was cut left in the stage, and puts back what it had put
    /// out of the way (see [`put_back`]).
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn prepare(fs: &dyn Fs) -> Result<(), FsError> {
        for dir in [".bifold", STAGE, PARTIAL, HISTORY, PARKED_PATH] {
            match fs.make_dir(dir) {
                Ok(()) | Err(FsError::Exists) => {}
                Err(e) => return Err(e),
            }
        }
        for (name, _) in fs.list(STAGE)? {
            fs.remove_file(&format!("{STAGE}/{name}"))?;
        }
        put_back(fs)
    }

    /// Carries out a batch: stages the bytes it needs, syncs them, takes the steps in order, and syncs the directories. After
    /// that, what was done is durable, and is told. Where the index must know first, before the rest: `tell` is then told that more
    /// is to come, and says whether to go on. Ends early, after a whole step, when stopped. `next`: the jobs of the call after this
    /// one; small files that they need from other devices are staged meanwhile.
    pub fn apply(
        &self,
        jobs: &[Job],
        next: &[Job],
        progress: &(dyn Fn(u64) + Sync),
        tell: &mut dyn FnMut(Applied, bool) -> bool,
    ) {
        let mut staged: Vec<Option<Staged>> = jobs.iter().map(|_| None).collect();
        let mut new = std::mem::take(&mut *self.ahead.lock().unwrap_or_else(PoisonError::into_inner));
        let came: HashSet<usize> = new.iter().map(|(i, _)| *i).collect();
        new.extend(self.stage_all(jobs, &|i| !came.contains(&i), progress));
        // (By one thread all is done in a known order.)
        let far = self.far.is_some() && self.threads > 1;
        std::thread::scope(|scope| {
            // (Only what nothing on this disk has a say in, since the steps before it are being taken; and what fails is tried again.)
            let ahead = |i: usize| matches!(next[i].action, Action::Make { .. }) && self.is_far_and_small(&next[i]);
            if far && (0..next.len()).any(ahead) {
                scope.spawn(move || {
                    let mut came = self.stage_all(next, &ahead, progress);
                    came.retain(|(_, staged)| matches!(staged, Staged::File(_)));
                    *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = came;
                });
            }
            self.use_staged(jobs, new, &mut staged, progress, tell);
        });
        self.forget(staged.into_iter().flatten());
    }

    /// Carries out a batch for which is staged what can be: `new`.
    fn use_staged(
        &self,
        jobs: &[Job],
        mut new: Vec<(usize, Staged)>,
        staged: &mut [Option<Staged>],
        progress: &(dyn Fn(u64) + Sync),
        tell: &mut dyn FnMut(Applied, bool) -> bool,
    ) {
        let refused = self.refused(jobs);
        let mut from = 0;
        while from < jobs.len() {
            let part = &jobs[from..];
            let to = from
                + part
                    .iter()
                    .skip(1)
                    .position(|job| job.after_commit)
                    .map_or(part.len(), |n| n + 1);
            // All is staged first, from where steps have moved nothing yet; but what takes the place of something that is not there
            // yet, once it is.
            if from > 0 {
                new = self.stage_all(jobs, &|i| staged[i].is_none() && (from..to).contains(&i), progress);
            }
            let paths: Vec<&str> = new.iter().filter_map(|(_, s)| s.path()).collect();
            // (Nothing of it is used once the program is to stop.)
            let synced = if paths.is_empty() || self.stop.load(Ordering::Relaxed) {
                Ok(())
            } else {
                self.sync(&paths)
            };
            for (i, s) in std::mem::take(&mut new) {
                let too_early = i >= to && matches!(s, Staged::No(Outcome::Changed));
                staged[i] = (!too_early).then_some(s);
            }
            if let Err(e) = synced {
                // Not durable: none of it may be used.
                let outcomes = part.iter().map(|job| failed(job.action.path(), &e)).collect();
                let nothing = Applied {
                    outcomes,
                    ..Applied::default()
                };
                tell(nothing, false);
                return;
            }
            let applied = self.take_all(jobs, from..to, staged, &refused);
            let taken = to - from;
            from = to;
            let stopped = applied.outcomes.len() < taken || self.stop.load(Ordering::Relaxed);
            let more = from < jobs.len() && !stopped;
            if !tell(applied, more) || !more {
                break;
            }
        }
    }

    /// The steps that are not to be begun: nothing is put out of the way for something that cannot come, since it would not be seen
    /// by anyone as long as that is so. Each with what is told of it.
    fn refused(&self, jobs: &[Job]) -> HashMap<usize, Outcome> {
        let is_parked = |path: &str| path.strip_prefix(PARKED_PATH).is_some_and(|rest| rest.starts_with('/'));
        let renames = || {
            jobs.iter().enumerate().filter_map(|(i, job)| match &job.action {
                Action::Rename { from, to, .. } => Some((i, from.as_ref(), to.as_ref())),
                _ => None,
            })
        };
        let mut refused = HashMap::new();
        if !renames().any(|(_, _, to)| is_parked(to)) {
            return refused;
        }
        let to_place: HashMap<&str, (usize, &str)> = renames().map(|(i, from, to)| (to, (i, from))).collect();
        let from_place: HashMap<&str, usize> = renames().map(|(i, from, _)| (from, i)).collect();
        for (park, from, to) in renames().filter(|(_, _, to)| is_parked(to)) {
            // Whoever comes in its place, whoever comes in theirs, and so on; and its own way back.
            let mut chain = vec![park];
            chain.extend(from_place.get(to));
            let mut why = None;
            let mut place = from;
            while let Some((i, next)) = to_place.get(place).filter(|(i, _)| *i > park && !chain.contains(i)) {
                chain.push(*i);
                if is_parked(next) {
                    break;
                }
                why = why.or_else(|| self.why_not(&jobs[*i].action));
                place = next;
            }
            if let Some(why) = why {
                refused.extend(chain.into_iter().map(|i| (i, why.clone())));
            }
        }
        refused
    }

    /// What is told of a step that cannot be taken, as far as can be known before it is tried.
    fn why_not(&self, action: &Action) -> Option<Outcome> {
        let path = action.path();
        if self.ignore.covers(path, matches!(kind_of(action), Kind::Dir)) {
            return Some(Outcome::Ignored);
        }
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        (!self.fs.may_change(dir)).then(|| failed(path, &FsError::Denied(std::io::ErrorKind::PermissionDenied.into())))
    }

    /// Takes away what was staged and not used.
    fn forget(&self, staged: impl Iterator<Item = Staged>) {
        for staged in staged {
            // (What came of large files from other devices stays: the next try goes on with it.)
            if let Some(path) = staged.path().filter(|path| !path.starts_with(PARTIAL)) {
                let _ = self.fs.remove_file(path);
            }
        }
    }

    /// Takes steps, for which all is staged, and syncs what they changed.
    fn take_all(
        &self,
        jobs: &[Job],
        part: Range<usize>,
        staged: &mut [Option<Staged>],
        refused: &HashMap<usize, Outcome>,
    ) -> Applied {
        let mut applied = Applied::default();
        let mut touched: Vec<String> = Vec::new();
        for i in part.clone() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let job = &jobs[i];
            let outcome = match refused.get(&i) {
                Some(outcome) => outcome.clone(),
                None => self.take(job, staged[i].take(), &mut applied),
            };
            if matches!(outcome, Outcome::Done(_)) {
                touched.push(job.action.path().to_string());
                if let Action::Rename { to, .. } = &job.action {
                    touched.push(to.to_string());
                }
            }
            applied.outcomes.push(outcome);
        }
        touched.extend(applied.kept.iter().map(|kept| format!("{HISTORY}/{}", kept.stored)));
        let touched: Vec<&str> = touched.iter().map(String::as_str).collect();
        if !touched.is_empty()
            && let Err(e) = self.sync(&touched)
        {
            // Done, but perhaps not for good: not to be noted. The next scan finds it.
            for (job, outcome) in jobs[part].iter().zip(&mut applied.outcomes) {
                if matches!(outcome, Outcome::Done(_)) {
                    *outcome = failed(job.action.path(), &e);
                }
            }
            applied.unsure = true;
        }
        applied.unsure |= self.stranded.swap(false, Ordering::Relaxed);
        applied
    }

    /// Waits until something is on the disk for good.
    fn sync(&self, paths: &[&str]) -> Result<(), FsError> {
        if on(Fault::NotedUnsynced) {
            Ok(())
        } else {
            self.fs.sync(paths)
        }
    }

    /// Stages what the chosen jobs need, several at a time.
    fn stage_all(
        &self,
        jobs: &[Job],
        chosen: &(dyn Fn(usize) -> bool + Sync),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Vec<(usize, Staged)> {
        let units = self.units(jobs, chosen);
        let large = |unit: &[usize]| match unit {
            [i] => wanted(&jobs[*i].action).is_some_and(|w| self.is_large(&jobs[*i], w)),
            _ => false,
        };
        let all_large = units.iter().filter(|unit| large(unit)).count();
        let (others, has_others) = (AtomicUsize::new(units.len() - all_large), jobs.len() > all_large);
        let is_ready = |others: usize| {
            if others == 0 && has_others {
                self.turns.steps_are_ready();
            }
        };
        is_ready(units.len() - all_large);
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<(usize, Staged)>> = Mutex::default();
        let work = || {
            let mut mine = Vec::new();
            let mut done = |i: usize, staged: Staged| mine.push((i, staged));
            while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                match unit.as_slice() {
                    [i] => {
                        if let Some(w) = wanted(&jobs[*i].action) {
                            done(*i, self.stage_one(&jobs[*i], w, progress));
                        }
                    }
                    many => self.stage_small(jobs, many, progress, &mut done),
                }
                if !large(unit) {
                    is_ready(others.fetch_sub(1, Ordering::Relaxed) - 1);
                }
            }
            if let Ok(mut all) = results.lock() {
                all.append(&mut mine);
            }
        };
        // Who waits for other devices needs no processor.
        let threads = match self.far.as_ref().filter(|_| units.iter().any(|unit| unit.len() > 1)) {
            Some(far) => self.threads.max(far.at_once()),
            None => self.threads,
        };
        if units.len() > 1 && threads > 1 {
            std::thread::scope(|scope| {
                for _ in 1..threads.min(units.len()) {
                    scope.spawn(work);
                }
                work();
            });
        } else {
            work();
        }
        results.into_inner().unwrap_or_default()
    }

    /// What is staged together: small files that other devices have; all else alone.
    fn units(&self, jobs: &[Job], chosen: &(dyn Fn(usize) -> bool + Sync)) -> Vec<Vec<usize>> {
        let mut units = Vec::new();
        let mut window: (Vec<usize>, u64) = (Vec::new(), 0);
        for (i, job) in jobs.iter().enumerate().filter(|(i, _)| chosen(*i)) {
            let Some(wanted) = wanted(&job.action) else { continue };
            if !self.is_far_and_small(job) {
                units.push(vec![i]);
                continue;
            }
            window.0.push(i);
            window.1 += wanted.size;
            if window.0.len() >= WINDOW_FILES || window.1 >= WINDOW_BYTES {
                units.push(std::mem::take(&mut window).0);
            }
        }
        if !window.0.is_empty() {
            units.push(window.0);
        }
        units
    }

    /// Whether what a job needs is a small file that only other devices have.
    fn is_far_and_small(&self, job: &Job) -> bool {
        let far = self.far.is_some() && job.supply.origins.is_empty();
        far && wanted(&job.action).is_some_and(|w| w.size > 0 && is_small(w.size, &job.supply))
    }

    /// Fetches small files from other devices.
    fn stage_small(&self, jobs: &[Job], many: &[usize], progress: &(dyn Fn(u64) + Sync), done: &mut dyn FnMut(usize, Staged)) {
        let mut asked: Vec<(ContentId, u64)> = Vec::new();
        let mut of: HashMap<(ContentId, u64), Vec<Awaited<'_>>> = HashMap::new();
        for i in many {
            let Some(wanted) = wanted(&jobs[*i].action) else { continue };
            match self.may_stage(&jobs[*i]) {
                Err(outcome) => done(*i, Staged::No(outcome)),
                Ok(replaced) => {
                    let same = of.entry((wanted.id(), wanted.size)).or_default();
                    if same.is_empty() {
                        asked.push((wanted.id(), wanted.size));
                    }
                    same.push((*i, wanted, replaced));
                }
            }
        }
        if let Some(far) = self.far.as_ref().filter(|_| !asked.is_empty()) {
            far.contents(&asked, &mut |k, bytes| {
                let Some(same) = asked.get(k).and_then(|asked| of.get_mut(asked)) else {
                    return false;
                };
                while let Some((i, wanted, replaced)) = same.last() {
                    let path = self.own_name(STAGE);
                    let staged = match write_small(self.fs, &path, wanted, bytes, replaced.as_ref()) {
                        Ok(Some(brought)) => Staged::File(brought),
                        Ok(None) => return false,
                        Err(e) => Staged::No(failed(jobs[*i].action.path(), &e)),
                    };
                    progress(wanted.size);
                    done(*i, staged);
                    same.pop();
                }
                true
            });
        }
        for (i, ..) in of.into_values().flatten() {
            done(i, Staged::No(Outcome::Missing));
        }
    }

    /// Whether bytes for a job are to be brought at all; and what the file has besides its bytes that they replace.
    fn may_stage(&self, job: &Job) -> Result<Option<Extras>, Outcome> {
        let path = job.action.path();
        if self.stop.load(Ordering::Relaxed) {
            return Err(Outcome::Missing);
        }
        if self.turns.is_over() {
            return Err(Outcome::Deferred);
        }
        if self.ignore.covers(path, false) {
            return Err(Outcome::Ignored);
        }
        let Action::Write { expected, .. } = &job.action else {
            return Ok(None);
        };
        // No need to bring bytes that cannot be used.
        match self.look(path) {
            Ok(Some(stat)) if self.unchanged(expected, &stat) => {}
            Ok(_) => return Err(Outcome::Changed),
            Err(e) => return Err(failed(path, &e)),
        }
        Ok(self.fs.open(path).ok().map(|file| file.extras()))
    }

    /// Whether a file is so large that other steps do not wait for it.
    fn is_large(&self, job: &Job, wanted: &Wanted) -> bool {
        wanted.size >= LARGE || (self.far.is_some() && job.supply.origins.is_empty() && !is_small(wanted.size, &job.supply))
    }

    /// Brings one file: from where it is on this computer, or else from other devices.
    fn stage_one(&self, job: &Job, wanted: &Wanted, progress: &(dyn Fn(u64) + Sync)) -> Staged {
        let replaced = match self.may_stage(job) {
            Ok(replaced) => replaced,
            Err(outcome) => return Staged::No(outcome),
        };
        let far = self.far.clone();
        if !self.is_large(job, wanted) {
            let came = AtomicU64::new(0);
            let bringing = Bringing {
                stop: self.stop,
                came: &came,
            };
            let name = self.own_name(STAGE);
            let brought = bring(
                self.fs,
                &name,
                wanted,
                &job.supply,
                replaced.as_ref(),
                self.far.as_deref(),
                bringing,
            );
            progress(wanted.size);
            return staged(job, brought);
        }
        // Where several files need what others have, one gets it, and the rest are copied from that one by the next plan.
        let once = || {
            self.fetched
                .lock()
                .is_ok_and(|mut fetched| fetched.insert((wanted.id(), wanted.size)))
        };
        let far = far.filter(|_| once());
        if self.far.is_some() && far.is_none() && job.supply.origins.is_empty() {
            return Staged::No(Outcome::Missing);
        }
        let (fs, name, supply) = (self.turns.fs(), self.own_name(STAGE), job.supply.clone());
        let to_bring = ToBring {
            wanted,
            replaced: replaced.as_ref(),
            how: Box::new({
                let (wanted, replaced) = (wanted.clone(), replaced.clone());
                move |bringing| {
                    bring(
                        fs.as_ref(),
                        &name,
                        &wanted,
                        &supply,
                        replaced.as_ref(),
                        far.as_deref(),
                        bringing,
                    )
                }
            }),
        };
        match self.turns.bring(to_bring, self.stop, progress) {
            Waited::For(brought) => staged(job, brought),
            Waited::Enough => Staged::No(Outcome::Deferred),
        }
    }

    fn own_name(&self, dir: &str) -> String {
        format!("{dir}/{:x}-{}", self.run, self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn history_name(&self, path: &str) -> String {
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut cut = name.len().min(160);
        while !name.is_char_boundary(cut) {
            cut -= 1;
        }
        format!(
            "{:x}-{}-{}",
            self.run,
            self.names.fetch_add(1, Ordering::Relaxed),
            &name[..cut]
        )
    }

    fn look(&self, path: &str) -> Result<Option<Stat>, FsError> {
        match self.fs.stat(path) {
            Ok(Some(Entry::Plain(stat))) => Ok(Some(stat)),
            Ok(Some(Entry::Special(_)) | None) | Err(FsError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn unchanged(&self, expected: &Expected, stat: &Stat) -> bool {
        let renamed = self.renamed.lock().unwrap_or_else(PoisonError::into_inner);
        match renamed.get(&expected.key) {
            Some(print) => expected.same_object(stat) && (expected.kind == Kind::Dir || print == &stat.print),
            None => expected.unchanged(stat),
        }
    }

    /// Takes one step.
    fn take(&self, job: &Job, staged: Option<Staged>, applied: &mut Applied) -> Outcome {
        let staged = match staged {
            Some(Staged::No(outcome)) => return outcome,
            Some(Staged::File(brought)) => Some(brought),
            None => None,
        };
        let path = job.action.path().clone();
        if staged.is_none() && self.ignore.covers(&path, matches!(kind_of(&job.action), Kind::Dir)) {
            return Outcome::Ignored;
        }
        let result = match &job.action {
            Action::Make { wanted, .. } => self.make(&path, wanted, staged.as_ref().map(|b| b.path.as_str()), &job.supply),
            Action::Write { expected, wanted, .. } => self.write(
                job,
                expected,
                wanted,
                staged.as_ref().map(|b| b.path.as_str()),
                &mut applied.kept,
            ),
            Action::SetMode { expected, exec, .. } => self.set_mode(&path, expected, *exec, &mut applied.elsewhere),
            Action::Rename { to, expected, .. } => self.rename(&path, to, expected),
            Action::Remove { expected, .. } => self.remove(&path, expected, &mut applied.kept),
            Action::RemoveDir { expected, .. } => self.remove_dir(&path, expected),
        };
        let outcome = result.unwrap_or_else(|e| failed(&path, &e));
        if let Some(brought) = staged {
            if matches!(outcome, Outcome::Done(_)) {
                applied.moved.copied += brought.moved.copied;
                applied.moved.reused += brought.moved.reused;
                let content = content_of(&job.action).map(|(content, _)| content);
                applied.learned.extend(content.zip(brought.chunks));
            } else if !brought.path.starts_with(PARTIAL) {
                let _ = self.fs.remove_file(&brought.path);
            }
        }
        outcome
    }

    fn make(&self, path: &str, wanted: &Wanted, staged: Option<&str>, supply: &Supply) -> Result<Outcome, FsError> {
        let made = match (&wanted.bytes, staged) {
            // Who may not look into the one that it is a copy of may not look into it.
            (Bytes::Dir, _) => match supply.origins.first().and_then(|o| o.fs.dir_permissions(&o.path).ok()) {
                Some(permissions) => self.fs.make_dir_for(path, permissions),
                None => self.fs.make_dir(path),
            },
            (Bytes::Link(target), _) => {
                let own = self.own_name(STAGE);
                self.fs.make_link(&own, target)?;
                let put = self.put(&own, path);
                if !matches!(put, Ok(Outcome::Done(_))) {
                    let _ = self.fs.remove_file(&own);
                }
                return put;
            }
            (Bytes::File(_), Some(own)) => return self.put(own, path),
            (Bytes::File(_), None) => return Ok(Outcome::Missing),
        };
        match made {
            // (The user may have put something else there since.)
            Ok(()) => Ok(match self.or_stranded(self.look(path))? {
                Some(stat) if stat.kind == Kind::Dir => Outcome::Done(Some(stat)),
                _ => Outcome::Changed,
            }),
            // Something new is there, or the directory is not: a scan has to look first.
            Err(FsError::Exists | FsError::NotFound) => Ok(Outcome::Changed),
            Err(e) => Err(e),
        }
    }

    /// Puts what was made beside it at a path where nothing is.
    fn put(&self, own: &str, path: &str) -> Result<Outcome, FsError> {
        let Some(ours) = self.look(own)? else {
            return Ok(Outcome::Missing);
        };
        match self.fs.rename(own, path) {
            Ok(()) => Ok(self.placed(path, &ours)),
            // Something new is there, or the directory is not: a scan has to look first.
            Err(FsError::Exists | FsError::NotFound) => Ok(Outcome::Changed),
            Err(e) => Err(e),
        }
    }

    fn write(
        &self,
        job: &Job,
        expected: &Expected,
        wanted: &Wanted,
        staged: Option<&str>,
        kept: &mut Vec<Kept>,
    ) -> Result<Outcome, FsError> {
        let path = job.action.path().as_ref();
        match self.look(path)? {
            Some(stat) if self.unchanged(expected, &stat) => {}
            _ => return Ok(Outcome::Changed),
        }
        let own = match (&wanted.bytes, staged) {
            (Bytes::File(_), Some(own)) => own.to_owned(),
            (Bytes::Link(target), _) => {
                let own = self.own_name(STAGE);
                self.fs.make_link(&own, target)?;
                own
            }
            _ => return Ok(Outcome::Missing),
        };
        let Some(ours) = self.look(&own)? else {
            return Ok(Outcome::Missing);
        };
        let stored = self.history_name(path);
        let aside = format!("{HISTORY}/{stored}");
        let replaced = Kept {
            path: path.to_owned(),
            stored,
            bytes: expected.bytes.clone(),
            size: expected.print.size,
            deleted: false,
        };
        // What comes out of an exchange lies in the history from the first moment on: the stage is emptied at each start, and
        // the program may be killed before it has looked.
        self.fs.rename(&own, &aside)?;
        let exchanged = self.fs.exchange(&aside, path);
        if exchanged.is_err() {
            self.fs.rename(&aside, &own)?;
        }
        let seen = |stat: &Stat| self.same_bytes(expected, stat) || on(Fault::ExchangesUnseen);
        match exchanged {
            Ok(()) => match self.look(&aside).map(|stat| stat.filter(seen)) {
                Ok(Some(stat)) => self.note_moved(&stat),
                // (What cannot be looked at may be the user's, too.)
                other => {
                    self.put_back(&aside, path, &ours)?;
                    return other.map(|_| Outcome::Changed);
                }
            },
            Err(FsError::NotFound) => return Ok(Outcome::Changed),
            // What is gone for a moment must be noted in the index as about to go, before: the next plan does that.
            Err(FsError::Unsupported) if !job.leaving => return Ok(Outcome::Changed),
            Err(FsError::Unsupported) => {
                // The careful way round: out of the way first, then in. In between nothing is at the path, and what the
                // user puts there is not overwritten.
                match self.fs.rename(path, &aside) {
                    Ok(()) => {}
                    Err(FsError::NotFound) => return Ok(Outcome::Changed),
                    Err(e) => return Err(e),
                }
                if let Some(outcome) = self.taken_back(&aside, path, expected)? {
                    return Ok(outcome);
                }
                if let Err(e) = self.fs.rename(&own, path) {
                    // If something new is there by now, the old one stays in the history.
                    match self.fs.rename(&aside, path) {
                        Ok(()) => self.or_stranded(self.fs.sync(&[path, &aside]))?,
                        Err(_) => kept.push(replaced),
                    }
                    return if matches!(e, FsError::Exists) {
                        Ok(Outcome::Changed)
                    } else {
                        Err(e)
                    };
                }
            }
            Err(e) => return Err(e),
        }
        kept.push(replaced);
        Ok(self.placed(path, &ours))
    }

    /// Looks at what was taken from a path: where that is not what was expected, or cannot be looked at, it goes back, and this is what
    /// became of the step.
    fn taken_back(&self, aside: &str, path: &str, expected: &Expected) -> Result<Option<Outcome>, FsError> {
        match self
            .look(aside)
            .map(|stat| stat.filter(|stat| self.same_bytes(expected, stat)))
        {
            Ok(Some(stat)) => {
                self.note_moved(&stat);
                Ok(None)
            }
            other => {
                self.back_or_beside(aside, path)?;
                other.map(|_| Some(Outcome::Changed))
            }
        }
    }

    /// What became of putting something at a path, which was done. Whatever is there now, or is not, is by someone who came after that:
    /// then the record is of what was put there, so that the next scan sees what they did.
    fn placed(&self, path: &str, ours: &Stat) -> Outcome {
        let now = self.look(path).ok().flatten().filter(|stat| is_still(ours, stat));
        Outcome::Done(Some(now.unwrap_or(*ours)))
    }

    /// Undoes an exchange that brought out something else than expected. The user may have changed the path once more: the
    /// newest is to end there, and nothing else of theirs may be lost.
    fn put_back(&self, own: &str, path: &str, ours: &Stat) -> Result<(), FsError> {
        self.or_stranded(self.exchange_back(own, path, ours))
    }

    /// What could not be put back, or was made or moved and could not be looked at, is found once the disk is looked at.
    fn or_stranded<T>(&self, result: Result<T, FsError>) -> Result<T, FsError> {
        self.stranded.fetch_or(result.is_err(), Ordering::Relaxed);
        result
    }

    fn exchange_back(&self, own: &str, path: &str, ours: &Stat) -> Result<(), FsError> {
        match self.fs.exchange(own, path) {
            // (A power cut must not take this back, and leave what is done after it: it may be the only name that it has.)
            Ok(()) => self.fs.sync(&[path, own])?,
            // They removed what we had put there: what came out goes back to where it was.
            Err(FsError::NotFound) => {
                return self.back_or_beside(own, path);
            }
            Err(e) => return Err(e),
        }
        match self.look(own)? {
            Some(stat) if is_still(ours, &stat) => self.fs.remove_file(own).or(Ok(())),
            Some(_) => {
                // Newer still: it belongs at the path, and what stood there before it beside it.
                self.fs.exchange(own, path)?;
                self.keep_beside(own, path)?;
                self.fs.sync(&[path, own])
            }
            None => Ok(()),
        }
    }

    /// Puts something of the user's back to where it was; beside it, if something else is there by now.
    fn back_or_beside(&self, own: &str, path: &str) -> Result<(), FsError> {
        let back = match self.fs.rename(own, path) {
            Err(FsError::Exists) => self.keep_beside(own, path),
            result => result,
        };
        // (Nobody looks for it where it was, once the next scan has seen it here: it stays here, whatever happens.)
        self.or_stranded(back.and_then(|()| self.fs.sync(&[path, own])))
    }

    /// Puts something of the user's beside a path, where it is seen.
    fn keep_beside(&self, own: &str, path: &str) -> Result<(), FsError> {
        (1..1000)
            .find_map(|n| match self.fs.rename(own, &format!("{path} (kept {n})")) {
                Err(FsError::Exists) => None,
                result => Some(result),
            })
            .unwrap_or(Err(FsError::Exists))
    }

    /// Notes what the disk says of an object now: another of its names, or a later step, may be about it, too.
    fn note_moved(&self, stat: &Stat) {
        let mut renamed = self.renamed.lock().unwrap_or_else(PoisonError::into_inner);
        renamed.insert(stat.key, stat.print);
    }

    /// Whether an object that was moved still has the bytes expected; its time of last change of anything is of the move.
    fn same_bytes(&self, expected: &Expected, stat: &Stat) -> bool {
        let print = |p: &Fingerprint| (p.size, p.mtime_ns);
        expected.same_object(stat) && (expected.kind == Kind::Dir || print(&expected.print) == print(&stat.print))
    }

    fn set_mode(&self, path: &str, expected: &Expected, exec: bool, elsewhere: &mut bool) -> Result<Outcome, FsError> {
        match self.look(path)? {
            Some(stat) if expected.same_object(&stat) && self.unchanged(expected, &stat) => {}
            _ => return Ok(Outcome::Changed),
        }
        *elsewhere |= self.fs.set_exec(path, exec)?;
        Ok(match self.look(path)? {
            Some(stat) if expected.same_object(&stat) => Outcome::Done(Some(stat)),
            _ => Outcome::Changed,
        })
    }

    fn rename(&self, from: &str, to: &str, expected: &Expected) -> Result<Outcome, FsError> {
        let was_unchanged = match self.look(from)? {
            Some(stat) if expected.same_object(&stat) => self.unchanged(expected, &stat),
            _ => return Ok(Outcome::Changed),
        };
        match self.fs.rename(from, to) {
            Ok(()) => {}
            Err(FsError::Exists | FsError::NotFound) => return Ok(Outcome::Changed),
            Err(e) => return Err(e),
        }
        if self.differs_in_form_only(from, to) && !self.is_listed(to)? {
            // Some disks take the two names for one, and do nothing. What is cut here is found in its way by the next scan.
            let aside = self.own_name(PARKED_PATH);
            self.fs.rename(from, &aside)?;
            if let Err(e) = self.fs.rename(&aside, to) {
                let _ = self.fs.rename(&aside, from).and_then(|()| self.fs.sync(&[from, &aside]));
                return if matches!(e, FsError::Exists) {
                    Ok(Outcome::Changed)
                } else {
                    Err(e)
                };
            }
        }
        match self.or_stranded(self.look(to))? {
            Some(stat) if expected.same_object(&stat) => {
                if was_unchanged && self.same_bytes(expected, &stat) {
                    self.note_moved(&stat);
                    return Ok(Outcome::Done(Some(stat)));
                }
                // Moved, and its bytes were changed meanwhile: the record keeps what it knew, so that the scan sees that.
                Ok(Outcome::Done(None))
            }
            Some(_) => {
                let _ = self.fs.rename(to, from);
                Ok(Outcome::Changed)
            }
            None => Ok(Outcome::Changed),
        }
    }

    /// Whether two paths are one to this disk, or would be.
    fn differs_in_form_only(&self, from: &str, to: &str) -> bool {
        let names = self.fs.names();
        names.folds() && from != to && names.fold(from) == names.fold(to)
    }

    /// Whether a path is listed under exactly this name.
    fn is_listed(&self, path: &str) -> Result<bool, FsError> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok(self.fs.list(dir)?.iter().any(|(listed, _)| listed == name))
    }

    fn remove(&self, path: &str, expected: &Expected, kept: &mut Vec<Kept>) -> Result<Outcome, FsError> {
        match self.look(path)? {
            Some(stat) if self.unchanged(expected, &stat) => {}
            _ => return Ok(Outcome::Changed),
        }
        if on(Fault::RemovesAtOnce) {
            self.fs.remove_file(path)?;
            return Ok(Outcome::Done(None));
        }
        let stored = self.history_name(path);
        let aside = format!("{HISTORY}/{stored}");
        match self.fs.rename(path, &aside) {
            Ok(()) => {}
            Err(FsError::NotFound) => return Ok(Outcome::Changed),
            Err(e) => return Err(e),
        }
        if let Some(outcome) = self.taken_back(&aside, path, expected)? {
            return Ok(outcome);
        }
        kept.push(Kept {
            path: path.to_owned(),
            stored,
            bytes: expected.bytes.clone(),
            size: expected.print.size,
            deleted: true,
        });
        Ok(Outcome::Done(None))
    }

    fn remove_dir(&self, path: &str, expected: &Expected) -> Result<Outcome, FsError> {
        match self.look(path)? {
            Some(stat) if expected.same_object(&stat) => {}
            _ => return Ok(Outcome::Changed),
        }
        match self.fs.remove_dir(path) {
            Ok(()) => Ok(Outcome::Done(None)),
            Err(FsError::NotEmpty) => Ok(Outcome::Kept),
            Err(FsError::NotFound) => Ok(Outcome::Changed),
            Err(e) => Err(e),
        }
    }
}

/// Whether an object is the very one that the engine made, with the bytes that it had then.
fn is_still(ours: &Stat, stat: &Stat) -> bool {
    let bytes = |stat: &Stat| (stat.print.size, stat.print.mtime_ns);
    (stat.kind, stat.key) == (ours.kind, ours.key) && bytes(stat) == bytes(ours)
}

/// What a step needs the bytes of a file for.
fn wanted(action: &Action) -> Option<&Wanted> {
    match action {
        Action::Make { wanted, .. } | Action::Write { wanted, .. } => matches!(wanted.bytes, Bytes::File(_)).then_some(wanted),
        _ => None,
    }
}

/// What a step is about.
#[must_use]
pub fn kind_of(action: &Action) -> Kind {
    match action {
        Action::Make { wanted, .. } => match wanted.bytes {
            Bytes::Dir => Kind::Dir,
            Bytes::File(_) => Kind::File,
            Bytes::Link(_) => Kind::Link,
        },
        Action::Write { expected, .. }
        | Action::SetMode { expected, .. }
        | Action::Rename { expected, .. }
        | Action::Remove { expected, .. }
        | Action::RemoveDir { expected, .. } => expected.kind,
    }
}

/// The content that a step brings, if it does.
#[must_use]
pub fn content_of(action: &Action) -> Option<(ContentId, u64)> {
    wanted(action).map(|w| (w.id(), w.size))
}

fn failed(path: &str, e: &FsError) -> Outcome {
    let (kind, message) = match e {
        FsError::Full => (
            ProblemKind::DiskFull,
            "no space left on the disk: make room; it goes on by itself".to_owned(),
        ),
        FsError::Denied(e) => (
            ProblemKind::Unwritable,
            format!("it cannot be written ({e}): check the permissions of the directory"),
        ),
        FsError::Busy(e) => (
            ProblemKind::Busy,
            format!("it is in use by another program ({e}); it is tried again"),
        ),
        FsError::Unsupported => (
            ProblemKind::Unsupported,
            "this disk cannot have such a file or link".to_owned(),
        ),
        e => (ProblemKind::Other, e.to_string()),
    };
    Outcome::Failed(Problem {
        path: path.to_owned(),
        kind,
        message,
    })
}
