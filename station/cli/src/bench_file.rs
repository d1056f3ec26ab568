//! Bench files: the built-in ones by name or fixture class, others by path; read by station and sim alike.

use std::path::{Path, PathBuf};

use firstlight::benches;
use station::config::BenchConfig;
use units::text::{self, Faults};

use crate::failure::{FILES, Failure};
use crate::paths;

/// A bench file that station can read.
#[derive(Debug, Clone)]
pub(crate) struct BenchFile {
    /// Path or built-in name, for messages.
    pub(crate) label: String,
    /// The text, for whoever reads the rest of it.
    pub(crate) text: String,
    /// Where files that it names are looked for.
    pub(crate) folder: PathBuf,
    /// What station reads of it.
    pub(crate) config: BenchConfig,
}

impl BenchFile {
    /// A bench by name or path.
    pub(crate) fn load(word: &str) -> Result<BenchFile, Failure> {
        let text = if paths::is_path(word) {
            let bytes = paths::read(word)?;
            text::from_utf8(&bytes).map_err(|f| Failure::faults(word, &f))?.to_string()
        } else {
            built_in(word)?.to_string()
        };
        let folder = Path::new(word).parent().filter(|_| paths::is_path(word)).unwrap_or(Path::new("")).to_path_buf();
        let config =
            BenchConfig::parse(&text).map_err(|mine| Failure::faults(word, &with_simulation(&text, &folder, mine)))?;
        Ok(BenchFile { label: word.to_string(), text, folder, config })
    }

    /// The built-in bench of a fixture class.
    pub(crate) fn of_class(fixture: &str) -> Result<BenchFile, Failure> {
        BenchFile::load(fixture).map_err(|_| {
            let hint = format!("built-in benches: {}; or name a file: --sim=FILE", names());
            Failure::new(FILES, format!("there is no built-in bench for fixture \"{fixture}\""), hint)
        })
    }
}

fn built_in(name: &str) -> Result<&'static str, Failure> {
    benches::named(name).ok_or_else(|| {
        let hint = format!("built-in benches: {}; a path contains / or ends in .toml", names());
        Failure::new(FILES, format!("there is no bench \"{name}\""), hint)
    })
}

fn names() -> String {
    benches::BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Station's faults and, where there is a `[simulation]` section, sim's.
fn with_simulation(text: &str, folder: &Path, mine: Faults) -> Faults {
    match sim::check(text, folder) {
        Ok(()) => mine,
        Err(theirs) => mine.merged(theirs),
    }
}
