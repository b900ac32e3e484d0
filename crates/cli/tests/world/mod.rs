//! Two folders, a home, and the real program.
#![allow(dead_code, reason = "each test file uses a part of it")]

#[cfg(unix)]
pub mod fleet;
#[cfg(target_os = "linux")]
pub mod hosts;
#[cfg(target_os = "linux")]
pub mod mounts;
pub mod running;
pub mod user;

use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Nothing here takes as long as this, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Where it all lies; gone afterwards.
pub struct World {
    dir: tempfile::TempDir,
}

/// What one run of the program came to.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// What is at a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    Dir,
    File { bytes: Vec<u8>, exec: bool },
    Link(PathBuf),
    Special,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Item::Dir => write!(f, "directory"),
            Item::File { bytes, exec } => {
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
                write!(
                    f,
                    "{text:?}{}{}",
                    if bytes.len() > 60 { "…" } else { "" },
                    if *exec { " executable" } else { "" }
                )
            }
            Item::Link(to) => write!(f, "→ {}", to.display()),
            Item::Special => write!(f, "special"),
        }
    }
}

/// What is below a directory, by path.
pub type Tree = BTreeMap<PathBuf, Item>;

/// Says that something was not tried here, and why; also into the file that `BIFOLD_SKIPPED` names: what passes tells nobody anything.
pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
    if let Some(file) = std::env::var_os("BIFOLD_SKIPPED") {
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        let mut file = fs::File::options().create(true).append(true).open(file).unwrap();
        std::io::Write::write_all(&mut file, format!("{name}: {why}\n").as_bytes()).unwrap();
    }
}

impl World {
    /// Two empty folders, `left` and `right`. With BIFOLD_KEEP set they stay where they are, with a log, for a look.
    pub fn new() -> World {
        let world = World {
            dir: tempfile::Builder::new()
                .prefix("bifold-")
                .disable_cleanup(std::env::var_os("BIFOLD_KEEP").is_some())
                .tempdir()
                .unwrap(),
        };
        fs::create_dir(world.at("left")).unwrap();
        fs::create_dir(world.at("right")).unwrap();
        world
    }

    /// A log that is kept with BIFOLD_KEEP set: programs that run in the background tell it all.
    pub fn log(&self) -> Option<fs::File> {
        std::env::var_os("BIFOLD_KEEP")?;
        Some(fs::File::options().append(true).create(true).open(self.at("log")).unwrap())
    }

    /// The path of something in this world.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Writes a file, and the directories it is in.
    pub fn put(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn mkdir(&self, path: impl AsRef<Path>) {
        fs::create_dir_all(self.at(path)).unwrap();
    }

    pub fn mv(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    pub fn rm(&self, path: impl AsRef<Path>) {
        let path = self.at(path);
        if path.symlink_metadata().unwrap().is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
    }

    pub fn text(&self, path: impl AsRef<Path>) -> String {
        let path = self.at(path);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// Sets a file's time of last change, seconds since 1970.
    pub fn set_time(&self, path: impl AsRef<Path>, seconds: u64) {
        let file = fs::File::options().write(true).open(self.at(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    }

    /// Sets who may do what with something.
    #[cfg(unix)]
    pub fn mode(&self, path: impl AsRef<Path>, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The program, with this world's home.
    pub fn command(&self) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_bifold"))
    }

    /// Any program, in this world.
    pub fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Nothing of the user who runs the tests is to be touched, whatever goes wrong.
        command
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("BIFOLD_LOG");
        command.stdin(Stdio::null());
        if let Some(log) = self.log() {
            command
                .env("BIFOLD_LOG", "bifold_engine=trace")
                .env("NO_COLOR", "1")
                .stderr(log);
        }
        command
    }

    /// The program run by root as somebody else, who may write into this world; nothing if that can't be done here.
    #[cfg(target_os = "linux")]
    pub fn as_nobody(&self) -> Option<impl Fn(&[&str]) -> Run + '_> {
        use std::os::unix::fs::PermissionsExt;
        use std::os::unix::process::CommandExt;
        // SAFETY: it only asks.
        if unsafe { libc::geteuid() } != 0 {
            skip("only root can become somebody else");
            return None;
        }
        // Where the program was built may be closed to others: it is run from here.
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let program = self.at("program");
        fs::copy(env!("CARGO_BIN_EXE_bifold"), &program).unwrap();
        let run = move |args: &[&str]| {
            let mut command = self.command_of(program.to_str().unwrap());
            command.args(args).uid(65534).gid(65534);
            try_run(&mut command)
        };
        match run(&["--version"]) {
            Ok(run) if run.code == Some(0) => {}
            Err(e) if e.kind() != std::io::ErrorKind::PermissionDenied => panic!("{e}"),
            other => {
                skip(&format!(
                    "nobody may not run what lies in the directory of temporary files: {other:?}"
                ));
                return None;
            }
        }
        Some(move |args: &[&str]| run(args).unwrap())
    }

    /// `bifold` with just these arguments.
    pub fn bifold<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        let mut command = self.command();
        command.args(args);
        run(&mut command)
    }

    /// `bifold sync left right --home home`, and these arguments.
    pub fn sync<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        let mut all: Vec<OsString> = ["sync", "left", "right", "--home", "home"].map(OsString::from).into();
        all.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self.bifold(all)
    }

    /// The same with `--json`: its one object, and the exit code.
    pub fn json<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> (Value, i32) {
        let mut all = vec![OsString::from("--json")];
        all.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        let run = self.sync(all);
        let value = serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("not one object ({e}): {run:?}"));
        (value, run.code.unwrap())
    }

    /// Syncs, and is sure that all is well then.
    pub fn sync_well<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Value {
        let (value, code) = self.json(args);
        assert!(code == 0 && value["in_sync"] == true, "{value:#}");
        self.assert_equal();
        value
    }

    /// What is in one of the folders, without Bifold's own.
    pub fn tree(&self, path: impl AsRef<Path>) -> Tree {
        let mut tree = tree(&self.at(path));
        tree.retain(|path, _| !path.starts_with(".bifold"));
        tree
    }

    /// All there is in this world, down to Bifold's own files.
    pub fn everything(&self) -> Tree {
        tree(self.dir.path())
    }

    pub fn assert_equal(&self) {
        assert_trees_equal(&self.tree("left"), &self.tree("right"));
    }

    /// The contents of a side's history, in order.
    pub fn history(&self, side: &str) -> Vec<String> {
        let Ok(list) = fs::read_dir(self.at(side).join(".bifold/history")) else {
            return Vec::new();
        };
        let mut texts: Vec<String> = list
            .map(|e| {
                fs::read(e.unwrap().path())
                    .map(|b| String::from_utf8_lossy(&b).into_owned())
                    .unwrap_or_default()
            })
            .collect();
        texts.sort();
        texts
    }
}

/// Runs a command to its end, within bounds.
pub fn run(command: &mut Command) -> Run {
    try_run(command).unwrap()
}

/// The same, where it may be that it doesn't even start.
fn try_run(command: &mut Command) -> std::io::Result<Run> {
    command.env_remove("BIFOLD_LOG");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let read = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = read(Box::new(child.stdout.take().unwrap()));
    let err = read(Box::new(child.stderr.take().unwrap()));
    let status = wait(&mut child);
    Ok(Run {
        code: status.code(),
        out: out.join().unwrap(),
        err: err.join().unwrap(),
    })
}

/// Waits for a process, within bounds.
pub fn wait(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("it does not end: {:?}", child.wait());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something holds, within bounds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn assert_trees_equal(left: &Tree, right: &Tree) {
    if left != right {
        let differs: Vec<_> = left
            .keys()
            .chain(right.keys())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .filter(|k| left.get(*k) != right.get(*k))
            .map(|k| format!("{}: {:?} here, {:?} there", k.display(), left.get(k), right.get(k)))
            .collect();
        panic!("the sides differ:\n{}", differs.join("\n"));
    }
}

/// What is below a directory; what goes away while it is listed is not in it.
pub fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(root.join(&dir)).into_iter().flatten().flatten() {
            let path = dir.join(entry.file_name());
            let Ok(meta) = entry.metadata() else { continue };
            let item = if meta.is_dir() {
                todo.push(path.clone());
                Item::Dir
            } else if meta.is_symlink() {
                Item::Link(fs::read_link(entry.path()).unwrap_or_default())
            } else if meta.is_file() {
                let Ok(bytes) = fs::read(entry.path()) else { continue };
                Item::File {
                    bytes,
                    exec: is_exec(&meta),
                }
            } else {
                Item::Special
            };
            tree.insert(path, item);
        }
    }
    tree
}

#[cfg(unix)]
fn is_exec(meta: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_exec(_: &fs::Metadata) -> bool {
    false
}

/// Copies a directory with all that is in it.
pub fn copy_all(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}
