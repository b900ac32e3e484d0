//! Several devices: real daemons that talk to each other on the loopback interface, or between network namespaces.

use super::{PATIENCE, Run, Tree, World, until};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A device: its home is `home-NAME`, its folder `NAME`.
pub struct Device<'a> {
    pub world: &'a World,
    pub name: String,
    /// Its network namespace, and its address there.
    host: Option<(String, String)>,
    daemon: Option<Child>,
    pub args: Vec<String>,
    /// What the daemon is started through: a program with its arguments, which becomes the daemon.
    pub through: Vec<String>,
    /// The daemon's program, if it is not the one that was built.
    pub program: Option<PathBuf>,
}

impl<'a> Device<'a> {
    /// A device whose daemon runs.
    pub fn new(world: &'a World, name: &str) -> Device<'a> {
        let mut device = Device::stopped(world, name);
        device.start();
        device
    }

    /// A device in a network namespace, of which this is the address.
    pub fn on(world: &'a World, name: &str, host: &str, address: &str) -> Device<'a> {
        let mut device = Device::stopped(world, name);
        device.place(host, address);
        device.start();
        device
    }

    /// Puts it on a host.
    pub fn place(&mut self, host: &str, address: &str) {
        self.host = Some((host.to_owned(), address.to_owned()));
    }

    pub fn stopped(world: &'a World, name: &str) -> Device<'a> {
        fs::create_dir_all(world.at(name)).unwrap();
        Device {
            world,
            name: name.to_owned(),
            host: None,
            daemon: None,
            args: Vec::new(),
            through: Vec::new(),
            program: None,
        }
    }

    pub fn home(&self) -> PathBuf {
        self.world.at(format!("home-{}", self.name))
    }

    pub fn command(&self) -> Command {
        self.command_through(&[])
    }

    fn command_through(&self, through: &[String]) -> Command {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_bifold"));
        let mut words: Vec<&OsStr> = Vec::new();
        if let Some((host, _)) = &self.host {
            words.extend(["ip", "netns", "exec", host].map(OsStr::new));
        }
        words.extend(through.iter().map(OsStr::new));
        words.push(self.program.as_ref().unwrap_or(&built).as_os_str());
        let mut command = self.world.command_of(words[0].to_str().unwrap());
        command.args(&words[1..]).arg("--home").arg(self.home());
        command
    }

    /// Starts the daemon, and waits until it answers.
    pub fn start(&mut self) {
        assert!(self.try_start(), "{}: {}", self.name, self.log());
    }

    /// The same; false if it ends instead.
    pub fn try_start(&mut self) -> bool {
        let address = self.host.as_ref().map_or("127.0.0.1", |(_, address)| address);
        let mut command = self.command_through(&self.through);
        command.args([
            "daemon",
            "--listen",
            &format!("{address}:0"),
            "--no-lan",
            "--name",
            &self.name,
        ]);
        if !self.args.iter().any(|a| a == "--relay") {
            command.args(["--relay", "off"]);
        }
        command.args(&self.args);
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.world.at(format!("log-{}", self.name)))
            .unwrap();
        command.stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        while self.try_ask(&["status"]).code == Some(2) {
            assert!(Instant::now() < end, "{}: {}", self.name, self.log());
            if !self.runs() {
                self.daemon = None;
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// Whether its daemon runs.
    pub fn runs(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|d| d.try_wait().unwrap().is_none())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.world.at(format!("log-{}", self.name))).unwrap_or_default()
    }

    /// The process of the daemon itself. (`ip netns exec` becomes the program: it is the same process.)
    pub fn id(&self) -> i32 {
        self.daemon.as_ref().unwrap().id() as i32
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: the process is our child, and was not waited for.
        assert_eq!(unsafe { libc::kill(self.id(), signal) }, 0);
    }

    /// Stops it as its user would.
    pub fn stop(&mut self) {
        self.signal(libc::SIGTERM);
        let status = super::wait(self.daemon.as_mut().unwrap());
        self.daemon = None;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// Stops it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub fn try_ask(&self, args: &[&str]) -> Run {
        super::run(self.command().args(args))
    }

    /// Runs a command that is to succeed.
    pub fn ask(&self, args: &[&str]) -> String {
        let run = self.try_ask(args);
        assert!(
            matches!(run.code, Some(0 | 1)),
            "{} {args:?}: {run:?}\n{}",
            self.name,
            self.log()
        );
        run.out
    }

    /// Runs a command that is to be refused, and says with what words.
    pub fn refused(&self, args: &[&str]) -> String {
        let run = self.try_ask(args);
        assert_eq!(run.code, Some(2), "{} {args:?}: {run:?}", self.name);
        run.err
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        let out = self.ask(&all);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    /// Its only folder, as the status says.
    pub fn folder(&self) -> Value {
        self.json(&["status"])["folders"][0].clone()
    }

    /// Shares its folder.
    pub fn add(&self) {
        self.ask(&["add", self.world.at(&self.name).to_str().unwrap(), "--name", "team"]);
    }

    pub fn ticket(&self, args: &[&str]) -> String {
        let mut all = vec!["invite", "team"];
        all.extend(args);
        self.ask(&all).trim().lines().last().unwrap().to_owned()
    }

    /// Joins with a ticket.
    pub fn join(&self, ticket: &str) {
        self.ask(&["join", ticket, self.world.at(&self.name).to_str().unwrap()]);
    }

    /// Waits until all that it can reach agree.
    pub fn settle(&self) {
        let seconds = PATIENCE.as_secs().to_string();
        let run = self.try_ask(&["status", "--wait", &seconds]);
        assert!(
            matches!(run.code, Some(0 | 1)) && !run.out.contains("not all devices"),
            "{}: {run:?}\n{}",
            self.name,
            self.log()
        );
    }

    pub fn tree(&self) -> Tree {
        self.world.tree(&self.name)
    }

    pub fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.world.put(format!("{}/{path}", self.name), bytes);
    }

    pub fn text(&self, path: &str) -> String {
        self.world.text(format!("{}/{path}", self.name))
    }

    pub fn has(&self, path: &str, text: &str) -> bool {
        fs::read(self.world.at(format!("{}/{path}", self.name))).is_ok_and(|bytes| bytes == text.as_bytes())
    }

    /// Waits until a file is there and has these bytes.
    pub fn gets(&self, path: &str, text: &str) {
        until(&format!("{} gets {path} ({text:.20})", self.name), || self.has(path, text));
    }

    /// How many bytes came from another device since it was connected.
    pub fn received_from(&self, name: &str) -> u64 {
        let devices = self.json(&["devices"]);
        let found = devices.as_array().unwrap().iter().find(|d| d["name"] == name).cloned();
        found.map_or(0, |d| d["received"].as_u64().unwrap())
    }

    /// What its status says of a path; of the folder itself, if that is empty.
    pub fn problem(&self, path: &str) -> Option<Value> {
        let problems = self.folder()["problems"].as_array().cloned().unwrap_or_default();
        problems.into_iter().find(|p| p["path"] == path)
    }

    /// Waits until its status says something of a path, and of this kind; what it says.
    pub fn tells(&self, path: &str, kind: &str) -> String {
        let mut said = Value::Null;
        until(&format!("{} tells of {path:?}: {kind}", self.name), || {
            said = self.problem(path).unwrap_or_default();
            said["kind"] == kind
        });
        said["message"].as_str().unwrap().to_owned()
    }

    /// Waits until its folder is in this state; the whole status.
    pub fn becomes(&self, state: &str) -> Value {
        let mut folder = Value::Null;
        until(&format!("{} is {state}", self.name), || {
            folder = self.folder();
            folder["state"] == state
        });
        folder
    }

    /// Waits until another device is connected, or not.
    pub fn sees(&self, name: &str, connected: bool) {
        until(&format!("{} sees {name}: {connected}", self.name), || {
            let folder = self.folder();
            let devices = folder["devices"].as_array().cloned().unwrap_or_default();
            let found = devices.iter().find(|d| d["name"] == name);
            found.is_some_and(|d| (d["connection"] != "none") == connected)
        });
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let end: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("the end of the log of {}:", self.name);
            end.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
        self.kill();
    }
}

/// All show the same, and nothing else.
pub fn assert_same(devices: &[&Device<'_>]) {
    for device in devices {
        device.settle();
    }
    for pair in devices.windows(2) {
        super::assert_trees_equal(&pair[0].tree(), &pair[1].tree());
    }
}
