//! What every program needs that runs a daemon: where its home is, what the computer is called, and a log.

use std::io;
use std::path::{Path, PathBuf};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;

/// What is logged if nothing else is said.
const LOG: &str = "warn,bifold=info,bifold_desktop=info,bifold_engine=info,bifold_net=info,bifold_control=info";
/// Files of the log that are kept, one a day.
const LOGS: usize = 7;

/// The home of this user, if another one is not named. `None` if the user has no directories.
#[must_use]
pub fn home() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "bifold").map(|dirs| dirs.data_dir().to_owned())
}

/// What the computer is called.
#[must_use]
pub fn computer() -> String {
    let name = std::env::var("COMPUTERNAME").or_else(|_| std::env::var("HOSTNAME")).ok();
    let name = name.or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let name = name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty());
    name.unwrap_or_else(|| "this computer".into())
}

/// Logs to standard error and to a file a day in `log` of the home; what `filter` says, or `BIFOLD_LOG` in the environment.
///
/// # Errors
/// If the files cannot be made.
pub fn log(home: &Path, filter: Option<&str>) -> io::Result<()> {
    let dir = home.join("log");
    std::fs::create_dir_all(&dir)?;
    let files = tracing_appender::rolling::Builder::new()
        .rotation(tracing_appender::rolling::Rotation::DAILY)
        .filename_prefix("daemon")
        .filename_suffix("log")
        .max_log_files(LOGS)
        .build(&dir)
        .map_err(io::Error::other)?;
    let env = std::env::var("BIFOLD_LOG").ok();
    let filter = EnvFilter::new(filter.map(str::to_owned).or(env).unwrap_or_else(|| LOG.into()));
    let files = std::sync::Mutex::new(files);
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr.and(files))
        .try_init();
    Ok(())
}
