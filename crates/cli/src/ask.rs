//! Commands that ask a running daemon.

use crate::args::{Command, Device, OneFolder};
use crate::fatal::Fatal;
use crate::people::say;
use crate::show;
use bifold_control::client::Client;
use bifold_engine::daemon::face::{self, FolderState, FolderStatus, Status, Which};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often it is looked whether all agree.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs a command.
pub fn run(command: Command, home: &Path, json: bool) -> Result<ExitCode, Fatal> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fatal::new(format!("the program cannot be started: {e}")))?;
    let asking = Asking {
        client: Client::new(home),
        json,
    };
    runtime.block_on(asking.run(command))
}

struct Asking {
    client: Client,
    json: bool,
}

fn full(path: PathBuf) -> Result<PathBuf, Fatal> {
    std::path::absolute(&path).map_err(|e| Fatal::new(format!("{} cannot be a path here ({e})", path.display())))
}

fn query(path: &str, which: &OneFolder) -> String {
    match &which.folder {
        None => path.to_owned(),
        Some(folder) => {
            let mut coded = String::new();
            for byte in folder.bytes() {
                if byte.is_ascii_alphanumeric() {
                    coded.push(char::from(byte));
                } else {
                    coded.push_str(&format!("%{byte:02X}"));
                }
            }
            format!("{path}?folder={coded}")
        }
    }
}

/// Whether a person has to see to something.
fn needs_someone(folders: &[FolderStatus]) -> bool {
    folders
        .iter()
        .any(|f| matches!(f.state, FolderState::NeedsYou | FolderState::Halted))
}

fn code(clean: bool) -> ExitCode {
    ExitCode::from(u8::from(!clean))
}

impl Asking {
    /// Prints an answer: as JSON, or as people read it.
    fn print<T: Serialize>(&self, answer: &T, text: impl FnOnce(&T) -> String) {
        if self.json {
            say(&serde_json::to_string(answer).unwrap_or_default());
        } else {
            let text = text(answer);
            if !text.is_empty() {
                say(text.trim_end());
            }
        }
    }

    async fn run(&self, command: Command) -> Result<ExitCode, Fatal> {
        let client = &self.client;
        match command {
            Command::Add { path, name } => {
                let add = face::Add { path: full(path)?, name };
                let folder: FolderStatus = client.post("/v1/add", &add).await?;
                self.print(&folder, |f| {
                    format!(
                        "{} is shared as {:?}; invite devices with: bifold invite {:?}",
                        f.path.display(),
                        f.name,
                        f.name
                    )
                });
            }
            Command::Invite {
                folder,
                role,
                uses,
                expires,
            } => {
                let invite = face::Invite {
                    folder,
                    role: role.into(),
                    uses,
                    expires_s: expires.as_secs(),
                };
                let invitation: face::Invitation = client.post("/v1/invite", &invite).await?;
                self.print(&invitation, show::invitation);
            }
            Command::Join { ticket, path } => {
                let join = face::Join {
                    ticket,
                    path: full(path)?,
                };
                let folder: FolderStatus = client.post("/v1/join", &join).await?;
                self.print(&folder, |f| format!("{} is the folder {:?} now", f.path.display(), f.name));
            }
            Command::Host { folder, path } => {
                let host = face::HostShare {
                    folder,
                    path: full(path)?,
                };
                let folder: FolderStatus = client.post("/v1/host", &host).await?;
                self.print(&folder, show::folder);
            }
            Command::Folders => {
                let status: Status = client.get("/v1/status").await?;
                self.print(&status.folders, |folders| show::folders(folders));
            }
            Command::Devices => {
                let devices: Vec<face::DeviceStatus> = client.get("/v1/devices").await?;
                self.print(&devices, |devices| show::devices(devices));
            }
            Command::Status { wait } => return self.status(wait).await,
            Command::Pending(which) => {
                let items: Vec<face::PendingItem> = client.get(&query("/v1/pending", &which)).await?;
                self.print(&items, |items| show::pending(items));
            }
            Command::Conflicts(which) => {
                let conflicts: Vec<face::Conflict> = client.get(&query("/v1/conflicts", &which)).await?;
                self.print(&conflicts, |conflicts| show::conflicts(conflicts));
                return Ok(code(conflicts.is_empty()));
            }
            Command::Resolve {
                folder,
                path,
                pick,
                kind,
            } => {
                let resolve = face::Resolve {
                    folder,
                    path,
                    pick,
                    kind,
                };
                let resolved: face::Resolved = client.post("/v1/resolve", &resolve).await?;
                self.print(&resolved, |r| format!("{}: {} stays", r.path, r.taken));
            }
            Command::Allow { folder } => {
                let folder: FolderStatus = client.post("/v1/allow", &face::Allow { folder }).await?;
                self.print(&folder, show::folder);
            }
            Command::Explain { folder, path } => {
                let told: face::Explained = client.post("/v1/explain", &face::Where { folder, path }).await?;
                self.print(&told, show::explained);
            }
            Command::Log { folder, filter, limit } => {
                let list = face::ListLog {
                    folder,
                    before: None,
                    limit,
                    filter,
                };
                let entries: Vec<face::LogEntry> = client.post("/v1/log", &list).await?;
                self.print(&entries, |entries| show::log(entries));
            }
            Command::Versions { folder, path } => {
                let versions: Vec<face::FileVersion> = client.post("/v1/versions", &face::Where { folder, path }).await?;
                self.print(&versions, |versions| show::versions(versions));
            }
            Command::Restore { folder, path, version } => {
                let version = match version {
                    Some(version) => version,
                    None => self.newest(&folder, &path).await?,
                };
                let restore = face::Restore { folder, path, version };
                let restored: face::Restored = client.post("/v1/restore", &restore).await?;
                self.print(&restored, |r| {
                    format!("{} is put back; what stood there is in the history", r.path)
                });
            }
            Command::Cat { folder, path, side } => {
                let cat = face::Cat {
                    folder,
                    path: path.clone(),
                    side,
                };
                let content: face::Content = client.post("/v1/cat", &cat).await?;
                match &content.text {
                    // As it is, to the last byte.
                    Some(text) if !self.json => {
                        use std::io::Write as _;
                        let _ = std::io::stdout().write_all(text.as_bytes());
                    }
                    _ if self.json => self.print(&content, show::content),
                    // (Whoever reads this as the file's bytes is not to take words for them.)
                    _ => eprintln!("{path} is not printed: {}", show::content(&content)),
                }
                return Ok(code(self.json || content.text.is_some()));
            }
            Command::Diff { folder, path, sides } => {
                let mut sides = sides.into_iter();
                let mut side = |otherwise: &str| sides.next().unwrap_or_else(|| otherwise.to_owned());
                let (left, right) = (side("mine"), side("theirs"));
                let diff = face::Diff {
                    folder,
                    path,
                    left,
                    right,
                };
                let differs: face::Differs = client.post("/v1/diff", &diff).await?;
                self.print(&differs, show::differs);
                return Ok(code(differs.same));
            }
            Command::Ignored { folder, patterns } => {
                let text = match patterns {
                    None => None,
                    Some(file) => Some(std::fs::read_to_string(&file).map_err(|e| {
                        Fatal::new(format!("the patterns in {} cannot be read ({e})", file.display())).hint("Name a text file.")
                    })?),
                };
                let ignored: face::Ignored = client.post("/v1/ignore", &face::PreviewIgnore { folder, text }).await?;
                self.print(&ignored, show::ignored);
            }
            Command::Pause { which, time } => {
                let for_s = time.map(|time| time.as_secs());
                let pause = face::Pause {
                    folder: which.folder,
                    for_s,
                };
                let folders: Vec<FolderStatus> = client.post("/v1/pause", &pause).await?;
                self.print(&folders, |folders| show::folders(folders));
            }
            Command::Resume(which) => {
                let folders: Vec<FolderStatus> = client.post("/v1/resume", &Which { folder: which.folder }).await?;
                self.print(&folders, |folders| show::folders(folders));
            }
            Command::Revert { folder } => {
                let aside: Vec<String> = client.post("/v1/revert", &face::Allow { folder }).await?;
                self.print(&aside, show::put_aside);
            }
            Command::Remove { folder, keep_files } => {
                let remove = face::Remove { folder, keep_files };
                let said: Vec<String> = client.post("/v1/remove", &remove).await?;
                self.print(&said, |said| said.join("\n"));
            }
            Command::Device(Device::Remove { device, folder }) => {
                let remove = face::RemoveDevice { device, folder };
                let from: Vec<String> = client.post("/v1/device/remove", &remove).await?;
                self.print(&from, |from| format!("taken out of: {}", from.join(", ")));
            }
            Command::Device(Device::Role { device, role, folder }) => {
                let set = face::SetRole {
                    device,
                    role: role.into(),
                    folder,
                };
                let given: Vec<String> = client.post("/v1/device/role", &set).await?;
                self.print(&given, |given| format!("it has that role now in: {}", given.join(", ")));
            }
            Command::Limit { up, down, device } => {
                let limits: Vec<face::Limit> = if up.is_none() && down.is_none() {
                    client.get("/v1/limits").await?
                } else {
                    client.post("/v1/limits/set", &face::SetLimits { device, up, down }).await?
                };
                self.print(&limits, |limits| show::limits(limits));
            }
            Command::Events => {
                client
                    .events(&mut |event, line| {
                        if self.json {
                            say(line);
                        } else {
                            say(&show::event(&event));
                        }
                        true
                    })
                    .await?;
                return Err(Fatal::new("the daemon ended").hint("Start it with bifold daemon."));
            }
            Command::Rebuild { folder } => {
                let folder: FolderStatus = client.post("/v1/rebuild", &face::Allow { folder }).await?;
                self.print(&folder, show::folder);
            }
            Command::Rejoin { folder } => {
                let folder: FolderStatus = client.post("/v1/rejoin", &face::Allow { folder }).await?;
                self.print(&folder, show::folder);
            }
            // They need no daemon.
            Command::Sync(_) | Command::Daemon(_) | Command::Completions { .. } | Command::Man | Command::Openapi => {}
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The newest version that is not the current one.
    async fn newest(&self, folder: &str, path: &str) -> Result<String, Fatal> {
        let at = face::Where {
            folder: folder.to_owned(),
            path: path.to_owned(),
        };
        let versions: Vec<face::FileVersion> = self.client.post("/v1/versions", &at).await?;
        let old = versions.into_iter().find(|version| version.reason != "current");
        old.map(|version| version.id).ok_or_else(|| {
            Fatal::new(format!("no older version of {path} lies on this device")).hint("bifold log FOLDER lists what happened.")
        })
    }

    #[expect(clippy::option_option, reason = "said or not, with a value or not")]
    async fn status(&self, wait: Option<Option<u64>>) -> Result<ExitCode, Fatal> {
        let client = &self.client;
        let mut status: Status = client.get("/v1/status").await?;
        let mut settled = true;
        if let Some(seconds) = wait {
            let end = seconds.map(|s| Instant::now() + Duration::from_secs(s));
            client.post::<()>("/v1/look", &Which::default()).await?;
            loop {
                status = client.get("/v1/status").await?;
                let active = || status.folders.iter().filter(|f| !matches!(f.state, FolderState::Paused));
                settled = active().all(|f| f.settled);
                // What waits for a person does not settle by itself.
                let waits = |f: &FolderStatus| f.state == FolderState::NeedsYou && !f.problems.is_empty();
                let stuck = active().any(|f| f.state == FolderState::Halted || !f.held.is_empty() || waits(f));
                if settled || stuck || end.is_some_and(|end| Instant::now() > end) {
                    break;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        self.print(&status, show::status);
        if !settled && !self.json {
            say("not all devices that can be reached agree yet");
        }
        Ok(code(settled && status.why.is_none() && !needs_someone(&status.folders)))
    }
}
