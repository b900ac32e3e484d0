//! What the window asks: each command is one question of the engine's.

use crate::engine::{Engine, Started};
use crate::tray::Tray;
use crate::window::{Waiting, Wish};
use bifold_engine::daemon::face::*;
use serde::{Deserialize, Serialize};
use specta::Type;
use std::path::PathBuf;
use tauri::{AppHandle, Manager as _, State};
use tauri_plugin_autostart::ManagerExt as _;
use tauri_plugin_dialog::DialogExt as _;
use tauri_plugin_opener::OpenerExt as _;
use tauri_specta::{collect_commands, collect_events};

type Answer<T> = Result<T, Trouble>;

/// Something happened in the engine.
#[derive(Clone, Debug, Serialize, Deserialize, Type, tauri_specta::Event)]
pub struct Happened(pub Event);

/// The program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
pub struct AppInfo {
    /// Its version.
    version: String,
    /// Where it keeps its own files.
    home: String,
    /// Whether there is a tray: if not, closing the window minimizes it.
    tray: bool,
    /// Whether it starts at login; absent where that cannot be set.
    autostart: Option<bool>,
}

fn one(folder: String) -> Which {
    Which { folder: Some(folder) }
}

fn failed(e: impl std::fmt::Display) -> Trouble {
    Trouble::new(TroubleKind::Failed, e.to_string())
}

macro_rules! commands {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty, $daemon:ident => $work:expr;)*) => {
        $(
            #[tauri::command]
            #[specta::specta]
            async fn $name(app: AppHandle, engine: State<'_, Engine>, $($arg: $type),*) -> Answer<$out> {
                let $daemon = engine.get(&app).await?;
                Ok($work)
            }
        )*
    };
}

commands! {
    status() -> Status, daemon => daemon.status().await;
    devices() -> Vec<DeviceStatus>, daemon => daemon.devices().await;
    pending(folder: String) -> Vec<PendingItem>, daemon => daemon.pending(&one(folder)).await?;
    conflicts(folder: String) -> Vec<Conflict>, daemon => daemon.conflicts(&one(folder)).await?;
    resolve(folder: String, path: String, pick: String, kind: Option<String>) -> Resolved, daemon => daemon.resolve(Resolve { folder, path, pick, kind }).await?;
    explain(folder: String, path: String) -> Explained, daemon => daemon.explain(Where { folder, path }).await?;
    add(path: String, name: Option<String>) -> FolderStatus, daemon => daemon.add(Add { path: PathBuf::from(path), name }).await?;
    invite(folder: String, role: Role, uses: u32, expires_s: u32) -> Invitation,
        daemon => daemon.invite(Invite { folder, role, uses, expires_s: u64::from(expires_s) }).await?;
    join(ticket: String, path: String) -> FolderStatus, daemon => daemon.join(Join { ticket, path: PathBuf::from(path) }).await?;
    host(folder: String, path: String) -> FolderStatus, daemon => daemon.host(HostShare { folder, path: PathBuf::from(path) }).await?;
    pause(folder: Option<String>, for_s: Option<u32>) -> Vec<FolderStatus>,
        daemon => daemon.pause(Pause { folder, for_s: for_s.map(u64::from) }).await?;
    resume(folder: Option<String>) -> Vec<FolderStatus>, daemon => daemon.resume(&Which { folder }).await?;
    allow(folder: String) -> FolderStatus, daemon => daemon.allow(&Allow { folder }).await?;
    revert(folder: String) -> Vec<String>, daemon => daemon.revert(&folder).await?;
    remove(folder: String, keep_files: bool) -> Vec<String>, daemon => daemon.remove(Remove { folder, keep_files }).await?;
    set_role(device: String, role: Role, folder: Option<String>) -> Vec<String>,
        daemon => daemon.set_role(SetRole { device, role, folder }).await?;
    remove_device(device: String, folder: Option<String>) -> Vec<String>,
        daemon => daemon.remove_device(RemoveDevice { device, folder }).await?;
    limits() -> Vec<Limit>, daemon => daemon.limits();
    set_limits(device: Option<String>, up: Option<u32>, down: Option<u32>) -> Vec<Limit>,
        daemon => daemon.set_limits(SetLimits { device, up, down }).await?;
    log(folder: String, before: Option<i64>, limit: u32, filter: Option<String>) -> Vec<LogEntry>,
        daemon => daemon.log(ListLog { folder, before, limit, filter }).await?;
    versions(folder: String, path: String) -> Vec<FileVersion>, daemon => daemon.versions(Where { folder, path }).await?;
    restore(folder: String, path: String, version: String) -> Restored,
        daemon => daemon.restore(Restore { folder, path, version }).await?;
    content(folder: String, path: String, side: String) -> Content, daemon => daemon.cat(Cat { folder, path, side }).await?;
    ignored(folder: String) -> Ignored, daemon => daemon.ignored(&folder, None).await?;
    preview_ignore(folder: String, text: String) -> Ignored, daemon => daemon.ignored(&folder, Some(text)).await?;
    set_ignore(folder: String, text: String) -> Ignored, daemon => daemon.set_ignore(SetIgnore { folder, text }).await?;
    rejoin(folder: String) -> FolderStatus, daemon => daemon.rejoin_folder(&folder).await?;
    rebuild(folder: String) -> FolderStatus, daemon => daemon.rebuild(&folder).await?;
}

#[tauri::command]
#[specta::specta]
async fn info(app: AppHandle, engine: State<'_, Engine>) -> Answer<AppInfo> {
    Ok(AppInfo {
        version: app.package_info().version.to_string(),
        home: engine.home.display().to_string(),
        tray: app.state::<Tray>().is_there(),
        autostart: app.autolaunch().is_enabled().ok(),
    })
}

#[tauri::command]
#[specta::specta]
async fn set_autostart(app: AppHandle, engine: State<'_, Engine>, on: bool) -> Answer<AppInfo> {
    let launch = app.autolaunch();
    let done = if on { launch.enable() } else { launch.disable() };
    done.map_err(|e| failed(format!("starting at login cannot be set: {e}")))?;
    info(app.clone(), engine).await
}

/// A dialog of the system's; none of it if it was cancelled.
#[tauri::command]
#[specta::specta]
async fn choose_directory(app: AppHandle, title: String) -> Answer<Option<String>> {
    let (chosen, choice) = tokio::sync::oneshot::channel();
    app.dialog().file().set_title(title).pick_folder(move |path| {
        let _ = chosen.send(path);
    });
    let Some(path) = choice.await.ok().flatten() else {
        return Ok(None);
    };
    let path = path.into_path().map_err(failed)?;
    path.to_str().map(|path| Some(path.to_owned())).ok_or_else(|| {
        Trouble::new(TroubleKind::Bad, format!("{} has a name that is no text", path.display())).hint("Give it another name.")
    })
}

#[tauri::command]
#[specta::specta]
async fn show_in_files(app: AppHandle, engine: State<'_, Engine>, folder: String, path: Option<String>) -> Answer<()> {
    let status = engine.get(&app).await?.status().await;
    let found = status.folders.into_iter().find(|f| f.id == folder);
    let root = found
        .ok_or_else(|| Trouble::new(TroubleKind::NotFound, "the folder is not here any more"))?
        .path;
    let done = match path {
        // Only what lies in the folder.
        Some(path)
            if std::path::Path::new(&path)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_))) =>
        {
            app.opener().reveal_item_in_dir(root.join(path))
        }
        _ => app.opener().open_path(root.to_string_lossy(), None::<&str>),
    };
    done.map_err(|e| failed(format!("the file manager cannot be opened: {e}")))
}

/// What was wished before the window could hear it.
#[tauri::command]
#[specta::specta]
fn take_wish(waiting: State<'_, Waiting>) -> Option<Wish> {
    waiting.take()
}

/// The window was drawn for the first time: without its folders, or with them.
#[tauri::command]
#[specta::specta]
fn painted(folders: bool, started: State<'_, Started>) {
    let ms = started.0.elapsed().as_millis() as u64;
    if folders {
        tracing::info!(ms, "the folders are drawn");
    } else {
        tracing::info!(ms, "the window is drawn");
    }
}

#[tauri::command]
#[specta::specta]
fn quit(app: AppHandle) {
    app.exit(0);
}

/// The commands and events, typed.
pub fn typed() -> tauri_specta::Builder<tauri::Wry> {
    tauri_specta::Builder::<tauri::Wry>::new()
        .commands(collect_commands![
            status,
            devices,
            pending,
            conflicts,
            resolve,
            explain,
            add,
            invite,
            join,
            host,
            pause,
            resume,
            allow,
            revert,
            remove,
            set_role,
            remove_device,
            limits,
            set_limits,
            log,
            versions,
            restore,
            content,
            ignored,
            preview_ignore,
            set_ignore,
            rejoin,
            rebuild,
            info,
            set_autostart,
            choose_directory,
            show_in_files,
            take_wish,
            painted,
            quit
        ])
        .events(collect_events![Happened, Wish])
        .error_handling(tauri_specta::ErrorHandlingMode::Throw)
        // Sizes, times and counts are all below 2^53; of nanoseconds the last digits are not shown.
        .dangerously_cast_bigints_to_number()
        .disable_serde_phases()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    /// The generated file is part of the sources; where it is another one than is generated now, it is written, and this fails.
    #[test]
    fn the_bindings_are_not_stale() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../ui/src/lib/backend/bindings.ts");
        let before = std::fs::read_to_string(file).unwrap_or_default();
        let header = "// Generated by the desktop program: see src-tauri/src/commands.rs.\n";
        let to = specta_typescript::Typescript::default().header(header);
        super::typed().export(to, file).unwrap();
        assert!(
            before == std::fs::read_to_string(file).unwrap(),
            "the bindings were stale: they are written anew now, commit them"
        );
    }
}
