//! The two sides, before anything is opened: whether they are two directories that can be synced.

use crate::args::{OneSide, Sync};
use crate::fatal::Fatal;
use bifold_disk::native::NativeFs;
use bifold_engine::root::{RootSpec, identity};
use bifold_store::RootIdentity;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The names of the sides, in order.
pub const SIDES: [&str; 2] = ["left", "right"];

/// Looks at both sides, and at the home.
pub fn check(sync: &Sync, home: &Path) -> Result<[PathBuf; 2], Fatal> {
    let left = directory("left", &sync.left)?;
    let right = directory("right", &sync.right)?;
    if left == right || (identity(&left) == identity(&right) && identity(&left) != RootIdentity::default()) {
        return Err(Fatal::new(format!("both sides are the same folder: {}", left.display())).hint("Name two different folders."));
    }
    for (inner, outer, names) in [(&left, &right, SIDES), (&right, &left, ["right", "left"])] {
        // A folder may be mounted in two places: then its path does not tell.
        let of_outer = identity(outer);
        let is_outer =
            |above: &Path| above == outer.as_path() || (of_outer != RootIdentity::default() && identity(above) == of_outer);
        if inner.ancestors().any(is_outer) {
            let message = format!(
                "the {} side lies inside the {} side: {} in {}",
                names[0],
                names[1],
                inner.display(),
                outer.display()
            );
            return Err(Fatal::new(message).hint("Name two folders of which neither is in the other."));
        }
    }
    let home = real(home);
    for (side, name) in [&left, &right].into_iter().zip(SIDES) {
        if home.starts_with(side) {
            let message = format!(
                "Bifold's own home {} lies inside the {name} side {}",
                home.display(),
                side.display()
            );
            return Err(Fatal::new(message).hint("Choose another home with --home DIR."));
        }
        for above in side.ancestors().skip(1) {
            if above.join(bifold_disk::root::MARKER).is_file() {
                let message = format!(
                    "the {name} side {} lies inside {}, which is itself synced by Bifold",
                    side.display(),
                    above.display()
                );
                return Err(Fatal::new(message).hint("Sync the outer folder, or move the inner one out of it."));
            }
        }
    }
    Ok([left, right])
}

/// Where a path leads that may not be there yet.
fn real(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        if part == std::path::Component::ParentDir {
            real.pop();
        } else {
            real.push(part);
        }
        real = real.canonicalize().unwrap_or(real);
    }
    real
}

fn directory(name: &str, path: &Path) -> Result<PathBuf, Fatal> {
    let shown = path.display();
    let full = path.canonicalize().map_err(|e| match e.kind() {
        ErrorKind::NotFound => Fatal::new(format!("the {name} side is not there: {shown}")).hint(
            "Make the folder first (an empty one will do), or mount its disk; a missing folder is never taken for an empty one.",
        ),
        ErrorKind::PermissionDenied => Fatal::new(format!("the {name} side cannot be reached: {shown} ({e})"))
            .hint("See the permissions of it and of the folders above."),
        _ => Fatal::new(format!("the {name} side cannot be opened: {shown} ({e})")),
    })?;
    if !full.is_dir() {
        return Err(Fatal::new(format!("the {name} side is not a folder: {shown}"))
            .hint("Bifold syncs folders: name the one that the file is in."));
    }
    if let Err(e) = std::fs::read_dir(&full) {
        return Err(Fatal::new(format!("the {name} side cannot be read: {shown} ({e})")).hint("See its permissions."));
    }
    Ok(full)
}

/// Opens the file systems of both sides.
pub fn specs(sync: &Sync, paths: &[PathBuf; 2]) -> Result<Vec<RootSpec>, Fatal> {
    let mut specs = Vec::new();
    for ((path, name), side) in paths.iter().zip(SIDES).zip([OneSide::Left, OneSide::Right]) {
        let fs = if sync.dry_run {
            NativeFs::open_read_only(path)
        } else {
            NativeFs::open(path)
        };
        let fs = fs.map_err(|e| Fatal::new(format!("the {name} side cannot be opened: {e}")))?;
        specs.push(RootSpec {
            name: name.to_owned(),
            path: path.clone(),
            identity: identity(path),
            fs: Arc::new(fs),
            rejoin: sync.rejoin.contains(&side),
        });
    }
    Ok(specs)
}
