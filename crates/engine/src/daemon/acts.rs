//! What people do with folders: share, pause, pick, take back, remove, limit.

use crate::core::{Decide, Decided, Input};
use crate::daemon::face::{
    Add, Allow, Event, FolderStatus, HostShare, Limit, Pause, Remove, Resolve, Resolved, Role, SetLimits, Trouble, TroubleKind,
    Which,
};
use crate::daemon::files::{FolderFile, INDEX};
use crate::daemon::hub::Folder;
use crate::daemon::{Daemon, bad, failed, not_found};
use crate::run::{random, wall_ms};
use bifold_net::DeviceId;
use bifold_net::limits::Rates;
use bifold_net::roster::Roster;
use bifold_store::Store;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a decision may take.
const DECIDE_WITHIN: Duration = Duration::from_secs(30);

impl Daemon {
    /// Whether a directory can be a folder's root.
    pub(super) fn check_place(&self, path: &Path) -> Result<PathBuf, Trouble> {
        if !path.is_absolute() {
            return Err(bad(format!("{} is not an absolute path", path.display())));
        }
        let full = dunce::canonicalize(path).map_err(|e| {
            not_found(format!("{} cannot be opened ({e})", path.display()))
                .hint("Make the directory first, or see its permissions.")
        })?;
        if full.to_str().is_none() {
            let message = format!("the path {} is not all text (UTF-8)", full.display());
            return Err(bad(message).hint("Rename the directory, or one above it. (What is in it may have any names.)"));
        }
        if !full.is_dir() {
            return Err(bad(format!("{} is not a directory", full.display())).hint("Share the directory that the file is in."));
        }
        let home = dunce::canonicalize(&self.home.path).unwrap_or_else(|_| self.home.path.clone());
        if home.starts_with(&full) || full.starts_with(&home) {
            return Err(bad(format!(
                "{} and Bifold's own home {} lie within each other",
                full.display(),
                home.display()
            ))
            .hint("Choose another directory, or another home with --home DIR."));
        }
        let places: Vec<(String, Vec<PathBuf>)> = {
            let state = self.lock();
            let places = |f: &Folder| std::iter::once(&f.file.path).chain(&f.file.shares).cloned().collect();
            state.folders.values().map(|f| (f.file.name.clone(), places(f))).collect()
        };
        for (name, roots) in &places {
            for root in roots {
                let root = dunce::canonicalize(root).unwrap_or_else(|_| root.clone());
                if root == full {
                    let message = format!("{} is shared already, as {name}", full.display());
                    return Err(Trouble::new(TroubleKind::InTheWay, message));
                }
                if root.starts_with(&full) || full.starts_with(&root) {
                    let message = format!(
                        "{} and the folder {} ({}) lie within each other",
                        full.display(),
                        name,
                        root.display()
                    );
                    return Err(Trouble::new(TroubleKind::InTheWay, message)
                        .hint("Folders cannot lie in folders: choose another directory."));
                }
            }
        }
        for above in full.ancestors().skip(1) {
            if above.join(bifold_disk::root::MARKER).is_file() {
                let message = format!(
                    "{} lies inside {}, which is itself synced by Bifold",
                    full.display(),
                    above.display()
                );
                return Err(
                    Trouble::new(TroubleKind::InTheWay, message).hint("Share the outer folder, or move the inner one out of it.")
                );
            }
        }
        Ok(full)
    }

    /// Takes a folder in and lets it run; if that is not possible, nothing stays of it.
    pub(super) async fn begin(&self, file: FolderFile, roster: Roster, from: Option<DeviceId>) -> Result<FolderStatus, Trouble> {
        let number = file.number().ok_or_else(|| failed("the folder has no number"))?;
        self.home.write_folder(&file)?;
        let mut folder = Folder::new(file, number, roster);
        folder.from = from;
        self.lock().folders.insert(number, folder);
        self.blocking(move |daemon| daemon.start_folder(number)).await;
        let trouble = self.lock().folders.get(&number).and_then(|f| f.trouble.clone());
        if let Some(trouble) = trouble {
            let gone = self.lock().folders.remove(&number);
            if let Some(folder) = gone {
                self.home.forget_folder(&folder.file.id)?;
            }
            return Err(trouble);
        }
        self.folder_status(number).await
    }

    /// Shares a directory.
    ///
    /// # Errors
    /// If it cannot be a folder.
    pub async fn add(&self, add: Add) -> Result<FolderStatus, Trouble> {
        let path = self.check_place(&add.path)?;
        let name = match add.name {
            Some(name) => name,
            None => path
                .file_name()
                .map_or_else(|| "folder".to_owned(), |n| n.to_string_lossy().into_owned()),
        };
        self.check_name(&name)?;
        let number = random() | 1;
        let me = self.lock().file.name.clone();
        let roster = Roster::found(number, self.key(), &me).map_err(|e| bad(e.to_string()))?;
        let mut file = FolderFile::new(number, name, path);
        file.keep_roster(&roster);
        self.begin(file, roster, None).await
    }

    /// Keeps a second replica of a folder on a mounted share.
    ///
    /// # Errors
    /// If the directory cannot be a root.
    pub async fn host(&self, host: HostShare) -> Result<FolderStatus, Trouble> {
        let number = self.find(&host.folder)?;
        let path = self.check_place(&host.path)?;
        self.change_shares(number, move |shares| shares.push(path)).await?;
        let trouble = self.lock().folders.get(&number).and_then(|f| f.trouble.clone());
        if let Some(trouble) = trouble {
            // As it was before.
            let bad = dunce::canonicalize(&host.path).unwrap_or(host.path);
            self.change_shares(number, move |shares| shares.retain(|p| *p != bad)).await?;
            return Err(trouble);
        }
        self.folder_status(number).await
    }

    async fn change_shares(&self, number: u64, change: impl FnOnce(&mut Vec<PathBuf>) + Send + 'static) -> Result<(), Trouble> {
        let changed = self.blocking(move |daemon| {
            daemon.restart_around(number, || {
                let mut state = daemon.lock();
                let folder = state.folders.get_mut(&number);
                let folder = folder.ok_or_else(|| not_found("the folder is not here any more"))?;
                change(&mut folder.file.shares);
                daemon.home.write_folder(&folder.file)
            })
        });
        changed.await.unwrap_or_else(|| Err(failed("the daemon ends")))
    }

    /// Pauses folders: until someone lets them go on, or for a time.
    ///
    /// # Errors
    /// If there is no such folder, or it cannot be noted.
    pub async fn pause(&self, pause: Pause) -> Result<Vec<FolderStatus>, Trouble> {
        let until = pause.for_s.map(|s| wall_ms().saturating_add(s.saturating_mul(1000)));
        self.set_paused(self.find_all(&Which { folder: pause.folder })?, true, until)
            .await
    }

    /// Lets folders go on.
    ///
    /// # Errors
    /// If there is no such folder, or it cannot be noted.
    pub async fn resume(&self, which: &Which) -> Result<Vec<FolderStatus>, Trouble> {
        self.set_paused(self.find_all(which)?, false, None).await
    }

    pub(super) async fn set_paused(
        &self,
        numbers: Vec<u64>,
        paused: bool,
        until_ms: Option<u64>,
    ) -> Result<Vec<FolderStatus>, Trouble> {
        let mut all = Vec::new();
        for number in numbers {
            {
                let mut state = self.lock();
                let Some(folder) = state.folders.get_mut(&number) else {
                    continue;
                };
                folder.file.paused = paused;
                folder.file.paused_until_ms = until_ms;
                self.home.write_folder(&folder.file)?;
            }
            self.blocking(move |daemon| {
                if paused {
                    daemon.stop_folder(number, "it is paused there");
                    daemon.refresh(number);
                } else {
                    daemon.start_folder(number);
                }
            })
            .await;
            all.push(self.folder_status(number).await?);
        }
        Ok(all)
    }

    /// Sets a folder's index aside and makes it anew: its files are merged as a union.
    ///
    /// # Errors
    /// If there is no such folder, or its index cannot be moved.
    pub async fn rebuild(&self, which: &str) -> Result<FolderStatus, Trouble> {
        let number = self.find(which)?;
        let index = self.home.folder_dir(&format!("{number:016x}")).join(INDEX);
        self.begin_anew(number, move || {
            if index.exists() {
                let aside = Store::set_aside(&index)?;
                tracing::info!(aside = %aside.display(), "the old index is kept");
            }
            Ok(())
        })
        .await?;
        self.folder_status(number).await
    }

    /// Takes a folder's own root for new, whatever is known of it: what is there is merged as a union. Named by the path of a share, that
    /// share is.
    ///
    /// # Errors
    /// If there is no such folder.
    pub async fn rejoin_folder(&self, which: &str) -> Result<FolderStatus, Trouble> {
        let share = dunce::canonicalize(which).unwrap_or_else(|_| which.into());
        let hosting = {
            let state = self.lock();
            let mut folders = state.folders.values();
            folders.find(|f| f.file.shares.contains(&share)).map(|f| f.number)
        };
        if let Some(number) = hosting {
            let done = self.blocking(move |daemon| {
                daemon.restart_around(number, || {
                    if let Some(folder) = daemon.lock().folders.get_mut(&number) {
                        folder.file.rejoin_shares.push(share);
                        daemon.home.write_folder(&folder.file)?;
                    }
                    Ok::<(), Trouble>(())
                })
            });
            done.await.unwrap_or_else(|| Err(failed("the daemon ends")))?;
            return self.folder_status(number).await;
        }
        let number = self.find(which)?;
        self.begin_anew(number, || Ok(())).await?;
        self.folder_status(number).await
    }

    /// Takes back what was changed on this device, which may read only. What was written here goes to the history.
    ///
    /// # Errors
    /// If this device may write, or no other one is connected.
    pub async fn revert(&self, which: &str) -> Result<Vec<String>, Trouble> {
        let number = self.find(which)?;
        let status = self.folder_status(number).await?;
        if status.role != Role::Reader {
            return Err(bad(format!(
                "this device may write to {}: what is changed here goes to the others",
                status.name
            ))
            .hint("To have an older version back: bifold versions, and bifold restore."));
        }
        if status
            .devices
            .iter()
            .all(|d| d.connection == crate::daemon::face::ConnectionKind::None)
        {
            return Err(Trouble::new(
                TroubleKind::Unreachable,
                "no other device is connected, from which what was there could be had",
            )
            .hint("Try again when one is: bifold devices shows it."));
        }
        let (door, replicas) = self.door(number)?;
        let paths = door.ask(move |core, _| {
            let replica = core.replica(replicas[0])?;
            let alone = replica.only_here(usize::MAX);
            Some(
                alone
                    .into_iter()
                    .filter_map(|node| replica.recorded(node))
                    .collect::<Vec<_>>(),
            )
        });
        let recorded = paths.await.flatten().unwrap_or_default();
        let root = status.path.clone();
        self.begin_anew(number, move || Ok(crate::daemon::look::put_aside(&root, &recorded)))
            .await
    }

    /// Takes a folder off this device.
    ///
    /// # Errors
    /// If its files shall go, and it is not known that another device has all of them.
    pub async fn remove(&self, remove: Remove) -> Result<Vec<String>, Trouble> {
        let number = self.find(&remove.folder)?;
        let mut said = Vec::new();
        let mut files = Vec::new();
        if !remove.keep_files {
            let status = self.folder_status(number).await?;
            // A side of a conflict, or what a reader wrote, may be nowhere else; and what a reader has may be something else.
            let alone = status.conflicts > 0 || status.problems.iter().any(|p| p.kind == "only_here");
            let elsewhere = status.devices.iter().any(|d| d.agrees && d.role != Role::Reader);
            if alone || !status.settled || !elsewhere {
                return Err(Trouble::new(
                    TroubleKind::NotAllowed,
                    format!("it is not known that another device has everything that is in {}", status.name),
                )
                .hint(
                    "Say --keep-files to take the folder off this device and leave its files; or settle what is open, and wait until another \
                     device that may write is connected and up to date.",
                ));
            }
            let (door, replicas) = self.door(number)?;
            let recorded = door.ask(move |core, _| {
                let replica = core.replica(replicas[0]);
                replica.map(|r| r.all_recorded().collect::<Vec<_>>()).unwrap_or_default()
            });
            files = recorded.await.unwrap_or_default();
        }
        self.leave_roster(number, &mut said);
        let delete = !remove.keep_files;
        let done = self.blocking(move |daemon| {
            let _operating = daemon.operate();
            daemon.stop_now(number, "the folder was taken off that device");
            let folder = daemon.lock().folders.remove(&number);
            let folder = folder.ok_or_else(|| not_found("the folder is not here any more"))?;
            // Forgotten before anything is touched: what is missing afterwards is no deletion.
            daemon.home.forget_folder(&folder.file.id)?;
            let mut notes = Vec::new();
            for root in std::iter::once(&folder.file.path).chain(&folder.file.shares) {
                notes.extend(crate::daemon::look::clear_root(
                    root,
                    &files,
                    delete && *root == folder.file.path,
                ));
            }
            Ok((folder, notes))
        });
        let (folder, notes) = done.await.unwrap_or_else(|| Err(failed("the daemon ends")))?;
        said.extend(notes);
        let common = |device: &DeviceId| self.lock().folders.values().any(|f| f.roster.admits(&device.0));
        for device in folder.roster.members().keys().map(|key| DeviceId(*key)) {
            if !common(&device) {
                self.net().unwant(device);
            }
        }
        self.tell(Event::FolderGone { id: folder.file.id });
        Ok(said)
    }

    /// Lets a held change pass.
    ///
    /// # Errors
    /// If there is no such folder, or it does not run.
    pub async fn allow(&self, allow: &Allow) -> Result<FolderStatus, Trouble> {
        let number = self.find(&allow.folder)?;
        let (door, replicas) = self.door(number)?;
        for replica in replicas {
            let _ = door.tell(Input::Allow(replica)).await;
        }
        self.folder_status(number).await
    }

    /// Decides a conflict.
    ///
    /// # Errors
    /// If there is none at that path, or no such side.
    pub async fn resolve(&self, resolve: Resolve) -> Result<Resolved, Trouble> {
        let number = self.find(&resolve.folder)?;
        let (door, replicas) = self.door(number)?;
        let path = resolve.path.trim_matches('/').to_owned();
        let kind = resolve.kind.as_deref().map(crate::daemon::look::kind_of).transpose()?;
        let device = match resolve.pick.as_str() {
            "mine" | "theirs" | "both" | "delete" => None,
            device => Some(self.find_device(device)?),
        };
        let of_device: Option<Vec<u64>> = device.map(|device| {
            let state = self.lock();
            let known = state.folders.get(&number).and_then(|f| f.file.known(device).cloned());
            known
                .map(|k| k.replicas.iter().map(|name| name.id).collect())
                .unwrap_or_default()
        });
        let (pick, at, own) = (resolve.pick.clone(), path.clone(), replicas.clone());
        let nowhere = pick == "delete" && crate::daemon::look::is_nowhere(&door, &path).await;
        let side = if nowhere {
            crate::core::Side::Deleted
        } else {
            door.ask(move |core, _| crate::daemon::look::side_of(core, (&at, kind), &pick, of_device.as_deref(), &own))
                .await
                .ok_or_else(|| failed("the folder ended"))??
        };
        let before = door.ask(|core, _| core.decided_in_all()).await.unwrap_or(0);
        let decide = Decide {
            path: path.clone(),
            side,
            kind,
        };
        let _ = door.tell(Input::Decide(decide)).await;
        let end = tokio::time::Instant::now() + DECIDE_WITHIN;
        while tokio::time::Instant::now() < end {
            let at = path.clone();
            let decided = door.ask(move |core, _| {
                let is_it = |d: &&Decided| d.path == at && kind.is_none_or(|kind| kind == d.kind);
                let taken = core
                    .decided_since(before)
                    .find(is_it)
                    .map(|d| crate::daemon::look::word_of(&d.taken));
                (taken, core.status().undecided.contains(&at), core.is_quiet())
            });
            match decided.await {
                Some((Some(taken), ..)) => {
                    return Ok(Resolved { path, taken });
                }
                Some((None, false, true)) => break,
                Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                None => return Err(failed("the folder ended")),
            }
        }
        Err(failed(format!("{path} could not be decided now")).hint("See bifold conflicts, and bifold status; then try again."))
    }

    /// What is limited.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let (all, each) = self.limits.get();
        let mut limits = vec![Limit {
            device: None,
            up: all.up,
            down: all.down,
        }];
        limits.extend(
            each.into_iter()
                .filter(|(_, r)| r.up.is_some() || r.down.is_some())
                .map(|(device, rates)| Limit {
                    device: Some(self.device_name(device)),
                    up: rates.up,
                    down: rates.down,
                }),
        );
        limits
    }

    /// Sets limits.
    ///
    /// # Errors
    /// If there is no such device.
    pub async fn set_limits(&self, set: SetLimits) -> Result<Vec<Limit>, Trouble> {
        let device = set.device.as_deref().map(|device| self.find_device(device)).transpose()?;
        {
            let mut state = self.lock();
            let rates: &mut Rates = match device {
                None => &mut state.file.limits,
                Some(device) => state.file.limits_of.entry(device.to_string()).or_default(),
            };
            if let Some(up) = set.up {
                rates.up = (up > 0).then_some(up);
            }
            if let Some(down) = set.down {
                rates.down = (down > 0).then_some(down);
            }
            self.limits.set(device, *rates);
            self.home.write(&state.file)?;
        }
        Ok(self.limits())
    }
}
