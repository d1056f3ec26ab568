//! The schema's versions: which a file has, and how it gets to the newest.

use std::path::Path;

use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::StoreError;

/// "FLit": marks a SQLite file as a Firstlight log (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x464c_6974;

/// One script a version, in order; a released one is never edited.
const MIGRATIONS: [&str; 2] =
    [include_str!("../../migrations/0001_runs.sql"), include_str!("../../migrations/0002_lots.sql")];

/// The newest version known.
pub(super) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Finds the version of an open database; 0 of one that is still empty. Changes nothing.
pub(super) async fn version(conn: &mut SqliteConnection, path: &Path) -> Result<i64, StoreError> {
    let sqlite = |e: sqlx::Error| StoreError::sqlite(path, &e);
    let tables = number(conn, "SELECT count(*) FROM sqlite_schema").await.map_err(sqlite)?;
    let application = number(conn, "PRAGMA application_id").await.map_err(sqlite)?;
    let found = number(conn, "PRAGMA user_version").await.map_err(sqlite)?;
    match (tables, application) {
        (0, 0) => Ok(0),
        (_, APPLICATION_ID) if found > NEWEST => {
            Err(StoreError::NewerSchema { path: path.to_path_buf(), found, known: NEWEST })
        }
        (_, APPLICATION_ID) => Ok(found),
        _ => Err(StoreError::NotALog { path: path.to_path_buf() }),
    }
}

/// Brings a database from version `from` to the newest, all or nothing.
pub(super) async fn migrate(conn: &mut SqliteConnection, from: i64, path: &Path) -> Result<(), StoreError> {
    let done = async {
        let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
        for script in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or_default()) {
            sqlx::raw_sql(*script).execute(&mut *transaction).await?;
        }
        // Pragmas take no parameters; both values are constants of this file.
        let stamp = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {NEWEST};");
        sqlx::raw_sql(sqlx::AssertSqlSafe(stamp)).execute(&mut *transaction).await?;
        transaction.commit().await
    };
    done.await.map_err(|e| StoreError::sqlite(path, &e))
}

async fn number(conn: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query(sql).fetch_one(conn).await?.try_get(0)
}
