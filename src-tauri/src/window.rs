//! The window: made when someone wants to see it, and let go when it is closed, with all its memory.

use crate::tray::Tray;
use serde::{Deserialize, Serialize};
use specta::Type;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tauri::{AppHandle, Manager as _, WebviewUrl, WebviewWindowBuilder, WindowEvent};
use tauri_specta::Event as _;

/// The window's label.
pub const MAIN: &str = "main";
/// After this time nothing more of a closed window is in use.
const SETTLED: Duration = Duration::from_secs(2);
/// How links of invitations begin.
pub const SCHEME: &str = "bifold:";

/// What a wish is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// Open conflicts.
    Conflicts,
    /// What is pending.
    Changes,
    /// The program's settings.
    Settings,
    /// Joining with an invitation.
    Join,
}

/// What the tray, a link or another start asks the window to show.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Type, tauri_specta::Event)]
pub struct Wish {
    /// What.
    pub show: Show,
    /// Of which folder: its id.
    pub folder: Option<String>,
    /// The invitation.
    pub ticket: Option<String>,
}

impl Wish {
    /// An invitation, or a link with one.
    pub fn join(link: &str) -> Wish {
        Wish {
            show: Show::Join,
            folder: None,
            ticket: Some(link.to_owned()),
        }
    }
}

/// A wish that the window has not heard yet, as it is being made.
#[derive(Default)]
pub struct Waiting(Mutex<Option<Wish>>);

impl Waiting {
    fn set(&self, wish: Option<Wish>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = wish;
    }

    /// The wish, once.
    pub fn take(&self) -> Option<Wish> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Shows the window, in front of others, and what is wished.
pub fn open(app: &AppHandle, wish: Option<Wish>) {
    let asked = app.clone();
    // (Windows are made by the main thread.)
    let result = app.run_on_main_thread(move || {
        if let Some(window) = asked.get_webview_window(MAIN) {
            let _ = window.show();
            let _ = window.unminimize();
            let _ = window.set_focus();
            if let Some(wish) = wish {
                let _ = wish.emit(&asked);
            }
            return;
        }
        asked.state::<Waiting>().set(wish);
        if let Err(e) = make(&asked) {
            tracing::warn!(%e, "the window cannot be shown");
        }
    });
    if let Err(e) = result {
        tracing::warn!(%e, "the window cannot be shown");
    }
}

fn make(app: &AppHandle) -> tauri::Result<()> {
    let window = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::default())
        .title("Bifold")
        .inner_size(1120.0, 720.0)
        .min_inner_size(720.0, 480.0)
        .build()?;
    let handle = app.clone();
    window.on_window_event(move |event| match event {
        WindowEvent::CloseRequested { api, .. } if !handle.state::<Tray>().is_there() => {
            // Without a tray nothing would be left to be seen of the program.
            api.prevent_close();
            if let Some(window) = handle.get_webview_window(MAIN) {
                let _ = window.minimize();
            }
        }
        WindowEvent::Destroyed => {
            // (What is of the window is freed just after this.)
            tauri::async_runtime::spawn(async {
                tokio::time::sleep(SETTLED).await;
                bifold_control::memory::trim();
            });
        }
        _ => {}
    });
    Ok(())
}
