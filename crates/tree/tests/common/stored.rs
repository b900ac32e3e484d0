//! What an index keeps of a replica.

use bifold_tree::{Changes, Malformed, Names, Node, NodeId, Policy, RecordId, Replica, ReplicaId, ReplicaState, StoredRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An index, as of its last commit.
#[derive(Clone, Default)]
pub struct Index {
    nodes: BTreeMap<NodeId, (Arc<Node>, u64)>,
    records: BTreeMap<RecordId, StoredRecord>,
    state: ReplicaState,
    times: Vec<u64>,
}

impl Index {
    pub fn commit(&mut self, changes: Option<Changes>) {
        let Some(changes) = changes else { return };
        for (node, sequence) in changes.nodes {
            self.nodes.insert(node.id, (node, sequence));
        }
        for id in changes.dropped {
            self.nodes.remove(&id);
        }
        for record in changes.records {
            self.records.insert(record.id, record);
        }
        for id in changes.removed {
            self.records.remove(&id);
        }
        self.state = changes.state;
        self.times.extend(changes.times);
        self.times.retain(|time| *time >= changes.times_from);
    }

    pub fn records(&self) -> impl Iterator<Item = &StoredRecord> {
        self.records.values()
    }

    /// The replica that a new run of the program makes of it.
    pub fn load(&self, id: ReplicaId, names: Arc<dyn Names>, policy: Policy) -> Result<Replica, Malformed> {
        let mut replica = Replica::new(id, names, policy);
        replica.load(
            self.state.clone(),
            self.nodes.values().cloned(),
            self.records.values().cloned(),
        )?;
        replica.load_times(self.times.iter().copied());
        Ok(replica)
    }
}
