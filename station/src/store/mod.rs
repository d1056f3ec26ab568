//! The log: every run in one SQLite file.
//!
//! Knows events; never benches, searches nor recipes' meaning. One [`Writer`] owns the file for writing, on a thread and a
//! runtime of its own, so that neither a slow disk nor a paused clock can touch a run; any number of [`Reader`]s look on.

mod blob;
mod error;
mod lot;
mod reader;
mod schema;
mod writer;

pub use error::StoreError;
pub use lot::Earlier;
pub use reader::{Filter, Reader, Run, RunDetail, Step, Timed, TraceHead, Transcript};
pub use writer::{Options, Recovered, RunId, Writer};

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;

/// How long a statement waits for another process's lock: longer than any checkpoint, shorter than an operator's patience.
const BUSY: Duration = Duration::from_secs(5);

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).foreign_keys(true)
}

/// A runtime that only ever runs SQLite.
fn runtime() -> Result<tokio::runtime::Runtime, StoreError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| StoreError::Thread(e.to_string()))
}
