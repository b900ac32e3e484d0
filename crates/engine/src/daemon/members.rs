//! Who takes part: invitations, joining, roles, removal.

use crate::daemon::face::{FolderStatus, Invitation, Invite, Join, RemoveDevice, Role, SetRole, Trouble, TroubleKind, Which};
use crate::daemon::files::{FolderFile, Given, hex};
use crate::daemon::{Daemon, bad, failed, not_found};
use crate::run::wall_ms;
use bifold_net::link::{NetEvent, Room};
use bifold_net::roster::Roster;
use bifold_net::ticket::{Secret, Ticket};
use bifold_net::{DeviceId, roster};
use bifold_protocol::wire::Packet;
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the device that gave a ticket out may take to answer.
const JOIN_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take until the two replicas talk, after that.
const LINK_WITHIN: Duration = Duration::from_secs(10);
/// Invitations that may be open at a time, a folder.
const MAX_INVITATIONS: usize = 1000;

impl Daemon {
    pub(super) fn check_name(&self, name: &str) -> Result<(), Trouble> {
        if name.trim().is_empty() || name.len() > roster::MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(bad(format!("{name:?} cannot be a folder's name"))
                .hint("Name it with --name, with 1 to 128 bytes of plain text."));
        }
        if self.lock().folders.values().any(|f| f.file.name == name) {
            let message = format!("there is a folder {name:?} already");
            return Err(Trouble::new(TroubleKind::InTheWay, message).hint("Give this one another name with --name."));
        }
        Ok(())
    }

    /// Gives a ticket out.
    ///
    /// # Errors
    /// Unless this device is an owner of the folder.
    pub async fn invite(&self, invite: Invite) -> Result<Invitation, Trouble> {
        let number = self.find(&invite.folder)?;
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|_| failed("the system gives no random numbers"))?;
        let secret = Secret(secret);
        let expires_ms = wall_ms().saturating_add(invite.expires_s.saturating_mul(1000));
        let mut state = self.lock();
        let folder = state
            .folders
            .get_mut(&number)
            .ok_or_else(|| not_found("the folder is not here any more"))?;
        if folder.roster.role(&self.me().0) != Some(roster::Role::Owner) {
            let message = format!("only an owner of {} may invite, and this device is none", folder.file.name);
            return Err(Trouble::new(TroubleKind::NotAllowed, message).hint("Ask an owner: bifold devices lists them."));
        }
        if invite.uses == 0 || invite.expires_s == 0 {
            return Err(bad("a ticket must be good for at least one use, and some time"));
        }
        let now = wall_ms();
        folder
            .file
            .invitations
            .retain(|given| given.uses > 0 && given.expires_ms > now);
        if folder.file.invitations.len() >= MAX_INVITATIONS {
            return Err(bad("there are too many open invitations")
                .hint("Wait until some have expired, or give out tickets for several uses."));
        }
        folder.file.invitations.push(Given {
            secret: hex(&secret.hash()),
            role: match invite.role {
                Role::Owner => roster::Role::Owner,
                Role::Editor => roster::Role::Editor,
                Role::Reader => roster::Role::Reader,
            },
            uses: invite.uses,
            expires_ms,
        });
        self.home.write_folder(&folder.file)?;
        let ticket = Ticket {
            device: self.me(),
            secret,
            addresses: self.net().addresses(),
        };
        Ok(Invitation {
            ticket: ticket.to_text(),
            link: ticket.to_link(),
            expires_ms,
            uses: invite.uses,
            role: invite.role,
        })
    }

    /// Joins a folder.
    ///
    /// # Errors
    /// If the ticket is none, or is refused, or the directory cannot be the folder's root.
    pub async fn join(&self, join: Join) -> Result<FolderStatus, Trouble> {
        let ticket = Ticket::parse(&join.ticket).map_err(|e| bad(e.to_string()))?;
        if ticket.device == self.me() {
            return Err(bad("this ticket was given out by this very device").hint("Use it on another one."));
        }
        if !join.path.is_absolute() {
            return Err(bad(format!("{} is not an absolute path", join.path.display())));
        }
        let made = !join.path.exists();
        if made {
            std::fs::create_dir_all(&join.path).map_err(|e| failed(format!("{} cannot be made ({e})", join.path.display())))?;
        }
        let result = self.join_at(&ticket, &join.path).await;
        if result.is_err() && made {
            let _ = std::fs::remove_dir(&join.path);
        }
        result
    }

    async fn join_at(&self, ticket: &Ticket, path: &Path) -> Result<FolderStatus, Trouble> {
        let path = self.check_place(path)?;
        let unreachable = |message: String| {
            Trouble::new(TroubleKind::Unreachable, message)
                .hint("See that the device that gave the ticket out is on, its daemon runs, and both can reach each other.")
        };
        let (send, receive) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.joining.contains_key(&ticket.device) {
                let message = "this device is about to join with another ticket of that device";
                return Err(Trouble::new(TroubleKind::InTheWay, message).hint("Try again when that is done."));
            }
            state.joining.insert(ticket.device, send);
        }
        let forget = || {
            let mut state = self.lock();
            state.joining.remove(&ticket.device);
            state.admitted.remove(&ticket.device);
        };
        let peer = match self.net().dial(ticket.device, &ticket.addresses).await {
            Ok(peer) => peer,
            Err(e) => {
                forget();
                return Err(unreachable(e.to_string()));
            }
        };
        let name = self.lock().file.name.clone();
        peer.send(Packet::Join {
            secret: ticket.secret.0,
            name,
        });
        let answer = tokio::time::timeout(JOIN_WITHIN, receive).await;
        forget();
        let (number, told) = match answer {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) | Err(_) => return Err(unreachable("the device that gave the ticket out did not answer".into())),
        };
        let mut roster = Roster::joined(number, told.root);
        roster.merge(told.entries.iter().cloned()).map_err(|e| {
            failed(format!(
                "the device that gave the ticket out sent a roster that cannot be: {e}"
            ))
        })?;
        if !roster.admits(&self.me().0) || !roster.admits(&ticket.device.0) {
            return Err(failed("the roster that the other device sent does not name this one"));
        }
        let mut name = told.name.clone();
        let taken = |name: &str| self.lock().folders.values().any(|f| f.file.name == name);
        if self.check_name(&name).is_err() && !taken(&name) {
            name = "folder".into();
        }
        let mut base = name.clone();
        base.truncate(base.floor_char_boundary(roster::MAX_NAME_BYTES - 8));
        let mut n = 2;
        while taken(&name) {
            name = format!("{base} {n}");
            n += 1;
        }
        let mut file = FolderFile::new(number, name, path);
        file.keep_roster(&roster);
        for known in &told.known {
            let entry = file.device(known.device);
            entry.replicas.clone_from(&known.replicas);
            entry.addresses = known.addresses.clone();
        }
        let inviter = file.device(ticket.device);
        if inviter.addresses.is_empty() {
            inviter.addresses = ticket.addresses.clone();
        }
        self.begin(file, roster, Some(ticket.device)).await?;
        // What the other device told is heard once more, now that the folder is there: the two replicas can talk.
        let again = Packet::Membership {
            folder: number,
            bytes: told.encode().map_err(|e| failed(e.to_string()))?,
        };
        let _ = self.to_hub.send(NetEvent::Packet(peer, again, Room::default())).await;
        let end = tokio::time::Instant::now() + LINK_WITHIN;
        let linked = || {
            self.lock()
                .folders
                .get(&number)
                .is_some_and(|f| f.links.values().any(|l| l.linked))
        };
        while !linked() && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.folder_status(number).await
    }

    /// This device takes itself off a folder's roster, if someone stays who can invite.
    pub(super) fn leave_roster(&self, number: u64, said: &mut Vec<String>) {
        let mut state = self.lock();
        let Some(folder) = state.folders.get_mut(&number) else {
            return;
        };
        let me = self.me();
        let members = folder.roster.members();
        let others = members
            .iter()
            .filter(|(device, member)| **device != me.0 && member.role > roster::Role::Removed);
        let (count, owners) = others.fold((0, 0), |(n, o), (_, m)| {
            (n + 1, o + usize::from(m.role == roster::Role::Owner))
        });
        let own = folder.roster.role(&me.0);
        if count > 0 && owners == 0 && own == Some(roster::Role::Owner) {
            said.push(
                "this device was the folder's only owner, and stays on its roster: nobody else can invite devices to it".into(),
            );
            return;
        }
        let name = state.file.name.clone();
        let Some(folder) = state.folders.get_mut(&number) else {
            return;
        };
        if folder.roster.set(self.key(), me.0, roster::Role::Removed, &name).is_ok() {
            let devices: Vec<DeviceId> = folder.links.keys().copied().collect();
            for device in devices {
                folder.introduce(self, device, true);
            }
        }
    }

    /// Takes a device out of folders, and says of which. Open tickets of these end too.
    ///
    /// # Errors
    /// If there is no such device, it is this one, or this device may not.
    pub async fn remove_device(&self, remove: RemoveDevice) -> Result<Vec<String>, Trouble> {
        if self.find_device(&remove.device)? == self.me() {
            return Err(bad("that is this very device").hint("To take a folder off it, say bifold remove FOLDER."));
        }
        self.give_role(&remove.device, remove.folder, roster::Role::Removed).await
    }

    /// Gives a device another role in folders, and says in which.
    ///
    /// # Errors
    /// If there is no such device, it is in none of them, or this device may not.
    pub async fn set_role(&self, set: SetRole) -> Result<Vec<String>, Trouble> {
        let role = match set.role {
            Role::Owner => roster::Role::Owner,
            Role::Editor => roster::Role::Editor,
            Role::Reader => roster::Role::Reader,
        };
        self.give_role(&set.device, set.folder, role).await
    }

    async fn give_role(&self, device: &str, folder: Option<String>, role: roster::Role) -> Result<Vec<String>, Trouble> {
        let numbers = self.find_all(&Which { folder })?;
        let device = self.find_device(device)?;
        let mut given = Vec::new();
        let (mut not_allowed, mut not_noted) = (None, None);
        let mut tell = Vec::new();
        {
            let mut state = self.lock();
            for number in numbers {
                let Some(folder) = state.folders.get_mut(&number) else {
                    continue;
                };
                let member = folder.roster.members().get(&device.0);
                let Some(member) = member.filter(|m| m.role > roster::Role::Removed).cloned() else {
                    continue;
                };
                let owners = folder.roster.members().values().filter(|m| m.role == roster::Role::Owner);
                if member.role == roster::Role::Owner && role != roster::Role::Owner && owners.count() == 1 {
                    not_allowed = Some(format!("{}: it would have no owner any more", folder.file.name));
                    continue;
                }
                match folder.roster.set(self.key(), device.0, role, &member.name) {
                    Ok(_) => {
                        folder.file.keep_roster(&folder.roster);
                        if role < member.role {
                            // It may have a ticket that is still good.
                            folder.file.invitations.retain(|given| given.role <= role);
                        }
                        // Everyone is told all the same: what is not noted here comes back from them.
                        if let Err(trouble) = self.home.write_folder(&folder.file) {
                            not_noted = Some(trouble);
                        }
                        self.roster_changed(folder, &mut tell);
                        given.push(folder.file.name.clone());
                    }
                    Err(e) => not_allowed = Some(format!("{}: {e}", folder.file.name)),
                }
            }
        }
        for (pump, input) in tell {
            let _ = pump.pass(input).await;
        }
        let common = self.lock().folders.values().any(|f| f.roster.admits(&device.0));
        if !common {
            self.net().unwant(device);
        }
        if let Some(trouble) = not_noted {
            return Err(trouble);
        }
        match (given.is_empty(), not_allowed) {
            (true, Some(why)) => Err(Trouble::new(TroubleKind::NotAllowed, why).hint("Ask an owner: bifold devices lists them.")),
            (true, None) => Err(not_found("that device is in none of these folders")),
            _ => Ok(given),
        }
    }
}
