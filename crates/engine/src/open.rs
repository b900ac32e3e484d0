//! Opening roots: which replica each is, and whether it is still what it was. Where an index or the files were put back from an
//! older state, the root joins anew, as a union: absence is then no deletion.

use crate::core::Halted;
use crate::root::{FsNames, Root, RootSpec, damaged, gone, marker_object};
use bifold_disk::apply::Applier;
use bifold_disk::fs::{Fs, FsError};
use bifold_disk::ignore::{BadPattern, Ignore};
use bifold_disk::root::{Found, Marker, look, marked_as};
use bifold_store::{Folder, FolderId, Hosted, Store, StoreError, Tokens};
use bifold_tree::{Policy, Replica, ReplicaId};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

/// The engine's own directory in a root.
const OWN: &str = ".bifold";

/// Why roots cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A root is not the one that was synced.
    #[error("{0}")]
    NotTheRoot(String),
    /// A root cannot be read or written.
    #[error("{path}: {what}: {source}")]
    Disk {
        /// The root.
        path: String,
        /// What was tried, and what to do.
        what: &'static str,
        /// What the system said.
        source: FsError,
    },
    /// The index.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A pattern.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
}

/// How to open.
pub struct OpenOptions<'a> {
    /// Nothing may be written, anywhere.
    pub dry: bool,
    /// The folder that they are of, where that is known before.
    pub folder: Option<FolderId>,
    /// Patterns of what is ignored.
    pub ignore: &'a [String],
    /// Random numbers.
    pub random: &'a mut dyn FnMut() -> u64,
    /// Ids of new replicas; random ones if there is nothing here.
    pub new_replica: Option<&'a mut dyn FnMut() -> u64>,
}

/// What is known of a root before it is opened.
enum Known {
    /// The replica that it is, as the index has it.
    As(Box<Hosted>),
    /// It is new, in place of a replica that is no longer.
    New {
        folder: Option<FolderId>,
        instead_of: Option<ReplicaId>,
        why: &'static str,
    },
}

/// Opens roots of one folder. What is found out about them is noted in the index, unless the run is dry.
///
/// # Errors
/// If one of them cannot be what it is said to be; then nothing was changed in any.
pub fn open(store: &mut Store, specs: Vec<RootSpec>, options: OpenOptions<'_>) -> Result<Vec<Root>, OpenError> {
    let mut known = Vec::new();
    let mut ignores = Vec::new();
    for spec in &specs {
        known.push(recognise(store, spec)?);
        ignores.push(Arc::new(Ignore::new(options.ignore)?));
    }
    if options.dry {
        return enter(store, specs, known, ignores, options);
    }
    let is_new = |spec: &&RootSpec| matches!(spec.fs.stat(OWN), Ok(None));
    let new: Vec<Arc<dyn Fs>> = specs.iter().filter(is_new).map(|spec| spec.fs.clone()).collect();
    let roots = prepare(&specs).and_then(|()| enter(store, specs, known, ignores, options));
    if roots.is_err() {
        // Nothing of ours stays in what was never synced.
        for fs in new {
            leave(fs.as_ref());
        }
    }
    roots
}

/// Notes in the index which replicas the roots are.
fn enter(
    store: &mut Store,
    specs: Vec<RootSpec>,
    known: Vec<Known>,
    ignores: Vec<Arc<Ignore>>,
    mut options: OpenOptions<'_>,
) -> Result<Vec<Root>, OpenError> {
    let mut folders: Vec<FolderId> = Vec::new();
    for k in &known {
        folders.extend(match k {
            Known::As(hosted) => Some(hosted.folder),
            Known::New { folder, .. } => *folder,
        });
    }
    let existing: BTreeSet<FolderId> = store.folders()?.into_iter().map(|f| f.id).collect();
    folders.retain(|f| existing.contains(f));
    let folder = options
        .folder
        .or_else(|| folders.first().copied())
        .unwrap_or_else(|| FolderId((options.random)()));
    let mut hosted = Vec::new();
    let mut retired = Vec::new();
    for (spec, known) in specs.iter().zip(known) {
        hosted.push(match known {
            Known::As(h) => Hosted {
                folder,
                root: spec.path.clone(),
                identity: spec.identity,
                ..*h
            },
            Known::New { instead_of, why, .. } => {
                tracing::info!(root = %spec.path.display(), why, "joins as new");
                let id = match &mut options.new_replica {
                    Some(new) => new(),
                    None => (options.random)(),
                };
                let id = ReplicaId(id.max(1));
                retired.extend(instead_of.map(|old| (old, id)));
                Hosted {
                    id,
                    folder,
                    root: spec.path.clone(),
                    identity: spec.identity,
                    tokens: Tokens {
                        current: (options.random)(),
                        ..Tokens::default()
                    },
                    alive: true,
                }
            }
        });
    }
    // What is still itself in this very run is not retired because of a copy of it.
    retired.retain(|(old, _)| hosted.iter().all(|h| h.id != *old));
    let others: Vec<Hosted> = folders
        .iter()
        .filter(|f| **f != folder)
        .map(|f| store.replicas(*f))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    if !options.dry {
        let name = specs[0]
            .path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        store.commit(|tx| {
            tx.put_folder(&Folder { id: folder, name })?;
            for other in &others {
                tx.set_folder(other.id, folder)?;
            }
            for (old, _) in &retired {
                tx.retire(*old)?;
            }
            hosted.iter().try_for_each(|h| tx.put_replica(h))?;
            retired.iter().try_for_each(|(old, new)| tx.give_history(*old, *new))
        })?;
    }
    let mut roots = Vec::new();
    for ((spec, hosted), ignore) in specs.into_iter().zip(hosted).zip(ignores) {
        let marked = matches!(look(spec.fs.as_ref()), Ok(Found::Marker(m)) if m.replica == hosted.id.to_string());
        roots.push(Root {
            replica: hosted.id,
            folder,
            name: spec.name,
            path: spec.path,
            fs: spec.fs,
            ignore,
            marked: AtomicBool::new(marked),
            in_session_since: AtomicU64::new(0),
            is_newer: AtomicBool::new(false),
            in_doubt: AtomicBool::new(store.carrying(hosted.id)?),
            doubt: Mutex::default(),
            misplaced: AtomicBool::new(false),
        });
    }
    Ok(roots)
}

/// Loads the replicas of roots, in their order. Nodes that several have are kept in memory once.
///
/// # Errors
/// If the index cannot be read.
pub fn load<'a>(store: &Store, roots: impl IntoIterator<Item = &'a Root>) -> Result<Vec<Replica>, StoreError> {
    let mut replicas: Vec<Replica> = Vec::new();
    for root in roots {
        let mut replica = Replica::new(root.replica, Arc::new(FsNames(root.fs.clone())), Policy::Ask);
        store.load(&mut replica, &|id| replicas.iter().find_map(|other| other.node(id).cloned()))?;
        for member in store.replicas(root.folder)? {
            if member.alive {
                replica.add_member(member.id);
            } else {
                replica.retire(member.id);
            }
        }
        replicas.push(replica);
    }
    Ok(replicas)
}

/// Finds out which replica a root is.
fn recognise(store: &Store, spec: &RootSpec) -> Result<Known, OpenError> {
    let unreadable = |source| OpenError::Disk {
        path: spec.path.display().to_string(),
        what: "its marker (.bifold/root.json) cannot be read; see that the folder is readable",
        source,
    };
    let by_path = store.replica_by_root(&spec.path)?;
    let new = |folder, instead_of, why| Ok(Known::New { folder, instead_of, why });
    let marker = look(spec.fs.as_ref()).map_err(unreadable)?;
    if spec.rejoin {
        let folder = by_path.as_ref().map(|h| h.folder);
        return new(folder, by_path.map(|h| h.id), "a person said so");
    }
    let marker = match marker {
        Found::Marker(marker) => marker,
        Found::None => {
            return match by_path {
                Some(hosted) if was_taken_in(store, &hosted)? => Err(OpenError::NotTheRoot(gone(&spec.path))),
                // The marker never came to the disk, or went with all else: nothing is recorded that could look deleted. What was
                // deleted stays known.
                Some(hosted) => Ok(Known::As(Box::new(hosted))),
                None => new(None, None, "it was never synced"),
            };
        }
        Found::Damaged => return Err(OpenError::NotTheRoot(damaged(&spec.path))),
    };
    let Some((folder, id, token)) = understood(&marker) else {
        return Err(OpenError::NotTheRoot(damaged(&spec.path)));
    };
    let Some(hosted) = store.replica(id)?.filter(|h| h.alive) else {
        if let Some(known) = &by_path
            && known.folder != folder
            && was_taken_in(store, known)?
        {
            return Err(OpenError::NotTheRoot(format!(
                "{}: another folder stands in its place now. Nothing was changed. Put the right one back, or have what is there now \
                 merged as new",
                spec.path.display()
            )));
        }
        // The index was lost, or is another one.
        return new(Some(folder), by_path.map(|h| h.id), "the index does not know it");
    };
    if by_path.as_ref().is_some_and(|h| h.id != hosted.id) {
        return Err(OpenError::NotTheRoot(format!(
            "{}: another folder, also known here, stands in its place now. Nothing was changed. Put the right \
             one back, or have what is there now merged as new",
            spec.path.display()
        )));
    }
    if hosted.root != spec.path && hosted.identity != spec.identity && marked_as(&hosted.root, &hosted.id.to_string()) {
        return new(Some(hosted.folder), None, "it is a copy of another root");
    }
    let object = marker_object(spec.fs.as_ref()).map_err(unreadable)?;
    if !hosted.tokens.fit(token) || object.is_some_and(|object| hosted.tokens.is_put_back(object)) {
        return new(
            Some(hosted.folder),
            Some(hosted.id),
            "its files or the index were put back from an older state",
        );
    }
    Ok(Known::As(Box::new(hosted)))
}

/// Why a root that is known is not what it was; `None` if it is.
///
/// # Errors
/// If the index cannot be read.
pub(crate) fn why_not_the_root(store: &Store, spec: &RootSpec) -> Result<Option<Halted>, StoreError> {
    match recognise(store, spec) {
        Ok(_) => Ok(None),
        Err(OpenError::Store(e)) => Err(e),
        Err(OpenError::NotTheRoot(why)) => Ok(Some(Halted { why, rejoin: true })),
        Err(e) => Ok(Some(Halted::because(e.to_string()))),
    }
}

/// Whether something of a replica is in the index that would make absence look like deletion.
fn was_taken_in(store: &Store, hosted: &Hosted) -> Result<bool, StoreError> {
    let mut replica = Replica::new(hosted.id, Arc::new(bifold_tree::ExactNames), Policy::Ask);
    Ok(store.load(&mut replica, &|_| None)? && !replica.shows_nothing())
}

fn understood(marker: &Marker) -> Option<(FolderId, ReplicaId, u64)> {
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    Some((
        FolderId(number(&marker.folder)?),
        ReplicaId(number(&marker.replica)?),
        number(&marker.token)?,
    ))
}

/// Takes all roots for this program, and makes the engine's own directories in them.
fn prepare(specs: &[RootSpec]) -> Result<(), OpenError> {
    for spec in specs {
        let failed = |source| OpenError::Disk {
            path: spec.path.display().to_string(),
            what: if matches!(source, FsError::Busy(_)) {
                "it is in use"
            } else {
                "it cannot be written, and a folder that is synced both ways must be; see its permissions, and that its disk is not \
                 read-only or full"
            },
            source,
        };
        match spec.fs.make_dir(OWN) {
            Ok(()) | Err(FsError::Exists) => {}
            Err(e) => return Err(failed(e)),
        }
        spec.fs.lock().map_err(failed)?;
        Applier::prepare(spec.fs.as_ref()).map_err(failed)?;
    }
    Ok(())
}

/// Takes away what [`prepare`] made, as far as it is empty.
fn leave(fs: &dyn Fs) {
    if matches!(fs.lock(), Err(FsError::Busy(_))) {
        return;
    }
    for dir in [
        bifold_tree::PARKED_PATH,
        bifold_disk::stage::STAGE,
        bifold_disk::far::PARTIAL,
        bifold_disk::stage::HISTORY,
    ] {
        let _ = fs.remove_dir(dir);
    }
    let _ = fs.remove_file(&format!("{OWN}/lock"));
    let _ = fs.remove_dir(OWN);
}
