//! Cargo and other programs, started from the top of the workspace, and where what they build lies.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// The top of the workspace. Asked for when running, not when compiling: one build may serve several checkouts.
pub fn workspace() -> Result<PathBuf> {
    if let Some(package) = env::var_os("CARGO_MANIFEST_DIR")
        && let Some(top) = Path::new(&package).parent()
    {
        return Ok(top.to_path_buf());
    }
    let here = env::current_dir().context("the current directory cannot be read")?;
    let top = here.ancestors().find(|dir| dir.join("xtask").join("Cargo.toml").is_file());
    top.map(Path::to_path_buf)
        .context("this is no checkout of Bifold; run `cargo xtask` inside of one")
}

/// Where cargo builds: it has built xtask there, too. Always absolute, and whatever it was that chose the place.
pub fn target_dir() -> Result<PathBuf> {
    let xtask = env::current_exe().context("the path of xtask itself is not known")?;
    let target = xtask
        .ancestors()
        .nth(2)
        .context("xtask lies in no target directory; start it with `cargo xtask`")?;
    Ok(target.to_path_buf())
}

/// `cargo ARGS`, at the top of the workspace and with the same toolchain and target directory as xtask itself.
pub fn cargo(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(args)
        .current_dir(workspace()?)
        .env("CARGO_TARGET_DIR", target_dir()?);
    // What cargo tells xtask about xtask is nothing for the cargo that xtask starts.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

/// Builds the release of `bifold` and tells where it is.
pub fn release_bifold() -> Result<PathBuf> {
    step(
        "building bifold, release",
        &mut cargo(&["build", "--release", "--package", "bifold"])?,
        "read the compiler's message above",
    )?;
    let bifold = target_dir()?
        .join("release")
        .join(format!("bifold{}", env::consts::EXE_SUFFIX));
    if !bifold.is_file() {
        bail!(
            "cargo has built bifold, but it is not at {}; unset CARGO_BUILD_TARGET, if it is set, and try again",
            bifold.display()
        );
    }
    Ok(bifold)
}

/// Runs one step under a heading; if it fails, that is the end, with `hint` for what to do.
pub fn step(heading: &str, command: &mut Command, hint: &str) -> Result<()> {
    eprintln!("\n==> {heading}");
    ended(heading, run(command)?, hint)
}

/// Like [`step`], and `hear` gets each line of what it prints, once that is on the terminal.
pub fn step_heard(heading: &str, command: &mut Command, hint: &str, mut hear: impl FnMut(&str)) -> Result<()> {
    eprintln!("\n==> {heading}");
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = line.context("what it prints cannot be read")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            hear(&line);
        }
    }
    ended(heading, child.wait().context("it cannot be waited for")?, hint)
}

fn ended(heading: &str, status: ExitStatus, hint: &str) -> Result<()> {
    if !status.success() {
        bail!("failed: {heading} ({status}). What to do: {hint}.");
    }
    Ok(())
}

fn cannot_start(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    format!("`{program}` cannot be started; is it installed, and in PATH?")
}

/// Runs `command` to its end, on the terminal.
pub fn run(command: &mut Command) -> Result<ExitStatus> {
    command.status().with_context(|| cannot_start(command))
}

/// A child's status as one's own.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
