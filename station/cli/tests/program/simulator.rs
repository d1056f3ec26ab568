//! The simulator's own commands: tables of couplings, lists, campaigns, ports that come back.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{Served, User, exists};

#[test]
fn a_table_of_couplings_is_computed_row_by_row_and_a_bad_one_is_named() {
    let user = User::new();
    let header = "case,lambda_um,n_gap,w1x_um,w1y_um,w2x_um,w2y_um,dx_um,dy_um,dz_um,thx_rad,thy_rad";
    let table = user
        .file("c.csv", format!("{header}\nA,1.55,1,5.2,5.2,5.2,5.2,0.5,0,0,0,0\nB,1.55,1,5.2,5.2,5.2,5.2,5,0,0,0,0\n"));
    let got = user.run(&["sim", "couple", "--csv", &table]);
    assert_eq!(got.code, Some(0), "{got:#?}");
    let rows: Vec<Vec<&str>> = got.stdout.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!(rows[0], ["case", "eta", "loss_dB"]);
    // Closed forms: exp(-d^2/w^2).
    for (row, case, d) in [(&rows[1], "A", 0.5f64), (&rows[2], "B", 5.0)] {
        let eta: f64 = row[1].parse().unwrap();
        assert!(row[0] == case && (eta / (-(d / 5.2).powi(2)).exp() - 1.0).abs() < 1e-12, "{row:?}");
    }
    let bad = user.file("bad.csv", format!("{header}\nA,1.55,1,5.2,5.2,-5.2,5.2,0.5,0,0,0,0\n"));
    user.run(&["sim", "couple", "--csv", &bad]).expect(4, "bad.csv:2");
    user.run(&["sim", "couple", "--csv", "none.csv"]).expect(4, "none.csv");
}

#[test]
fn a_campaign_tells_what_came_of_a_fault_and_repeats_itself_from_its_seed() {
    let user = User::new();
    let line = "sim campaign --runs 4 --seed 3 --fault flip-byte --fault meter-frozen --fault stop --json";
    let got = user.line(line);
    assert_eq!(got.code, Some(0), "{got:#?}");
    let told = got.json();
    let rows = told["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!(row["runs"], 4);
        assert_eq!(row["broken"], serde_json::json!({}));
    }
    assert_eq!(rows[2]["aborted"], 4);
    assert_eq!(told["runs"].as_array().unwrap().len(), 12);
    assert_eq!(user.line(line).json(), told);
    let one = &told["runs"][4];
    let again = user.line(&format!(
        "run 400g-fr4 --sim --defects --json --seed {} --fault {}",
        one["seed"],
        one["fault"].as_str().unwrap()
    ));
    assert_eq!(again.json()["runs"][0]["outcome"], one["outcome"], "{again:#?}");
    user.line("sim campaign --fault nonsense").expect(2, "nonsense");
}

#[test]
fn a_served_port_that_disappears_comes_back_and_the_bench_runs_again() {
    let user = User::new();
    let bench = user.bench("b.toml", |t| t);
    let served = Served::start(&user, &[&bench, "--seed", "1", "--fault", "port-flap=1.0:stage@0.2"]);
    let link = user.path("ports/motion");
    let until = |there: bool, path: &Path| {
        let end = Instant::now() + Duration::from_secs(10);
        while exists(path) != there && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(exists(path), there);
    };
    // A client must have the port open for it to be taken away.
    let _client = std::fs::OpenOptions::new().read(true).write(true).open(&link).unwrap();
    until(false, &link);
    until(true, &link);
    let checked = user.run(&["bench", "check", &bench, "--connect"]);
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    assert_eq!(served.terminate(), Some(0));
}

#[test]
fn faults_and_devices_are_listed() {
    let user = User::new();
    let faults = user.line("sim faults").stdout;
    for name in ["drop-byte", "meter-lag", "worn-cord", "laser-aging", "slow-replies", "slow-settling", "limit-stuck"] {
        assert!(faults.lines().any(|l| l.starts_with(name)), "{name}: {faults}");
    }
    assert!(user.line("sim devices --json").json().as_array().unwrap().iter().any(|d| d["kind"] == "pi-gcs2"));
}

#[test]
fn what_units_really_were_is_written_where_asked_for_and_agrees_with_what_was_measured() {
    let user = User::new();
    let path = user.path("truth.jsonl");
    let got = user.line(&format!("run 400g-fr4 --sim --units 40 --defects --seed 3 --json --truth {}", path.display()));
    let text = std::fs::read_to_string(path).unwrap();
    let truths: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let got = got.json();
    let runs = got["runs"].as_array().unwrap();
    assert_eq!((truths.len(), runs.len()), (40, 40));
    for (truth, run) in truths.iter().zip(runs) {
        assert_eq!(run["outcome"] == "pass", truth["defect"].is_null(), "{truth:#} {run:#}");
        let loss = run["measurements"].as_array().unwrap().iter().find(|m| m["name"] == "coupling_loss");
        if let (Some(m), Some(so)) = (loss, truth["true_loss_db"].as_f64()) {
            let off = (m["value"].as_f64().unwrap() - so).abs();
            assert!(off <= m["uncertainty"].as_f64().unwrap(), "{off} dB off: {truth:#} {m:#}");
        }
    }
    user.line("run 400g-fr4 --bench b.toml --serial-number A --truth t").expect(2, "--sim");
}

#[test]
fn a_single_device_takes_another_identity_and_line_end() {
    use std::io::{Read as _, Write as _};
    let user = User::new();
    let device = "thorlabs-pm,model=PM100D,identity=THORLABS,PM100D,P9,2.8.0,terminator=crlf";
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().to_string();
    let served = Served::start(&user, &["--device", device, "--tcp", &port, "--power-dbm", "-12"]);
    let mut client = std::net::TcpStream::connect(&port).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.write_all(b"*IDN?\n").unwrap();
    let mut answer = [0; 25];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"THORLABS,PM100D,P9,2.8.0\r");
    drop(client);
    assert_eq!(served.terminate(), Some(0));
    let listed = user.line("sim devices --json").json();
    assert!(listed.as_array().unwrap().iter().all(|k| k["options"]["model"].is_string()), "{listed:#}");
    user.run(&["sim", "--device", "thorlabs-pm,terminator=x", "--tcp", &port]).expect(2, "terminator");
    user.run(&["sim", "--device", "thorlabs-pm,nonsense", "--tcp", &port]).expect(2, "key=value");
}
