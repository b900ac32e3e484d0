//! The desktop program: its web pages, its packages, and a demonstration of it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use crate::{install, job, sample};

/// How long a daemon of the demonstration may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// `npm ARGS` in `ui`.
pub fn npm(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    command.args(args).current_dir(job::workspace()?.join("ui"));
    Ok(command)
}

/// Installs what the pages are made of, if the list of it is another than that of the last time, and makes them.
pub fn pages() -> Result<()> {
    install::node()?;
    let ui = job::workspace()?.join("ui");
    let list = fs::read(ui.join("package-lock.json")).context("ui/package-lock.json cannot be read")?;
    let noted = ui.join("node_modules").join(".installed");
    if fs::read(&noted).ok().as_deref() != Some(&list) {
        let args = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
        job::step(
            "installing what the window is made of",
            &mut npm(&args)?,
            "see npm's message above",
        )?;
        fs::write(&noted, &list).with_context(|| format!("{} cannot be written", noted.display()))?;
    }
    // What is made of pages that are new is new, too, and takes minutes to compile.
    let made = newest(&ui.join("dist")).unwrap_or(SystemTime::UNIX_EPOCH);
    let parts = [
        "src",
        "public",
        "index.html",
        "package-lock.json",
        "vite.config.ts",
        "svelte.config.js",
        "tsconfig.json",
    ];
    if parts
        .iter()
        .filter_map(|part| newest(&ui.join(part)))
        .all(|changed| changed < made)
    {
        return Ok(());
    }
    job::step(
        "building the window's pages",
        &mut npm(&["run", "build"])?,
        "correct what vite shows above",
    )
}

/// When a file, or the newest one in a directory, was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let Ok(inside) = fs::read_dir(path) else {
        return fs::metadata(path).and_then(|about| about.modified()).ok();
    };
    inside.flatten().filter_map(|entry| newest(&entry.path())).max()
}

/// Types, logic, and every view in a browser.
pub fn check_pages() -> Result<()> {
    job::step(
        "types of the window's pages",
        &mut npm(&["run", "check"])?,
        "correct what svelte-check shows above",
    )?;
    job::step(
        "logic of the window's pages",
        &mut npm(&["test"])?,
        "see the failed test above",
    )?;
    let mut browser = npm(&["run", "e2e"])?;
    job::step(
        "the window's pages in a browser",
        browser.env("CI", "true"),
        "see the failed test above; `npm run e2e -- NAME` in ui runs it alone",
    )
}

/// Whether windows can be shown here.
pub fn has_display() -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// Builds the release of the command and of the window's program, at once: apart, what they have in common would be compiled twice.
fn programs() -> Result<(PathBuf, PathBuf)> {
    job::step(
        "building bifold and its window, release",
        &mut job::cargo(&["build", "--release", "--package", "bifold", "--package", "bifold-desktop"])?,
        "read the compiler's message above",
    )?;
    let built = job::target_dir()?.join("release");
    let program = |name| built.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    Ok((program("bifold"), program("bifold-desktop")))
}

/// Builds the program and opens its window.
pub fn open() -> Result<ExitCode> {
    install::for_window()?;
    pages()?;
    let (_, program) = programs()?;
    Ok(job::exit_code(job::run(&mut Command::new(program))?))
}

/// Ends with the demonstration.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One of the two devices of the demonstration.
struct Device<'a> {
    bifold: &'a Path,
    home: PathBuf,
    folder: PathBuf,
    name: &'a str,
}

/// The options of all devices of the demonstration: they find each other on this computer alone.
const ALONE: [&str; 5] = ["--listen", "127.0.0.1:0", "--relay", "off", "--no-lan"];

impl Device<'_> {
    fn daemon(&self) -> Result<Daemon> {
        let mut command = Command::new(self.bifold);
        command
            .arg("--home")
            .arg(&self.home)
            .arg("daemon")
            .args(ALONE)
            .args(["--name", self.name]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let daemon = Daemon(child.context("the second device cannot be started")?);
        self.until("its daemon", || self.ask(&["status"]).is_ok())?;
        Ok(daemon)
    }

    fn ask(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.bifold);
        let done = command.arg("--home").arg(&self.home).args(args).output()?;
        if done.status.code().is_none_or(|code| code > 1) {
            bail!("bifold {}: {}", args.join(" "), String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            if Instant::now() > end {
                bail!("{what} did not come about on {}, within {} s", self.name, PATIENCE.as_secs());
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn put(&self, path: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Two devices on this computer, with a folder, a conflict, and changes on their way; the window is that of the first.
pub fn demo() -> Result<ExitCode> {
    install::for_window()?;
    if !has_display() {
        bail!(
            "there is no display here, so that no window can be opened. Start this on a desktop; `cargo xtask run` shows what there is to see without one."
        );
    }
    pages()?;
    let (bifold, program) = programs()?;
    let top = sample::fresh_directory(&env::temp_dir(), "bifold-demo")?;
    let device = |name| Device {
        bifold: &bifold,
        home: top.join(format!("home-{name}")),
        folder: top.join(name).join("Design"),
        name,
    };
    let (anna, ben) = (device("anna"), device("ben"));
    println!("\nTwo devices of a team, both on this computer: anna (the window) and ben, with the folder \"Design\".");
    anna.put(
        "brief.md",
        "# Spring campaign\n\nThe stand opens in May.\nOne poster, three banners.\n",
    )?;
    anna.put("notes/kickoff.md", "Present: Anna, Ben, Cleo.\n")?;
    anna.put("notes/interviews.md", "Twelve people, all of them patient.\n")?;
    let of_anna = anna.daemon()?;
    let _of_ben = ben.daemon()?;
    let path = |device: &Device<'_>| device.folder.display().to_string();
    anna.ask(&["add", &path(&anna), "--name", "Design"])?;
    let said = anna.ask(&["invite", "Design"])?;
    let ticket = said.lines().last().unwrap_or_default().to_owned();
    ben.ask(&["join", &ticket, &path(&ben)])?;
    ben.until("the folder", || ben.folder.join("notes/kickoff.md").exists())?;

    println!("Apart from each other, both edit brief.md; then they meet again.");
    ben.ask(&["pause"])?;
    anna.put(
        "brief.md",
        "# Spring campaign\n\nThe stand opens on 4 May.\nOne poster, three banners.\n",
    )?;
    ben.put(
        "brief.md",
        "# Spring campaign\n\nThe stand opens in May, in Lyon.\nOne poster, four banners.\n",
    )?;
    anna.ask(&["status", "--wait", "20"])?;
    ben.ask(&["resume"])?;
    anna.until("the conflict", || {
        anna.ask(&["conflicts"]).is_ok_and(|said| said.contains("brief.md"))
    })?;

    println!("Anna also adds a film, and her line is slow: it stays on its way for a while.");
    anna.ask(&["limit", "--up", "200k"])?;
    let film: Vec<u8> = (0..4_000_000_u64)
        .flat_map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect();
    anna.put("film/stand.mov", film)?;
    anna.put("film/cut list.txt", "Open on the door.\n")?;
    drop(of_anna);
    println!(
        "\nThe window opens. Settle the conflict with a click: ben's folder is {}",
        path(&ben)
    );
    println!(
        "Quit from the tray, or close the window where there is none. Then delete it all: {}",
        top.display()
    );
    let mut window = Command::new(program);
    window.arg("--home").arg(&anna.home).args(ALONE).args(["--name", anna.name]);
    Ok(job::exit_code(job::run(&mut window)?))
}

/// The packages of this system, in the target directory.
pub fn package() -> Result<ExitCode> {
    install::for_window()?;
    pages()?;
    let (bifold, _) = programs()?;
    // What is laid beside the program: the command, its page, completions.
    let beside = job::workspace()?.join("target").join("package");
    fs::create_dir_all(&beside).with_context(|| format!("{} cannot be made", beside.display()))?;
    fs::copy(&bifold, beside.join("bifold")).context("the bifold command cannot be copied")?;
    for (file, args) in [
        ("bifold.1", &["man"][..]),
        ("bifold.bash", &["completions", "bash"]),
        ("_bifold", &["completions", "zsh"]),
        ("bifold.fish", &["completions", "fish"]),
    ] {
        let said = Command::new(&bifold).args(args).output().context("bifold cannot be run")?;
        fs::write(beside.join(file), said.stdout).with_context(|| format!("{file} cannot be written"))?;
    }
    let kind = match env::consts::OS {
        "linux" => "deb",
        "macos" => "dmg",
        _ => "msi",
    };
    // (It is not among what the pages are made of: it comes for each system apart.)
    let mut tauri = Command::new(if cfg!(windows) { "npx.cmd" } else { "npx" });
    tauri
        .args(["--yes", "@tauri-apps/cli@2", "bundle", "--bundles", kind])
        .current_dir(job::workspace()?.join("src-tauri"))
        .env("CARGO_TARGET_DIR", job::target_dir()?);
    job::step(&format!("building the {kind}"), &mut tauri, "read the message above")?;
    let made = job::target_dir()?.join("release").join("bundle").join(kind);
    println!("\nThe package is in {}", made.display());
    Ok(ExitCode::SUCCESS)
}

/// The pictures in `docs/pictures`.
pub fn pictures() -> Result<ExitCode> {
    install::for_tests()?;
    pages()?;
    let mut making = npm(&["run", "pictures"])?;
    job::step("making the pictures", &mut making, "see the message above")?;
    Ok(ExitCode::SUCCESS)
}
