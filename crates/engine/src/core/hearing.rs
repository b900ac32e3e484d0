//! Hearing what others say. What a program puts on its disk is known to be its own by what its replica wants there: where that became
//! something newer before it was noted, and the program was ended, it would be taken for its user's. So what others say of nodes that
//! steps are about waits until those were taken; and after such an end all waits until the disk was looked at.

use crate::core::host::Phase;
use crate::core::{Core, Effect, Halted};
use bifold_protocol::{Message, Refused};
use bifold_tree::ReplicaId;

/// What was said and is not heard yet.
pub(crate) struct Said {
    from: ReplicaId,
    pub(crate) to: ReplicaId,
    message: Message,
}

impl Core {
    /// Hears something, now or as soon as it may be.
    pub(crate) fn hear(&mut self, from: ReplicaId, to: ReplicaId, message: Message) {
        let said = Said { from, to, message };
        if self.waits(&said) {
            self.unheard.push_back(said);
        } else {
            self.message(from, to, &said.message);
        }
    }

    /// Whether something that was said waits to be heard: who has more to say is to wait, too.
    #[must_use]
    pub fn has_unheard(&self) -> bool {
        !self.unheard.is_empty()
    }

    /// Whether a replica's disk may have what its program put there and did not note before it was ended.
    #[must_use]
    pub fn is_unsure(&self, id: ReplicaId) -> bool {
        self.hosts.get(&id).is_some_and(|host| host.unsure)
    }

    /// Whether something is not to be heard yet.
    fn waits(&self, said: &Said) -> bool {
        let Some(host) = self.hosts.get(&said.to) else { return false };
        // (One after the other.)
        if self
            .unheard
            .iter()
            .any(|before| (before.from, before.to) == (said.from, said.to))
        {
            return true;
        }
        let Message::Records { nodes, .. } = &said.message else {
            return false;
        };
        host.unsure || matches!(host.phase, Phase::Applying(_)) && nodes.iter().any(|node| host.planned.contains(&node.id))
    }

    /// Hears what may be heard by now.
    pub(crate) fn release(&mut self) {
        for said in std::mem::take(&mut self.unheard) {
            self.hear(said.from, said.to, said.message);
        }
    }

    /// Two replicas speak anew, or no more.
    pub(crate) fn forget_unheard(&mut self, a: ReplicaId, b: ReplicaId) {
        let ends = |said: &Said| (said.from, said.to) == (a, b) || (said.from, said.to) == (b, a);
        self.unheard.retain(|said| !ends(said));
    }

    /// Nothing is done with a replica any more: if its disk was to be looked at before others are heard, they are not.
    pub(crate) fn hangs_up(&mut self, id: ReplicaId) {
        if self.hosts.get(&id).is_some_and(|host| host.unsure) {
            self.sessions.retain(|(me, other), _| *me != id && *other != id);
            self.unheard.retain(|said| said.to != id);
        }
    }

    fn message(&mut self, from: ReplicaId, to: ReplicaId, message: &Message) {
        let near = self.hosts.contains_key(&from);
        let (Some(host), Some(session)) = (self.hosts.get_mut(&to), self.sessions.get_mut(&(to, from))) else {
            return;
        };
        // What is in this program's own index is believed, whatever the time was when it was written.
        let wall_ms = if near { u64::MAX } else { self.wall_ms };
        if let Some(spoke) = self.spoke_ms.get_mut(&(to, from)) {
            *spoke = self.wall_ms;
        }
        match session.handle(&mut host.replica, message, wall_ms) {
            Ok(handled) => {
                host.plan_due |= handled.changed || handled.complete;
                if handled.complete && !near {
                    self.lacks_anew(from);
                }
                if !handled.lacked.is_empty() {
                    self.asked(to, from, handled.lacked);
                }
                if let Some(answer) = handled.answer {
                    self.answered(&answer);
                }
            }
            Err(why) if !near => {
                tracing::warn!(%from, %to, %why, "session ended");
                self.sessions.remove(&(to, from));
                self.effects.push_back(Effect::Refuse {
                    here: to,
                    there: from,
                    why,
                });
            }
            Err(refused) => {
                tracing::error!(%from, %to, %refused, "session ended");
                host.halted = Some(Halted {
                    why: refused.to_string(),
                    rejoin: refused == Refused::PutBack,
                });
                self.sessions.remove(&(to, from));
                self.sessions.remove(&(from, to));
            }
        }
    }
}
