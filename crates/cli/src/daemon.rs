//! `bifold daemon`.

use crate::args;
use crate::fatal::Fatal;
use crate::signals::stop_signal;
use bifold_control::{hosting, server};
use bifold_engine::daemon::{Daemon, DaemonOptions};
use bifold_net::identity::KeyPlace;
use bifold_net::link::Relay;
use std::path::Path;
use std::process::ExitCode;
use tokio::sync::oneshot;

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
        name: daemon.name.clone().unwrap_or_else(hosting::computer),
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
        hosting::log(home, log).map_err(|e| Fatal::new(format!("the log in {} cannot be written ({e})", home.display())))?;
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
