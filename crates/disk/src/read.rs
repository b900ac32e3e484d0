//! Reading files for their content ids, and noticing that they changed meanwhile.

use crate::ahead::{BLOCK, LARGE, Maker, both};
use crate::fs::{Entry, Extras, Fs, FsError, FsResult, ReadFile};
use bifold_chunk::{ChunkList, Chunker, HashError, Hashed};
use bifold_tree::{Bytes, Kind, Problem, ProblemKind, Stat};
use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often a file that changes while it is read is begun anew before it is left for later.
const TRIES: usize = 3;

/// What reading a path told.
#[derive(Debug)]
pub struct Read {
    /// The bytes it has.
    pub bytes: Bytes,
    /// What the disk said before, and still said after.
    pub stat: Stat,
    /// The chunks of a file of several.
    pub chunks: Option<ChunkList>,
}

/// Reads a file or link whole. It is begun anew if the disk says that it changed meanwhile.
///
/// # Errors
/// If it cannot be read, is gone, has become something else, goes on changing, or the program is to stop: nothing may be inferred.
pub fn read(fs: &dyn Fs, path: &str, kind: Kind, stop: &AtomicBool, chunker: &mut Chunker) -> Result<Read, Problem> {
    let problem = |kind, message: String| Problem {
        path: path.to_owned(),
        kind,
        message,
    };
    let failed = |e: FsError| match e {
        FsError::NotFound => problem(
            ProblemKind::Unstable,
            "it went away while it was read; it is looked at again".into(),
        ),
        FsError::Unsupported => problem(ProblemKind::Unsupported, "its target is not UTF-8: it is skipped".into()),
        e => problem(
            ProblemKind::Unreadable,
            format!("it cannot be read ({e}); nothing is changed there until it can be"),
        ),
    };
    let unstable = || {
        problem(
            ProblemKind::Unstable,
            "it kept changing while it was read; it is looked at again when quiet".into(),
        )
    };
    if kind == Kind::Link {
        let target = fs.read_link(path).map_err(failed)?;
        return match fs.stat(path).map_err(failed)? {
            Some(Entry::Plain(stat)) if stat.kind == Kind::Link => Ok(Read {
                bytes: Bytes::Link(Arc::from(target)),
                stat,
                chunks: None,
            }),
            _ => Err(unstable()),
        };
    }
    let mut file = UntilStopped::open(fs, path, stop).map_err(failed)?;
    for _ in 0..TRIES {
        let before = file.stat().map_err(failed)?;
        let hashed = match hash(&mut file, before.print.size, chunker) {
            Ok(hashed) => hashed,
            Err(HashError::SizeChanged { .. }) => continue,
            Err(HashError::TooLarge) => {
                return Err(problem(ProblemKind::Unsupported, "it is larger than Bifold can sync".into()));
            }
            Err(HashError::Io(e)) => {
                let message = format!("it cannot be read ({e}); nothing is changed there until it can be");
                return Err(problem(ProblemKind::Unreadable, message));
            }
        };
        let after = file.stat().map_err(failed)?;
        if after == before && hashed.size == before.print.size {
            return Ok(Read {
                bytes: Bytes::File(hashed.content),
                stat: after,
                chunks: hashed.chunks,
            });
        }
    }
    Err(unstable())
}

/// Hashes a file; a large one is read by a second thread meanwhile.
fn hash(file: &mut dyn ReadFile, size: u64, chunker: &mut Chunker) -> Result<Hashed, HashError> {
    if size < LARGE {
        return chunker.hash_reader(&mut Reader { file, offset: 0 }, size);
    }
    let make = |maker: &Maker| -> io::Result<()> {
        let mut reader = Reader { file, offset: 0 };
        loop {
            let mut block = maker.block();
            block.resize(BLOCK, 0);
            let n = reader.read(&mut block)?;
            block.truncate(n);
            if n == 0 || !maker.give(block) {
                return Ok(());
            }
        }
    };
    let (made, hashed) = both(make, |taker| chunker.hash_reader(taker, size));
    match made {
        Some(Ok(())) => hashed,
        Some(Err(e)) => Err(HashError::Io(e)),
        None => Err(HashError::Io(io::Error::other("the thread that read it ended early"))),
    }
}

/// A file that cannot be read any more once the program is to stop: large ones take long.
pub(crate) struct UntilStopped<'a> {
    file: Box<dyn ReadFile>,
    stop: &'a AtomicBool,
}

impl<'a> UntilStopped<'a> {
    pub(crate) fn open(fs: &dyn Fs, path: &str, stop: &'a AtomicBool) -> FsResult<UntilStopped<'a>> {
        Ok(UntilStopped {
            file: fs.open(path)?,
            stop,
        })
    }
}

impl ReadFile for UntilStopped<'_> {
    fn stat(&mut self) -> FsResult<Stat> {
        self.file.stat()
    }

    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> FsResult<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(FsError::Other(io::Error::other("the program is about to stop")));
        }
        self.file.read_at(buf, offset)
    }

    fn extras(&self) -> Extras {
        self.file.extras()
    }
}

/// A file as a stream.
pub(crate) struct Reader<'a> {
    pub(crate) file: &'a mut dyn ReadFile,
    pub(crate) offset: u64,
}

impl io::Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.offset).map_err(|e| match e {
            FsError::Denied(e) | FsError::Busy(e) | FsError::Other(e) => e,
            e => io::Error::other(e.to_string()),
        })?;
        self.offset += n as u64;
        Ok(n)
    }
}
