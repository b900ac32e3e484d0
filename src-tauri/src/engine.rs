//! The engine in this process: begun in the background, its control socket open for the `bifold` command, its events passed on.

use crate::commands::Happened;
use crate::{notify, tray};
use bifold_control::{hosting, server};
use bifold_engine::daemon::face::{Event, Status, Trouble};
use bifold_engine::daemon::{Daemon, DaemonOptions};
use bifold_net::link::Relay;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tauri::{AppHandle, Manager as _};
use tauri_specta::Event as _;
use tokio::sync::{Mutex, Notify, oneshot};

/// When the program was started.
pub struct Started(pub Instant);

/// So often the tray and notifications are brought up to date at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the end may take.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The engine, once it runs.
pub struct Engine {
    /// Its home directory.
    pub home: PathBuf,
    options: DaemonOptions,
    daemon: Mutex<Option<Running>>,
    /// Told when something happened.
    changed: Notify,
    /// What happened is heard by whoever listens already.
    runs: std::sync::Mutex<Option<Arc<Daemon>>>,
}

struct Running {
    daemon: Arc<Daemon>,
    stop: oneshot::Sender<()>,
}

/// From the arguments.
pub fn options(listen: &Option<SocketAddr>, relay: &str, no_lan: bool, name: Option<String>) -> DaemonOptions {
    DaemonOptions {
        listen: *listen,
        relay: match relay {
            "default" => Relay::Default,
            "off" => Relay::Off,
            url => Relay::Own(url.to_owned()),
        },
        relay_ca: None,
        lan: !no_lan,
        name: name.unwrap_or_else(hosting::computer),
        key: None,
    }
}

impl Engine {
    pub fn new(home: PathBuf, options: DaemonOptions) -> Engine {
        Engine {
            home,
            options,
            daemon: Mutex::new(None),
            changed: Notify::new(),
            runs: std::sync::Mutex::new(None),
        }
    }

    /// The engine; begun if it does not run, as where its home was in use or could not be read before.
    pub async fn get(&self, app: &AppHandle) -> Result<Arc<Daemon>, Trouble> {
        let mut running = self.daemon.lock().await;
        if let Some(running) = running.as_ref() {
            return Ok(running.daemon.clone());
        }
        let daemon = Daemon::start(&self.home, self.options.clone()).await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let stopping = async {
            let _ = stopped.await;
        };
        tokio::spawn({
            let (daemon, home) = (daemon.clone(), self.home.clone());
            async move {
                if let Err(e) = server::serve(daemon, &home, stopping).await {
                    tracing::warn!(%e, home = %home.display(), "the bifold command cannot ask this program");
                }
            }
        });
        tokio::spawn(pass_on(app.clone(), daemon.clone()));
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner) = Some(daemon.clone());
        *running = Some(Running {
            daemon: daemon.clone(),
            stop,
        });
        self.changed.notify_one();
        Ok(daemon)
    }

    /// The engine, if it runs.
    pub fn runs(&self) -> Option<Arc<Daemon>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Begins the engine, and keeps the tray and notifications true from then on.
pub fn begin(app: &AppHandle) {
    tauri::async_runtime::spawn(crate::desktop::quit_when_asked(app.clone()));
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let engine = app.state::<Engine>();
        if let Err(trouble) = engine.get(&app).await {
            tracing::warn!(%trouble, "the engine does not run");
            tray::trouble(&app, &trouble);
        }
        let mut told = notify::Told::default();
        loop {
            engine.changed.notified().await;
            if let Some(daemon) = engine.runs() {
                let status: Status = daemon.status().await;
                tray::show(&app, &status);
                told.tell(&app, &status);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
}

async fn pass_on(app: AppHandle, daemon: Arc<Daemon>) {
    use tokio::sync::broadcast::error::RecvError;
    let mut events = daemon.events();
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            // Too much happened at once: the window asks anew.
            Err(RecvError::Lagged(_)) => Event::Notice { message: String::new() },
            Err(RecvError::Closed) => return,
        };
        app.state::<Engine>().changed.notify_one();
        let _ = Happened(event).emit(&app); // perhaps there is no window
    }
}

/// Stops the engine; what was done is noted.
pub fn end(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::block_on(async move {
        let running = app.state::<Engine>().daemon.lock().await.take();
        if let Some(running) = running {
            drop(running.stop);
            if tokio::time::timeout(END_WITHIN, running.daemon.stop()).await.is_err() {
                tracing::warn!("not all folders ended in time: they go on where they were at the next start");
            }
        }
    });
}
