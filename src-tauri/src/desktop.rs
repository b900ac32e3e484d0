//! What is particular to a desktop.

use tauri::AppHandle;

/// What the web view is told before there is a second thread.
#[cfg(target_os = "linux")]
pub fn prepare() {
    // Drawn in shared memory, the first picture is there in two thirds of the time, and some graphics drivers (NVIDIA's) show nothing
    // but an empty window otherwise. Who sets it, to whatever, is obeyed.
    const PLAIN: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";
    if std::env::var_os(PLAIN).is_none() {
        // SAFETY: there is no other thread yet that could read the environment at the same time: it is called first in `main`.
        unsafe { std::env::set_var(PLAIN, "1") };
    }
}

#[cfg(not(target_os = "linux"))]
pub fn prepare() {}

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
