//! Texts that people and programs write, into the readers of them.

use drivers::identity::Identity;
use firstlight::transcript;
use sim::Fault;
use sim::optics::CouplingMap;

/// A text by its name, and its reader.
type Target = (&'static str, fn(&[u8]));

pub(super) const TEXTS: &[Target] = &[
    ("recipe", |data| drop(recipes::Recipe::parse_bytes(data))),
    ("bench_file", bench_file),
    ("coupling_map", coupling_map),
    ("couple_table", |data| drop(sim::couple::couple(&String::from_utf8_lossy(data)))),
    ("fault_word", |data| drop(Fault::parse(&String::from_utf8_lossy(data)))),
    ("identity", |data| drop(Identity::parse(data))),
    ("wire", wire),
];

/// Both readers of a bench file: the station's, and the simulator's of its own section.
fn bench_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = station::config::BenchConfig::parse(&text);
    // Files that the section names are looked for where there are none.
    let _ = sim::config::read(&text, std::path::Path::new("/nonexistent"));
}

/// A transcript of any lines; and one that tells of these bytes gives them back.
fn wire(data: &[u8]) {
    for line in String::from_utf8_lossy(data).lines() {
        transcript::bytes(line).iter().for_each(|raw| drop((transcript::is_plain(raw), transcript::hex(raw))));
    }
    let told = format!("0.5 s  <- \"{}\"  after 1 ms", data.escape_ascii());
    assert_eq!(transcript::bytes(&told), [data], "{told}");
}

fn coupling_map(data: &[u8]) {
    if let Ok(map) = CouplingMap::read(&String::from_utf8_lossy(data)) {
        for at_um in [[0.0; 3], [0.1, -0.2, 5.0], [1e9, -1e9, 1e300], [f64::NAN; 3]] {
            let _ = map.loss_db(at_um);
        }
    }
}
