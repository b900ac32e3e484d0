//! The command line.

use bifold_disk::names::NameRules;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Keeps folders the same, directly, sending only what differs, and never loses what someone wrote.
#[derive(Parser, Debug)]
#[command(name = "bifold", version, propagate_version = true)]
pub struct Args {
    /// What to log to standard error, e.g. "debug" or "bifold_engine=trace".
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// Where to keep what Bifold remembers (default: the user's data directory).
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Tell programs: one JSON object at the end, on standard output; of what goes on, one a line, as it happens.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Brings two folders of this computer to the same state, in both directions.
    Sync(Sync),
    /// Keeps the folders of this home the same as on other devices, until stopped (Ctrl-C).
    Daemon(Daemon),
    /// Shares a folder.
    Add {
        /// The directory.
        path: PathBuf,
        /// What it is to be called; the directory's name if it is not said.
        #[arg(long)]
        name: Option<String>,
    },
    /// Gives out a ticket, with which other devices join a folder. It is the last line that is printed.
    Invite {
        /// The folder: its name, id, or path.
        folder: String,
        /// What who comes may do.
        #[arg(long, value_enum, default_value_t = Role::Editor)]
        role: Role,
        /// How many devices may come with it.
        #[arg(long, default_value_t = 1, value_name = "N")]
        uses: u32,
        /// For how long, as in 30m, 24h or 7d.
        #[arg(long, default_value = "24h", value_name = "TIME", value_parser = humantime::parse_duration)]
        expires: Duration,
    },
    /// Joins a folder with a ticket. What is in the directory already is merged in; nothing is deleted.
    Join {
        /// The ticket, or the link.
        ticket: String,
        /// Where the folder is to lie; made if it is not there.
        path: PathBuf,
    },
    /// Keeps a second replica of a folder on a mounted share (NAS, USB).
    Host {
        /// The folder: its name, id, or path.
        folder: String,
        /// A directory on the share.
        path: PathBuf,
    },
    /// Lists the folders.
    Folders,
    /// Lists the devices.
    Devices,
    /// Says what each folder is doing.
    Status {
        /// Wait until every device that can be reached agrees, and all is written; at most so many seconds, if said.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1)]
        #[expect(clippy::option_option, reason = "said or not, with a value or not")]
        wait: Option<Option<u64>>,
    },
    /// Lists what is still to be done, in and out.
    Pending(OneFolder),
    /// Lists open conflicts.
    Conflicts(OneFolder),
    /// Decides a conflict. What loses goes to the history.
    Resolve {
        /// The folder: its name, id, or path.
        folder: String,
        /// The path in it.
        path: String,
        /// What stays: mine, theirs, both, delete, or the side of a device.
        #[arg(long, value_name = "mine|theirs|both|delete|DEVICE")]
        pick: String,
        /// Of several conflicts at that path, the one of this kind, as `conflicts` tells it.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Lets a held change pass: one that deletes or overwrites more than half of a folder.
    Allow {
        /// The folder: its name, id, or path.
        folder: String,
    },
    /// Says why a path is as it is: who has which version, what it waits for, what to do.
    Explain {
        /// The folder: its name, id, or path.
        folder: String,
        /// The path in it.
        path: String,
    },
    /// Tells what happened in a folder, newest first.
    Log {
        /// The folder: its name, id, or path.
        folder: String,
        /// Only where the path contains this.
        filter: Option<String>,
        /// So many entries.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Lists the versions of a file that lie on this device.
    Versions {
        /// The folder: its name, id, or path.
        folder: String,
        /// The path in it.
        path: String,
    },
    /// Puts an older version of a file back. What stands there goes to the history.
    Restore {
        /// The folder: its name, id, or path.
        folder: String,
        /// The path in it.
        path: String,
        /// Which version, as `versions` lists them; the newest that is not there now if it is not said.
        #[arg(id = "VERSION")]
        version: Option<String>,
    },
    /// Prints what is in a file, in a side of a conflict, or in an older version.
    Cat {
        /// The folder: its name, id, or path.
        folder: String,
        /// The path in it.
        path: String,
        /// Which: mine, theirs, base (what both changed), the side of a device, or a version as `versions` lists them.
        #[arg(long, value_name = "mine|theirs|base|DEVICE|VERSION", default_value = "mine")]
        side: String,
    },
    /// Shows how two sides of a conflict differ, or two versions: a unified diff.
    Diff {
        /// The folder: its name, id, or path.
        folder: String,
        /// The path in it.
        path: String,
        /// The two, as `cat --side` takes them: mine and theirs if they are not said.
        #[arg(num_args = 2, value_names = ["LEFT", "RIGHT"])]
        sides: Vec<String>,
    },
    /// Shows which paths a folder's ignore patterns match; or those in a file, before they are taken.
    Ignored {
        /// The folder: its name, id, or path.
        folder: String,
        /// Patterns to try instead of those in .bifoldignore.
        #[arg(long, value_name = "FILE")]
        patterns: Option<PathBuf>,
    },
    /// Pauses a folder, or all.
    Pause {
        #[command(flatten)]
        which: OneFolder,
        /// For how long: 30m, 1h, 2d. Without it, until it is resumed.
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        time: Option<Duration>,
    },
    /// Lets a folder go on, or all.
    Resume(OneFolder),
    /// Takes back all that was changed on this device, where it may read only. What was written here goes to the history.
    Revert {
        /// The folder: its name, id, or path.
        folder: String,
    },
    /// Takes a folder off this device. Its files go too, if another device is known to have all of them.
    Remove {
        /// The folder: its name, id, or path.
        folder: String,
        /// The files stay.
        #[arg(long)]
        keep_files: bool,
    },
    /// On other devices.
    #[command(subcommand)]
    Device(Device),
    /// Shows or sets limits, in bytes a second.
    Limit {
        /// Of what is sent, as in 500k or 2M; 0 for none.
        #[arg(long, value_name = "RATE", value_parser = rate)]
        up: Option<u32>,
        /// Of what is received.
        #[arg(long, value_name = "RATE", value_parser = rate)]
        down: Option<u32>,
        /// With this device only; with all together if it is not said.
        #[arg(long)]
        device: Option<String>,
    },
    /// Tells what happens, until stopped: one line, or JSON object, each.
    Events,
    /// Sets a folder's damaged index aside and makes it anew: its files are merged as a union, and nothing is deleted.
    Rebuild {
        /// The folder: its name, id, or path.
        folder: String,
    },
    /// Takes what lies at a folder's place now for the folder: it is merged as a union, and nothing is deleted.
    Rejoin {
        /// The folder: its name, id or path; or the path of a share, which is then what is merged.
        folder: String,
    },
    /// Prints completions for a shell.
    Completions {
        /// Which.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page.
    Man,
    /// Prints the description of the daemon's control API (OpenAPI).
    Openapi,
}

/// On other devices.
#[derive(Subcommand, Debug)]
pub enum Device {
    /// Takes a device out of all folders, or one; only an owner can. What it has stays there.
    Remove {
        /// The device: its name, its id, or the beginning of that.
        device: String,
        /// Out of this folder only.
        #[arg(long)]
        folder: Option<String>,
    },
    /// Gives a device another role in all folders, or one; only an owner can.
    Role {
        /// The device: its name, its id, or the beginning of that.
        device: String,
        /// What it may do from now on.
        #[arg(value_enum)]
        role: Role,
        /// In this folder only.
        #[arg(long)]
        folder: Option<String>,
    },
}

/// One folder, or all.
#[derive(clap::Args, Debug)]
pub struct OneFolder {
    /// The folder: its name, id, or path; all if it is not said.
    pub folder: Option<String>,
}

/// What a device may do.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It also invites and removes devices.
    Owner,
    /// It reads and writes.
    Editor,
    /// It gets everything; its own changes stay on it.
    Reader,
}

impl From<Role> for bifold_engine::daemon::face::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Editor => Self::Editor,
            Role::Reader => Self::Reader,
        }
    }
}

/// Keeps the folders of this home the same as on other devices.
#[derive(clap::Args, Debug)]
pub struct Daemon {
    /// Where to listen for other devices (default: any address, a port that stays the same).
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
    /// Which relay to use where devices cannot reach each other directly: default, off, or the URL of one's own.
    #[arg(long, value_name = "default|off|URL", default_value = "default")]
    pub relay: String,
    /// Trust relays whose certificates were signed by the authority in this file (PEM), besides the well-known authorities.
    #[arg(long, value_name = "FILE")]
    pub relay_ca: Option<PathBuf>,
    /// Do not look for devices in the same network by multicast.
    #[arg(long)]
    pub no_lan: bool,
    /// What this device is to be called, if it has no name yet (default: the computer's name).
    #[arg(long)]
    pub name: Option<String>,
    /// Where this device's key is to lie: a file in the home, or the system's keyring. It is moved, and stays there (default: file).
    #[arg(long, value_name = "file|keyring")]
    pub key: Option<Key>,
}

/// Where the device's key lies.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub enum Key {
    /// In the home directory, for this user alone to read.
    File,
    /// In the system's keyring.
    Keyring,
}

/// A rate, in bytes a second.
fn rate(text: &str) -> Result<u32, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        _ => return Err("say a number of bytes a second, like 500k or 2M".into()),
    };
    let number: u32 = digits
        .parse()
        .map_err(|_| "say a number of bytes a second, like 500k or 2M".to_owned())?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "that is more than can be limited; say 0 for no limit".into())
}

/// Brings two folders of this computer to the same state, in both directions.
///
/// What changed on one side is taken over by the other. Where both changed the same file, each keeps its own, and the conflict is
/// listed until someone decides. The first sync is a union: nothing is deleted by it. What is replaced or deleted later is kept
/// in .bifold/history of its side.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 in sync; 1 conflicts, problems or held changes remain, it was stopped before the end, or a dry run \
                  found something to do; 2 a usage or fatal error."
)]
pub struct Sync {
    /// One folder.
    pub left: PathBuf,
    /// The other; one of the two may be on a mounted share.
    pub right: PathBuf,
    /// Go on syncing, whenever something changes, until stopped (Ctrl-C).
    #[arg(long, conflicts_with = "dry_run")]
    pub watch: bool,
    /// Show what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// As [`Args::json`].
    #[arg(skip)]
    pub json: bool,
    /// What to do where both sides changed the same file. What loses goes to the history.
    #[arg(long, value_enum, default_value_t = Prefer::Ask, value_name = "RULE")]
    pub prefer: Prefer,
    /// Decide one conflict: PATH=left, PATH=right, PATH=both; or PATH=delete for an edit of something deleted.
    #[arg(long, value_name = "PATH=SIDE", value_parser = OsStringValueParser::new().try_map(|text| resolve(&text)), allow_hyphen_values = true)]
    pub resolve: Vec<Resolve>,
    /// Leave out what matches, with the syntax of .gitignore; also from .bifoldignore files in the folders.
    #[arg(long, value_name = "PATTERN")]
    pub ignore: Vec<String>,
    /// Let changes pass that would remove or overwrite more than half of the files of a side (and more than 20).
    #[arg(long)]
    pub allow_mass_change: bool,
    /// Read every file, also those that look unchanged (--watch does so once a week): finds what changed without its times changing.
    #[arg(long)]
    pub verify: bool,
    /// Take a side for new, whatever is known of it: it is merged as a union, and nothing is deleted.
    #[arg(long, value_enum, value_name = "SIDE")]
    pub rejoin: Vec<OneSide>,
    /// Set a damaged index aside and make a new one: the sides are then merged as a union, and nothing is deleted.
    #[arg(long, conflicts_with = "dry_run")]
    pub rebuild_index: bool,
    /// As [`Args::home`].
    #[arg(skip)]
    pub home: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefer {
    /// List the conflict; each side keeps its own until someone decides.
    Ask,
    /// Take the file that was changed last, by the files' own times.
    Newest,
    /// Take the left side's.
    Left,
    /// Take the right side's.
    Right,
    /// Keep both, one of them under a marked name.
    Both,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum OneSide {
    /// The first folder.
    Left,
    /// The second folder.
    Right,
}

/// A decision on one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    pub path: String,
    pub side: ResolveSide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolveSide {
    Left,
    Right,
    Both,
    Delete,
}

fn resolve(text: &OsStr) -> Result<Resolve, String> {
    let form = || "say PATH=left, PATH=right, PATH=both or PATH=delete".to_owned();
    // As paths are listed; or, where those are not all text, as they are on the disk.
    let rules = NameRules::of_this_system();
    let text = match text.to_str() {
        Some(text) => text.to_owned(),
        None => rules.text(text).ok_or_else(|| "its path cannot be a path here".to_owned())?,
    };
    let (path, side) = text.rsplit_once('=').ok_or_else(form)?;
    let side = match side {
        "left" => ResolveSide::Left,
        "right" => ResolveSide::Right,
        "both" => ResolveSide::Both,
        "delete" => ResolveSide::Delete,
        _ => return Err(form()),
    };
    let path = if cfg!(windows) {
        path.replace('\\', "/")
    } else {
        path.to_owned()
    };
    let path = path.trim_start_matches("./").trim_matches('/').to_owned();
    if path.is_empty() {
        return Err(form());
    }
    Ok(Resolve { path, side })
}
