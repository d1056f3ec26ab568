//! The stored inputs of the fuzz targets, replayed: whatever once did harm must never do it again.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]
#![expect(clippy::print_stderr, reason = "which input hangs cannot be said otherwise")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc;
use std::time::Duration;

use tests::fuzz::mutate::{Dice, mutate};

/// An input takes milliseconds; one that takes this long hangs.
const HANG: Duration = Duration::from_secs(60);
/// No input of 4 KB needs more, bytes.
const MEMORY_MAX: u64 = 64 << 20;

/// Inputs made of the stored ones for each target.
const MADE: u64 = 20;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// Names in a folder, without their extensions.
fn stems(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

/// The most memory this process ever had, bytes; 0 where the system does not tell.
fn memory_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    kilobytes.unwrap_or(0u64) << 10
}

#[test]
fn every_target_has_its_file_and_its_corpus_and_there_are_no_others() {
    let targets: BTreeSet<String> = tests::fuzz::targets().into_iter().collect();
    assert_eq!(stems(&folder("fuzz_targets")), targets);
    assert_eq!(stems(&folder("corpus")), targets);
    for target in &targets {
        let body = std::fs::read_to_string(folder("fuzz_targets").join(format!("{target}.rs"))).unwrap();
        assert!(body.contains(&format!("tests::fuzz::run(\"{target}\", data)")), "{target} runs another:\n{body}");
    }
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap();
    let named = |line: &str| line.strip_prefix("name = \"")?.strip_suffix('"').map(String::from);
    let listed: BTreeSet<String> = manifest.lines().filter_map(named).filter(|n| n != "fuzz").collect();
    assert_eq!(listed, targets);
}

/// Runs inputs one after the other and says of the first that does harm what it was.
struct Replay(mpsc::Sender<String>);

impl Replay {
    fn new() -> Replay {
        let (began, watched) = mpsc::channel::<String>();
        // A hang cannot be ended from outside its thread: the process says which input it was, and ends.
        std::thread::spawn(move || {
            let mut now = String::new();
            loop {
                match watched.recv_timeout(HANG) {
                    Ok(next) => now = next,
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        eprintln!("{now} hangs");
                        process::abort();
                    }
                }
            }
        });
        Replay(began)
    }

    fn harm(&self, target: &str, name: &str, data: &[u8]) -> Option<String> {
        let name = format!("{target}/{name}");
        self.0.send(name.clone()).unwrap();
        let before = memory_peak();
        if std::panic::catch_unwind(|| tests::fuzz::run(target, data)).is_err() {
            return Some(format!("{name} did harm, see above"));
        }
        // The kernel's counters are summed loosely: the peak may seem to sink a little.
        let more = memory_peak().saturating_sub(before);
        (more > MEMORY_MAX).then(|| format!("{name} took {} MB", more >> 20))
    }
}

/// The stored inputs of a target with their names, in order.
fn stored(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder("corpus").join(target)).unwrap().map(|e| e.unwrap().path());
    let read =
        |file: PathBuf| (file.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&file).unwrap());
    let mut inputs: Vec<_> = files.map(read).collect();
    inputs.sort();
    inputs
}

#[test]
fn no_stored_input_does_harm_nor_does_what_is_made_of_it() {
    let replay = Replay::new();
    // `EXPLORE=5000 cargo test -p tests --test corpus` looks further; what it finds is written beside the target.
    let explore: Option<u64> = std::env::var("EXPLORE").ok().map(|rounds| rounds.parse().unwrap());
    let only = std::env::var("EXPLORE_TARGET").ok();
    let mut found = Vec::new();
    for target in tests::fuzz::targets().into_iter().filter(|t| only.as_ref().is_none_or(|o| t.starts_with(o))) {
        let inputs = stored(&target);
        found.extend(inputs.iter().filter_map(|(name, data)| replay.harm(&target, name, data)));
        let inputs: Vec<Vec<u8>> = inputs.into_iter().map(|(_, data)| data).collect();
        for seed in 0..explore.unwrap_or(MADE) {
            let data = mutate(&inputs, &mut Dice::new(seed));
            if let Some(harm) = replay.harm(&target, &format!("seed {seed}"), &data) {
                let file = folder("corpus").join(&target).join(format!("found-{seed}"));
                if explore.is_some() {
                    std::fs::write(file, &data).unwrap();
                }
                found.push(format!("{harm}: \"{}\"", data.escape_ascii()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
