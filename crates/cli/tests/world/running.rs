//! The program while it runs.

use super::{PATIENCE, World, wait};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// `bifold sync left right --watch --json`, whose events are read.
pub struct Watching {
    child: Child,
    events: Receiver<Value>,
}

impl World {
    /// Begins to watch; what it says to standard error goes to that of the test.
    pub fn watch<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Watching {
        let mut command = self.command();
        command
            .args(["sync", "left", "right", "--home", "home", "--watch", "--json"])
            .args(args);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, events) = channel();
        std::thread::spawn(move || {
            for line in out.lines() {
                let Ok(line) = line else { break };
                let event = serde_json::from_str(&line).unwrap_or_else(|e| panic!("not an event ({e}): {line}"));
                if send.send(event).is_err() {
                    break;
                }
            }
        });
        Watching { child, events }
    }

    /// Begins to watch, and waits until both sides have been looked at.
    pub fn watch_well<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Watching {
        let mut watching = self.watch(args);
        watching.event("the first sync", |e| e["event"] == "synced");
        watching
    }
}

impl Watching {
    /// The next event that is as wanted.
    pub fn event(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) if wanted(&event) => return event,
                Ok(event) => seen.push(event),
                Err(RecvTimeoutError::Timeout) => panic!("not in time: {what}; seen: {seen:#?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended ({:?}) before: {what}; seen: {seen:#?}", self.child.wait())
                }
            }
        }
    }

    /// All events until nothing happens for a while.
    pub fn events(&mut self, quiet: Duration) -> Vec<Value> {
        let mut seen = Vec::new();
        while let Ok(event) = self.events.recv_timeout(quiet) {
            seen.push(event);
        }
        seen
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it has.
    #[cfg(unix)]
    pub fn stop(mut self) -> (ExitStatus, Vec<Value>) {
        self.signal(libc::SIGTERM);
        let status = wait(&mut self.child);
        (status, self.events(Duration::from_secs(5)))
    }

    /// Stops it once it has looked at all that happened: stopped in the middle of a look, it rightly does not say that all is in sync.
    #[cfg(unix)]
    pub fn settle_and_stop(mut self) -> (ExitStatus, Vec<Value>) {
        let mut seen = self.events(Duration::from_millis(700));
        let (status, rest) = self.stop();
        seen.extend(rest);
        (status, seen)
    }

    #[cfg(unix)]
    pub fn signal(&mut self, signal: i32) {
        // SAFETY: the process is our child, and was not waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
