//! Answering requests for bytes: the loop says where they lie, a thread reads them. They are not verified here, but by who asked.

use crate::carry::Carrier;
use crate::core::Core;
use crate::run::Door;
use bifold_chunk::{Chunk, Manifest, Packer, Packing};
use bifold_disk::fs::ReadFile;
use bifold_disk::stage::Origin;
use bifold_net::link::Item;
use bifold_protocol::content::{Request, Wanted};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// Packers that nobody uses just now: to make one costs as much as to pack some hundred kilobytes.
static PACKERS: Mutex<Vec<Packer>> = Mutex::new(Vec::new());
/// Most of them that are kept.
const SPARE: usize = 2;

/// Where a request's bytes lie.
enum Found {
    Contents(Vec<(Vec<Origin>, u64)>),
    Manifest(Option<(Manifest, Option<Manifest>)>),
    Chunks(Vec<Origin>, Vec<(u64, Chunk)>),
}

/// Answers a request; in a thread that may wait.
pub(crate) fn answer(door: &Door, request: Request, out: &mpsc::Sender<Item>) {
    let found = door.ask_blocking(move |core, carrier| find(core, carrier, request.wanted));
    let mut sending = Sending {
        out,
        packer: PACKERS.lock().unwrap_or_else(PoisonError::into_inner).pop(),
    };
    match found {
        None => {}
        Some(Found::Contents(contents)) => {
            for (origins, size) in contents {
                let bytes = origins.iter().find_map(|origin| whole(origin, size));
                if !sending.send(bytes) {
                    return;
                }
            }
        }
        Some(Found::Manifest(manifest)) => {
            if let Some((manifest, have)) = manifest {
                for node in manifest.missing_nodes(have.as_ref()) {
                    if !sending.send(Some(node)) {
                        return;
                    }
                }
            }
            sending.send(None);
        }
        Some(Found::Chunks(origins, chunks)) => {
            let mut files = origins.iter().filter_map(|o| o.fs.open(&o.path).ok());
            let mut file = files.next();
            for (offset, chunk) in chunks {
                let mut bytes = None;
                while let Some(open) = &mut file {
                    bytes = read(open.as_mut(), offset, chunk.length as usize);
                    if bytes.is_some() {
                        break;
                    }
                    file = files.next(); // perhaps another one still has it
                }
                if !sending.send(bytes) {
                    return;
                }
            }
        }
    }
}

fn find(core: &mut Core, carrier: &Carrier, wanted: Wanted) -> Found {
    match wanted {
        Wanted::Contents(contents) => Found::Contents(
            contents
                .into_iter()
                .map(|(content, size)| (carrier.places_of(core, content), size))
                .collect(),
        ),
        Wanted::Manifest { content, have } => {
            let held = |content| carrier.manifest(content);
            Found::Manifest(held(content).map(|manifest| (manifest, have.and_then(held))))
        }
        Wanted::Chunks { content, chunks } => Found::Chunks(carrier.places_of(core, content), chunks),
    }
}

struct Sending<'a> {
    out: &'a mpsc::Sender<Item>,
    packer: Option<Packer>,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let mut packers = PACKERS.lock().unwrap_or_else(PoisonError::into_inner);
        if packers.len() < SPARE {
            packers.extend(self.packer.take());
        }
    }
}

impl Sending<'_> {
    /// Passes an item on; false when nobody wants more.
    fn send(&mut self, bytes: Option<Vec<u8>>) -> bool {
        let item = match bytes {
            None => Item::Absent,
            Some(bytes) => {
                let packed = self.packer.get_or_insert_default().pack(&bytes);
                match packed.packing {
                    Packing::Plain => Item::Bytes(Packing::Plain, bytes),
                    packing => Item::Bytes(packing, packed.bytes.into_owned()),
                }
            }
        };
        self.out.blocking_send(item).is_ok()
    }
}

/// A whole file, if it has this size.
fn whole(origin: &Origin, size: u64) -> Option<Vec<u8>> {
    let mut file = origin.fs.open(&origin.path).ok()?;
    let stat = file.stat().ok()?;
    if stat.print.size != size {
        return None;
    }
    read(file.as_mut(), 0, usize::try_from(size).ok()?)
}

fn read(file: &mut dyn ReadFile, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(n) if n > 0 => filled += n,
            _ => return None,
        }
    }
    Some(bytes)
}
