//! Notifications, of what needs a person: one for all that came up at once, never one for each file.

use bifold_engine::daemon::face::{FolderState, FolderStatus, Status};
use std::collections::BTreeMap;
use tauri::AppHandle;
use tauri_plugin_notification::NotificationExt as _;

/// What was told of each folder.
#[derive(Default)]
pub struct Told(BTreeMap<String, Seen>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    conflicts: u64,
    held: bool,
    halted: bool,
}

impl Told {
    /// Tells what is new.
    pub fn tell(&mut self, app: &AppHandle, status: &Status) {
        let lines = self.news(&status.folders);
        if lines.is_empty() {
            return;
        }
        let shown = app.notification().builder().title("Bifold").body(lines.join("\n")).show();
        if let Err(e) = shown {
            tracing::info!(%e, "no notification can be shown here");
        }
    }

    fn news(&mut self, folders: &[FolderStatus]) -> Vec<String> {
        let mut lines = Vec::new();
        for folder in folders {
            let now = Seen {
                conflicts: folder.conflicts,
                held: !folder.held.is_empty(),
                halted: folder.state == FolderState::Halted,
            };
            let before = self.0.insert(folder.id.clone(), now).unwrap_or_default();
            if now.conflicts > before.conflicts {
                let many = if now.conflicts == 1 {
                    "1 conflict waits".to_owned()
                } else {
                    format!("{} conflicts wait", now.conflicts)
                };
                lines.push(format!("{}: {many} for you", folder.name));
            }
            if now.held && !before.held {
                lines.push(format!("{}: a large change is held until you allow it", folder.name));
            }
            if now.halted && !before.halted {
                lines.push(format!(
                    "{}: {}",
                    folder.name,
                    folder.why.as_deref().unwrap_or("it is halted")
                ));
            }
        }
        self.0.retain(|id, _| folders.iter().any(|folder| folder.id == *id));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifold_engine::daemon::face::{Pending, Role};

    fn folder(conflicts: u64) -> FolderStatus {
        FolderStatus {
            id: "1".into(),
            name: "Design".into(),
            path: "/d".into(),
            state: FolderState::NeedsYou,
            why: None,
            remedy: None,
            paused_until_ms: None,
            role: Role::Owner,
            files: 1,
            dirs: 0,
            bytes: 1,
            pending_in: Pending::default(),
            pending_out: Pending::default(),
            conflicts,
            problems: Vec::new(),
            held: Vec::new(),
            devices: Vec::new(),
            hosts: Vec::new(),
            settled: true,
        }
    }

    #[test]
    fn each_thing_is_told_once() {
        let mut told = Told::default();
        assert_eq!(told.news(&[folder(2)]), ["Design: 2 conflicts wait for you"]);
        assert!(told.news(&[folder(2)]).is_empty());
        assert!(told.news(&[folder(1)]).is_empty(), "fewer are no news");
        assert_eq!(told.news(&[folder(2)]).len(), 1);
        assert!(told.news(&[]).is_empty());
        assert_eq!(told.news(&[folder(1)]), ["Design: 1 conflict waits for you"]);
    }
}
