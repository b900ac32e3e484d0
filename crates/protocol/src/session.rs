//! A session between two replicas of a folder.

use bifold_tree::{MAX_HEADS, Malformed, Node, NodeId, Replica, ReplicaId, Shown, Vector};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
        /// For each replica that told the speaker all it had, the sequence at which it did: what it has changed since is all that
        /// it needs to tell.
        heard: BTreeMap<ReplicaId, u64>,
    },
    /// Nodes that changed, parents before what is in them.
    Records {
        /// The nodes.
        nodes: Vec<Arc<Node>>,
        /// With this the other has got everything.
        complete: Option<Complete>,
    },
    /// The speaker lacks the bytes of these nodes, and could not have them from anyone: what does the other show of them? It answers
    /// when its own disk is at rest.
    Lacks(Vec<NodeId>),
    /// The answer.
    Shows(Answer),
}

/// What disks show of nodes whose bytes another lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The replicas whose disks these are: all that the speaker's program has of the folder.
    pub of: Vec<ReplicaId>,
    /// Each node with what is shown of it on any of the disks, and whether the speaker lacks its bytes too.
    pub shown: Vec<(Shown, bool)>,
}

/// Most nodes in one question, or answer, about bytes that nobody seems to have.
pub const MAX_LACKING: usize = 512;
/// Most replicas that one program speaks for.
pub const MAX_SPOKEN_FOR: usize = 64;

/// What is told with a complete exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// The sender's local sequence up to which this is.
    pub sequence: u64,
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
    /// Something else than an offer came first, or a second offer, or more of something than may be said at once.
    #[error("the other side does not keep to the order of messages")]
    Order,
    /// Both ends are one replica.
    #[error("both sides say that they are the same replica: one is a copy of the other")]
    Same,
    /// The other has seen writes of this one that this one does not know of; or it was told that this one has shown, or that it has
    /// retired.
    #[error("the other side has seen later changes of this side than are known here: its index was put back from an older state")]
    PutBack,
}

/// What a message changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Nodes changed here.
    pub changed: bool,
    /// All that the other has is here now.
    pub complete: bool,
    /// The other lacks the bytes of these nodes.
    pub lacked: Vec<NodeId>,
    /// The other answers.
    pub answer: Option<Answer>,
}

/// One end of a session.
#[derive(Debug, Default)]
pub struct Session {
    offered: bool,
    peer: Option<ReplicaId>,
    /// Who it is to be, if that is known.
    expected: Option<ReplicaId>,
    /// What the peer writes is not taken in.
    peer_reads: bool,
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

    /// A session with a replica of another device, which said before who it is. `reads`: that device may read only: what it says of nodes is
    /// not heard.
    #[must_use]
    pub fn with(peer: ReplicaId, reads: bool) -> Session {
        Session {
            expected: Some(peer),
            peer_reads: reads,
            ..Session::default()
        }
    }

    /// Up to where all writes are merged at the other end, as far as it said so.
    #[must_use]
    pub fn peer_have(&self) -> &Vector {
        &self.peer_have
    }

    /// Who is at the other end, once they said so.
    #[must_use]
    pub fn peer(&self) -> Option<ReplicaId> {
        self.peer
    }

    /// Whether the other end's device may read only.
    #[must_use]
    pub fn peer_reads(&self) -> bool {
        self.peer_reads
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
                heard,
            } => {
                if self.peer.is_some() {
                    return Err(Refused::Order);
                }
                if *peer == replica.id() {
                    return Err(Refused::Same);
                }
                if self.expected.is_some_and(|expected| expected != *peer) {
                    return Err(Refused::Order);
                }
                let me = replica.id();
                let told = heard.get(&me).copied();
                // (Of who may read only it is not believed.)
                let put_back = !replica.may_have_given(have.time(me)) || told.is_some_and(|told| told > replica.sequence());
                if put_back && !self.peer_reads {
                    return Err(Refused::PutBack);
                }
                self.sent = told.filter(|told| *told <= replica.sequence());
                self.peer = Some(*peer);
                self.peer_joining = *joining;
                self.peer_have = have.clone();
                replica.add_member(*peer);
                Ok(Handled::default())
            }
            Message::Records { nodes, complete } => {
                let Some(peer) = self.peer else {
                    return Err(Refused::Order);
                };
                let mut handled = Handled::default();
                if self.peer_reads || replica.is_retired(peer) {
                    if let Some(complete) = complete {
                        self.peer_have.clone_from(&complete.have);
                        self.peer_have.0.remove(&peer); // what it wrote is nobody's but its own
                        // What its disk shows concerns what may be forgotten; all else it says is another's to say.
                        let own = complete.acks.get(&peer).map(|ack| (peer, ack.clone()));
                        replica.received_all(&Vector::default(), &own.into_iter().collect());
                        handled.complete = true;
                        self.heard_all = true;
                    }
                    return Ok(handled);
                }
                // What others may have forgotten since, because it was seen here, would never be heard of again.
                let shown = complete.as_ref().and_then(|complete| complete.acks.get(&replica.id()));
                if shown.is_some_and(|shown| !replica.have().includes(shown)) {
                    return Err(Refused::PutBack);
                }
                handled.changed = replica.receive_some(nodes, wall_ms)? > 0;
                if let Some(complete) = complete {
                    replica.received_all(&complete.have, &complete.acks);
                    replica.heard_upto(peer, complete.sequence);
                    self.peer_have.clone_from(&complete.have);
                    handled.complete = true;
                    self.heard_all = true;
                } else if handled.changed {
                    replica.received_some();
                }
                Ok(handled)
            }
            Message::Lacks(nodes) => {
                if self.peer.is_none() || nodes.len() > MAX_LACKING {
                    return Err(Refused::Order);
                }
                Ok(Handled {
                    lacked: nodes.clone(),
                    ..Handled::default()
                })
            }
            Message::Shows(answer) => {
                let few = |shown: &Shown| shown.contents.len() <= MAX_HEADS;
                let is_bounded = answer.shown.len() <= MAX_LACKING
                    && answer.of.len() <= MAX_SPOKEN_FOR
                    && answer.shown.iter().all(|(shown, _)| few(shown));
                let Some(peer) = self.peer.filter(|_| is_bounded) else {
                    return Err(Refused::Order);
                };
                let mut answer = answer.clone();
                if self.peer_reads {
                    // It decides nothing, and speaks for nobody else.
                    answer.of = vec![peer];
                    answer.shown.iter_mut().for_each(|(_, lacks)| *lacks = false);
                }
                Ok(Handled {
                    answer: Some(answer),
                    ..Handled::default()
                })
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
                heard: replica.heard().clone(),
            });
        }
        self.peer?;
        let upto = replica.sequence();
        if self.sent.is_none_or(|sent| sent < upto)
            && self.told.is_none()
            && replica.is_whole()
            && self.peer_have.includes(replica.have())
        {
            self.sent = Some(upto); // it has all that
        }
        let complete = Complete {
            sequence: upto,
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
