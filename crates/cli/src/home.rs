//! The program's home: the directory of the index.

use crate::args::Sync;
use crate::fatal::Fatal;
use bifold_store::Store;
use std::path::{Path, PathBuf};

/// The index in a home.
const INDEX: &str = "index.db";

/// Where the home is to be.
pub fn place(home: Option<&PathBuf>) -> Result<PathBuf, Fatal> {
    match home {
        Some(home) => Ok(home.clone()),
        None => bifold_control::hosting::home().ok_or_else(|| {
            Fatal::new("no home directory is known for this user").hint("Say where to keep the index with --home DIR.")
        }),
    }
}

/// A home that is open.
pub struct Home {
    path: PathBuf,
    /// Directories that were made for it, the innermost first.
    made: Vec<PathBuf>,
    /// Whether there was an index in it.
    had_index: bool,
}

impl Home {
    /// Makes the home if need be, except for a dry run. For that the sides must be known to be good.
    pub fn open(path: &Path, sync: &Sync) -> Result<Home, Fatal> {
        let mut made = Vec::new();
        if !sync.dry_run {
            made.extend(
                path.ancestors()
                    .take_while(|p| !p.as_os_str().is_empty() && !p.exists())
                    .map(Path::to_owned),
            );
        }
        let home = Home {
            path: path.to_owned(),
            made,
            had_index: path.join(INDEX).exists(),
        };
        let is_file = path.exists() && !path.is_dir();
        let result = if is_file {
            Err(std::io::ErrorKind::NotADirectory.into())
        } else if sync.dry_run {
            Ok(())
        } else {
            std::fs::create_dir_all(path)
        };
        match result {
            Ok(()) => Ok(home),
            Err(e) => {
                home.leave(None);
                let message = format!("the home {} cannot be made ({e})", path.display());
                Err(Fatal::new(message).hint("Choose another with --home DIR."))
            }
        }
    }

    /// Opens the index.
    pub fn index(&self, sync: &Sync) -> Result<Store, Fatal> {
        let path = self.path.join(INDEX);
        if sync.dry_run {
            return Ok(Store::open_read_only(&path)?);
        }
        if sync.rebuild_index && path.exists() {
            let aside = Store::set_aside(&path)?;
            eprintln!("the old index is kept as {}", aside.display());
        }
        Ok(Store::open(&path)?)
    }

    /// Takes away what was made, when nothing came of it; the index only as long as it is this program's alone, which is until
    /// `store` is dropped. (Where an open file cannot be taken away, a new index stays, and holds nothing.)
    pub fn leave(&self, store: Option<Store>) {
        if store.is_some() && !self.had_index {
            for end in ["", "-wal", "-shm", "-journal"] {
                let _ = std::fs::remove_file(self.path.join(format!("{INDEX}{end}")));
            }
        }
        drop(store);
        for dir in &self.made {
            let _ = std::fs::remove_dir(dir);
        }
    }
}
