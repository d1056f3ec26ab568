//! Bytes from anywhere into every parser there is, as plain functions: what `tests/fuzz` runs under libFuzzer and
//! `tests/tests/corpus.rs` replays on stable Rust.
//!
//! A target panics where it finds a fault: a panic below it, work without end, more answers than can be. Memory and
//! hangs are for the one who runs it to bound.

mod devices;
mod drivers;
mod mangle;
pub mod mutate;
mod texts;

use ::drivers::registry;

/// Longest input that is looked at, bytes; more of the same finds nothing new.
pub const INPUT_MAX: usize = 4096;

/// Every target's name: `device_KIND`, `driver_WORD`, `tracker_WORD`, `text_WHAT`.
pub fn targets() -> Vec<String> {
    let of = |class: &str, words: &[&str]| -> Vec<String> {
        words.iter().map(|word| format!("{class}_{}", word.replace('-', "_"))).collect()
    };
    let kinds: Vec<&str> = sim::device_kinds().iter().map(|k| k.kind).collect();
    let texts: Vec<&str> = texts::TEXTS.iter().map(|(name, _)| *name).collect();
    let drivers = [registry::MOTION, registry::METERS, registry::SOURCES, registry::SWITCHES].concat();
    [of("device", &kinds), of("driver", &drivers), of("tracker", registry::TRACKERS), of("text", &texts)].concat()
}

/// Gives bytes to a target.
///
/// # Panics
/// When there is no such target, and when the bytes did harm.
pub fn run(target: &str, data: &[u8]) {
    let data = &data[..data.len().min(INPUT_MAX)];
    let (class, word) = target.split_once('_').expect("a class and a word");
    if class == "text" {
        let (_, read) = texts::TEXTS.iter().find(|(name, _)| *name == word).expect("a text of the list");
        return read(data);
    }
    let kind = word.replace('_', "-");
    // The first byte chooses the model.
    let Some((choice, rest)) = data.split_first() else { return };
    let models = crate::alone::models(&kind);
    let model = models[usize::from(*choice) % models.len()];
    match class {
        "device" => devices::hear(&kind, model, rest),
        "driver" => drivers::talk(&kind, model, rest),
        "tracker" => drivers::track(&kind, model, rest),
        _ => panic!("no target {target}"),
    }
}
