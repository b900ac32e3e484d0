//! What the project needs beside rustup's toolchain: looked for, and installed where that can be done unasked.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::job;

/// The oldest Node.js that builds the window's pages.
const NODE: (u32, u32) = (20, 19);

/// A C compiler: SQLite, zstd and BLAKE3 are partly C.
pub fn c_compiler() -> Result<()> {
    if cfg!(windows) || env::var_os("CC").is_some() || in_path("cc").is_some() {
        return Ok(()); // On Windows there is no Rust toolchain without its linker and compiler.
    }
    if apt(&["build-essential", "pkg-config"])? {
        return Ok(());
    }
    let command = match env::consts::OS {
        "macos" => "xcode-select --install",
        _ => {
            "your system's packages for a C compiler and pkg-config, such as `dnf install gcc pkgconf`, or as root \
             `apt-get install build-essential pkg-config`"
        }
    };
    bail!("there is no C compiler (`cc`). Install it with: {command}. Then run this again.")
}

/// All that `cargo xtask test` needs: a C compiler, rustfmt, clippy, cargo-nextest, and what the window is built and tried with.
pub fn for_tests() -> Result<()> {
    for_window_tests()?;
    for component in ["fmt", "clippy"] {
        if !cargo_knows(component)? {
            rustup_component(if component == "fmt" { "rustfmt" } else { component })?;
        }
    }
    if !cargo_knows("nextest")? {
        job::step(
            "installing cargo-nextest, the test runner",
            &mut job::cargo(&["install", "cargo-nextest", "--locked"])?,
            "install cargo-nextest by hand as https://nexte.st says, then run this again",
        )?;
    }
    Ok(())
}

/// Node.js with npm, of a version that builds the window's pages.
pub fn node() -> Result<()> {
    if in_path("npm").is_none() {
        apt(&["nodejs", "npm"])?;
    }
    let said = Command::new("node").arg("--version").stderr(Stdio::null()).output();
    let version = said.map(|out| String::from_utf8_lossy(&out.stdout).trim().trim_start_matches('v').to_owned());
    let version = version.unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if in_path("npm").is_none() || found < NODE {
        bail!(
            "the window's pages are built by Node.js {}.{} or newer, with npm; here is {}. Install it from https://nodejs.org, then run this again.",
            NODE.0,
            NODE.1,
            if version.is_empty() { "none" } else { &version }
        );
    }
    Ok(())
}

/// What the window program is built with: on Linux, the web view's development files.
pub fn for_window() -> Result<()> {
    c_compiler()?;
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let has = |library: &str| {
        let asked = Command::new("pkg-config").args(["--exists", library]).status();
        asked.is_ok_and(|status| status.success())
    };
    if has("webkit2gtk-4.1") && has("ayatana-appindicator3-0.1") {
        return Ok(());
    }
    let packages = ["pkg-config", "libwebkit2gtk-4.1-dev", "libayatana-appindicator3-dev"];
    if !apt(&packages)? {
        bail!(
            "the window needs WebKitGTK 4.1 and libayatana-appindicator with their development files; install them, then run this again"
        );
    }
    Ok(())
}

/// What the window is tried with: a display of its own, a session bus, a driver, and a browser.
fn for_window_tests() -> Result<()> {
    for_window()?;
    node()?;
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let needed = [
        ("Xvfb", "xvfb"),
        ("dbus-daemon", "dbus-daemon"),
        ("WebKitWebDriver", "webkit2gtk-driver"),
        ("chromium", "chromium"),
    ];
    let mut missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| in_path(program).is_none())
        .map(|(_, p)| *p)
        .collect();
    if !missing.is_empty() {
        missing.push("fonts-dejavu-core");
        if !apt(&missing)? {
            bail!(
                "the window's tests need {}; install them, then run this again",
                missing.join(", ")
            );
        }
    }
    Ok(())
}

/// Where `program` is, as the shell would find it.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let file = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join(&file))
        .find(|path| path.is_file())
}

/// Installs `packages` by apt, as root or through sudo. False where there is no apt, or no right to use it.
pub fn apt(packages: &[&str]) -> Result<bool> {
    if in_path("apt-get").is_none() {
        return Ok(false);
    }
    let as_root: &[&str] = match (is_root(), in_path("sudo")) {
        (true, _) => &[],
        (false, Some(_)) => &["sudo"],
        (false, None) => return Ok(false),
    };
    let list = packages.join(" ");
    let hint = format!("install by hand: {list}; then run this again");
    let apt_get = |args: &[&str]| {
        let line = [as_root, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], args].concat();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]);
        command
    };
    job::step(
        "apt: asking for the newest list of packages",
        &mut apt_get(&["update", "--quiet"]),
        &hint,
    )?;
    let mut install = apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"]);
    job::step(&format!("apt: installing {list}"), install.args(packages), &hint)?;
    Ok(true)
}

/// Whether `cargo NAME` works. Asked by running it: rustup keeps a stand-in even for components that are not there.
fn cargo_knows(name: &str) -> Result<bool> {
    let mut command = job::cargo(&[name, "--version"])?;
    let status = job::run(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    Ok(status.success())
}

fn rustup_component(component: &str) -> Result<()> {
    if in_path("rustup").is_none() {
        bail!("{component} is not installed, nor is rustup. Install {component} as you installed Rust, then run this again.");
    }
    job::step(
        &format!("rustup: adding {component}"),
        Command::new("rustup")
            .args(["component", "add", component])
            .current_dir(job::workspace()?),
        &format!("run `rustup component add {component}` by hand, then run this again"),
    )
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
