//! What is particular to a desktop.

use tauri::AppHandle;

/// Whether windows can be shown.
#[cfg(target_os = "linux")]
pub fn has_display() -> Result<(), &'static str> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("DISPLAY") || set("WAYLAND_DISPLAY") {
        return Ok(());
    }
    Err("there is no display here. Start it on a desktop; on a server, run `bifold daemon` and use the `bifold` command.")
}

#[cfg(not(target_os = "linux"))]
pub fn has_display() -> Result<(), &'static str> {
    Ok(())
}

/// Whether there is something that shows trays.
#[cfg(target_os = "linux")]
pub fn has_tray() -> bool {
    let library = ["libayatana-appindicator3.so.1", "libappindicator3.so.1"]
        .iter()
        // SAFETY: these libraries do nothing when they are loaded but register types with GLib, which the web view has loaded
        // already; nothing of them is called, and they stay loaded while `tray-icon` uses them.
        .find_map(|name| unsafe { libloading::Library::new(name) }.ok());
    let Some(library) = library else {
        tracing::warn!("there is no tray: install libayatana-appindicator3-1");
        return false;
    };
    std::mem::forget(library);
    let watched = || {
        let bus = zbus::blocking::Connection::session().ok()?;
        let proxy = zbus::blocking::fdo::DBusProxy::new(&bus).ok()?;
        proxy.name_has_owner("org.kde.StatusNotifierWatcher".try_into().ok()?).ok()
    };
    let is_watched = std::thread::spawn(watched).join().ok().flatten().unwrap_or(false);
    if !is_watched {
        tracing::warn!("nothing on this desktop shows trays (no StatusNotifierWatcher on the session bus): the window stays");
    }
    is_watched
}

#[cfg(not(target_os = "linux"))]
pub fn has_tray() -> bool {
    true
}

/// Ends the program when the system asks for it.
#[cfg(unix)]
pub async fn quit_when_asked(app: AppHandle) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    app.exit(0);
}

#[cfg(not(unix))]
pub async fn quit_when_asked(app: AppHandle) {
    if tokio::signal::ctrl_c().await.is_ok() {
        app.exit(0);
    }
}
