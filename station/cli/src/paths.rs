//! Where things are: the log, recipes, bench files.

use std::path::{Path, PathBuf};

use crate::failure::{FILES, Failure};

/// The log given, or `firstlight/log.db` in the user's data directory.
pub(crate) fn log(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        return Ok(path.to_path_buf());
    }
    let data = dirs::data_dir()
        .ok_or_else(|| Failure::usage("this user has no data directory", "name the log with --db FILE"))?;
    Ok(data.join("firstlight").join("log.db"))
}

/// Whether a word names a file rather than something built in.
pub(crate) fn is_path(word: &str) -> bool {
    word.contains('/') || word.ends_with(".toml")
}

/// The bytes of a recipe or bench file.
pub(crate) fn read(path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::new(FILES, format!("{path}: {e}"), "check the path"))
}
