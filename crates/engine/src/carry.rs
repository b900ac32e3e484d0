//! Carrying effects out: the same functions serve the program, in threads, and the test kit, one after the other.

use crate::core::{Commit, Core, Halted, Input, ScanEnd, Searched, ToApply, ToRead};
use crate::rescue::{bytes_of, rescue};
use crate::root::{Root, marker_object};
use bifold_chunk::{ChunkList, Chunker, Manifest};
use bifold_disk::apply::{Applier, BATCH_BYTES, BATCH_STEPS, Job, content_of};
use bifold_disk::far::{Far, PARTIAL};
use bifold_disk::fs::{Entry, Fs, FsError};
use bifold_disk::read::{Read, read};
use bifold_disk::root::{Found, look, mark};
use bifold_disk::scan::{Scanned, Scope, scan};
use bifold_disk::stage::{HISTORY, Origin, Supply};
use bifold_disk::turns::Turns;
use bifold_store::{Reason, Store, StoreError, Taken, Tokens};
use bifold_tree::{Action, Bytes, ContentId, Fingerprint, Kind, Outcome, Problem, ReplicaId, Stat};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

/// For so long a session has one token, in milliseconds: what was put back from a backup that is older is noticed.
const TOKEN_MS: u64 = 10 * 60 * 1000;
/// The smallest file that can have several chunks, in bytes.
const SEVERAL_CHUNKS: u64 = 16 * 1024;
/// How long the history keeps what was replaced or deleted, in milliseconds: 30 days.
pub const HISTORY_MS: u64 = 30 * 24 * 3600 * 1000;
/// The content of a file in the history that was not read.
pub(crate) const UNKNOWN: ContentId = ContentId([0; 32]);
/// Most entries that are kept in the log.
const LOG_ENTRIES: u64 = 100_000;
/// How long they are kept, in milliseconds: 90 days.
const LOG_MS: u64 = 90 * 24 * 3600 * 1000;
/// How long what has come of a large file is kept, if nothing more comes, in milliseconds: 7 days.
const PARTIAL_MS: u64 = 7 * 24 * 3600 * 1000;
/// Most files that are taken out of the history at a time.
const TIDY_AT_ONCE: usize = 10_000;
/// What is put into the history is noted within so many milliseconds, as clocks tell it.
const NOTED_WITHIN_MS: u64 = 60 * 1000;
/// Results of reading are told in parts of at most so many files.
const READ_PART: usize = 512;

/// Trouble that ends a run: what was done until then is noted, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The index.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The marker in a root.
    #[error(
        "{path}: its marker cannot be read or written ({source}); see that the folder is readable and writable and its disk not full"
    )]
    Marker {
        /// The root.
        path: String,
        /// What the system said.
        source: bifold_disk::fs::FsError,
    },
}

/// The index and the roots.
pub struct Carrier {
    store: Store,
    roots: BTreeMap<ReplicaId, Arc<Root>>,
    /// The order in which they were given.
    order: Vec<ReplicaId>,
    /// Nothing is written anywhere.
    dry: bool,
    /// Files in histories that may have been written to since they were noted, and were not: as they were when they were read.
    looked_at: HashMap<(ReplicaId, String), Fingerprint>,
}

impl Carrier {
    /// For these roots.
    #[must_use]
    pub fn new(store: Store, roots: Vec<Root>, dry: bool) -> Carrier {
        let order = roots.iter().map(|r| r.replica).collect();
        Carrier {
            store,
            order,
            roots: roots.into_iter().map(|r| (r.replica, Arc::new(r))).collect(),
            dry,
            looked_at: HashMap::new(),
        }
    }

    /// A root.
    #[must_use]
    pub fn root(&self, id: ReplicaId) -> Option<&Arc<Root>> {
        self.roots.get(&id)
    }

    /// All roots, in the order in which they were given.
    pub fn roots(&self) -> impl Iterator<Item = &Arc<Root>> {
        self.order.iter().filter_map(|id| self.roots.get(id))
    }

    /// Loads the replicas of all roots, each as what is to be told to the core first.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn load(&self) -> Result<Vec<Input>, CarryError> {
        let replicas = crate::open::load(&self.store, self.roots().map(Arc::as_ref))?;
        let mut inputs = Vec::new();
        for (replica, root) in replicas.into_iter().zip(self.roots()) {
            inputs.push(Input::Attach {
                replica: Box::new(replica),
                name: root.name.clone(),
                carrying: root.in_doubt.load(Ordering::Relaxed),
            });
            inputs.push(Input::Ignoring(root.replica, root.ignore.clone()));
        }
        Ok(inputs)
    }

    /// Gives the index back.
    #[must_use]
    pub fn into_store(self) -> Store {
        self.store
    }

    /// The index, to be asked.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Notes a file that lies in the history, with its bytes.
    ///
    /// # Errors
    /// If the index cannot be written.
    pub fn note(&mut self, core: &mut Core, taken: &Taken) -> Result<(), StoreError> {
        core.histories_changed();
        self.store.commit(|tx| tx.add_history(taken))
    }

    /// The same of a file whose bytes were read ([`unread`](Self::unread)), which had this fingerprint then. True if the index had other bytes of
    /// it: someone has written to it since it was taken away, who had it open. Nobody has seen that, and it is taken out by the next scan.
    ///
    /// # Errors
    /// If the index cannot be read or written.
    pub fn note_read(&mut self, core: &mut Core, taken: &Taken, print: Fingerprint) -> Result<bool, StoreError> {
        let noted = self.store.taken_as(taken.replica, &taken.stored)?;
        match noted.filter(|noted| noted.content != UNKNOWN) {
            None => {
                self.note(core, taken)?;
                self.looked_at.insert((taken.replica, taken.stored.clone()), print);
                Ok(false)
            }
            Some(noted) if noted.content == taken.content => {
                self.looked_at.insert((taken.replica, taken.stored.clone()), print);
                Ok(false)
            }
            Some(_) => {
                let (Some(root), Some(replica)) = (self.roots.get(&taken.replica), core.replica(taken.replica)) else {
                    return Ok(false);
                };
                root.doubt().add([taken.stored.clone()].into_iter(), replica.contents());
                Ok(true)
            }
        }
    }

    /// Whether someone who had it open may have written to a file since it was taken away, that long before it was noted.
    fn may_be_written_to(&self, taken: &Taken, stat: &Stat, within_ms: u64) -> bool {
        let noted_ns = i128::from(taken.time_ms.saturating_sub(within_ms)) * 1_000_000;
        stat.kind == Kind::File
            && taken.content != UNKNOWN
            && (stat.print.size != taken.size || i128::from(stat.print.mtime_ns) > noted_ns)
            && self.looked_at.get(&(taken.replica, taken.stored.clone())) != Some(&stat.print)
    }

    /// Writes to the index. The first time in a run, the root and the index are given a token that says that they belong
    /// together.
    ///
    /// # Errors
    /// If the index or the root cannot be written; nothing of this was.
    pub fn commit(&mut self, id: ReplicaId, commit: &Commit, wall_ms: u64, random: u64) -> Result<(), CarryError> {
        if self.dry {
            return Ok(());
        }
        if let Some(root) = self.roots.get(&id).filter(|_| !commit.written.is_empty()) {
            let written: Vec<&str> = commit.written.iter().map(String::as_str).collect();
            // (One may have been moved or locked since: then each for itself. Nothing is inferred from that.)
            if root.fs.sync(&written).is_err() {
                for path in written {
                    if let Err(e) = root.fs.sync(&[path]) {
                        tracing::debug!(root = %root.path.display(), path, %e, "was written lately, and cannot be synced");
                    }
                }
            }
        }
        // (That steps are about to be taken is noted without one: the disk may be too full for its marker.)
        if commit.carrying.is_none() || commit.tells_something() {
            self.begin_session(id, random, wall_ms)?;
            if let Some(root) = self.roots.get(&id) {
                root.is_newer.store(true, Ordering::Relaxed);
            }
        }
        self.store.commit(|tx| {
            for (content, list) in &commit.chunks {
                let manifest = Manifest::new(ChunkList::clone(list));
                debug_assert_eq!(manifest.root(), *content);
                tx.put_manifest(&manifest)?;
            }
            if let Some(changes) = &commit.changes {
                tx.apply(id, changes)?;
            }
            for kept in &commit.kept {
                tx.add_history(&Taken {
                    replica: id,
                    stored: kept.stored.clone(),
                    content: kept.bytes.id(),
                    path: kept.path.clone(),
                    time_ms: wall_ms,
                    reason: if kept.deleted { Reason::Deleted } else { Reason::Replaced },
                    size: kept.size,
                })?;
            }
            for happened in &commit.happened {
                tx.add_log(id, happened, wall_ms)?;
            }
            if let Some(carrying) = commit.carrying {
                tx.set_carrying(id, carrying)?;
            }
            if commit.durable {
                tx.durable();
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Gives roots in which something was committed since they were given a token another one: what was copied before that is then known to be
    /// older.
    ///
    /// # Errors
    /// If the index cannot be written, or a marker not be read. (One that cannot be written stays as it was.)
    pub fn renew_tokens(&mut self, wall_ms: u64, random: &mut dyn FnMut() -> u64) -> Result<(), CarryError> {
        if self.dry {
            return Ok(());
        }
        let is_newer = |root: &Root| root.is_newer.load(Ordering::Relaxed) && root.is_another().is_ok_and(|why| why.is_none());
        let newer: Vec<ReplicaId> = self
            .roots
            .iter()
            .filter(|(_, root)| is_newer(root))
            .map(|(id, _)| *id)
            .collect();
        newer.into_iter().try_for_each(|id| self.begin_session(id, random(), wall_ms))
    }

    fn begin_session(&mut self, id: ReplicaId, random: u64, wall_ms: u64) -> Result<(), CarryError> {
        let Some(root) = self.roots.get(&id) else { return Ok(()) };
        let since = root.in_session_since.load(Ordering::Relaxed);
        if since > 0 && wall_ms.abs_diff(since) < TOKEN_MS {
            return Ok(());
        }
        root.in_session_since.store(wall_ms.max(1), Ordering::Relaxed);
        root.is_newer.store(false, Ordering::Relaxed);
        let Some(hosted) = self.store.replica(id)? else {
            return Ok(());
        };
        let current = hosted.tokens.pending.unwrap_or(hosted.tokens.current);
        let failed = |source| CarryError::Marker {
            path: root.path.display().to_string(),
            source,
        };
        // The marker may say either, until the new one is written. (One that cannot be read is not guessed at: it would be taken for one
        // that was put back.)
        let old = match look(root.fs.as_ref()).map_err(failed)? {
            Found::Marker(marker) if marker.replica == root.replica.to_string() => {
                u64::from_str_radix(&marker.token, 16).unwrap_or(current)
            }
            _ => current,
        };
        self.store.commit(|tx| {
            tx.set_tokens(
                id,
                Tokens {
                    current: old,
                    pending: Some(random),
                    object: None,
                },
            )
        })?;
        match mark(root.fs.as_ref(), &root.marker(random), wall_ms) {
            // (The one of this run is as good: the disk may be too full for another.)
            Err(e) if since > 0 => {
                tracing::warn!(root = %root.path.display(), %e, "its marker stays as it was");
                return Ok(());
            }
            done => done.map_err(failed)?,
        }
        root.marked.store(true, Ordering::Relaxed);
        let object = marker_object(root.fs.as_ref()).map_err(failed)?;
        self.store.commit(|tx| {
            tx.set_tokens(
                id,
                Tokens {
                    current: random,
                    pending: None,
                    object,
                },
            )
        })?;
        Ok(())
    }

    /// Takes what was replaced or deleted more than [`HISTORY_MS`] ago out of the history, but what is a side of an open conflict, or may be:
    /// its bytes are not known (see [`unread`](Self::unread)). That time is what went by from one tidying to the next, of which no more than a
    /// day counts: a clock that is set wrong, or right, empties no history.
    ///
    /// # Errors
    /// If the index cannot be read or written.
    pub fn tidy(&mut self, open_sides: &BTreeSet<ContentId>, wall_ms: u64) -> Result<(), CarryError> {
        if self.dry {
            return Ok(());
        }
        let mut removed = Vec::new();
        let now_ms = self.store.commit(|tx| tx.age_history(wall_ms))?;
        let mut old = Vec::new();
        for root in self.roots.values() {
            let before = now_ms.saturating_sub(HISTORY_MS);
            let taken = self.store.history_before(root.replica, before, TIDY_AT_ONCE)?;
            old.extend(taken.into_iter().map(|taken| (root.clone(), taken)));
        }
        for (root, taken) in old.into_iter().filter(|(_, t)| !open_sides.contains(&t.content)) {
            let there = root.fs.stat(&format!("{HISTORY}/{}", taken.stored));
            if match there {
                Ok(Some(Entry::Plain(stat))) => taken.content == UNKNOWN || self.may_be_written_to(&taken, &stat, 0),
                Ok(Some(_)) => taken.content == UNKNOWN,
                Ok(None) | Err(_) => false,
            } {
                continue;
            }
            match root.fs.remove_file(&format!("{HISTORY}/{}", taken.stored)) {
                Ok(()) | Err(FsError::NotFound) => removed.push(taken),
                Err(e) => tracing::warn!(stored = taken.stored, %e, "stays in the history"),
            }
        }
        self.store
            .commit(|tx| tx.trim_log(LOG_ENTRIES, wall_ms.saturating_sub(LOG_MS)))?;
        let partly_ms = wall_ms.saturating_sub(PARTIAL_MS);
        for root in self.roots.values() {
            for (name, entry) in root.fs.list(PARTIAL).unwrap_or_default() {
                let Entry::Plain(stat) = entry else { continue };
                if i128::from(stat.print.mtime_ns) < i128::from(partly_ms) * 1_000_000 {
                    let _ = root.fs.remove_file(&format!("{PARTIAL}/{name}"));
                }
            }
        }
        if !removed.is_empty() {
            self.store.commit(|tx| {
                removed
                    .iter()
                    .try_for_each(|t| tx.remove_history(t.replica, &t.stored).map(drop))
            })?;
            self.store.prune(&|content| open_sides.contains(&content))?;
        }
        Ok(())
    }

    /// Files in the histories whose bytes the index does not know: a run was killed before it noted them, an older program did not read
    /// them, or someone may have written to them since. [`run_unread`] reads them.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn unread(&self, wall_ms: u64) -> Result<Vec<Unread>, CarryError> {
        let mut unread = Vec::new();
        if self.dry {
            return Ok(unread);
        }
        for taken in self.store.history(UNKNOWN)? {
            if let Some(root) = self.roots.get(&taken.replica).cloned() {
                unread.push(Unread { root, taken });
            }
        }
        for root in self.roots.values() {
            let in_doubt = root.in_doubt.load(Ordering::Relaxed) || !root.doubt().is_over();
            let in_order = root.in_session_since.load(Ordering::Relaxed) > 0 && !in_doubt;
            let Some(listed) = self.listed(root)? else { continue };
            let found = listed.into_iter().filter_map(|lying| match lying.noted {
                None if in_order => unnoted(root, lying.stored, &lying.stat, wall_ms),
                None => None,
                Some(noted) => self.may_be_written_to(&noted, &lying.stat, NOTED_WITHIN_MS).then_some(noted),
            });
            unread.extend(found.map(|taken| Unread {
                root: root.clone(),
                taken,
            }));
        }
        Ok(unread)
    }

    /// What lies in the history of a root, each with what the index says of it. `None` if it cannot be listed.
    fn listed(&self, root: &Root) -> Result<Option<Vec<Lying>>, CarryError> {
        let listed = match root.fs.list(HISTORY) {
            Ok(listed) => listed,
            Err(e) => {
                tracing::warn!(root = %root.path.display(), %e, "its history cannot be listed");
                return Ok(None);
            }
        };
        let mut noted: HashMap<String, Taken> = self
            .store
            .history_of(root.replica, usize::MAX)?
            .into_iter()
            .map(|taken| (taken.stored.clone(), taken))
            .collect();
        let plain = listed.into_iter().filter_map(|(stored, entry)| match entry {
            Entry::Plain(stat) => {
                let noted = noted.remove(&stored);
                Some(Lying { stored, stat, noted })
            }
            Entry::Special(_) => None,
        });
        Ok(Some(plain.collect()))
    }

    /// To be called before a root is scanned: if steps that were taken there did not end as they should, notes what the scan is to look
    /// into.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn doubt(&self, core: &Core, id: ReplicaId) -> Result<(), CarryError> {
        let (Some(root), Some(replica)) = (self.roots.get(&id), core.replica(id)) else {
            return Ok(());
        };
        if !self.dry && root.in_doubt.swap(false, Ordering::Relaxed) {
            match self.listed(root)? {
                Some(listed) => {
                    let is_found = |lying: &Lying| lying.noted.is_none() && name_before(&lying.stored).is_some();
                    let found: Vec<String> = listed.into_iter().filter(is_found).map(|lying| lying.stored).collect();
                    if !found.is_empty() {
                        root.doubt().add(found.into_iter(), replica.contents());
                    }
                }
                None => root.in_doubt.store(true, Ordering::Relaxed),
            }
        }
        Ok(())
    }

    /// Finds out where the bytes for some steps can be had: on the target's own disk first, then in the history, then where
    /// other replicas show them.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn jobs(&self, core: &Core, id: ReplicaId, steps: Vec<ToApply>) -> Result<Vec<Job>, CarryError> {
        let mut jobs = Vec::with_capacity(steps.len());
        let has_history = self.store.has_history()?;
        for step in steps {
            let supply = match content_of(&step.action) {
                Some((content, size)) => self.supply(core, id, &step, content, size, has_history)?,
                None => Supply {
                    origins: self.elsewhere(&step).collect(),
                    ..Supply::default()
                },
            };
            jobs.push(Job {
                action: step.action,
                supply,
                after_commit: step.after_commit,
                leaving: step.leaving,
            });
        }
        Ok(jobs)
    }

    /// Where other replicas show what a step makes.
    fn elsewhere<'a>(&'a self, step: &'a ToApply) -> impl Iterator<Item = Origin> + 'a {
        step.origins.iter().filter_map(|(other, path)| {
            Some(Origin {
                fs: self.roots.get(other)?.fs.clone(),
                path: path.clone(),
                local: false,
            })
        })
    }

    /// Where bytes lie on this computer, in any of the roots and their histories.
    #[must_use]
    pub fn places_of(&self, core: &Core, content: ContentId) -> Vec<Origin> {
        let mut places = Vec::new();
        let trouble = |e: StoreError| tracing::warn!(%e, "the index cannot be asked for bytes");
        for (replica, record) in self.store.find_content_anywhere(content).map_err(trouble).unwrap_or_default() {
            let recorded = core.replica(replica).and_then(|r| r.recorded_by(record));
            if let (Some(root), Some(recorded)) = (self.roots.get(&replica), recorded) {
                places.push(Origin {
                    fs: root.fs.clone(),
                    path: recorded.path,
                    local: true,
                });
            }
        }
        for taken in self.store.history(content).map_err(trouble).unwrap_or_default() {
            if let Some(root) = self.roots.get(&taken.replica) {
                places.push(Origin {
                    fs: root.fs.clone(),
                    path: format!("{HISTORY}/{}", taken.stored),
                    local: true,
                });
            }
        }
        places
    }

    /// Which of these bytes lie in the histories of the roots.
    #[must_use]
    pub fn seek(&self, contents: BTreeSet<ContentId>) -> BTreeMap<ContentId, bool> {
        let lies = |taken: &Taken| {
            let stat = self
                .roots
                .get(&taken.replica)
                .map(|root| root.fs.stat(&format!("{HISTORY}/{}", taken.stored)));
            matches!(stat, Some(Ok(Some(Entry::Plain(stat)))) if stat.print.size == taken.size)
        };
        let has = |content: ContentId| match self.store.history(content) {
            Ok(taken) => taken.iter().any(lies),
            Err(e) => {
                tracing::warn!(%e, "the index cannot be asked for bytes");
                true // (nothing is to be inferred)
            }
        };
        contents.into_iter().map(|content| (content, has(content))).collect()
    }

    /// The manifest of a content of several chunks, if it is known.
    #[must_use]
    pub fn manifest(&self, content: ContentId) -> Option<Manifest> {
        let found = self.store.manifest(content);
        found.unwrap_or_else(|e| {
            tracing::warn!(%e, "the index cannot be asked for a manifest");
            None
        })
    }

    fn supply(
        &self,
        core: &Core,
        id: ReplicaId,
        step: &ToApply,
        content: ContentId,
        size: u64,
        has_history: bool,
    ) -> Result<Supply, CarryError> {
        let mut supply = Supply::default();
        let (Some(root), Some(replica)) = (self.roots.get(&id), core.replica(id)) else {
            return Ok(supply);
        };
        let here = |path: String| Origin {
            fs: root.fs.clone(),
            path,
            local: true,
        };
        if size == 0 {
            supply.origins.extend(self.elsewhere(step));
            return Ok(supply);
        }
        let some = if replica.shows_nothing() {
            Vec::new()
        } else {
            self.store.find_content(id, content)?
        };
        for record in some {
            supply.origins.extend(replica.recorded_by(record).map(|r| here(r.path)));
        }
        let kept = if has_history {
            self.store.history(content)?
        } else {
            Vec::new()
        };
        for taken in kept {
            let Some(other) = self.roots.get(&taken.replica) else {
                continue;
            };
            let path = format!("{HISTORY}/{}", taken.stored);
            supply.origins.push(Origin {
                fs: other.fs.clone(),
                path,
                local: taken.replica == id,
            });
        }
        supply.origins.extend(self.elsewhere(step));
        if supply.origins.is_empty() {
            for (other, record) in self.store.find_content_anywhere(content)? {
                let recorded = core.replica(other).and_then(|r| r.recorded_by(record));
                if let (Some(root), Some(recorded)) = (self.roots.get(&other), recorded) {
                    supply.origins.push(Origin {
                        fs: root.fs.clone(),
                        path: recorded.path,
                        local: other == id,
                    });
                }
            }
        }
        if size > SEVERAL_CHUNKS {
            supply.chunks = self.store.manifest(content)?.map(|m| Arc::new(m.into_list()));
            if let Action::Write { path, expected, .. } = &step.action
                && let Bytes::File(old) = expected.bytes
                && let Some(manifest) = self.store.manifest(old)?
            {
                supply.old.push((here(path.to_string()), Arc::new(manifest.into_list())));
            }
        }
        Ok(supply)
    }
}

/// A file in a history, whose bytes the index does not know.
pub struct Unread {
    root: Arc<Root>,
    taken: Taken,
}

/// What lies in a history.
struct Lying {
    /// Its name there.
    stored: String,
    stat: Stat,
    /// What the index says of it.
    noted: Option<Taken>,
}

/// Reads such files, and tells what is to be noted of each that could be read.
pub fn run_unread(unread: Vec<Unread>, stop: &AtomicBool, tell: &mut dyn FnMut(Taken, Fingerprint)) {
    let mut chunker = Chunker::new();
    for Unread { root, taken } in unread {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Some((taken, print)) = with_bytes(root.fs.as_ref(), taken, stop, &mut chunker) {
            tell(taken, print);
        }
    }
}

/// What is to be noted of what lies in a history and is not in the index: a run was killed between the two.
fn unnoted(root: &Root, stored: String, stat: &Stat, wall_ms: u64) -> Option<Taken> {
    Some(Taken {
        replica: root.replica,
        content: UNKNOWN,
        path: name_before(&stored)?.to_owned(),
        time_ms: wall_ms,
        reason: Reason::Replaced,
        size: stat.print.size,
        stored,
    })
}

/// What is to be noted of a file in a history, once it is read, and its fingerprint then; `None` if it cannot be.
pub(crate) fn with_bytes(fs: &dyn Fs, taken: Taken, stop: &AtomicBool, chunker: &mut Chunker) -> Option<(Taken, Fingerprint)> {
    let kind = match fs.stat(&format!("{HISTORY}/{}", taken.stored)) {
        Ok(Some(Entry::Plain(stat))) if stat.kind != Kind::Dir => stat.kind,
        _ => return None,
    };
    match bytes_of(fs, &taken.stored, kind, stop, chunker) {
        Ok((bytes, print)) => {
            let (content, size) = (bytes.id(), print.size);
            Some((Taken { content, size, ..taken }, print))
        }
        Err(why) => {
            tracing::warn!(stored = taken.stored, why, "in the history, cannot be read");
            None
        }
    }
}

/// The name that something in the history had before, as its stored name says.
pub(crate) fn name_before(stored: &str) -> Option<&str> {
    let mut parts = stored.splitn(3, '-');
    u64::from_str_radix(parts.next()?, 16).ok()?;
    parts.next()?.parse::<usize>().ok()?;
    parts.next()
}

/// Scans a root, and then looks whether it is still the one that was synced. Before, what is in doubt there is looked into.
pub fn run_scan(root: &Root, scope: &Scope, stop: &AtomicBool, tell: &mut dyn FnMut(Input)) {
    if let Err(e) = root.put_back() {
        let why = format!(
            "{}: a file could not be put back to where it was ({e}); nothing was changed",
            root.path.display()
        );
        return tell(Input::ScanEnded(root.replica, ScanEnd::NotTheRoot(Halted::because(why))));
    }
    let rescued = rescue(root, stop);
    if rescued.some && *scope != Scope::All {
        tell(Input::Rescan(root.replica, "something of its user's was put back".to_owned()));
    }
    let mut batch: Vec<Scanned> = Vec::new();
    let mut size = 0;
    let ended = scan(root.fs.as_ref(), &root.ignore, scope, stop, &mut |found| {
        size += if let Scanned::Listed { entries, .. } = &found {
            entries.len() + 1
        } else {
            1
        };
        batch.push(found);
        if size >= 1024 {
            size = 0;
            tell(Input::Scanned(root.replica, std::mem::take(&mut batch)));
        }
    });
    tell(Input::Scanned(root.replica, batch));
    let end = match why_another(root) {
        _ if !ended => ScanEnd::Stopped,
        None => ScanEnd::Complete(Searched {
            kept: rescued.kept,
            in_doubt: root.in_doubt.load(Ordering::Relaxed) || !root.doubt().is_over(),
        }),
        Some(why) => ScanEnd::NotTheRoot(why),
    };
    tell(Input::ScanEnded(root.replica, end));
}

/// Why a root is not to be touched any more.
pub(crate) fn why_another(root: &Root) -> Option<Halted> {
    root.is_another().unwrap_or_else(|e| {
        Some(Halted::because(format!(
            "{}: its marker cannot be read ({e}); nothing was changed",
            root.path.display()
        )))
    })
}

/// Reads files, in some threads, and tells the results in parts.
pub fn run_read(root: &Root, files: &[ToRead], threads: usize, stop: &AtomicBool, tell: &mut dyn FnMut(Input)) {
    if threads <= 1 || files.len() <= 1 {
        let mut chunker = Chunker::new();
        for part in files.chunks(READ_PART) {
            let results = part
                .iter()
                .map(|file| (file.index, read_one(root.fs.as_ref(), file, stop, &mut chunker)))
                .collect();
            tell(Input::Read(root.replica, results));
        }
        return;
    }
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::sync_channel(threads * 2);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                let mut chunker = Chunker::new();
                loop {
                    let first = next.fetch_add(32, Ordering::Relaxed);
                    let Some(part) = files.get(first..files.len().min(first + 32)).filter(|p| !p.is_empty()) else {
                        break;
                    };
                    let results: Vec<_> = part
                        .iter()
                        .map(|file| (file.index, read_one(root.fs.as_ref(), file, stop, &mut chunker)))
                        .collect();
                    if send.send(results).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for results in receive {
            tell(Input::Read(root.replica, results));
        }
    });
}

fn read_one(fs: &dyn Fs, file: &ToRead, stop: &AtomicBool, chunker: &mut Chunker) -> Result<Read, Problem> {
    if stop.load(Ordering::Relaxed) {
        let message = "the program was stopped before it was read".to_owned();
        return Err(Problem {
            path: file.path.clone(),
            kind: bifold_tree::ProblemKind::Unreadable,
            message,
        });
    }
    read(fs, &file.path, file.kind, stop, chunker)
}

/// Who is told what became of steps.
pub trait Listener {
    /// Tells.
    fn tell(&mut self, input: Input);
    /// Waits until all that was told was taken in, and what that asked to be committed is in the index. False if that won't be.
    fn wait_until_noted(&mut self) -> bool;
}

/// With what steps are taken.
pub struct Means<'a> {
    /// Threads that stage.
    pub threads: usize,
    /// Whose turn it is at the disk.
    pub turns: &'a Arc<Turns>,
    /// Other devices, if there are any.
    pub far: Option<Arc<dyn Far>>,
}

/// How many of the first of these steps are carried out between two syncs of the disk.
fn batch_of(jobs: &[Job]) -> usize {
    let (mut steps, mut bytes) = (0, 0u64);
    while steps < jobs.len() && steps < BATCH_STEPS && (steps == 0 || bytes < BATCH_BYTES) {
        let size = content_of(&jobs[steps].action).map_or(0, |(_, size)| size);
        bytes = bytes.saturating_add(size); // (sizes are what someone said)
        steps += 1;
    }
    steps
}

/// Takes steps, batch by batch; after each the disk is synced, and what became of it is told.
pub fn run_apply(
    root: &Root,
    jobs: Vec<Job>,
    run: u64,
    means: &Means<'_>,
    stop: &AtomicBool,
    progress: &(dyn Fn(u64) + Sync),
    listener: &mut dyn Listener,
) {
    let applier = Applier::new(root.fs.as_ref(), &root.ignore, means.turns, stop, run, means.threads);
    let applier = applier.with_far(means.far.clone());
    let mut rest = jobs.as_slice();
    let (mut goes_on, mut some_taken) = (true, false);
    while goes_on && !rest.is_empty() && !stop.load(Ordering::Relaxed) && !means.turns.is_over() {
        if rest.len() < jobs.len() && rest[0].after_commit && !listener.wait_until_noted() {
            break;
        }
        if let Some(why) = why_another(root) {
            listener.tell(Input::Halt(root.replica, why));
            break;
        }
        let (batch, after) = rest.split_at(batch_of(rest));
        let next = &after[..batch_of(after)];
        applier.apply(batch, next, progress, &mut |applied, more| {
            some_taken |= applied.outcomes.iter().any(|o| matches!(o, Outcome::Done(_)));
            let refused = applied
                .outcomes
                .iter()
                .any(|o| !matches!(o, Outcome::Done(_) | Outcome::Ignored | Outcome::Deferred));
            root.in_doubt.fetch_or(applied.unsure, Ordering::Relaxed);
            listener.tell(Input::Applied(root.replica, applied));
            if refused && let Ok(Some(why)) = root.is_another() {
                listener.tell(Input::Halt(root.replica, why));
                goes_on = false;
            }
            goes_on &= !more || listener.wait_until_noted();
            goes_on
        });
        rest = after;
    }
    means.turns.ended(some_taken);
    listener.tell(Input::ApplyEnded(root.replica));
}
