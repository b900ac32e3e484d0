//! The source of events where the system watches a whole tree by itself (macOS, Windows): notify's plain watcher.
//! New directories need no care there. (On Linux this is built for its tests only.)

use super::batch::Batch;
use super::{Tell, WatchError, Watched};
use crate::names::NameRules;
use crate::native::is_own;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

enum Message {
    Event(notify::Result<notify::Event>),
    Stop,
}

/// A root that is being watched, until this is dropped.
pub(super) struct Source {
    watcher: Option<RecommendedWatcher>,
    stop: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Source {
    /// Watches a root, all of it from when this returns.
    pub(super) fn start(root: &Path, rules: NameRules, send: Tell) -> Result<Source, WatchError> {
        let (stop, messages) = channel();
        let events = stop.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // A read or an open is no change; on some systems a scan makes thousands.
            let is_read = event.as_ref().is_ok_and(|event| {
                !event.need_rescan()
                    && matches!(event.kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
            });
            if !is_read {
                // Fails only when nobody listens any more.
                let _ = events.send(Message::Event(event));
            }
        })
        .map_err(|e| failed(root, e))?;
        watcher.watch(root, RecursiveMode::Recursive).map_err(|e| failed(root, e))?;
        let watch = Watch {
            root: root.to_owned(),
            rules,
            send,
            batch: Batch::default(),
            limited: false,
        };
        let thread = thread::Builder::new()
            .name("watch".into())
            .spawn(move || watch.run(&messages))
            .map_err(|source| WatchError::Refused {
                path: root.to_owned(),
                source,
            })?;
        Ok(Source {
            watcher: Some(watcher),
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        drop(self.watcher.take());
        let _ = self.stop.send(Message::Stop);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Why a root cannot be watched.
fn failed(root: &Path, error: notify::Error) -> WatchError {
    let source = match error.kind {
        ErrorKind::MaxFilesWatch => {
            return WatchError::Exhausted {
                hint: "the system's limit of watched files is reached".into(),
            };
        }
        ErrorKind::Io(source) => source,
        ErrorKind::PathNotFound => io::ErrorKind::NotFound.into(),
        _ => io::Error::other(error.to_string()),
    };
    WatchError::Refused {
        path: root.to_owned(),
        source,
    }
}

/// What the thread has.
struct Watch {
    root: PathBuf,
    rules: NameRules,
    send: Tell,
    batch: Batch,
    /// Whether it has been told that not all is watched.
    limited: bool,
}

impl Watch {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            // Blocks for good while there is nothing to tell.
            let message = match self.batch.due() {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => messages.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match message {
                Ok(Message::Event(event)) => self.event(event),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let paths = self.batch.take(Instant::now());
            if !paths.is_empty() {
                (self.send)(Watched::Dirty(paths));
            }
        }
    }

    fn event(&mut self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.rescan("more changed at once than the system could tell"),
            Ok(event) => {
                let now = Instant::now();
                for path in &event.paths {
                    if path == &self.root && matches!(event.kind, EventKind::Remove(_)) {
                        self.rescan("the root was moved, removed or unmounted");
                    } else if let Some(path) = self.in_tree(path) {
                        self.batch.changed(path, now);
                    }
                }
            }
            Err(error) => {
                let what = error.to_string();
                if matches!(error.kind, ErrorKind::MaxFilesWatch) && !std::mem::replace(&mut self.limited, true) {
                    (self.send)(Watched::Limited(failed(&self.root, error)));
                }
                self.rescan(&what);
            }
        }
    }

    fn rescan(&mut self, why: &str) {
        self.batch.clear();
        (self.send)(Watched::Rescan { why: why.into() });
    }

    /// The tree's path, or that of the nearest directory above that has one; `None` for what is not to be told.
    fn in_tree(&self, path: &Path) -> Option<String> {
        let mut tree = String::new();
        for part in path.strip_prefix(&self.root).ok()?.components() {
            let Component::Normal(name) = part else { return None };
            let Some(name) = self.rules.to_tree(name) else { break };
            if tree.is_empty() && is_own(&self.rules, &name) {
                return None;
            }
            if !tree.is_empty() {
                tree.push('/');
            }
            tree.push_str(&name);
        }
        Some(tree)
    }
}
