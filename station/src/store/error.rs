//! What can be wrong with a log, and what to do about it.

use std::path::{Path, PathBuf};

/// Why the log could not be used. Cloned to every run that the same fault concerns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file or its directory cannot be written or made.
    #[error(
        "{path}: cannot be written: {detail}\nhint: check the path and its permissions, or name another log with --db"
    )]
    NotWritable {
        /// The log.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// There is a file, and it is no SQLite database.
    #[error("{path}: not a database; it was left as it is\nhint: name another file with --db")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A SQLite database of some other program.
    #[error("{path}: a database, but not a Firstlight log; it was left as it is\nhint: name another file with --db")]
    NotALog {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer Firstlight.
    #[error(
        "{path}: written by a newer Firstlight (schema {found}, this one knows {known}); it was left as it is\nhint: use the newer program"
    )]
    NewerSchema {
        /// The log.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// No room left.
    #[error(
        "{path}: the disk is full, or the log has reached its largest size ({detail})\nhint: make room; what was recorded is kept"
    )]
    Full {
        /// The log.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// The disk refused.
    #[error(
        "{path}: the disk refused ({detail}): full, failing, or a file size limit was reached\nhint: check the disk and `ulimit -f`; what was recorded is kept"
    )]
    Disk {
        /// The log.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// The database is damaged.
    #[error(
        "{path}: the database is damaged ({detail})\nhint: move it away with its -wal file and start a new log; `sqlite3 FILE .recover` gets back what is left"
    )]
    Damaged {
        /// The log.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// Another writer is at work.
    #[error(
        "{path}: another firstlight writes here ({holder})\nhint: wait for it or stop it, or name another log with --db"
    )]
    Locked {
        /// The log.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// Nothing there to read.
    #[error("{path}: there is no log\nhint: run a unit first, or name the log with --db")]
    NoLog {
        /// The path.
        path: PathBuf,
    },
    /// No run of that id.
    #[error(
        "{path}: no run \"{wanted}\"\nhint: `firstlight runs` lists them; a unique beginning of an id will do, or `last`"
    )]
    NoRun {
        /// The log.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
    },
    /// Several runs begin so.
    #[error("{path}: \"{wanted}\" begins {count} runs, {first} and {second} among them\nhint: give more of the id")]
    Ambiguous {
        /// The log.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// How many.
        count: usize,
        /// One.
        first: String,
        /// Another.
        second: String,
    },
    /// The writer's thread could not be started or is gone.
    #[error("the log's writer is gone: {0}\nhint: start the program again")]
    Thread(String),
    /// Anything else SQLite said.
    #[error("{path}: {detail}\nhint: check the log's disk and permissions")]
    Sqlite {
        /// The log.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
}

/// SQLite's primary result codes, <https://sqlite.org/rescode.html>.
mod code {
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOTADB: i32 = 26;
    pub(super) const BUSY: i32 = 5;
}

impl StoreError {
    pub(super) fn sqlite(path: &Path, error: &sqlx::Error) -> StoreError {
        let path = path.to_path_buf();
        let detail = match error {
            sqlx::Error::Database(e) => e.message().to_string(),
            e => e.to_string(),
        };
        // The low byte of an extended code is the primary one.
        let primary =
            error.as_database_error().and_then(|e| e.code()).and_then(|c| c.parse::<i32>().ok()).map(|c| c & 0xff);
        match primary {
            Some(code::READONLY | code::CANTOPEN) => StoreError::NotWritable { path, detail },
            Some(code::IOERR) => StoreError::Disk { path, detail },
            Some(code::CORRUPT) => StoreError::Damaged { path, detail },
            Some(code::FULL) => StoreError::Full { path, detail },
            Some(code::NOTADB) => StoreError::NotADatabase { path },
            Some(code::BUSY) => StoreError::Locked { path, holder: detail },
            _ => match error {
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Damaged { path, detail },
                _ => StoreError::Sqlite { path, detail },
            },
        }
    }
}
