//! Texts that people and programs write, into the readers of them.

use drivers::identity::Identity;
use sim::Fault;
use sim::optics::CouplingMap;

/// Reads bytes and throws away what came of it.
type Reader = fn(&[u8]);

/// Texts by their names.
pub(super) const TEXTS: &[(&str, Reader)] = &[
    ("recipe", |data| drop(recipes::Recipe::parse_bytes(data))),
    ("bench_file", bench_file),
    ("coupling_map", coupling_map),
    ("couple_table", |data| drop(sim::couple::couple(&String::from_utf8_lossy(data)))),
    ("fault_word", |data| drop(Fault::parse(&String::from_utf8_lossy(data)))),
    ("identity", |data| drop(Identity::parse(data))),
];

/// Both readers of a bench file: the station's, and the simulator's of its own section.
fn bench_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = station::config::BenchConfig::parse(&text);
    // Files that the section names are looked for where there are none.
    let _ = sim::config::read(&text, std::path::Path::new("/nonexistent"));
}

fn coupling_map(data: &[u8]) {
    if let Ok(map) = CouplingMap::read(&String::from_utf8_lossy(data)) {
        for at_um in [[0.0; 3], [0.1, -0.2, 5.0], [1e9, -1e9, 1e300], [f64::NAN; 3]] {
            let _ = map.loss_db(at_um);
        }
    }
}
