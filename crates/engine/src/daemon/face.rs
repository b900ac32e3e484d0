//! What programs ask of the daemon, and what they are told: the types of the control API, of the command line and of the window.

use serde::{Deserialize, Serialize};
use specta::Type;
use std::path::PathBuf;
use utoipa::ToSchema;

/// Why something was not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// What kind.
    pub kind: TroubleKind,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Kinds of trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// What was asked for makes no sense as it is.
    Bad,
    /// There is no such folder, device, path or conflict.
    NotFound,
    /// It is there already, or in use.
    InTheWay,
    /// This device may not do it.
    NotAllowed,
    /// A device cannot be reached, or refuses.
    Unreachable,
    /// The disk, the index, or the system.
    Failed,
    /// Another directory stands where the folder was: it can be merged as new, by `rejoin`.
    NotTheRoot,
    /// The folder's index cannot be read: it can be made anew, by `rebuild`.
    IndexDamaged,
}

impl Trouble {
    /// Of a kind, with a message.
    #[must_use]
    pub fn new(kind: TroubleKind, message: impl Into<String>) -> Trouble {
        Trouble {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Trouble {
        self.hint = Some(hint.into());
        self
    }
}

/// What a device may do in a folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema, Type)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It gets everything; its own changes stay on it.
    Reader,
    /// It reads and writes.
    Editor,
    /// It also invites and removes devices.
    Owner,
}

/// How a folder is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
#[serde(rename_all = "snake_case")]
pub enum FolderState {
    /// This device shows all that is known, and is connected with another.
    UpToDate,
    /// Something is being looked at, fetched or applied.
    Syncing,
    /// Something waits for a person: conflicts, held changes, or trouble with single paths.
    NeedsYou,
    /// A person paused it.
    Paused,
    /// All is shown that is known; no other device can be reached.
    Offline,
    /// Nothing is done with it, for the reason given.
    Halted,
}

impl FolderState {
    /// What people read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            FolderState::UpToDate => "up to date",
            FolderState::Syncing => "syncing",
            FolderState::NeedsYou => "needs you",
            FolderState::Paused => "paused",
            FolderState::Offline => "offline",
            FolderState::Halted => "halted",
        }
    }
}

/// What lets a halted folder go on, if a person wants it. Neither deletes anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// What is in its place now is merged as new.
    Rejoin,
    /// Its index is set aside, and made anew from its files.
    Rebuild,
}

/// How much is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema, Type)]
pub struct Pending {
    /// Files, links and directories.
    pub count: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Of these, at most so many have to be transferred.
    pub wire_bytes: u64,
}

/// Trouble with a single path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct PathProblem {
    /// Where; empty for the folder itself.
    pub path: String,
    /// What kind.
    pub kind: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// A change that is held until a person says what to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct HeldChange {
    /// Where it would be made: the path of the replica.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Files that would be deleted.
    pub removals: u64,
    /// Files that would be overwritten.
    pub overwrites: u64,
    /// Of so many.
    pub files: u64,
}

/// How a device is connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionKind {
    /// Not at all.
    None,
    /// Directly, within one network.
    Lan,
    /// Directly.
    Direct,
    /// Through a relay.
    Relayed,
}

/// Another device, in a folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct FolderDevice {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// How it is connected.
    pub connection: ConnectionKind,
    /// When it was connected last, milliseconds since 1970; now, if it is. Absent if it never was.
    pub last_seen_ms: Option<u64>,
    /// How much it does not show yet of what is known here, as far as is known.
    pub behind: Pending,
    /// Both show the same, and know it.
    pub agrees: bool,
}

/// A second replica of a folder, on a share that this device has mounted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct HostedShare {
    /// Where.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// How it is.
    pub state: FolderState,
    /// Why it is halted.
    pub why: Option<String>,
    /// If it is halted: what can be done here about it, beside putting right what `why` says.
    pub remedy: Option<Remedy>,
}

/// A folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct FolderStatus {
    /// Its id, the same on all devices.
    pub id: String,
    /// Its name here.
    pub name: String,
    /// Where it lies here.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// How it is.
    pub state: FolderState,
    /// Why it is halted, or what a person has to know.
    pub why: Option<String>,
    /// If it is halted: what can be done here about it, beside putting right what `why` says.
    pub remedy: Option<Remedy>,
    /// Until when it is paused, milliseconds since 1970, if it goes on by itself then.
    pub paused_until_ms: Option<u64>,
    /// What this device may do.
    pub role: Role,
    /// Files and links.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// What is to be done here.
    pub pending_in: Pending,
    /// What others do not show yet; of the device that is most behind.
    pub pending_out: Pending,
    /// Open conflicts.
    pub conflicts: u64,
    /// Trouble.
    pub problems: Vec<PathProblem>,
    /// Changes that are held.
    pub held: Vec<HeldChange>,
    /// Other devices.
    pub devices: Vec<FolderDevice>,
    /// Replicas on shares.
    pub hosts: Vec<HostedShare>,
    /// Nothing is being done, and all devices that are connected show the same.
    pub settled: bool,
}

/// Everything at a glance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Status {
    /// This device's id.
    pub device: String,
    /// Its name.
    pub name: String,
    /// Why it talks to nobody.
    pub why: Option<String>,
    /// Where it can be reached.
    pub addresses: Vec<String>,
    /// Its folders.
    pub folders: Vec<FolderStatus>,
}

/// A device that this one knows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct DeviceStatus {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is this one.
    pub this: bool,
    /// How it is connected.
    pub connection: ConnectionKind,
    /// When it was connected last, milliseconds since 1970.
    pub last_seen_ms: Option<u64>,
    /// Why it could not be reached.
    pub why: Option<String>,
    /// Bytes sent to it since it was connected.
    pub sent: u64,
    /// Bytes received from it.
    pub received: u64,
    /// The folders in common, with its role in each.
    pub folders: Vec<(String, Role)>,
}

/// Shares a folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Add {
    /// Where it lies; absolute.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Its name; that of the directory if it is not said.
    pub name: Option<String>,
}

/// Names a folder: by name, id, the beginning of the id, or path.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema, Type)]
pub struct Which {
    /// Which; all of them if it is not said, where that makes sense.
    pub folder: Option<String>,
}

/// Pauses folders.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema, Type)]
pub struct Pause {
    /// Which; all of them if it is not said.
    pub folder: Option<String>,
    /// For how long, in seconds; until they are resumed if it is not said.
    #[serde(default)]
    pub for_s: Option<u64>,
}

/// Invites someone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Invite {
    /// Which folder.
    pub folder: String,
    /// What who comes may do.
    pub role: Role,
    /// How many devices may come.
    pub uses: u32,
    /// For how long, in seconds.
    pub expires_s: u64,
}

/// An invitation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Invitation {
    /// To paste, or to read aloud.
    pub ticket: String,
    /// To open.
    pub link: String,
    /// Until when it is good, milliseconds since 1970.
    pub expires_ms: u64,
    /// For how many devices.
    pub uses: u32,
    /// What who comes may do.
    pub role: Role,
}

/// Joins a folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Join {
    /// The ticket or link.
    pub ticket: String,
    /// Where the folder is to lie; absolute. What is there already is merged in, and nothing is deleted.
    #[schema(value_type = String)]
    pub path: PathBuf,
}

/// Keeps a second replica of a folder on a mounted share.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct HostShare {
    /// Which folder.
    pub folder: String,
    /// Where the share's directory is; absolute.
    #[schema(value_type = String)]
    pub path: PathBuf,
}

/// Takes a folder off this device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Remove {
    /// Which.
    pub folder: String,
    /// Its files stay.
    pub keep_files: bool,
}

/// Takes a device out of folders.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct RemoveDevice {
    /// Which: name, id, or the beginning of the id.
    pub device: String,
    /// Out of this one only.
    pub folder: Option<String>,
}

/// Gives a device another role in folders.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct SetRole {
    /// Which: name, id, or the beginning of the id.
    pub device: String,
    /// What it may do from now on.
    pub role: Role,
    /// In this one only.
    pub folder: Option<String>,
}

/// Decides a conflict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Resolve {
    /// In which folder.
    pub folder: String,
    /// Where.
    pub path: String,
    /// `mine`, `theirs`, `both`, `delete`, or a device.
    pub pick: String,
    /// Of several conflicts at that path, the one of this kind; all of them, if it is left out.
    pub kind: Option<String>,
}

/// What a decision came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Resolved {
    /// Where.
    pub path: String,
    /// What stays.
    pub taken: String,
}

/// Lets a held change pass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Allow {
    /// In which folder.
    pub folder: String,
}

/// Names a path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Where {
    /// In which folder.
    pub folder: String,
    /// Where.
    pub path: String,
}

/// A side of a conflict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Side {
    /// Whose: names of devices.
    pub devices: Vec<String>,
    /// Whether this device shows it, or did it.
    pub mine: bool,
    /// The content id; absent of a deletion.
    pub content: Option<String>,
    /// Bytes.
    pub size: u64,
    /// When the file was changed last, nanoseconds since 1970.
    pub modified_ns: Option<i64>,
    /// Of a renaming, where to.
    pub path: Option<String>,
}

/// A conflict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Conflict {
    /// In which folder: its name.
    pub folder: String,
    /// Where.
    pub path: String,
    /// What kind: `content`, `deleted`, `renamed`, `name`, `cycle` or `orphan`.
    pub kind: String,
    /// The content that the sides replaced.
    pub base: Option<String>,
    /// The sides.
    pub sides: Vec<Side>,
}

/// Which way something goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To this device.
    In,
    /// To another one.
    Out,
}

/// Something that is to be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct PendingItem {
    /// In which folder: its name.
    pub folder: String,
    /// Which way.
    pub direction: Direction,
    /// To which device; of what comes in, this one or the share's path.
    pub to: String,
    /// Where.
    pub path: String,
    /// What: `make`, `write`, `rename`, `remove`, `mode`, or `change`.
    pub what: String,
    /// Of a renaming, from where.
    pub from: Option<String>,
    /// Bytes.
    pub bytes: u64,
    /// Of these, at most so many have to be transferred.
    pub wire_bytes: u64,
    /// Which device changed it last: its name.
    pub by: Option<String>,
    /// When, by that device's clock, milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// What it waits for.
    pub why: Option<String>,
}

/// Why a path is as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Explained {
    /// In which folder: its name.
    pub folder: String,
    /// Where.
    pub path: String,
    /// What is here: `file`, `directory`, `link`, or `nothing`.
    pub here: String,
    /// The content that is here.
    pub content: Option<String>,
    /// Its bytes.
    pub size: u64,
    /// The newest versions that are known.
    pub versions: Vec<Version>,
    /// Which devices show it as it is now: names.
    pub shown_by: Vec<String>,
    /// Which do not yet, or are not known to: names.
    pub not_yet: Vec<String>,
    /// Sentences: what it is, what it waits for, what to do.
    pub sentences: Vec<String>,
}

/// A version of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Version {
    /// The content id; absent of a deletion.
    pub content: Option<String>,
    /// Bytes.
    pub size: u64,
    /// By which device.
    pub by: String,
    /// When, by that device's clock, milliseconds since 1970.
    pub at_ms: u64,
}

/// Asks what happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct ListLog {
    /// In which folder.
    pub folder: String,
    /// Before the entry with this number; the newest if it is not said.
    pub before: Option<i64>,
    /// So many entries; at most 1000.
    pub limit: u32,
    /// Only where the path contains this.
    pub filter: Option<String>,
}

/// Something that happened in a folder, or many alike at once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct LogEntry {
    /// Newer ones have higher numbers.
    pub id: i64,
    /// When it was seen here, milliseconds since 1970.
    pub at_ms: u64,
    /// By which device: its name.
    pub by: String,
    /// Whether that is this one.
    pub mine: bool,
    /// What: `added`, `edited`, `moved`, `deleted`, or `mode`.
    pub what: String,
    /// Where; of many, the directory that they have in common.
    pub path: String,
    /// Of what was moved, from where, if that is known.
    pub from: Option<String>,
    /// Bytes.
    pub size: u64,
    /// How many.
    pub count: u64,
}

/// A version of a file that lies on this device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct FileVersion {
    /// Names it; `current` is what the disk shows.
    pub id: String,
    /// Bytes.
    pub size: u64,
    /// When it was replaced or deleted, milliseconds since 1970; of the current one, its last change.
    pub at_ms: u64,
    /// Why it is not the current one: `current`, `replaced` or `deleted`.
    pub reason: String,
}

/// Puts an older version back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Restore {
    /// In which folder.
    pub folder: String,
    /// Where.
    pub path: String,
    /// Which version: its `id`.
    pub version: String,
}

/// What was put back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Restored {
    /// Where.
    pub path: String,
}

/// Asks for bytes to look at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Cat {
    /// In which folder.
    pub folder: String,
    /// Where.
    pub path: String,
    /// Which side: `mine` (what is here), `theirs`, `base`, a device, or the id of a version.
    pub side: String,
}

/// What bytes are, as far as a person can look at them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
#[serde(rename_all = "snake_case")]
pub enum ContentKind {
    /// Text in UTF-8.
    Text,
    /// A picture.
    Image,
    /// Something else.
    Binary,
    /// More than is shown: text of more than 1 MiB, anything of more than 8 MiB.
    TooLarge,
    /// A deletion, or a directory.
    Nothing,
}

/// Bytes to look at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Content {
    /// What they are.
    pub kind: ContentKind,
    /// How many.
    pub size: u64,
    /// Of a picture, its type.
    pub mime: Option<String>,
    /// Of text.
    pub text: Option<String>,
    /// Of a picture, all of it; of what is neither, the first 256 bytes.
    pub base64: Option<String>,
}

/// Asks how two sides differ.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Diff {
    /// In which folder.
    pub folder: String,
    /// Where.
    pub path: String,
    /// One side, as of [`Cat`].
    pub left: String,
    /// The other.
    pub right: String,
}

/// How two sides differ.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Differs {
    /// They are the same.
    pub same: bool,
    /// What one is.
    pub left: ContentKind,
    /// What the other is.
    pub right: ContentKind,
    /// If both are text, the unified diff.
    pub diff: Option<String>,
}

/// Patterns, and what they match.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Ignored {
    /// The patterns, one a line, as in a `.gitignore`.
    pub text: String,
    /// The first paths that they match; of a directory what is in it is not listed.
    pub matched: Vec<String>,
    /// How many they match.
    pub count: u64,
    /// All of the folder was looked at: in a very large one, a part is.
    pub whole: bool,
    /// Lines that cannot be understood.
    pub bad: Vec<String>,
}

/// Asks what patterns match.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct PreviewIgnore {
    /// In which folder.
    pub folder: String,
    /// Which patterns; those that the folder has if it is not said.
    pub text: Option<String>,
}

/// Writes the patterns of a folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct SetIgnore {
    /// Of which folder.
    pub folder: String,
    /// The patterns.
    pub text: String,
}

/// Limits, in bytes a second; 0 for none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema, Type)]
pub struct SetLimits {
    /// Of one device; of all together if it is not said.
    pub device: Option<String>,
    /// Out of this device; left as it is if it is not said.
    pub up: Option<u32>,
    /// Into it.
    pub down: Option<u32>,
}

/// A limit that is set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, Type)]
pub struct Limit {
    /// Of which device; of all together if there is none.
    pub device: Option<String>,
    /// Bytes a second out of this device.
    pub up: Option<u32>,
    /// Bytes a second into it.
    pub down: Option<u32>,
}

/// Something happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema, Type)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A folder's state, counts, conflicts or problems are others than before.
    Folder {
        /// The folder.
        folder: Box<FolderStatus>,
    },
    /// A folder is not here any more.
    FolderGone {
        /// Its id.
        id: String,
    },
    /// Changes are about to be applied.
    Applying {
        /// The folder's id.
        id: String,
        /// The folder's name.
        folder: String,
        /// Where: the path of the replica.
        #[schema(value_type = String)]
        path: PathBuf,
        /// How many.
        steps: u64,
    },
    /// How far they are.
    Progress {
        /// The folder's id.
        id: String,
        /// The folder's name.
        folder: String,
        /// Bytes brought.
        bytes: u64,
        /// Of so many.
        of: u64,
    },
    /// A device is connected.
    Connected {
        /// Its id.
        device: String,
        /// Its name.
        name: String,
        /// How.
        connection: ConnectionKind,
    },
    /// It is not any more.
    Disconnected {
        /// Its id.
        device: String,
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// Someone came with a ticket.
    Joined {
        /// The folder's name.
        folder: String,
        /// The device's id.
        device: String,
        /// Its name.
        name: String,
        /// What it may do.
        role: Role,
    },
    /// Something that a person should know.
    Notice {
        /// What.
        message: String,
    },
}
