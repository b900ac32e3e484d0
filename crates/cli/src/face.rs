//! Who is told what happens: people, or a program.

use crate::args::Sync;
use crate::people::{People, say};
use crate::{report, roots};
use bifold_disk::stage::Moved;
use bifold_engine::core::Status;
use bifold_engine::run::Event;
use bifold_tree::{Action, ReplicaId};
use serde_json::json;

/// Tells what happens.
pub struct Face<'a> {
    sync: &'a Sync,
    names: Vec<(ReplicaId, &'static str)>,
    people: People,
    /// Of a dry run, what would be done.
    planned: Vec<(&'static str, Vec<Action>)>,
    /// What was told last.
    told: Option<Status>,
}

impl<'a> Face<'a> {
    pub fn new(sync: &'a Sync, ids: &[ReplicaId]) -> Face<'a> {
        Face {
            sync,
            names: ids.iter().copied().zip(roots::SIDES).collect(),
            people: People::new(),
            planned: Vec::new(),
            told: None,
        }
    }

    fn name(&self, id: ReplicaId) -> &'static str {
        self.names.iter().find(|(r, _)| *r == id).map_or("?", |(_, name)| name)
    }

    /// Something that a person should know.
    pub fn notice(&self, text: &str) {
        if !self.sync.json {
            say(text);
        } else if self.sync.watch {
            say(&json!({ "event": "notice", "message": text }).to_string());
        }
    }

    /// What happens meanwhile.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Planned { replica, steps } => {
                let side = self.name(replica);
                if !self.sync.json {
                    self.people.planned(side, &steps, self.sync);
                } else if self.sync.watch {
                    say(&json!({ "event": "applying", "replica": side, "steps": steps.len() }).to_string());
                } else if self.sync.dry_run {
                    self.planned.push((side, steps));
                }
            }
            Event::Progress { replica, bytes, of } => {
                if !self.sync.json {
                    self.people.progress(bytes, of);
                } else if self.sync.watch {
                    say(&json!({ "event": "progress", "replica": self.name(replica), "bytes": bytes, "of": of }).to_string());
                }
            }
            Event::Quiet(status) => {
                let news = self.since(&status);
                if news.is_some() || self.told.is_none() {
                    self.tell("synced", news.as_ref().unwrap_or(&status));
                    self.told = Some(status);
                }
            }
        }
    }

    /// What came of it all.
    pub fn end(&mut self, status: &Status) {
        match (self.since(status), &self.told) {
            (None, Some(_)) if !self.sync.json => say("stopped"),
            (None, _) => self.tell("stopped", &without_old(status, self.told.as_ref())),
            (Some(news), _) => self.tell("stopped", &news),
        }
    }

    /// What is new since it was told last; `None` if nothing is.
    fn since(&self, status: &Status) -> Option<Status> {
        let told = self.told.as_ref()?;
        let news = without_old(status, Some(told));
        let done = news.hosts.iter().any(|h| h.applied > 0) || !news.decided.is_empty() || !news.undecided.is_empty();
        let other = news.conflicts != told.conflicts
            || news.hosts.iter().zip(&told.hosts).any(|(new, old)| {
                (&new.halted, &new.problems, new.held, &new.unwatched, new.state)
                    != (&old.halted, &old.problems, old.held, &old.unwatched, old.state)
            });
        (done || other).then_some(news)
    }

    fn tell(&mut self, event: &str, status: &Status) {
        for host in &status.hosts {
            let before = self
                .told
                .as_ref()
                .and_then(|t| t.hosts.iter().find(|h| h.replica == host.replica));
            if let Some(why) = host
                .unwatched
                .as_ref()
                .filter(|why| before.is_none_or(|b| b.unwatched.as_ref() != Some(why)))
            {
                self.notice(&format!("the {} is looked at from time to time: {why}", host.name));
            }
        }
        if self.sync.json {
            let planned = self.sync.dry_run.then_some(self.planned.as_slice());
            let mut result = report::json(status, planned);
            if self.sync.watch {
                result["event"] = json!(event);
            }
            say(&result.to_string());
        } else {
            self.people.summary(status, self.told.as_ref(), self.sync);
        }
    }
}

/// A status whose counts are those since another, as its decisions are.
fn without_old(status: &Status, told: Option<&Status>) -> Status {
    let mut news = status.clone();
    let Some(told) = told else { return news };
    for (new, old) in news.hosts.iter_mut().zip(&told.hosts) {
        new.applied = new.applied.saturating_sub(old.applied);
        new.moved = Moved {
            copied: new.moved.copied.saturating_sub(old.moved.copied),
            reused: new.moved.reused.saturating_sub(old.moved.reused),
        };
    }
    news
}
