//! The tools that are compared: how each is found, and how each is told to sync a pair of directories.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::files;
use super::measure::{Taken, measure};
use crate::{install, job};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Bifold,
    Rsync,
    Unison,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Bifold, Kind::Rsync, Kind::Unison];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Bifold => "bifold",
            Kind::Rsync => "rsync",
            Kind::Unison => "unison",
        }
    }
}

/// A tool that is here.
pub struct Tool {
    pub kind: Kind,
    program: PathBuf,
}

/// Two directories to be kept the same, and where a tool keeps what it remembers of them.
pub struct Pair {
    pub left: PathBuf,
    pub right: PathBuf,
    home: PathBuf,
    log: PathBuf,
}

impl Pair {
    /// A pair in `directory`; `left` is for the caller to fill, and the rest is made by [`Pair::empty_right`].
    pub fn below(directory: &Path) -> Pair {
        let at = |name: &str| directory.join(name);
        Pair {
            left: at("left"),
            right: at("right"),
            home: at("home"),
            log: at("log"),
        }
    }

    /// Makes `right` an empty directory, and forgets what the tool remembers.
    pub fn empty_right(&self) -> Result<()> {
        for directory in [&self.right, &self.home] {
            files::remove(directory)?;
            fs::create_dir_all(directory).with_context(|| format!("the bench cannot make {}", directory.display()))?;
        }
        Ok(())
    }

    /// The end of what the tool has said.
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join(" | ")
    }
}

impl Tool {
    /// Builds Bifold, looks for the others, and installs them where apt can; or tells why the tool cannot take part.
    pub fn find(kind: Kind) -> Result<Result<Tool, String>> {
        if kind == Kind::Bifold {
            install::c_compiler()?;
            return Ok(Ok(Tool {
                kind,
                program: job::release_bifold()?,
            }));
        }
        if install::in_path(kind.name()).is_none()
            && let Err(error) = install::apt(&[kind.name()])
        {
            return Ok(Err(format!("{error:#}")));
        }
        Ok(match install::in_path(kind.name()) {
            Some(program) => Ok(Tool { kind, program }),
            None => Err(format!(
                "there is no `{}` in PATH; install it to compare with it",
                kind.name()
            )),
        })
    }

    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// What the tool says of its version, in one line.
    pub fn version(&self) -> Result<String> {
        let flag = if self.kind == Kind::Unison { "-version" } else { "--version" };
        let output = Command::new(&self.program).arg(flag).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("{} cannot be started", self.program.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned())
    }

    /// Syncs `pair` once, measured.
    ///
    /// # Errors
    /// When the tool does not end well, with its last words.
    pub fn sync(&self, pair: &Pair) -> Result<Taken> {
        let taken = measure(&mut self.command(pair)?).with_context(|| format!("{} cannot be started", self.name()))?;
        if !taken.status.success() {
            bail!("{} ended with {}: {}", self.name(), taken.status, pair.last_words());
        }
        Ok(taken)
    }

    /// The command that keeps `pair` the same until it is ended; or why there is none.
    pub fn watch(&self, pair: &Pair) -> Result<Result<Command, String>> {
        let mut command = self.command(pair)?;
        match self.kind {
            Kind::Bifold => command.args(["--watch", "--json"]),
            Kind::Rsync => return Ok(Err("it does not watch".into())),
            Kind::Unison if install::in_path("unison-fsmonitor").is_none() => {
                return Ok(Err("its `-repeat watch` needs unison-fsmonitor, which is not in PATH".into()));
            }
            Kind::Unison => command.args(["-repeat", "watch"]),
        };
        Ok(Ok(command))
    }

    fn command(&self, pair: &Pair) -> Result<Command> {
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Bifold => {
                command
                    .arg("sync")
                    .args([&pair.left, &pair.right])
                    .arg("--home")
                    .arg(&pair.home);
            }
            Kind::Rsync => {
                command.arg("-a").args([pair.left.join(""), pair.right.join("")]); // "" leaves the slash at the end
            }
            Kind::Unison => {
                command.args([&pair.left, &pair.right]).env("UNISON", &pair.home);
                command.args(["-batch", "-auto", "-ui", "text", "-confirmbigdel=false", "-times"]);
            }
        }
        // Said to a file: a terminal would be measured, too.
        let log = File::create(&pair.log).with_context(|| format!("the bench cannot write {}", pair.log.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }
}
