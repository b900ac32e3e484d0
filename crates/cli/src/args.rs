//! The command line.

use bifold_disk::names::NameRules;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use std::ffi::OsStr;
use std::path::PathBuf;

/// Keeps folders the same, directly, sending only what differs, and never loses what someone wrote.
#[derive(Parser, Debug)]
#[command(name = "bifold", version, propagate_version = true)]
pub struct Args {
    /// What to log to standard error, e.g. "debug" or "bifold_engine=trace".
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Brings two folders of this computer to the same state, in both directions.
    Sync(Sync),
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
    /// One JSON object at the end, on standard output; with --watch one a line, as things happen.
    #[arg(long)]
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
    /// Where to keep what Bifold remembers (default: the user's data directory).
    #[arg(long, value_name = "DIR")]
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
        None => rules
            .to_tree(text)
            .ok_or_else(|| "its path cannot be a path here".to_owned())?,
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
