//! Bytes that other devices have: fetched into files of the engine's own, verified. Small files come many at a time. Of a large one
//! only the chunks come that are not here; what has come is kept if the rest does not, so that the next try goes on from there.

use crate::fs::{Extras, Fs, FsError, ReadFile, WriteFile};
use crate::read::UntilStopped;
use crate::stage::{Copied, Moved, StageError, Supply, copy_chunks};
use crate::turns::Bringing;
use bifold_chunk::{Chunk, ChunkId, ChunkList, Manifest, Source, Verifier, runs};
use bifold_tree::{ContentId, Wanted};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

/// The directory that keeps what has come of large files.
pub const PARTIAL: &str = ".bifold/partial";
/// Files of up to so many bytes are fetched whole, if nothing like them is here.
const SMALL: u64 = 256 << 10;
/// The same, if there is something like them.
const SMALL_WITH_OLD: u64 = 32 << 10;
/// Most small files that are asked for at a time.
pub(crate) const WINDOW_FILES: usize = 512;
/// Most bytes of small files that are asked for at a time, but for one file.
pub(crate) const WINDOW_BYTES: u64 = 1 << 20;
/// Chunks that may wait to be written.
const AHEAD: usize = 16;

/// Other devices, as far as they can be reached now. What they send is verified by whoever asks.
pub trait Far: Send + Sync {
    /// Requests that may be under way at a time, where many are needed.
    fn at_once(&self) -> usize {
        4
    }
    /// Fetches whole contents. Each that someone has is passed on as it comes, with its number in `wanted`; where `take` says that these are
    /// not the bytes, the next one is asked.
    fn contents(&self, wanted: &[(ContentId, u64)], take: &mut dyn FnMut(usize, &[u8]) -> bool);
    /// Fetches the chunk list of a content; only what differs from that of another one, if there is one.
    fn manifest(&self, content: ContentId, size: u64, have: Option<&Manifest>) -> Option<Manifest>;
    /// Fetches chunks of a content, each with its offset, from everyone who has it. They are passed on in this order, each verified, until
    /// `give` says that no more are wanted. Says whether all were.
    fn chunks(&self, content: ContentId, wanted: &[(u64, Chunk)], give: &mut dyn FnMut(Vec<u8>) -> bool) -> bool;
}

/// A file that was brought.
pub(crate) struct Brought {
    pub(crate) path: String,
    pub(crate) moved: Moved,
    /// Its chunks, if they are several.
    pub(crate) chunks: Option<Arc<ChunkList>>,
}

/// Whether a file is fetched whole, with others.
pub(crate) fn is_small(size: u64, supply: &Supply) -> bool {
    size <= if supply.old.is_empty() { SMALL } else { SMALL_WITH_OLD }
}

/// Puts a small file at `path`. `None`: these are not the bytes.
pub(crate) fn write_small(
    fs: &dyn Fs,
    path: &str,
    wanted: &Wanted,
    bytes: &[u8],
    replaced: Option<&Extras>,
) -> Result<Option<Brought>, FsError> {
    let mut verifier = Verifier::new(wanted.id(), wanted.size);
    if verifier.update(bytes).is_err() {
        return Ok(None);
    }
    let Ok(hashed) = verifier.finish() else { return Ok(None) };
    let mut out = fs.create(path)?;
    if let Some(replaced) = replaced {
        out.give(replaced, true);
    }
    let written = out.append(bytes).and_then(|()| out.finish(wanted.exec, wanted.mtime_ns));
    if let Err(e) = written {
        let _ = fs.remove_file(path);
        return Err(e);
    }
    Ok(Some(Brought {
        path: path.to_owned(),
        moved: Moved {
            copied: wanted.size,
            reused: 0,
        },
        chunks: hashed.chunks.map(Arc::new),
    }))
}

/// Fetches a file from other devices; a small one to `path`.
pub(crate) fn fetch(
    fs: &dyn Fs,
    path: &str,
    wanted: &Wanted,
    supply: &Supply,
    replaced: Option<&Extras>,
    far: &dyn Far,
    bringing: Bringing<'_>,
) -> Result<Brought, StageError> {
    let whole = || {
        let mut written = None;
        far.contents(&[(wanted.id(), wanted.size)], &mut |_, bytes| {
            written = Some(write_small(fs, path, wanted, bytes, replaced));
            !matches!(written, Some(Ok(None)))
        });
        match written {
            Some(Ok(Some(brought))) => Ok(brought),
            Some(Ok(None)) | None => Err(StageError::Missing),
            Some(Err(e)) => Err(StageError::Target(e)),
        }
    };
    if is_small(wanted.size, supply) {
        return whole();
    }
    match bring_large(fs, wanted, supply, replaced, far, bringing) {
        // It may be of one chunk, of which there is no list.
        Err(StageError::Missing) if wanted.size <= SMALL => whole(),
        brought => brought,
    }
}

/// Fetches a large file, of which parts may be here.
fn bring_large(
    fs: &dyn Fs,
    wanted: &Wanted,
    supply: &Supply,
    replaced: Option<&Extras>,
    far: &dyn Far,
    bringing: Bringing<'_>,
) -> Result<Brought, StageError> {
    let stop = bringing.stop;
    let content = wanted.id();
    let list = match &supply.chunks {
        Some(list) => list.clone(),
        None => {
            let have = supply.old.first().map(|(_, list)| Manifest::new(ChunkList::clone(list)));
            let manifest = far.manifest(content, wanted.size, have.as_ref()).ok_or(StageError::Missing)?;
            Arc::new(manifest.into_list())
        }
    };
    let path = format!("{PARTIAL}/{}-{:x}", content.hex(), wanted.size);
    let before = format!("{path}.before");
    let kept = keep_longest(fs, &path, &before, &list, stop).map_err(StageError::Target)?;
    let mut out = fs.create(&path).map_err(StageError::Target)?;
    if let Some(replaced) = replaced {
        out.give(replaced, true);
    }
    let here = Here {
        fs,
        supply,
        before: (kept > 0).then_some(before.as_str()),
        bringing,
    };
    match assemble(&here, &list, kept, content, far, out.as_mut()) {
        Ok(moved) => {
            out.finish(wanted.exec, wanted.mtime_ns).map_err(StageError::Target)?;
            let _ = fs.remove_file(&before);
            Ok(Brought {
                path,
                moved,
                chunks: Some(list),
            })
        }
        // What came stays, but on a disk that refuses.
        Err(None) => Err(StageError::Missing),
        Err(Some(e)) => {
            drop(out);
            if matches!(e, FsError::Full) {
                let _ = fs.remove_file(&path);
                // What came before takes room that the file itself may need: without it, all is fetched anew.
                if kept > 0 && fs.remove_file(&before).is_ok() {
                    return bring_large(fs, wanted, supply, replaced, far, bringing);
                }
            }
            Err(StageError::Target(e))
        }
    }
}

/// Of what has come of a file before, keeps the longest under the second name; says how many of its chunks are good.
fn keep_longest(fs: &dyn Fs, path: &str, before: &str, list: &ChunkList, stop: &AtomicBool) -> Result<usize, FsError> {
    if stop.load(Ordering::Relaxed) {
        return Err(FsError::Other(std::io::ErrorKind::Interrupted.into()));
    }
    let [newer, older] = [path, before].map(|p| good_chunks(fs, p, list, stop));
    let gone = |p: &str| match fs.remove_file(p) {
        Ok(()) | Err(FsError::NotFound) => Ok(()),
        Err(e) => Err(e),
    };
    if newer > older {
        gone(before)?;
        fs.rename(path, before)?;
        return Ok(newer);
    }
    gone(path)?;
    if older == 0 {
        gone(before)?;
    }
    Ok(older)
}

/// How many of a file's first chunks are those of a list.
fn good_chunks(fs: &dyn Fs, path: &str, list: &ChunkList, stop: &AtomicBool) -> usize {
    let Ok(mut file) = UntilStopped::open(fs, path, stop) else {
        return 0;
    };
    let mut block = Vec::new();
    let mut good = 0;
    for (offset, chunk) in list.with_offsets() {
        block.resize(chunk.length as usize, 0);
        let mut filled = 0;
        while filled < block.len() {
            match file.read_at(&mut block[filled..], offset + filled as u64) {
                Ok(n) if n > 0 => filled += n,
                _ => return good,
            }
        }
        if ChunkId::of(&block) != chunk.id {
            return good;
        }
        good += 1;
    }
    good
}

/// What is on the disk already.
struct Here<'a> {
    fs: &'a dyn Fs,
    supply: &'a Supply,
    /// What came before, and was cut.
    before: Option<&'a str>,
    bringing: Bringing<'a>,
}

/// Puts a file together from chunks that are here, and those that come.
fn assemble(
    here: &Here<'_>,
    list: &ChunkList,
    kept: usize,
    content: ContentId,
    far: &dyn Far,
    out: &mut dyn WriteFile,
) -> Copied<Moved> {
    let mut lists: Vec<&[Chunk]> = here.supply.old.iter().map(|(_, list)| list.chunks()).collect();
    lists.push(&list.chunks()[..kept]);
    let runs = runs(&lists, list.chunks());
    let offsets: Vec<u64> = list.with_offsets().map(|(offset, _)| offset).collect();
    let new = runs.iter().filter(|run| run.source == Source::New);
    let lacking: Vec<(u64, Chunk)> = new
        .flat_map(|run| run.chunks.clone())
        .map(|i| (offsets[i], list.chunks()[i]))
        .collect();
    let stop = here.bringing.stop;
    let open = |fs: &dyn Fs, path: &str| UntilStopped::open(fs, path, stop).ok();
    let mut files: Vec<Option<UntilStopped<'_>>> = here.supply.old.iter().map(|(o, _)| open(o.fs.as_ref(), &o.path)).collect();
    files.push(here.before.and_then(|path| open(here.fs, path)));
    let (send, receive) = sync_channel::<Vec<u8>>(AHEAD);
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| {
            let send = send;
            lacking.is_empty()
                || far.chunks(content, &lacking, &mut |bytes| {
                    !stop.load(Ordering::Relaxed) && send.send(bytes).is_ok()
                })
        });
        // (The receiver goes with this block: whoever still fetches then stops.)
        let receive = receive;
        let mut moved = Moved::default();
        let mut write = || -> Copied<()> {
            for run in &runs {
                let chunks = &list.chunks()[run.chunks.clone()];
                match run.source {
                    Source::Old { file, offset } => {
                        let from: &mut dyn ReadFile = files.get_mut(file).and_then(Option::as_mut).ok_or(None)?;
                        copy_chunks(from, offset, chunks, out)?;
                        here.bringing.came(run.length);
                        moved.reused += run.length;
                    }
                    Source::New => {
                        for chunk in chunks {
                            let bytes = receive.recv().map_err(|_| None)?;
                            debug_assert_eq!(bytes.len(), chunk.length as usize);
                            out.append(&bytes).map_err(Some)?;
                            here.bringing.came(bytes.len() as u64);
                        }
                        moved.copied += run.length;
                    }
                }
            }
            Ok(())
        };
        let written = write();
        drop(receive);
        let _ = fetching.join();
        written.map(|()| moved)
    })
}
