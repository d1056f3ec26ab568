//! A hexapod that somebody left in a coordinate system of his own, met by a bench: in virtual time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use drivers::motion::MotionError;
use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::Axis;
use sim::{LineSettings, Parity, World};
use station::bench::{Bench, BenchError};
use station::config::BenchConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// Lets an earlier program say something to the controller, then connects a bench whose file says `key` of it.
fn after<T>(said: &str, key: &str, act: impl AsyncFnOnce(Result<Bench, BenchError>, World) -> T) -> T {
    let text = benches::named("fibre-array")
        .unwrap()
        .replace("pivot_um", "# pivot_um")
        .replace("model = \"C-887\"", &format!("model = \"C-887\"\n{key}"));
    let config = BenchConfig::parse(&text).unwrap();
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(&text, Path::new(""), &wiring(&config), 3, false, clock.clone()).unwrap();
        let mut pipe = world.connect("motion", LineSettings { baud: 115_200, parity: Parity::None }).unwrap();
        pipe.write_all(format!("{said}ERR?\n").as_bytes()).await.unwrap();
        clock.sleep(Duration::from_secs(1)).await;
        let mut answer = [0; 64];
        let n = pipe.read(&mut answer).await.unwrap();
        assert_eq!(&answer[..n], b"0\n", "{said}");
        drop(pipe);
        let mut bench = Bench::open(config, clock, &WorldPorts { world: world.clone() }).await.unwrap();
        let connected = bench.connect(1310.0).await.map(|()| bench);
        act(connected, world).await
    })
}

/// A quarter turn about z: what is x for the bench would be y.
const TURNED: &str = "KSD TURNED X 0 Y 0 Z 0 U 0 V 0 W 90\nKEN TURNED\n";

#[test]
fn a_foreign_system_is_refused_by_name_with_what_to_do() {
    let linked = "KSD A X 1 Y 0 Z 0 U 0 V 0 W 0\nKSD B X 0 Y 0 Z 0 U 0 V 0 W 90\nKLN B A\nKEN B\n";
    let work = "KSW W1 X 10 Y 0 Z 0 U 0 V 0 W 90\nKEN W1\n";
    for (said, key, active, expected) in [
        (TURNED, "", "TURNED", "ZERO"),
        (linked, "", "B", "ZERO"),
        (work, "", "W1, ZERO", "ZERO"),
        ("KSF HERE\nKEN HERE\n", "", "HERE", "ZERO"),
        ("", "coordinates = \"TURNED\"", "ZERO", "TURNED"),
        (TURNED, "coordinates = \"LEVEL\"", "TURNED", "LEVEL"),
    ] {
        after(said, key, async |connected, _| {
            let told = connected.err().unwrap();
            assert!(matches!(told, BenchError::Motion(MotionError::Coordinates { .. })), "{told}");
            assert!(told.hint().contains("KEN ZERO") && told.hint().contains("`coordinates`"), "{}", told.hint());
            let text = told.to_string();
            let systems = format!("coordinate system {active} is in force, where the bench counts on {expected}:");
            assert!(text.starts_with("hexapod: axes x, y, z, rx, ry, rz: ") && text.contains(&systems), "{text}");
        });
    }
}

#[test]
fn the_system_that_the_bench_file_says_is_accepted_and_its_axes_are_followed() {
    after(TURNED, "coordinates = \"Turned\"", async |connected, world| {
        let mut bench = connected.unwrap();
        let door = world.backdoor();
        door.load_next_unit();
        bench.reference().await.unwrap();
        bench.back_off().await.unwrap();
        let before = door.truth().fibre_um;
        bench.move_to(&[(Axis::X, 100.0)]).await.unwrap();
        let after = door.truth().fibre_um;
        let moved: Vec<f64> = before.iter().zip(after).map(|(b, a)| a - b).collect();
        assert!(
            (moved[1] - 100.0).abs() < 1.0 && moved[0].abs() < 1.0,
            "x of the turned system is the platform's y: {moved:?}"
        );
    });
    after("KEN ZERO\n", "coordinates = \"ZERO\"", async |connected, _| assert!(connected.is_ok()));
}
