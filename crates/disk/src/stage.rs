//! Staging: a file's bytes are put together under a name of the engine's own, on the target's file system, and verified,
//! before anything of the user's is touched.

use crate::ahead::{BLOCK, LARGE, Maker, both};
use crate::fs::{Extras, Fs, FsError, ReadFile, WriteFile};
use crate::read::{Reader, UntilStopped};
use bifold_chunk::{Chunk, ChunkId, ChunkList, Source, Verifier, runs};
use bifold_tree::{ContentId, Stat, Wanted};
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The directory in which files are staged.
pub const STAGE: &str = ".bifold/stage";
/// The directory that keeps what was replaced or deleted.
pub const HISTORY: &str = ".bifold/history";

/// Where some content lies, as far as is known. It is verified whenever it is used.
#[derive(Clone)]
pub struct Origin {
    /// The file system.
    pub fs: Arc<dyn Fs>,
    /// The file.
    pub path: String,
    /// Whether it is on the target's own disk: then nothing is transferred.
    pub local: bool,
}

/// All that is known of how to get some bytes.
#[derive(Clone, Default)]
pub struct Supply {
    /// Files with exactly these bytes, the nearest first.
    pub origins: Vec<Origin>,
    /// The chunks of the bytes, if they are several.
    pub chunks: Option<Arc<ChunkList>>,
    /// Files on the target's disk that may have some of the chunks.
    pub old: Vec<(Origin, Arc<ChunkList>)>,
}

/// How many bytes came from where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// From another replica.
    pub copied: u64,
    /// From the target's own disk.
    pub reused: u64,
}

/// Why nothing was staged.
#[derive(Debug)]
pub enum StageError {
    /// None of the origins has these bytes (any more).
    Missing,
    /// The target's disk refused.
    Target(FsError),
}

/// Puts a file's bytes together at `path`, verified. What could not be finished is removed. `replaced`: what the file has
/// besides its bytes in whose place this one is to be put.
///
/// # Errors
/// If the bytes are nowhere, or the disk refuses, or the program is to stop (then they are said to be nowhere).
pub fn stage(
    fs: &dyn Fs,
    path: &str,
    wanted: &Wanted,
    content: ContentId,
    supply: &Supply,
    replaced: Option<&Extras>,
    stop: &AtomicBool,
) -> Result<(Stat, Moved), StageError> {
    if content == ContentId::empty() {
        let made = fs.create(path).and_then(|mut out| {
            like(out.as_mut(), replaced, supply, None);
            out.finish(wanted.exec, wanted.mtime_ns)
        });
        return made.map(|stat| (stat, Moved::default())).map_err(StageError::Target);
    }
    let mut tries: Vec<Option<&Origin>> = Vec::new();
    if supply.chunks.is_some() && !supply.old.is_empty() {
        tries.push(None);
    }
    // What is here already is nearest; after that, parts of it.
    tries.splice(0..0, supply.origins.iter().filter(|o| o.local).map(Some));
    tries.extend(supply.origins.iter().filter(|o| !o.local).map(Some));
    for origin in tries {
        let mut out = fs.create(path).map_err(StageError::Target)?;
        like(out.as_mut(), replaced, supply, origin);
        let result = match origin {
            Some(origin) => copy(origin, wanted.size, content, supply.chunks.as_deref(), stop, out.as_mut()),
            None => assemble(supply, wanted.size, stop, out.as_mut()),
        };
        match result {
            Ok(moved) => match out.finish(wanted.exec, wanted.mtime_ns) {
                Ok(stat) => return Ok((stat, moved)),
                Err(e) => {
                    let _ = fs.remove_file(path);
                    return Err(StageError::Target(e));
                }
            },
            Err(e) => {
                drop(out);
                let _ = fs.remove_file(path);
                if let Some(e) = e {
                    return Err(StageError::Target(e));
                }
            }
        }
    }
    Err(StageError::Missing)
}

/// Gives a new file what is not synced, but is not to be lost either: permissions and attributes of the file that it replaces,
/// and the attributes of the one that it is a copy of. Who may not read that one may not read the copy.
fn like(out: &mut dyn WriteFile, replaced: Option<&Extras>, supply: &Supply, origin: Option<&Origin>) {
    let model = supply
        .origins
        .iter()
        .find(|o| !o.local)
        .or(origin)
        .filter(|o| !o.path.is_empty());
    let model = model.and_then(|o| Some(o.fs.open(&o.path).ok()?.extras()));
    if let Some(model) = &model {
        out.give(model, false);
    }
    if let Some(replaced) = replaced {
        out.give(replaced, true);
    }
}

/// `Err(None)`: these are not the bytes (any more), another origin may have them; `Err(Some)`: the target's disk refused.
pub(crate) type Copied<T> = Result<T, Option<FsError>>;

/// Copies a whole file, verifying it: by its known chunks where there are several. `Err(None)`: these are not the bytes.
fn copy(
    origin: &Origin,
    size: u64,
    content: ContentId,
    chunks: Option<&ChunkList>,
    stop: &AtomicBool,
    out: &mut dyn WriteFile,
) -> Copied<Moved> {
    let mut file = UntilStopped::open(origin.fs.as_ref(), &origin.path, stop).map_err(|_| None)?;
    match chunks {
        Some(list) => copy_chunks(&mut file, 0, list.chunks(), out)?,
        None => {
            let mut verifier = Verifier::new(content, size);
            let mut reader = Reader {
                file: &mut file,
                offset: 0,
            };
            let mut block = vec![0; BLOCK.min(usize::try_from(size).unwrap_or(BLOCK).saturating_add(1))];
            loop {
                let n = reader.read(&mut block).map_err(|_| None)?;
                if n == 0 {
                    break;
                }
                verifier.update(&block[..n]).map_err(|_| None)?;
                out.append(&block[..n]).map_err(Some)?;
            }
            verifier.finish().map_err(|_| None)?;
        }
    }
    Ok(if origin.local {
        Moved { copied: 0, reused: size }
    } else {
        Moved { copied: size, reused: 0 }
    })
}

/// Copies chunks that lie in a row, verifying each; many of them are read and verified by a second thread.
pub(crate) fn copy_chunks(file: &mut dyn ReadFile, offset: u64, chunks: &[Chunk], out: &mut dyn WriteFile) -> Copied<()> {
    let length: u64 = chunks.iter().map(|c| u64::from(c.length)).sum();
    if length < LARGE {
        let mut block = Vec::new();
        return blocks(file, offset, chunks, &mut block, &mut |block| out.append(block).map_err(Some));
    }
    let make = |maker: &Maker| {
        let mut block = maker.block();
        blocks(file, offset, chunks, &mut block, &mut |block| {
            let full = std::mem::replace(block, maker.block());
            if maker.give(full) { Ok(()) } else { Err(None) }
        })
    };
    let (made, taken) = both(make, |taker| {
        while let Some(block) = taker.next() {
            out.append(block).map_err(Some)?;
        }
        Ok::<(), Option<FsError>>(())
    });
    taken?;
    made.unwrap_or(Err(None))
}

/// Reads chunks that lie in a row, as many at a time as fit in a block, and passes them on once each is verified.
fn blocks(
    file: &mut dyn ReadFile,
    offset: u64,
    chunks: &[Chunk],
    block: &mut Vec<u8>,
    give: &mut dyn FnMut(&mut Vec<u8>) -> Copied<()>,
) -> Copied<()> {
    let mut offset = offset;
    let mut rest = chunks;
    while !rest.is_empty() {
        let mut count = 0;
        let mut length = 0usize;
        while count < rest.len() && (count == 0 || length + rest[count].length as usize <= BLOCK) {
            length += rest[count].length as usize;
            count += 1;
        }
        block.resize(length, 0);
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut block[filled..], offset + filled as u64).map_err(|_| None)? {
                0 => return Err(None),
                n => filled += n,
            }
        }
        let mut at = 0;
        for chunk in &rest[..count] {
            let bytes = &block[at..at + chunk.length as usize];
            if ChunkId::of(bytes) != chunk.id {
                return Err(None);
            }
            at += bytes.len();
        }
        give(block)?;
        offset += length as u64;
        rest = &rest[count..];
    }
    Ok(())
}

/// Puts a file together from chunks that lie on the target's disk, and what lacks from another replica.
fn assemble(supply: &Supply, size: u64, stop: &AtomicBool, out: &mut dyn WriteFile) -> Copied<Moved> {
    let Some(new) = &supply.chunks else { return Err(None) };
    let lists: Vec<&[Chunk]> = supply.old.iter().map(|(_, list)| list.chunks()).collect();
    let runs = runs(&lists, new.chunks());
    let lacks = runs.iter().any(|r| r.source == Source::New);
    let far = supply.origins.iter().find(|o| !o.local);
    let mut far = match far {
        Some(origin) if lacks => Some(UntilStopped::open(origin.fs.as_ref(), &origin.path, stop).map_err(|_| None)?),
        _ => None,
    };
    let open = |o: &Origin| UntilStopped::open(o.fs.as_ref(), &o.path, stop).ok();
    let mut old: Vec<Option<UntilStopped<'_>>> = supply.old.iter().map(|(o, _)| open(o)).collect();
    let mut moved = Moved::default();
    for run in runs {
        let chunks = &new.chunks()[run.chunks.clone()];
        match run.source {
            Source::Old { file, offset } => {
                let from = old.get_mut(file).and_then(Option::as_mut).ok_or(None)?;
                copy_chunks(from, offset, chunks, out)?;
                moved.reused += run.length;
            }
            Source::New => {
                let from = far.as_mut().ok_or(None)?;
                copy_chunks(from, run.offset, chunks, out)?;
                moved.copied += run.length;
            }
        }
    }
    debug_assert_eq!(moved.copied + moved.reused, size);
    Ok(moved)
}
