//! What replicas say to each other, and a session between two of them as a state machine: no sockets, no clock. Today the two
//! ends are in one program, and nodes are passed by reference; the words are those that devices will use.

use bifold_tree::{Malformed, Node, Replica, ReplicaId, Vector};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The first one, both ways.
    Offer {
        /// Who speaks.
        replica: ReplicaId,
        /// It has a disk that was never taken in, and waits for the other's nodes first, so that what both have gets one
        /// node and not two.
        joining: bool,
        /// Up to where all writes are merged there.
        have: Vector,
    },
    /// Nodes that changed, parents before what is in them.
    Records {
        /// The nodes.
        nodes: Vec<Arc<Node>>,
        /// With this the other has got everything.
        complete: Option<Complete>,
    },
}

/// What is told with a complete exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    /// Up to where all writes are merged at the sender.
    pub have: Vector,
    /// What each replica had merged when its disk showed all of it, as far as the sender knows.
    pub acks: BTreeMap<ReplicaId, Vector>,
}

/// Why a session ends.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// A node that cannot be.
    #[error("the other side sent a node that cannot be: {0}")]
    Malformed(#[from] Malformed),
    /// Something else than an offer came first, or a second offer.
    #[error("the other side does not keep to the order of messages")]
    Order,
    /// Both ends are one replica.
    #[error("both sides say that they are the same replica: one is a copy of the other")]
    Same,
}

/// What a message changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Nodes changed here.
    pub changed: bool,
    /// All that the other has is here now.
    pub complete: bool,
}

/// One end of a session.
#[derive(Debug, Default)]
pub struct Session {
    offered: bool,
    peer: Option<ReplicaId>,
    peer_joining: bool,
    peer_have: Vector,
    /// The local sequence up to which the peer was told.
    sent: Option<u64>,
    told: Option<Complete>,
    /// The peer told everything it had, at least once.
    heard_all: bool,
}

impl Session {
    /// A session that has just been connected.
    #[must_use]
    pub fn new() -> Session {
        Session::default()
    }

    /// Who is at the other end, once they said so.
    #[must_use]
    pub fn peer(&self) -> Option<ReplicaId> {
        self.peer
    }

    /// Whether the other end waits for this one's nodes before it takes its disk in.
    #[must_use]
    pub fn peer_joining(&self) -> bool {
        self.peer_joining
    }

    /// Whether the other end has told everything it has, at least once.
    #[must_use]
    pub fn heard_all(&self) -> bool {
        self.heard_all
    }

    /// Takes in a message.
    ///
    /// # Errors
    /// If it breaks the protocol: then the session is over, and what came before stays merged.
    pub fn handle(&mut self, replica: &mut Replica, message: &Message, wall_ms: u64) -> Result<Handled, Refused> {
        match message {
            Message::Offer {
                replica: peer,
                joining,
                have,
            } => {
                if self.peer.is_some() {
                    return Err(Refused::Order);
                }
                if *peer == replica.id() {
                    return Err(Refused::Same);
                }
                self.peer = Some(*peer);
                self.peer_joining = *joining;
                self.peer_have = have.clone();
                replica.add_member(*peer);
                Ok(Handled::default())
            }
            Message::Records { nodes, complete } => {
                if self.peer.is_none() {
                    return Err(Refused::Order);
                }
                let mut handled = Handled::default();
                for node in nodes {
                    handled.changed |= replica.receive(node, wall_ms)?;
                }
                if let Some(complete) = complete {
                    replica.received_all(&complete.have, &complete.acks);
                    handled.complete = true;
                    self.heard_all = true;
                } else if handled.changed {
                    replica.received_some();
                }
                Ok(handled)
            }
        }
    }

    /// The next thing to say, if there is one. `joining`: this end's disk was not taken in yet, so what it has is not all.
    pub fn poll(&mut self, replica: &Replica, joining: bool) -> Option<Message> {
        if !self.offered {
            self.offered = true;
            return Some(Message::Offer {
                replica: replica.id(),
                joining,
                have: replica.have().clone(),
            });
        }
        self.peer?;
        let upto = replica.sequence();
        if self.sent.is_none() && replica.is_whole() && self.peer_have.includes(replica.have()) {
            self.sent = Some(upto); // it has all that
        }
        let complete = Complete {
            have: replica.have().clone(),
            acks: replica.acks().clone(),
        };
        let news = self.sent.is_none_or(|sent| sent < upto);
        if !news && (joining || self.told.as_ref() == Some(&complete)) {
            return None;
        }
        let nodes = if news {
            replica.changed_since(self.sent.unwrap_or(0))
        } else {
            Vec::new()
        };
        if joining && nodes.is_empty() {
            return None;
        }
        self.sent = Some(upto);
        let complete = (!joining).then_some(complete);
        self.told.clone_from(&complete);
        Some(Message::Records { nodes, complete })
    }

    /// The local sequence up to which the other end was told.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.unwrap_or(0)
    }
}
