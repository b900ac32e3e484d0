//! How folders run: they are started, stopped, and seen to.

use crate::core::Input;
use crate::daemon::face::{Event, FolderStatus, Trouble, TroubleKind};
use crate::daemon::fetch::Fetcher;
use crate::daemon::files::INDEX;
use crate::daemon::folder::{FolderSpec, Running, Told};
use crate::daemon::hub::ToOthers;
use crate::daemon::{Daemon, failed};
use crate::run::{random, wall_ms};
use bifold_net::link::Peer;
use bifold_net::membership::ReplicaName;
use bifold_net::{DeviceId, roster};
use bifold_protocol::wire::Packet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

impl Daemon {
    pub(super) fn operate(&self) -> MutexGuard<'_, ()> {
        self.operating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a folder run, if it should. What is wrong is in its status.
    pub(super) fn start_folder(self: &Arc<Self>, number: u64) {
        let _operating = self.operate();
        self.start_now(number);
    }

    /// Stops a folder, and tells the others why.
    pub(super) fn stop_folder(self: &Arc<Self>, number: u64, why: &str) {
        let _operating = self.operate();
        self.stop_now(number, why);
    }

    /// Stops a folder, does something, and lets it run again; nobody else starts it meanwhile.
    pub(super) fn restart_around<T>(self: &Arc<Self>, number: u64, work: impl FnOnce() -> T) -> T {
        let _operating = self.operate();
        self.stop_now(number, "it begins anew there");
        let result = work();
        self.start_now(number);
        result
    }

    pub(super) fn start_now(self: &Arc<Self>, number: u64) {
        if self.stopping.load(Ordering::Relaxed) {
            return;
        }
        let spec = {
            let mut state = self.lock();
            let Some(folder) = state.folders.get_mut(&number) else {
                return;
            };
            if folder.running.is_some() || folder.file.paused {
                return;
            }
            if !folder.roster.admits(&self.me().0) {
                folder.trouble = Some(taken_out());
                return;
            }
            let mut roots = vec![folder.file.path.clone()];
            roots.extend(folder.file.shares.iter().cloned());
            let mut names = vec![state.file.name.clone()];
            names.extend(roots[1..].iter().map(|path| path.display().to_string()));
            let id = format!("{number:016x}");
            let folder = state.folders.get(&number);
            let members = folder.map(|f| f.roster.members().keys().filter(|key| f.roster.admits(key)).count());
            let drawing = self.this.clone();
            FolderSpec {
                // The number that an id is made of is noted before the id is used.
                new_replica: Box::new(move || drawing.upgrade().map_or(0, |daemon| daemon.draw(number))),
                folder: number,
                awaited: members.is_some_and(|n| n > 1),
                index: self.home.folder_dir(&id).join(INDEX),
                roots,
                names,
                rejoin: folder.is_some_and(|f| f.file.rejoin),
                rejoin_shares: folder.map(|f| f.file.rejoin_shares.clone()).unwrap_or_default(),
            }
        };
        let daemon = self.this.clone();
        let fetcher = Fetcher {
            folder: number,
            runtime: self.runtime.clone(),
            limits: self.limits.clone(),
            peers: Box::new(move || daemon.upgrade().map(|d| d.sharing(number)).unwrap_or_default()),
            turn: Default::default(),
        };
        let others = ToOthers {
            daemon: self.this.clone(),
            folder: number,
        };
        let told = ToFaces {
            daemon: self.this.clone(),
            folder: number,
        };
        let rejoin = spec.rejoin;
        let started = crate::daemon::folder::start(spec, Box::new(others), Arc::new(fetcher), Box::new(told), &self.runtime);
        let mut state = self.lock();
        let Some(folder) = state.folders.get_mut(&number) else {
            return;
        };
        match started {
            Ok(running) => {
                folder.trouble = None;
                folder.halted = false;
                let door = running.door.clone();
                let reads = folder.roster.role(&self.me().0) == Some(roster::Role::Reader);
                let me = self.me();
                let known = folder.file.device(me);
                let named = |id: &bifold_tree::ReplicaId| {
                    known
                        .drawn
                        .iter()
                        .chain(&known.replicas)
                        .find(|name| name.id == id.0)
                        .copied()
                };
                let mut replicas: Vec<ReplicaName> = running.replicas.iter().filter_map(named).collect();
                replicas.extend(running.missing.iter().filter_map(|share| named(&share.replica)));
                // (Of a share's it cannot be helped by that.)
                let nameless = replicas.first().map(|name| name.id) != running.replicas.first().map(|id| id.0);
                known.has(replicas);
                known.drawn.clear();
                // (An index that was made under another key, or is older than this: it joins anew, under an id that can be shown to be its own.)
                folder.file.rejoin = nameless && !rejoin;
                folder.file.rejoin_shares.clear();
                let again = folder.file.rejoin;
                if let Err(trouble) = self.home.write_folder(&folder.file) {
                    tracing::warn!(%trouble, "not noted");
                }
                folder.running = Some(running);
                if again {
                    drop(state);
                    self.restart_later(number, true);
                    return;
                }
                let members: Vec<DeviceId> = folder.roster.members().keys().map(|key| DeviceId(*key)).collect();
                let _within = self.runtime.enter();
                for device in members.into_iter().filter(|d| *d != me) {
                    if folder.roster.admits(&device.0) {
                        let addresses = folder.file.known(device).map(|k| k.addresses.clone()).unwrap_or_default();
                        self.net().want(device, &addresses);
                        // (Who let this device in is told once what it said was heard.)
                        if folder.from != Some(device) {
                            folder.introduce(self, device, false);
                        }
                    }
                }
                folder.from = None;
                let (names, retired) = (folder.names(), folder.retired());
                drop(state);
                let _ = door.put(Input::Named(names));
                let _ = door.put(Input::Retired(retired));
                let _ = door.put(Input::Reads(reads));
            }
            Err(trouble) => folder.trouble = Some(trouble),
        }
        self.refresh(number);
    }

    /// One more id for a replica of a folder.
    pub(super) fn draw(&self, number: u64) -> u64 {
        let fresh = ReplicaName::new(self.me(), number, random());
        if let Some(folder) = self.lock().folders.get_mut(&number) {
            folder.file.device(self.me()).drawn.push(fresh);
            if let Err(trouble) = self.home.write_folder(&folder.file) {
                tracing::warn!(%trouble, "not noted");
            }
        }
        fresh.id
    }

    pub(super) fn stop_now(self: &Arc<Self>, number: u64, why: &str) {
        let running: Option<Running> = {
            let mut state = self.lock();
            let Some(folder) = state.folders.get_mut(&number) else {
                return;
            };
            for link in folder.links.values() {
                link.peer.send(Packet::Close {
                    folder: number,
                    reason: why.to_owned(),
                });
            }
            folder.links.clear();
            folder.running.take()
        };
        if let Some(running) = running {
            running.stop();
        }
    }

    /// Stops and starts a folder, soon. `rejoin`: its own replica begins anew.
    pub(crate) fn restart_later(&self, number: u64, rejoin: bool) {
        let Some(daemon) = self.this.upgrade() else { return };
        self.runtime.spawn_blocking(move || {
            if rejoin && let Some(folder) = daemon.lock().folders.get_mut(&number) {
                folder.file.rejoin = true;
                if let Err(trouble) = daemon.home.write_folder(&folder.file) {
                    tracing::warn!(%trouble, "not noted");
                }
            }
            daemon.restart_around(number, || ());
        });
    }

    /// This device does not belong to a folder any more.
    pub(crate) fn taken_out(&self, number: u64) {
        let Some(daemon) = self.this.upgrade() else { return };
        self.runtime.spawn_blocking(move || {
            if let Some(folder) = daemon.lock().folders.get_mut(&number) {
                folder.trouble = Some(taken_out());
                if let Err(trouble) = daemon.home.write_folder(&folder.file) {
                    tracing::warn!(%trouble, "not noted");
                }
            }
            daemon.stop_folder(number, "this device was taken out");
            daemon.refresh(number);
        });
    }

    /// Sees to it that what ought to run does.
    pub(super) async fn care(self: &Arc<Self>) {
        let mut todo = Vec::new();
        let mut looks = Vec::new();
        let mut rested = Vec::new();
        {
            let now = wall_ms();
            let mut state = self.lock();
            for (number, folder) in &mut state.folders {
                if folder.file.paused && folder.file.paused_until_ms.is_some_and(|until| until <= now) {
                    rested.push(*number);
                }
                if folder.running.as_ref().is_some_and(Running::is_over) {
                    // It ended by itself.
                    folder.running = None;
                    folder.links.clear();
                }
                if folder.note_seen(now)
                    && let Err(trouble) = self.home().write_folder(&folder.file)
                {
                    tracing::warn!(%trouble, "when others were seen is not noted");
                }
                match &folder.running {
                    None if !folder.file.paused && folder.roster.admits(&self.me().0) => todo.push(*number),
                    Some(running) => looks.extend(running.looking().map(|looking| (*number, folder.halted, looking))),
                    None => {}
                }
            }
        }
        for (number, halted, looking) in looks {
            // (Not waited for: a disk may be stuck.)
            let daemon = self.clone();
            self.runtime.spawn_blocking(move || {
                if looking.look(halted) {
                    daemon.restart_later(number, false);
                }
            });
        }
        for number in todo {
            self.blocking(move |daemon| daemon.start_folder(number)).await;
        }
        if let Err(trouble) = self.set_paused(rested, false, None).await {
            tracing::warn!(%trouble, "what was paused for a time does not go on");
        }
    }

    /// Looks at all disks again: what tells of changes may have slept.
    pub(super) async fn look_everywhere(&self) {
        for (_, running) in self.doors(None).unwrap_or_default() {
            for replica in running.1 {
                let _ = running.0.tell(Input::Rescan(replica, "asked for".into())).await;
            }
        }
    }

    /// The devices that a folder's bytes can be had from now.
    pub(super) fn sharing(&self, number: u64) -> Vec<Peer> {
        let state = self.lock();
        let links = state.folders.get(&number).map(|f| f.links.values());
        let linked = links.into_iter().flatten().filter(|link| link.linked && link.peer.is_up());
        linked.map(|link| link.peer.clone()).collect()
    }

    /// Tells of a folder's state, if it is another than before; soon.
    pub(crate) fn refresh(&self, number: u64) {
        let Some(daemon) = self.this.upgrade() else { return };
        self.runtime.spawn(async move {
            let Ok(status) = daemon.folder_status(number).await else {
                return;
            };
            {
                let mut state = daemon.lock();
                let Some(folder) = state.folders.get_mut(&number) else {
                    return;
                };
                let timeless = |status: &FolderStatus| {
                    let mut status = status.clone();
                    status.devices.iter_mut().for_each(|d| d.last_seen_ms = None);
                    status
                };
                if folder.told.as_ref().map(timeless) == Some(timeless(&status)) {
                    return;
                }
                folder.told = Some(status.clone());
            }
            daemon.tell(Event::Folder {
                folder: Box::new(status),
            });
        });
    }

    /// Stops a folder, does something, and lets its own replica begin anew.
    pub(super) async fn begin_anew<T: Send + 'static>(
        &self,
        number: u64,
        work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let done = self.blocking(move |daemon| {
            daemon.restart_around(number, || {
                let result = work()?;
                if let Some(folder) = daemon.lock().folders.get_mut(&number) {
                    folder.file.rejoin = true;
                    daemon.home.write_folder(&folder.file)?;
                }
                Ok(result)
            })
        });
        done.await.unwrap_or_else(|| Err(failed("the daemon ends")))
    }
}

fn taken_out() -> Trouble {
    Trouble::new(
        TroubleKind::NotAllowed,
        "this device was taken out of the folder by an owner; the files here stay as they are",
    )
    .hint("To take part again, ask for a new ticket; to be rid of the folder here, say bifold remove FOLDER --keep-files.")
}

/// Who tells programs what happens in a folder.
struct ToFaces {
    daemon: Weak<Daemon>,
    folder: u64,
}

impl Told for ToFaces {
    fn event(&mut self, event: crate::run::Event) {
        let Some(daemon) = self.daemon.upgrade() else { return };
        let name = |daemon: &Daemon| {
            daemon
                .lock()
                .folders
                .get(&self.folder)
                .map(|f| f.file.name.clone())
                .unwrap_or_default()
        };
        match event {
            crate::run::Event::Planned { replica, steps } => {
                let state = daemon.lock();
                let Some(folder) = state.folders.get(&self.folder) else {
                    return;
                };
                let path = folder.running.as_ref().and_then(|running| {
                    let place = running.replicas.iter().position(|r| *r == replica)?;
                    running.paths.get(place).cloned()
                });
                let path = path.unwrap_or_else(|| folder.file.path.clone());
                let (id, folder) = (folder.file.id.clone(), folder.file.name.clone());
                drop(state);
                daemon.tell(Event::Applying {
                    id,
                    folder,
                    path,
                    steps: steps.len() as u64,
                });
            }
            crate::run::Event::Progress { bytes, of, .. } => daemon.tell(Event::Progress {
                id: format!("{:016x}", self.folder),
                folder: name(&daemon),
                bytes,
                of,
            }),
            crate::run::Event::Quiet(status) => {
                if let Some(folder) = daemon.lock().folders.get_mut(&self.folder) {
                    folder.halted = status.hosts.iter().any(|host| host.halted.is_some());
                }
                daemon.refresh(self.folder);
            }
        }
    }

    fn ended(&mut self, why: Option<Trouble>) {
        let (Some(daemon), Some(why)) = (self.daemon.upgrade(), why) else {
            return;
        };
        tracing::error!(%why, "a folder ended");
        let mut state = daemon.lock();
        if let Some(folder) = state.folders.get_mut(&self.folder) {
            folder.trouble = Some(why);
            for link in folder.links.values() {
                link.peer.send(Packet::Close {
                    folder: self.folder,
                    reason: "it ended there".into(),
                });
            }
            folder.links.clear();
            // Its thread is this one: nobody waits for it.
            drop(folder.running.take());
        }
        drop(state);
        daemon.refresh(self.folder);
    }
}
