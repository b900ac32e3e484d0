//! `bifold daemon`.

use crate::args;
use crate::fatal::Fatal;
use crate::signals::stop_signal;
use bifold_control::server;
use bifold_engine::daemon::{Daemon, DaemonOptions};
use bifold_net::identity::KeyPlace;
use bifold_net::link::Relay;
use std::path::Path;
use std::process::ExitCode;
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;

/// What is logged if nothing else is said.
const LOG: &str = "warn,bifold=info,bifold_engine=info,bifold_net=info,bifold_control=info";
/// Files of the log that are kept, one a day.
const LOGS: usize = 7;

/// Runs until stopped.
pub fn run(daemon: &args::Daemon, home: &Path, log: Option<&str>) -> Result<ExitCode, Fatal> {
    let options = DaemonOptions {
        listen: daemon.listen,
        relay: match daemon.relay.as_str() {
            "default" => Relay::Default,
            "off" => Relay::Off,
            url => Relay::Own(url.to_owned()),
        },
        lan: !daemon.no_lan,
        name: daemon.name.clone().unwrap_or_else(computer),
        key: daemon.key.map(|place| match place {
            args::Key::File => KeyPlace::File,
            args::Key::Keyring => KeyPlace::Keyring,
        }),
        relay_ca: daemon.relay_ca.clone(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 4)))
        .enable_all()
        .build()
        .map_err(|e| Fatal::new(format!("the daemon cannot be started: {e}")))?;
    let result = runtime.block_on(async {
        let daemon = Daemon::start(home, options).await?;
        log_to_file(home, log)?;
        let status = daemon.status().await;
        tracing::info!(device = status.name, id = status.device, home = %home.display(), "the daemon runs");
        for folder in &status.folders {
            tracing::info!(folder = folder.name, path = %folder.path.display(), state = ?folder.state, why = folder.why, "has a folder");
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let stopping = async {
            let _ = stopped.await;
        };
        let serving = tokio::spawn({
            let (daemon, home) = (daemon.clone(), home.to_owned());
            async move { server::serve(daemon, &home, stopping).await }
        });
        let served = tokio::select! {
            () = stop_signal() => Ok(()),
            served = serving => served.unwrap_or_else(|e| Err(std::io::Error::other(e))),
        };
        drop(stop);
        tracing::info!("the daemon stops");
        daemon.stop().await;
        served.map_err(|e| {
            Fatal::new(format!("the control socket in {} cannot be used ({e})", home.display()))
                .hint("Name another home with --home DIR, on a disk of this computer, with a short path.")
        })
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result.map(|()| ExitCode::SUCCESS)
}

/// What the computer is called.
fn computer() -> String {
    let name = std::env::var("COMPUTERNAME").or_else(|_| std::env::var("HOSTNAME")).ok();
    let name = name.or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let name = name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty());
    name.unwrap_or_else(|| "this computer".into())
}

fn log_to_file(home: &Path, filter: Option<&str>) -> Result<(), Fatal> {
    let dir = home.join("log");
    std::fs::create_dir_all(&dir).map_err(|e| Fatal::new(format!("the log in {} cannot be written ({e})", dir.display())))?;
    let files = tracing_appender::rolling::Builder::new()
        .rotation(tracing_appender::rolling::Rotation::DAILY)
        .filename_prefix("daemon")
        .filename_suffix("log")
        .max_log_files(LOGS)
        .build(&dir)
        .map_err(|e| Fatal::new(format!("the log in {} cannot be written ({e})", dir.display())))?;
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
