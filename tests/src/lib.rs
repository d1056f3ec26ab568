//! What the tests and benchmarks of this package share: transcripts, the forms of requests and replies, simulated
//! instruments that stand alone, a bench, and the scoreboard of alignment searches. The tests are in
//! `tests/tests`, the benchmarks in `tests/benches`, the fuzz targets in `tests/fuzz`.

pub mod alone;
pub mod any;
pub mod count;
pub mod forms;
pub mod fuzz;
pub mod known;
pub mod scoreboard;
pub mod stand;
pub mod transcript;
pub mod wire;

use firstlight::benches;

/// The receptacle bench with its stage taken for a hexapod, six axes wired to it, before an array.
///
/// # Panics
/// Where the built-in bench has lost what is replaced.
#[expect(clippy::expect_used, reason = "a test that cannot go on has failed")]
pub fn hexapod_bench() -> String {
    let axis = |name: &str, channel: &str| {
        let (unit, um) = if name.starts_with('r') { ("deg", "deg") } else { ("mm", "um") };
        let (range, speed) = if um == "deg" { ("[-4, 4]", 5) } else { ("[-3000, 3000]", 5000) };
        format!(
            "[axes.{name}]\ncontroller = \"stage\"\nchannel = \"{channel}\"\nunit = \"{unit}\"\nrange_{um} = {range}\n\
             velocity_{um}_s = {speed}\nacceleration_{um}_s2 = {}\nsettle_ms = 20\nplay_{um} = 0.0005\n\
             repeatability_{um} = 0.0001\n\n",
            10 * speed
        )
    };
    let text = benches::named("receptacle").expect("built in");
    let (head, tail) = (text.find("# Stage axes").expect("axes"), text.find("[frame]").expect("a frame"));
    let names = ["x", "y", "z", "rx", "ry", "rz"];
    let axes: String = names.iter().zip(["X", "Y", "Z", "U", "V", "W"]).map(|(n, c)| axis(n, c)).collect();
    let rest = &text[tail..text.find("# The simulated world").expect("a world")];
    let rest = rest
        .replace("distance_um = 1180", "distance_um = 2500")
        .replace("z = 6000", "z = 2500\nrx = 0\nry = 0\nrz = 0")
        .replace("order = [\"z\", \"x\", \"y\"]", "order = [\"z\", \"x\", \"y\", \"rx\", \"ry\", \"rz\"]")
        .replace("rotation_deg = 1.5", "rotation_deg = 0");
    let simulation = "[simulation]\npreset = \"edge-array\"\n[simulation.axes.rx]\n[simulation.axes.ry]\n\
                      [simulation.axes.rz]\n[simulation.parts]\ncontact_um = [-2900, 0]\n";
    format!("{}{axes}{rest}{simulation}", &text[..head]).replace("C-884", "C-887")
}
