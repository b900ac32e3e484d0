//! The marker: a small file in `.bifold/` that tells that a root is the one that was synced, and which state of it. Where it is
//! missing or another, nothing that is missing in the root may be taken for deleted.

use crate::fs::{Entry, Fs, FsError};
use serde::{Deserialize, Serialize};

/// Where the marker lies.
pub const MARKER: &str = ".bifold/root.json";
const NEW_MARKER: &str = ".bifold/root.json.new";
/// The longest marker that is read, in bytes.
const MAX_MARKER: usize = 4096;

/// What the marker says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Marker {
    /// For people who find the file.
    pub note: String,
    /// The folder's id, in hexadecimal digits.
    pub folder: String,
    /// The replica's id, in hexadecimal digits.
    pub replica: String,
    /// A random number that the index has too: if they differ, one of the two was put back from an older state.
    pub token: String,
}

/// What a look for the marker told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// It is there.
    Marker(Marker),
    /// There is none.
    None,
    /// There is one that cannot be understood.
    Damaged,
}

/// Looks for the marker.
///
/// # Errors
/// If it cannot be read: that is not its absence.
pub fn look(fs: &dyn Fs) -> Result<Found, FsError> {
    match look_at(fs, MARKER)? {
        // Where a disk cannot exchange files, a run that was cut may have left the new one alone. It was whole before the old one went.
        Found::None => Ok(match look_at(fs, NEW_MARKER)? {
            Found::Damaged => Found::None,
            found => found,
        }),
        found => Ok(found),
    }
}

fn look_at(fs: &dyn Fs, path: &str) -> Result<Found, FsError> {
    let mut file = match fs.open(path) {
        Ok(file) => file,
        Err(FsError::NotFound) => return Ok(Found::None),
        Err(e) => return Err(e),
    };
    let mut text = vec![0; MAX_MARKER];
    let mut length = 0;
    while length < text.len() {
        match file.read_at(&mut text[length..], length as u64)? {
            0 => break,
            n => length += n,
        }
    }
    Ok(serde_json::from_slice(&text[..length]).map_or(Found::Damaged, Found::Marker))
}

/// Which object the marker is, and when anything of it was changed last, nanoseconds since 1970; `None` if there is none, or the disk
/// does not tell.
///
/// # Errors
/// If that cannot be asked.
pub fn object(fs: &dyn Fs) -> Result<Option<(u64, i64)>, FsError> {
    if !fs.knows_objects() {
        return Ok(None);
    }
    Ok(match fs.stat(MARKER)? {
        Some(Entry::Plain(stat)) if stat.print.ctime_ns != 0 => Some((stat.key.0, stat.print.ctime_ns)),
        _ => None,
    })
}

/// Whether the directory at a path of this computer is marked as a replica's.
#[must_use]
pub fn marked_as(root: &std::path::Path, replica: &str) -> bool {
    let text = std::fs::read(root.join(MARKER));
    text.is_ok_and(|text| serde_json::from_slice::<Marker>(&text).is_ok_and(|m| m.replica == replica))
}

/// Writes the marker, durably; the old one stays until the new one is whole. Its time is `wall_ms`, milliseconds since 1970: a
/// program that puts files back from a backup by their times is to see that it is another.
///
/// # Errors
/// If the disk refuses.
pub fn mark(fs: &dyn Fs, marker: &Marker, wall_ms: u64) -> Result<(), FsError> {
    match fs.make_dir(".bifold") {
        Ok(()) | Err(FsError::Exists) => {}
        Err(e) => return Err(e),
    }
    // One that a run that was cut has left alone stays until there is another.
    match fs.stat(MARKER)? {
        None => match fs.rename(NEW_MARKER, MARKER) {
            Ok(()) | Err(FsError::NotFound) => {}
            Err(e) => return Err(e),
        },
        Some(_) => remove_if_there(fs, NEW_MARKER)?,
    }
    let mut text = serde_json::to_vec_pretty(marker).map_err(|e| FsError::Other(e.into()))?;
    text.push(b'\n');
    let mut file = fs.create(NEW_MARKER)?;
    file.append(&text)?;
    file.finish(false, i64::try_from(wall_ms).unwrap_or(0).saturating_mul(1_000_000))?;
    fs.sync(&[NEW_MARKER])?;
    match fs.exchange(NEW_MARKER, MARKER) {
        Ok(()) => remove_if_there(fs, NEW_MARKER)?,
        Err(FsError::NotFound) => {
            fs.rename(NEW_MARKER, MARKER)?;
            fs.sync(&[".bifold"])?; // the directory may be as new
        }
        Err(FsError::Unsupported) => {
            remove_if_there(fs, MARKER)?;
            fs.rename(NEW_MARKER, MARKER)?;
        }
        Err(e) => return Err(e),
    }
    fs.sync(&[MARKER])
}

fn remove_if_there(fs: &dyn Fs, path: &str) -> Result<(), FsError> {
    match fs.remove_file(path) {
        Ok(()) | Err(FsError::NotFound) => Ok(()),
        Err(e) => Err(e),
    }
}
