//! The file: how it is opened, locked and checked.

use crate::error::StoreError;
use crate::schema::{self, APPLICATION_ID, KNOWN};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for another program that is just closing the index.
const PATIENCE: Duration = Duration::from_millis(500);

/// The index of one program home. One for each program; it may move between threads.
///
/// # Memory
///
/// SQLite keeps at most 4 MB of pages, and gives them back after each load and large commit. The file is not mapped into
/// memory: mapped pages count as the program's, and an unreadable one kills it where a read gives an error.
pub struct Store {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the index at `path`, and makes it if there is none. Its directory must exist. It is this program's alone until
    /// the store is dropped. (On Unix no other part of this program may open and close the file meanwhile: that would drop the lock.)
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Future`], [`StoreError::Damaged`], [`StoreError::Full`], [`StoreError::Io`];
    /// in each case the file's contents are as they were.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let has_log = log_of(path).metadata().is_ok_and(|log| log.len() > 0);
        let mut store = Store::connect(path, flags)?;
        store.take()?;
        let found = store.version()?;
        if !has_log {
            store.check_length()?;
        }
        store.sql(|c| {
            // NORMAL: a commit costs no wait for the disk; `Tx::durable` waits. The log is cut back after a large commit.
            c.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304; \
                 PRAGMA checkpoint_fullfsync = ON;",
            )
        })?;
        store.migrate(found)?;
        Ok(store)
    }

    /// An index that is gone when it is dropped.
    ///
    /// # Errors
    /// [`StoreError::Io`], if there is not enough memory.
    pub fn in_memory() -> Result<Store, StoreError> {
        let mut store = Store::connect(Path::new(":memory:"), OpenFlags::default())?;
        store.migrate(0)?;
        Ok(store)
    }

    /// A copy of the index at `path`, for dry runs: it takes changes as any index does, and none of them lasts. It lies in
    /// an unnamed temporary file. If there is no file at `path`, the copy is empty and none is made.
    ///
    /// # Errors
    /// As for [`open`](Store::open).
    pub fn open_read_only(path: &Path) -> Result<Store, StoreError> {
        match path.try_exists() {
            Ok(false) => return Store::in_memory(),
            Ok(true) => {}
            Err(error) => {
                return Err(StoreError::Io {
                    path: path.to_owned(),
                    detail: error.to_string(),
                });
            }
        }
        let has_log = log_of(path).exists();
        let original = Store::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        if !has_log {
            // It makes an empty log, which is then taken away at the end.
            original.sql(|c| c.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop))?;
        }
        let found = original.version()?;
        // The empty path is SQLite's name for a file that has none.
        let mut copy = Store::connect(Path::new(""), OpenFlags::default())?;
        copy.path = path.to_owned();
        let step = Backup::new(&original.connection, &mut copy.connection).and_then(|backup| backup.step(-1));
        match step.map_err(|error| StoreError::of(path, &error))? {
            StepResult::Done => {}
            _ => return Err(StoreError::Locked { path: path.to_owned() }),
        }
        copy.migrate(found)?;
        Ok(copy)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the whole file and looks for damage: for a thorough check, some 100 ms for 100,000 files.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the first thing that is wrong.
    pub fn check(&self) -> Result<(), StoreError> {
        let verdict: String = self.sql(|c| c.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)))?;
        self.shrink()?;
        if verdict == "ok" { Ok(()) } else { Err(self.damaged(verdict)) }
    }

    /// Whether a file without a log is as long as it says: SQLite notices only when it reads what is missing. (The file is looked at,
    /// and not opened: closing it would drop the lock.)
    fn check_length(&self) -> Result<(), StoreError> {
        let pages: i64 = self.sql(|c| c.query_row("PRAGMA page_count", [], |row| row.get(0)))?;
        let page: i64 = self.sql(|c| c.query_row("PRAGMA page_size", [], |row| row.get(0)))?;
        let says = u64::try_from(pages.saturating_mul(page)).unwrap_or(0);
        match self.path.metadata() {
            Ok(found) if found.len() < says => Err(self.damaged(format!("{} of its {says} bytes are there", found.len()))),
            _ => Ok(()),
        }
    }

    pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Store, StoreError> {
        let connection = Connection::open_with_flags(path, flags).map_err(|error| StoreError::of(path, &error))?;
        let store = Store {
            connection,
            path: path.to_owned(),
        };
        store.connection.set_prepared_statement_cache_capacity(48);
        store.sql(|c| {
            c.busy_timeout(PATIENCE)?;
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            // Else a statement is prepared anew each time another value is bound to it.
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            // A connection that only looks at the file leaves the file and its log as they are.
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            // EXCLUSIVE: the lock is held until the end, and no file of shared memory is needed, which network disks do not have.
            c.execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -4000; PRAGMA mmap_size = 0; \
                 PRAGMA cell_size_check = ON; PRAGMA foreign_keys = OFF;",
            )
        })?;
        Ok(store)
    }

    /// Takes the lock, which reading alone does not always do.
    pub(crate) fn take(&mut self) -> Result<(), StoreError> {
        let Store { connection, path } = self;
        connection
            .transaction_with_behavior(TransactionBehavior::Exclusive)
            .and_then(rusqlite::Transaction::commit)
            .map_err(|error| StoreError::of(path, &error))
    }

    /// The version of its form; 0 of an empty file.
    fn version(&self) -> Result<u32, StoreError> {
        let number = |query: &str| self.sql(|c| c.query_row(query, [], |row| row.get::<_, i64>(0)));
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        if tables > 0 && number("PRAGMA application_id")? != i64::from(APPLICATION_ID) {
            return Err(self.damaged("it is no index of Bifold".to_owned()));
        }
        let version = number("PRAGMA user_version")?;
        match u32::try_from(version) {
            Ok(found) if found > KNOWN => Err(StoreError::Future {
                path: self.path.clone(),
                found,
                known: KNOWN,
            }),
            Ok(found) if (found == 0) == (tables == 0) => Ok(found),
            _ => Err(self.damaged(format!("version {version} with {tables} tables and indexes"))),
        }
    }

    /// Brings the form up to date.
    fn migrate(&mut self, found: u32) -> Result<(), StoreError> {
        if found < KNOWN {
            let Store { connection, path } = self;
            let migrated = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .and_then(|index| schema::migrate(&index, found).and_then(|()| index.commit()));
            migrated.map_err(|error| StoreError::of(path, &error))?;
        }
        // From here on the log is taken into the file at the end.
        self.sql(|c| c.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop))
    }

    /// Gives cached pages back.
    pub(crate) fn shrink(&self) -> Result<(), StoreError> {
        self.sql(|c| c.execute_batch("PRAGMA shrink_memory"))
    }

    /// Does something with SQLite.
    pub(crate) fn sql<'a, T>(&'a self, work: impl FnOnce(&'a Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        work(&self.connection).map_err(|error| StoreError::of(&self.path, &error))
    }

    pub(crate) fn damaged(&self, detail: String) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            detail,
        }
    }
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}
