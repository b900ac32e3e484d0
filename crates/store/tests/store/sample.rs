//! A small disk, a replica that has looked at it, and an index to keep it in.

use bifold_store::{Folder, FolderId, Hosted, RootIdentity, Store, StoreError, Tokens};
use bifold_tree::{
    Bytes, ContentId, ExactNames, FileKey, Fingerprint, Kind, Node, NodeId, Policy, Projected, Recorded, Replica, ReplicaId,
    Stat, Survey,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const FOLDER: FolderId = FolderId(u64::MAX - 3);

pub fn hosted(id: u64) -> Hosted {
    Hosted {
        id: ReplicaId(id),
        folder: FOLDER,
        root: format!("/home/ann/{id:x}").into(),
        identity: RootIdentity {
            device: u64::MAX,
            inode: id,
        },
        tokens: Tokens {
            current: u64::MAX - id,
            pending: None,
            object: None,
        },
        alive: true,
    }
}

/// Puts a folder and a replica of it.
pub fn host(store: &mut Store, id: u64) {
    let folder = Folder {
        id: FOLDER,
        name: "Photos".into(),
    };
    store
        .commit(|tx| {
            tx.put_folder(&folder)?;
            tx.put_replica(&hosted(id))
        })
        .unwrap();
}

pub fn replica(id: u64) -> Replica {
    Replica::new(ReplicaId(id), Arc::new(ExactNames), Policy::default())
}

pub fn content(text: &str) -> ContentId {
    bifold_chunk::hash_bytes(text.as_bytes()).unwrap().content
}

/// Files of one directory level: path to text. A path that ends with '/' is a directory; "-> x" is a link to x.
#[derive(Default)]
pub struct Disk {
    pub files: BTreeMap<String, String>,
    keys: BTreeMap<String, u64>,
}

impl Disk {
    pub fn write(&mut self, path: &str, text: &str) -> &mut Disk {
        self.files.insert(path.into(), text.into());
        let next = self.keys.len() as u64 + 1000;
        self.keys.entry(path.into()).or_insert(next);
        self
    }

    pub fn remove(&mut self, path: &str) -> &mut Disk {
        self.files.remove(path);
        self
    }

    /// Lets the replica look at all of it.
    pub fn scan(&self, replica: &mut Replica, wall_ms: u64) {
        let mut survey = Survey::new();
        let dirs = self.files.keys().filter_map(|path| path.strip_suffix('/'));
        for dir in std::iter::once("").chain(dirs) {
            let listed: Vec<_> = self
                .files
                .iter()
                .filter_map(|(path, text)| {
                    let (kind, path_there) = match path.strip_suffix('/') {
                        Some(path) => (Kind::Dir, path),
                        None if text.starts_with("-> ") => (Kind::Link, path.as_str()),
                        None => (Kind::File, path.as_str()),
                    };
                    let (parent, name) = path_there.rsplit_once('/').unwrap_or(("", path_there));
                    (parent == dir).then(|| (Arc::from(name), Some(self.stat(path, kind, text))))
                })
                .collect();
            survey.listed(replica, dir, &listed);
        }
        for (index, path, stat) in survey.unread(replica) {
            let text = &self.files[&path];
            let bytes = match text.strip_prefix("-> ") {
                Some(target) => Bytes::Link(target.into()),
                None => Bytes::File(content(text)),
            };
            survey.read(index, bytes, stat);
        }
        replica.observe(survey, wall_ms);
    }

    fn stat(&self, path: &str, kind: Kind, text: &str) -> Stat {
        Stat {
            kind,
            key: FileKey(self.keys[path]),
            print: Fingerprint {
                size: text.len() as u64,
                mtime_ns: i64::from_le_bytes(content(text).0[..8].try_into().unwrap()) >> 8,
                ctime_ns: -1,
            },
            exec: Some(text.contains('!')),
        }
    }
}

/// Commits what changed, if anything did.
pub fn keep(store: &mut Store, replica: &mut Replica) {
    if let Some(changes) = replica.take_changes() {
        store.commit(|tx| tx.apply(replica.id(), &changes)).unwrap();
    }
}

pub fn none(_: NodeId) -> Option<Arc<Node>> {
    None
}

pub fn load(store: &Store, id: u64) -> Result<Option<Replica>, StoreError> {
    let mut replica = replica(id);
    Ok(store.load(&mut replica, &none)?.then_some(replica))
}

/// All that a replica is.
pub fn whole(replica: &mut Replica) -> (Vec<Projected>, Vec<Recorded>, bifold_tree::ReplicaState, Vec<Arc<Node>>) {
    let mut recorded: Vec<Recorded> = replica.all_recorded().collect();
    recorded.sort_by(|a, b| a.path.cmp(&b.path));
    (
        replica.project(&|_| true),
        recorded,
        replica.state(),
        replica.changed_since(0),
    )
}
