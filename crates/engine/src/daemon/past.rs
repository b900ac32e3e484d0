//! What was before: the log, older versions of files, and the bytes of a side.

use crate::carry::{Carrier, UNKNOWN, with_bytes};
use crate::core::{Core, Input};
use crate::daemon::face::{
    Cat, Content, ContentKind, Diff, Differs, FileVersion, ListLog, LogEntry, Restore, Restored, Trouble, TroubleKind, Where,
};
use crate::daemon::look::side_content;
use crate::daemon::{Daemon, bad, failed, not_found};
use crate::run::{Door, wall_ms};
use bifold_chunk::{Chunker, Verifier};
use bifold_disk::far::Far;
use bifold_disk::fs::{Fs, FsError};
use bifold_disk::restore::What;
use bifold_disk::scan::Scope;
use bifold_disk::stage::{HISTORY, Origin};
use bifold_store::{Reason, Taken};
use bifold_tree::{ContentId, Kind, ReplicaId};
use data_encoding::BASE64;
use std::sync::atomic::AtomicBool;

/// Entries of the log that are told at a time.
const MOST_ENTRIES: usize = 1000;
/// Text of more bytes is not shown.
const MOST_TEXT: u64 = 1 << 20;
/// Pictures, and what is fetched to be looked at, of more bytes neither.
const MOST_BYTES: u64 = 8 << 20;
/// Bytes that are shown of what is neither.
const FIRST_BYTES: usize = 256;
/// The version that the disk shows.
pub(crate) const CURRENT: &str = "current";

/// Where bytes are that are to be looked at.
enum Found {
    /// Nothing: it was deleted there, or is a directory.
    Nothing,
    /// Here.
    Here(Vec<Origin>, Option<(ContentId, u64)>),
}

impl Daemon {
    /// What happened in a folder, newest first.
    ///
    /// # Errors
    /// If there is no such folder, or it does not run.
    pub async fn log(&self, list: ListLog) -> Result<Vec<LogEntry>, Trouble> {
        let number = self.find(&list.folder)?;
        let (door, replicas) = self.door(number)?;
        let (_, names, _) = self.replica_names(number)?;
        let me = self.lock().file.name.clone();
        let limit = (list.limit as usize).clamp(1, MOST_ENTRIES);
        let own = replicas[0];
        let part = list.filter.unwrap_or_default();
        let asked = door.ask(move |_, carrier| carrier.store().log(own, list.before, &part, limit));
        let entries = asked.await.ok_or_else(|| failed("the folder ended"))??;
        let name = |id: ReplicaId| match names.get(&id) {
            _ if id == own => me.clone(),
            Some(name) => name.clone(),
            None => "a device that is not in the folder any more".to_owned(),
        };
        let told = entries.into_iter().map(|entry| LogEntry {
            id: entry.id,
            at_ms: entry.time_ms,
            by: name(entry.happened.by),
            mine: entry.happened.by == own,
            what: entry.happened.deed.word().into(),
            path: entry.happened.path,
            from: entry.happened.from,
            size: entry.happened.size,
            count: entry.happened.count,
        });
        Ok(told.collect())
    }

    /// The versions of a file that lie on this device: the one that its disk shows, and those in the history, newest first.
    ///
    /// # Errors
    /// If there is no such folder, or it does not run.
    pub async fn versions(&self, at: Where) -> Result<Vec<FileVersion>, Trouble> {
        let (door, replicas) = self.door(self.find(&at.folder)?)?;
        let path = clean(&at.path);
        let asked = door.ask(move |core, carrier| {
            let mut versions = Vec::new();
            if let Some(shown) = core.replica(replicas[0]).and_then(|r| r.recorded_at(&path))
                && shown.kind != Kind::Dir
            {
                versions.push(FileVersion {
                    id: CURRENT.into(),
                    size: shown.print.size,
                    at_ms: u64::try_from(shown.print.mtime_ns / 1_000_000).unwrap_or(0),
                    reason: CURRENT.into(),
                });
            }
            let kept = carrier.store().history_at(replicas[0], &path)?;
            versions.extend(kept.into_iter().map(|taken| FileVersion {
                id: taken.stored,
                size: taken.size,
                at_ms: taken.time_ms,
                reason: match taken.reason {
                    Reason::Replaced => "replaced".into(),
                    Reason::Deleted => "deleted".into(),
                },
            }));
            Ok::<_, Trouble>(versions)
        });
        asked.await.ok_or_else(|| failed("the folder ended"))?
    }

    /// Puts an older version back, as an edit of this device's; what stands there goes to the history.
    ///
    /// # Errors
    /// If there is no such version, or the disk refuses.
    pub async fn restore(&self, restore: Restore) -> Result<Restored, Trouble> {
        let (door, replicas) = self.door(self.find(&restore.folder)?)?;
        let (own, path, id) = (replicas[0], clean(&restore.path), restore.version);
        let at = path.clone();
        let asked = door.ask(move |_, carrier| {
            let kept = carrier.store().history_at(own, &at)?;
            let found = kept.into_iter().find(|taken| taken.stored == id);
            found.ok_or_else(|| {
                not_found(format!("there is no version {id:?} of {at}"))
                    .hint("bifold versions FOLDER PATH lists those that there are.")
            })
        });
        let taken = asked.await.ok_or_else(|| failed("the folder ended"))??;
        put_at(&door, own, &path, ToPut::File(format!("{HISTORY}/{}", taken.stored))).await?;
        Ok(Restored { path })
    }

    /// The bytes of a side of a conflict, of what is here, or of an older version, to be looked at.
    ///
    /// # Errors
    /// If there is no such path, side or version, or its bytes cannot be had.
    pub async fn cat(&self, cat: Cat) -> Result<Content, Trouble> {
        let bytes = self.bytes(&cat).await?;
        Ok(shown(bytes))
    }

    /// How two sides differ, line by line.
    ///
    /// # Errors
    /// As [`cat`](Self::cat).
    pub async fn diff(&self, diff: Diff) -> Result<Differs, Trouble> {
        let of = |side: String| Cat {
            folder: diff.folder.clone(),
            path: diff.path.clone(),
            side,
        };
        let left = self.cat(of(diff.left)).await?;
        let right = self.cat(of(diff.right)).await?;
        let diff = match (&left.text, &right.text) {
            (Some(a), Some(b)) => {
                let lines = similar::TextDiff::configure()
                    .timeout(std::time::Duration::from_secs(2))
                    .diff_lines(a, b);
                Some(lines.unified_diff().context_radius(3).to_string())
            }
            _ => None,
        };
        Ok(Differs {
            same: left == right && left.kind != ContentKind::TooLarge,
            left: left.kind,
            right: right.kind,
            diff,
        })
    }

    async fn bytes(&self, cat: &Cat) -> Result<Bytes, Trouble> {
        let number = self.find(&cat.folder)?;
        let (door, replicas) = self.door(number)?;
        let (path, side) = (clean(&cat.path), cat.side.clone());
        let device: Option<Vec<u64>> = match side.as_str() {
            "mine" | "theirs" | "base" | CURRENT => None,
            name => self.find_device(name).ok().map(|device| {
                let state = self.lock();
                let known = state.folders.get(&number).and_then(|f| f.file.known(device));
                known
                    .map(|k| k.replicas.iter().map(|name| name.id).collect())
                    .unwrap_or_default()
            }),
        };
        let found = door.ask(move |core, carrier| find(core, carrier, &replicas, &path, &side, device.as_deref()));
        let found = found.await.ok_or_else(|| failed("the folder ended"))??;
        let far = self
            .lock()
            .folders
            .get(&number)
            .and_then(|f| f.running.as_ref().map(|r| r.far.clone()));
        let read = tokio::task::spawn_blocking(move || read(found, far.as_deref()));
        match read.await.map_err(|e| failed(e.to_string()))? {
            // (Whoever edits a file in its place leaves nothing of what was there.)
            Err(trouble) if trouble.kind == TroubleKind::Unreachable && cat.side == "base" => Err(not_found(
                "what the sides had in common is kept nowhere any more: each was written over it",
            )),
            read => read,
        }
    }
}

/// Bytes that a person wants somewhere.
pub(crate) enum ToPut {
    /// These.
    Bytes(Vec<u8>),
    /// Those of a file below the same root.
    File(String),
}

/// Puts a file where a person wants it, and notes what stood there, which is in the history then.
pub(crate) async fn put_at(door: &Door, own: ReplicaId, path: &str, what: ToPut) -> Result<(), Trouble> {
    let root = door.ask(move |_, carrier| carrier.root(own).cloned());
    let root = root.await.flatten().ok_or_else(|| failed("the folder ended"))?;
    let (now, at) = (wall_ms(), path.to_owned());
    let put = tokio::task::spawn_blocking(move || {
        let what = match &what {
            ToPut::Bytes(bytes) => What::Bytes(bytes),
            ToPut::File(path) => What::File(path),
        };
        let away = root.put(&at, &what, now)?;
        Ok(away.and_then(|away| {
            let taken = Taken {
                replica: own,
                stored: away.stored,
                content: UNKNOWN,
                path: at,
                time_ms: now,
                reason: Reason::Replaced,
                size: away.size,
            };
            with_bytes(root.fs.as_ref(), taken, &AtomicBool::new(false), &mut Chunker::new()).map(|(taken, _)| taken)
        }))
    });
    let put = put.await.map_err(|e| failed(e.to_string()))?;
    // (If it is not noted, a later tidying up finds it.)
    let noted = match &put {
        Ok(Some(taken)) => {
            let taken = taken.clone();
            door.ask(move |core, carrier| carrier.note(core, &taken)).await.transpose()
        }
        _ => Ok(None),
    };
    // (Also where it failed: what could not be put back is put back before the scan.)
    let _ = door.tell(Input::Dirty(own, Scope::Paths(vec![path.to_owned()]))).await;
    put.map_err(|e| refused(path, &e))?;
    noted?;
    Ok(())
}

enum Bytes {
    Nothing,
    TooLarge(u64),
    Some(Vec<u8>, u64),
}

fn find(
    core: &mut Core,
    carrier: &Carrier,
    replicas: &[ReplicaId],
    path: &str,
    side: &str,
    device: Option<&[u64]>,
) -> Result<Found, Trouble> {
    let own = replicas[0];
    let root = carrier.root(own).ok_or_else(|| failed("the folder ended"))?;
    let local = |path: String| Origin {
        fs: root.fs.clone(),
        path,
        local: true,
    };
    if let Some(content) = side_content(core, path, side, device, replicas)? {
        return Ok(match content {
            None => Found::Nothing,
            Some((id, size)) => Found::Here(carrier.places_of(core, id), Some((id, size))),
        });
    }
    match side {
        "mine" | CURRENT => match core.replica(own).and_then(|r| r.recorded_at(path)) {
            Some(shown) if shown.kind == Kind::File => Ok(Found::Here(vec![local(path.to_owned())], None)),
            Some(_) => Ok(Found::Nothing),
            None => Err(not_found(format!("there is nothing at {path}"))),
        },
        "base" | "theirs" => Err(not_found(format!("there is no conflict at {path}")).hint("bifold conflicts lists them.")),
        version => {
            let kept = carrier.store().history_at(own, path)?;
            match kept.into_iter().find(|taken| taken.stored == version) {
                Some(taken) => Ok(Found::Here(vec![local(format!("{HISTORY}/{}", taken.stored))], None)),
                None => Err(not_found(format!("{version:?} is neither a side nor a version of {path}"))
                    .hint("Say mine, theirs, base, a device, or a version that bifold versions lists.")),
            }
        }
    }
}

fn read(found: Found, far: Option<&dyn Far>) -> Result<Bytes, Trouble> {
    let (places, content) = match found {
        Found::Nothing => return Ok(Bytes::Nothing),
        Found::Here(places, content) => (places, content),
    };
    for place in places {
        match first_bytes(place.fs.as_ref(), &place.path) {
            Ok((bytes, size)) if content.is_none_or(|(id, of)| of == size && is(&bytes, id, of)) => {
                return Ok(if size > MOST_BYTES {
                    Bytes::TooLarge(size)
                } else {
                    Bytes::Some(bytes, size)
                });
            }
            Ok(_) => {}
            Err(e) if content.is_none() => return Err(refused(&place.path, &e)),
            Err(_) => {}
        }
    }
    let Some((id, size)) = content else {
        return Err(failed("its bytes are not here any more"));
    };
    if size > MOST_BYTES {
        return Ok(Bytes::TooLarge(size));
    }
    let mut got = None;
    if let Some(far) = far {
        far.contents(&[(id, size)], &mut |_, bytes| {
            let good = is(bytes, id, size);
            if good {
                got = Some(bytes.to_vec());
            }
            good
        });
    }
    match got {
        Some(bytes) => Ok(Bytes::Some(bytes, size)),
        None => Err(Trouble::new(
            TroubleKind::Unreachable,
            "its bytes are on a device that is not connected now",
        )
        .hint("Look again when that device is there. To pick it, it need not be.")),
    }
}

/// Whether bytes, of which there may be more, are those of a content; of what is too large to be shown that is not asked.
fn is(bytes: &[u8], content: ContentId, size: u64) -> bool {
    let mut verifier = Verifier::new(content, size);
    size > MOST_BYTES || (verifier.update(bytes).is_ok() && verifier.finish().is_ok())
}

/// What a file has, up to a bit more than is shown, and its size.
fn first_bytes(fs: &dyn Fs, path: &str) -> Result<(Vec<u8>, u64), FsError> {
    let mut file = fs.open(path)?;
    let size = file.stat()?.print.size;
    let mut bytes = vec![0; usize::try_from(size.min(MOST_BYTES)).unwrap_or(0)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok((bytes, size))
}

/// As a person can look at it.
fn shown(bytes: Bytes) -> Content {
    let mut content = Content {
        kind: ContentKind::Nothing,
        size: 0,
        mime: None,
        text: None,
        base64: None,
    };
    match bytes {
        Bytes::Nothing => {}
        Bytes::TooLarge(size) => (content.kind, content.size) = (ContentKind::TooLarge, size),
        Bytes::Some(bytes, size) => {
            content.size = size;
            if let Some(mime) = picture(&bytes) {
                content.kind = ContentKind::Image;
                content.mime = Some(mime.into());
                content.base64 = Some(BASE64.encode(&bytes));
            } else if let Some(text) = std::str::from_utf8(&bytes).ok().filter(|text| !text.contains('\0')) {
                content.kind = if size > MOST_TEXT {
                    ContentKind::TooLarge
                } else {
                    ContentKind::Text
                };
                content.text = (size <= MOST_TEXT).then(|| text.to_owned());
            } else {
                content.kind = ContentKind::Binary;
                content.base64 = Some(BASE64.encode(&bytes[..bytes.len().min(FIRST_BYTES)]));
            }
        }
    }
    content
}

/// The kind of a picture, by how it begins.
fn picture(bytes: &[u8]) -> Option<&'static str> {
    let begins: [(&[u8], &'static str); 5] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
    ];
    let found = begins
        .into_iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map(|(_, mime)| mime);
    let riff = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    // A text may begin with the letters BM.
    let found = found.filter(|mime| *mime != "image/bmp" || bytes.contains(&0));
    found.or(riff.then_some("image/webp"))
}

pub(crate) fn clean(path: &str) -> String {
    path.trim_start_matches("./").trim_matches('/').to_owned()
}

fn refused(path: &str, error: &FsError) -> Trouble {
    match error {
        FsError::Exists => bad(format!("a directory stands at {path}")).hint("Move it away first."),
        FsError::Full => failed(format!("{path}: the disk is full")).hint("Make room, and try again."),
        error => failed(format!("{path}: {error}")),
    }
}
