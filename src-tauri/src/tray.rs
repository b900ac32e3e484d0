//! The tray: how everything is at a glance, and the few things that need no window.

use crate::desktop;
use crate::engine::Engine;
use crate::window::{self, Show, Wish};
use bifold_engine::daemon::face::{FolderState, FolderStatus, Pause, Status, Trouble, Which};
use std::sync::{Mutex, PoisonError};
use tauri::image::Image;
use tauri::menu::{IsMenuItem, Menu, MenuItem, PredefinedMenuItem};
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Manager as _, Wry};
use tauri_plugin_opener::OpenerExt as _;

/// How long "Pause for 1 hour" pauses, in seconds.
const HOUR_S: u64 = 3600;
/// Folders that are in the menu.
const MOST_FOLDERS: usize = 20;

/// How everything is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Whole {
    UpToDate,
    Offline,
    Paused,
    Syncing,
    NeedsYou,
    Fault,
}

impl Whole {
    fn icon(self) -> &'static [u8] {
        match self {
            Whole::UpToDate => include_bytes!("../../icons/tray/up_to_date.png"),
            Whole::Offline => include_bytes!("../../icons/tray/offline.png"),
            Whole::Paused => include_bytes!("../../icons/tray/paused.png"),
            Whole::Syncing => include_bytes!("../../icons/tray/syncing.png"),
            Whole::NeedsYou => include_bytes!("../../icons/tray/needs_you.png"),
            Whole::Fault => include_bytes!("../../icons/tray/fault.png"),
        }
    }

    fn of(state: FolderState) -> Whole {
        match state {
            FolderState::UpToDate => Whole::UpToDate,
            FolderState::Syncing => Whole::Syncing,
            FolderState::NeedsYou => Whole::NeedsYou,
            FolderState::Paused => Whole::Paused,
            FolderState::Offline => Whole::Offline,
            FolderState::Halted => Whole::Fault,
        }
    }
}

/// What the tray shows: its icon, and its menu as pairs of an id and a label; of a line that is only read the id is empty, and both
/// are of a separator.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Shown {
    whole: Whole,
    lines: Vec<(String, String)>,
}

/// The tray, if there is one.
pub struct Tray {
    icon: Option<TrayIcon>,
    shown: Mutex<Option<Shown>>,
}

impl Tray {
    pub fn new(app: &AppHandle) -> Tray {
        let icon = desktop::has_tray().then(|| make(app)).and_then(|made| {
            made.map_err(|e| tracing::warn!(%e, "the tray cannot be made: the window stays"))
                .ok()
        });
        let tray = Tray {
            icon,
            shown: Mutex::new(None),
        };
        tray.set(app, lines(Whole::Syncing, "Starting…".into(), &[]));
        tray
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.icon.is_some()
    }

    fn set(&self, app: &AppHandle, new: Shown) {
        let Some(icon) = &self.icon else { return };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.as_ref() == Some(&new) {
            return;
        }
        let done = menu(app, &new.lines).and_then(|menu| {
            if shown.as_ref().is_none_or(|old| old.whole != new.whole) {
                icon.set_icon(Some(Image::from_bytes(new.whole.icon())?))?;
            }
            icon.set_menu(Some(menu))?;
            icon.set_tooltip(new.lines.first().map(|(_, label)| format!("Bifold: {label}")))
        });
        match done {
            Ok(()) => *shown = Some(new),
            Err(e) => tracing::warn!(%e, "the tray cannot be changed"),
        }
    }
}

fn make(app: &AppHandle) -> tauri::Result<TrayIcon> {
    TrayIconBuilder::with_id("bifold")
        .icon(Image::from_bytes(Whole::Syncing.icon())?)
        .show_menu_on_left_click(true)
        .on_menu_event(|app, event| clicked(app, event.id().as_ref()))
        .build(app)
}

fn menu(app: &AppHandle, lines: &[(String, String)]) -> tauri::Result<Menu<Wry>> {
    let menu = Menu::new(app)?;
    for (id, label) in lines {
        let item: Box<dyn IsMenuItem<Wry>> = match (id.as_str(), label.as_str()) {
            ("", "") => Box::new(PredefinedMenuItem::separator(app)?),
            ("", label) => Box::new(MenuItem::new(app, label, false, None::<&str>)?),
            (id, label) => Box::new(MenuItem::with_id(app, id, label, true, None::<&str>)?),
        };
        menu.append(item.as_ref())?;
    }
    Ok(menu)
}

/// In the menu `_` and `&` mark the next letter.
fn plain(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    name.replace('&', "&&").replace('_', "__")
}

fn lines(whole: Whole, line: String, folders: &[FolderStatus]) -> Shown {
    let mut lines = vec![(String::new(), line)];
    let separator = || (String::new(), String::new());
    let conflicts: u64 = folders.iter().map(|f| f.conflicts).sum();
    if conflicts > 0 {
        let many = if conflicts == 1 {
            "1 conflict…".into()
        } else {
            format!("{conflicts} conflicts…")
        };
        lines.push(("conflicts".into(), many));
    }
    if !folders.is_empty() {
        lines.push(separator());
        for folder in folders.iter().take(MOST_FOLDERS) {
            lines.push((
                format!("folder:{}", folder.id),
                format!("{} — {}", plain(&folder.name), folder.state.word()),
            ));
        }
        lines.push(separator());
        if folders.iter().all(|f| f.state == FolderState::Paused) {
            lines.push(("resume".into(), "Resume".into()));
        } else {
            lines.push(("pause-hour".into(), "Pause for 1 hour".into()));
            lines.push(("pause".into(), "Pause until resumed".into()));
            if folders.iter().any(|f| f.state == FolderState::Paused) {
                lines.push(("resume".into(), "Resume all".into()));
            }
        }
    }
    lines.push(separator());
    lines.push(("open".into(), "Open Bifold".into()));
    lines.push(("settings".into(), "Settings…".into()));
    lines.push(separator());
    lines.push(("quit".into(), "Quit".into()));
    Shown { whole, lines }
}

fn whole(folders: &[FolderStatus]) -> (Whole, String) {
    let whole = folders.iter().map(|f| Whole::of(f.state)).max().unwrap_or(Whole::UpToDate);
    let pending: u64 = folders.iter().map(|f| f.pending_in.count.max(f.pending_out.count)).sum();
    let line = match whole {
        _ if folders.is_empty() => "No folders yet".into(),
        Whole::UpToDate => "Up to date".into(),
        Whole::Offline => "Up to date here; no other device is connected".into(),
        Whole::Paused => "Paused".into(),
        Whole::Syncing if pending > 0 => format!("Syncing: {pending} left"),
        Whole::Syncing => "Syncing".into(),
        Whole::NeedsYou => "Something needs you".into(),
        Whole::Fault => "A folder is halted".into(),
    };
    (whole, line)
}

/// Shows how everything is.
pub fn show(app: &AppHandle, status: &Status) {
    let (whole, line) = whole(&status.folders);
    app.state::<Tray>().set(app, lines(whole, line, &status.folders));
}

/// Shows that the engine does not run.
pub fn trouble(app: &AppHandle, trouble: &Trouble) {
    app.state::<Tray>()
        .set(app, lines(Whole::Fault, plain(&trouble.message), &[]));
}

fn clicked(app: &AppHandle, id: &str) {
    let wish = |show| {
        Some(Wish {
            show,
            folder: None,
            ticket: None,
        })
    };
    match id {
        "open" => window::open(app, None),
        "settings" => window::open(app, wish(Show::Settings)),
        "conflicts" => window::open(app, wish(Show::Conflicts)),
        "quit" => app.exit(0),
        "pause" => pause(app, None),
        "pause-hour" => pause(app, Some(HOUR_S)),
        "resume" => resume(app),
        id => {
            if let Some(folder) = id.strip_prefix("folder:") {
                show_folder(app, folder.to_owned());
            }
        }
    }
}

/// Pauses all that runs, perhaps for a while.
fn pause(app: &AppHandle, for_s: Option<u64>) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let Some(daemon) = app.state::<Engine>().runs() else { return };
        let folders = daemon.status().await.folders;
        for folder in folders.into_iter().filter(|f| f.state != FolderState::Paused) {
            let folder = Some(folder.id);
            if let Err(trouble) = daemon.pause(Pause { folder, for_s }).await {
                tracing::warn!(%trouble, "not paused");
            }
        }
    });
}

/// Lets all go on.
fn resume(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let Some(daemon) = app.state::<Engine>().runs() else { return };
        if let Err(trouble) = daemon.resume(&Which::default()).await {
            tracing::warn!(%trouble, "not resumed");
        }
    });
}

fn show_folder(app: &AppHandle, id: String) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let Some(daemon) = app.state::<Engine>().runs() else { return };
        let folder = daemon.status().await.folders.into_iter().find(|f| f.id == id);
        let Some(folder) = folder else { return };
        if let Err(e) = app.opener().open_path(folder.path.to_string_lossy(), None::<&str>) {
            tracing::warn!(%e, "the file manager cannot be opened");
        }
    });
}
