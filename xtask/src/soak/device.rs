//! One device: its home, its root, its daemon.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::FOLDER;
use super::network::Network;

/// How long a daemon may take to answer for the first time.
const START_WITHIN: Duration = Duration::from_secs(60);

pub struct Device {
    pub name: &'static str,
    pub root: PathBuf,
    home: PathBuf,
    log: PathBuf,
    bifold: PathBuf,
    host: Option<String>,
    address: String,
    daemon: Mutex<Option<Child>>,
}

impl Device {
    pub fn new(name: &'static str, ground: &Path, bifold: &Path, network: &Network, i: usize) -> Device {
        Device {
            name,
            root: ground.join(name),
            home: ground.join(format!("home-{name}")),
            log: ground.join(format!("log-{name}")),
            bifold: bifold.to_owned(),
            host: network.host(i),
            address: network.address(i),
            daemon: Mutex::new(None),
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the daemon's process. (`ip netns exec` becomes the daemon.)
    pub fn id(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    pub fn runs(&self) -> bool {
        self.child()
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Starts the daemon, and waits until it answers.
    pub fn start(&self) -> Result<()> {
        fs::create_dir_all(&self.root)?;
        let mut command = match &self.host {
            Some(host) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", host]).arg(&self.bifold);
                command
            }
            None => Command::new(&self.bifold),
        };
        command
            .arg("--home")
            .arg(&self.home)
            .args(["daemon", "--listen"])
            .arg(format!("{}:0", self.address));
        command.args(["--no-lan", "--relay", "off", "--name", self.name]);
        let log = fs::File::options().create(true).append(true).open(&self.log)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C is for this program, which then ends them; if it cannot any more, they end by themselves.
        command.process_group(0);
        // SAFETY: prctl is a plain system call, which may be made between fork and exec.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        *self.child() = Some(command.spawn().context("the daemon cannot be started")?);
        let end = Instant::now() + START_WITHIN;
        while self.ask(&["status"])?.status.code() == Some(2) {
            if !self.runs() || Instant::now() > end {
                bail!("the daemon of {} does not start: see {}", self.name, self.log.display());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends the daemon as a power cut would.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn ask(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.bifold);
        command.arg("--home").arg(&self.home).args(args).stdin(Stdio::null());
        command.output().context("bifold cannot be started")
    }

    /// What a command prints, whatever it is.
    pub fn say(&self, args: &[&str]) -> String {
        let said = self.ask(args);
        said.map_or_else(|e| e.to_string(), |done| String::from_utf8_lossy(&done.stdout).into_owned())
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let done = self.ask(&[&["--json"], args].concat())?;
        if done.status.code() == Some(2) {
            bail!(
                "{}: bifold {args:?}: {}",
                self.name,
                String::from_utf8_lossy(&done.stdout).trim()
            );
        }
        serde_json::from_slice(&done.stdout).with_context(|| format!("bifold {args:?} has not answered with JSON"))
    }

    pub fn share(&self) -> Result<()> {
        self.json(&["add", &self.root.to_string_lossy(), "--name", FOLDER]).map(drop)
    }

    pub fn ticket(&self) -> Result<String> {
        let answer = self.json(&["invite", FOLDER])?;
        Ok(answer["ticket"].as_str().context("no ticket")?.to_owned())
    }

    pub fn join(&self, ticket: &str) -> Result<()> {
        self.json(&["join", ticket, &self.root.to_string_lossy()]).map(drop)
    }

    /// The paths of open conflicts.
    pub fn conflicts(&self) -> Result<Vec<String>> {
        let all = self.json(&["conflicts"])?;
        let paths = all.as_array().into_iter().flatten();
        Ok(paths.filter_map(|c| Some(c["path"].as_str()?.to_owned())).collect())
    }

    /// Whether a decision was taken.
    pub fn pick(&self, path: &str, pick: &str) -> Result<bool> {
        Ok(self.ask(&["resolve", FOLDER, path, "--pick", pick])?.status.code() == Some(0))
    }

    fn folder(&self) -> Result<Value> {
        Ok(self.json(&["status"])?["folders"][0].clone())
    }

    pub fn is_held(&self) -> Result<bool> {
        Ok(self.folder()?["held"].as_array().is_some_and(|held| !held.is_empty()))
    }

    pub fn allow(&self) -> Result<()> {
        // (It may have passed by itself meanwhile.)
        self.ask(&["allow", FOLDER]).map(drop)
    }

    /// Waits until all that can be reached agree, but no longer than this.
    pub fn wait(&self, seconds: u64) -> Result<()> {
        self.ask(&["status", "--wait", &seconds.to_string()]).map(drop)
    }

    /// Whether it is connected to so many others, all agree, and nothing is left for a person.
    pub fn is_settled(&self, others: usize) -> Result<bool> {
        let folder = self.folder()?;
        let devices = folder["devices"].as_array().cloned().unwrap_or_default();
        let agree = devices
            .iter()
            .filter(|d| d["connection"] != "none" && d["agrees"] == true)
            .count();
        Ok(folder["settled"] == true && folder["state"] == "up_to_date" && agree == others)
    }
}
