//! The desktop program: a tray, a window, and the engine in the same process. It decides nothing: what the window asks goes to the
//! engine one to one, and what happens in the engine goes to the window, the tray and notifications.

mod commands;
mod desktop;
mod engine;
mod notify;
mod tray;
mod window;

use clap::Parser as _;
use engine::{Engine, Started};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tauri::{Manager as _, RunEvent};
use tauri_plugin_deep_link::DeepLinkExt as _;
use window::Wish;

/// Keeps folders the same on a team's desktops.
#[derive(clap::Parser, Debug)]
#[command(name = "bifold-desktop", version)]
struct Args {
    /// The home directory (default: the user's data directory).
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Start in the tray, without a window.
    #[arg(long)]
    hidden: bool,
    /// Where to listen for other devices (default: any address, a port that stays the same).
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Which relay to use: default, off, or the URL of one's own.
    #[arg(long, value_name = "default|off|URL", default_value = "default")]
    relay: String,
    /// Do not look for devices in the same network by multicast.
    #[arg(long)]
    no_lan: bool,
    /// What this device is to be called, if it has no name yet.
    #[arg(long)]
    name: Option<String>,
    /// An invitation to open (bifold:join/…).
    link: Option<String>,
}

/// The typed commands and events that the window is generated from.
#[must_use]
pub fn typed() -> tauri_specta::Builder<tauri::Wry> {
    commands::typed()
}

/// To whoever started it, while there is no window.
#[expect(clippy::print_stderr, reason = "there is no other way yet")]
fn say(text: &str) {
    eprintln!("bifold-desktop: {text}");
}

/// What has to be done first of all in the program, before there is a second thread.
pub fn prepare() {
    bifold_control::memory::give_back();
    desktop::prepare();
}

/// Runs until someone quits.
#[must_use]
pub fn run() -> ExitCode {
    let begun = Instant::now();
    let args = Args::parse();
    if let Err(why) = desktop::has_display() {
        say(why);
        return ExitCode::from(2);
    }
    let Some(home) = args.home.clone().or_else(bifold_control::hosting::home) else {
        say("no home directory is known for this user. Name one with --home DIR.");
        return ExitCode::from(2);
    };
    if let Err(e) = bifold_control::hosting::log(&home, None) {
        say(&format!(
            "nothing is logged: the log in {} cannot be written ({e})",
            home.display()
        ));
    }
    let specta = typed();
    let options = engine::options(&args.listen, &args.relay, args.no_lan, args.name.clone());
    let built = tauri::Builder::default()
        // (First of all: a second start ends here, and its arguments go to the first.)
        .plugin(tauri_plugin_single_instance::init(|app, argv, _| {
            let link = argv.iter().skip(1).find(|a| a.starts_with(window::SCHEME));
            window::open(app, link.map(|link| Wish::join(link)));
        }))
        .plugin(tauri_plugin_deep_link::init())
        .plugin(tauri_plugin_notification::init())
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_opener::init())
        .plugin(tauri_plugin_window_state::Builder::new().build())
        .plugin(tauri_plugin_autostart::Builder::new().arg("--hidden").build())
        .manage(Started(begun))
        .manage(Engine::new(home, options))
        .manage(window::Waiting::default())
        .invoke_handler(specta.invoke_handler())
        .setup(move |app| {
            specta.mount_events(app);
            let handle = app.handle().clone();
            app.manage(tray::Tray::new(&handle));
            app.deep_link().on_open_url({
                let handle = handle.clone();
                move |event| {
                    if let Some(url) = event.urls().first() {
                        window::open(&handle, Some(Wish::join(url.as_str())));
                    }
                }
            });
            let has_tray = app.state::<tray::Tray>().is_there();
            if !args.hidden || !has_tray || args.link.is_some() {
                window::open(&handle, args.link.as_deref().map(Wish::join));
            }
            engine::begin(&handle);
            Ok(())
        })
        .build(tauri::generate_context!());
    let app = match built {
        Ok(app) => app,
        Err(e) => {
            say(&format!("the program cannot be started: {e}"));
            return ExitCode::from(2);
        }
    };
    app.run(|app, event| match event {
        // The last window was closed: the tray stays.
        RunEvent::ExitRequested { code: None, api, .. } => api.prevent_exit(),
        RunEvent::Exit => engine::end(app),
        _ => {}
    });
    ExitCode::SUCCESS
}
