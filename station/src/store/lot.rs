//! Where the peaks of a lot's earlier units were.

use std::collections::BTreeMap;

use recipes::Axis;
use sqlx::{Row as _, SqliteConnection};

use crate::event::peak_axis;

/// The latest so many units of a lot are looked at: more say nothing more, and every run begins with asking for them.
const UNITS_MAX: usize = 100;

/// Rows that are read for them at the most: six axes each, and some units that were run again.
const ROWS_MAX: i64 = 1200;

/// Which units a lot's earlier ones are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Of this lot.
    pub lot: String,
    /// By this recipe.
    pub recipe: String,
    /// On this station.
    pub station: String,
    /// On a simulated bench, or on a real one.
    pub simulated: bool,
}

/// Peaks from the approach pose of units whose run passed with an alignment that was sure, the latest unit last; of a unit
/// that was run again its latest run.
pub(super) async fn peaks(conn: &mut SqliteConnection, of: &Earlier) -> Result<Vec<BTreeMap<Axis, f64>>, sqlx::Error> {
    let query = sqlx::query(
        "SELECT run.seq, run.unit_id, run.seed, measurement.name, measurement.value FROM run \
         JOIN recipe ON recipe.hash = run.recipe_hash JOIN measurement ON measurement.run_seq = run.seq \
         WHERE run.lot = ?1 AND recipe.product = ?2 AND run.station = ?3 AND run.simulated = ?4 AND run.outcome = 'pass' \
         AND substr(measurement.name, 1, 5) = 'peak_' ORDER BY run.seq DESC, measurement.id LIMIT ?5",
    );
    let query = query.bind(&of.lot).bind(&of.recipe).bind(&of.station).bind(of.simulated).bind(ROWS_MAX);
    // The run each unit counts by, latest first. A simulated unit is another one under another seed.
    let mut counted: Vec<(i64, Option<String>, i64)> = Vec::new();
    let mut peaks: Vec<BTreeMap<Axis, f64>> = Vec::new();
    for row in query.fetch_all(conn).await? {
        let (seq, unit, seed): (i64, i64, Option<String>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let Some(axis) = peak_axis(row.try_get(3)?) else { continue };
        match counted.iter().position(|(u, s, _)| *u == unit && *s == seed) {
            Some(i) if counted[i].2 == seq => drop(peaks[i].insert(axis, row.try_get(4)?)),
            Some(_) => {}
            None if counted.len() == UNITS_MAX => break,
            None => {
                counted.push((unit, seed, seq));
                peaks.push(BTreeMap::from([(axis, row.try_get(4)?)]));
            }
        }
    }
    peaks.reverse();
    Ok(peaks)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;
    use units::clock::real_runtime;

    use super::super::{Filter, Reader, Writer, options};
    use super::*;
    use crate::event::{Cause, Event, Measurement, Outcome, Phase, RunEnd, RunStart, Unit, peak_name};

    fn start(serial_number: &str, lot: Option<&str>) -> RunStart {
        RunStart {
            unit: Unit {
                part_number: "PN".into(),
                serial_number: serial_number.into(),
                lot: lot.map(str::to_string),
                components: Vec::new(),
            },
            recipe: "400g-fr4".into(),
            recipe_revision: "B".into(),
            recipe_hash: "ab".into(),
            recipe_text: String::new(),
            station: "bench".into(),
            operator: None,
            software_version: "0".into(),
            seed: Some(1),
            simulated: true,
        }
    }

    /// A run that found its peak at x, if anywhere.
    fn record(writer: &Writer, start: &RunStart, outcome: Outcome, x: Option<f64>) {
        writer.begin(start).unwrap();
        for (axis, value) in [(Axis::X, x), (Axis::Z, x.map(|x| -x))] {
            let Some(value) = value else { continue };
            writer.record(&Event::Measurement(Measurement {
                t_s: 1.0,
                step: 4,
                name: peak_name(axis),
                channel: None,
                value,
                unit: axis.unit().into(),
                uncertainty: None,
                lower: None,
                upper: None,
                outcome: None,
                launched: None,
            }));
        }
        let cause = (outcome != Outcome::Pass).then_some(Cause::Part);
        let end = RunEnd { t_s: 2.0, outcome, cause, message: None, phase: Phase::Free, safe: true };
        writer.end(&end).unwrap();
    }

    fn of(start: &RunStart) -> Earlier {
        Earlier {
            lot: "A7".into(),
            recipe: start.recipe.clone(),
            station: start.station.clone(),
            simulated: start.simulated,
        }
    }

    fn x(peaks: &[BTreeMap<Axis, f64>]) -> Vec<f64> {
        peaks.iter().map(|p| p[&Axis::X]).collect()
    }

    #[test]
    fn only_sure_passed_runs_of_the_same_lot_recipe_station_and_kind_count_and_each_unit_once() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::open(&folder.path().join("log.db"), || Timestamp::UNIX_EPOCH).unwrap();
        let this = start("1", Some("A7"));
        assert!(writer.peaks(&of(&this)).unwrap().is_empty(), "of a lot that is new");
        record(&writer, &this, Outcome::Pass, Some(1.0));
        record(&writer, &start("2", Some("A7")), Outcome::Pass, Some(2.0));
        record(&writer, &start("3", Some("A7")), Outcome::Fail, Some(300.0));
        record(&writer, &start("4", Some("A7")), Outcome::Pass, None);
        record(&writer, &start("5", Some("B")), Outcome::Pass, Some(300.0));
        record(&writer, &start("6", None), Outcome::Pass, Some(300.0));
        record(&writer, &RunStart { station: "other".into(), ..start("7", Some("A7")) }, Outcome::Pass, Some(300.0));
        record(&writer, &RunStart { simulated: false, ..start("8", Some("A7")) }, Outcome::Pass, Some(300.0));
        let other = RunStart { recipe: "800g".into(), recipe_hash: "cd".into(), ..start("9", Some("A7")) };
        record(&writer, &other, Outcome::Pass, Some(300.0));
        // The same unit again, and the same serial number in another world.
        record(&writer, &this, Outcome::Pass, Some(3.0));
        record(&writer, &RunStart { seed: Some(2), ..this.clone() }, Outcome::Pass, Some(4.0));
        let peaks = writer.peaks(&of(&this)).unwrap();
        assert_eq!(x(&peaks), [2.0, 3.0, 4.0]);
        assert_eq!(peaks[0], BTreeMap::from([(Axis::X, 2.0), (Axis::Z, -2.0)]));
        writer.close().unwrap();
    }

    #[test]
    fn the_latest_hundred_units_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        Writer::open(&path, || Timestamp::UNIX_EPOCH).unwrap().close().unwrap();
        let sql = "INSERT INTO recipe VALUES ('ab', '400g-fr4', 'B', ''); \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 103) \
             INSERT INTO unit SELECT i, 'PN', i, 'A7', '' FROM n; \
             INSERT INTO run SELECT id, id, id, 'ab', 'bench', NULL, '0', '1', 1, '', '', 1, 'pass', NULL, NULL, 'free', 1, \
             'A7' FROM unit; \
             INSERT INTO measurement (run_seq, step, t_s, name, value, unit) SELECT seq, 4, 1, 'peak_x', seq, 'um' FROM run";
        change(&path, sql);
        let writer = Writer::open(&path, || Timestamp::UNIX_EPOCH).unwrap();
        let latest: Vec<f64> = (4..=103_u8).map(f64::from).collect();
        assert_eq!(x(&writer.peaks(&of(&start("1", None))).unwrap()), latest);
        writer.close().unwrap();
    }

    /// Runs SQL on a log that nobody has open.
    fn change(path: &Path, sql: &'static str) {
        use sqlx::Connection as _;
        real_runtime().unwrap().block_on(async {
            let options = options(path).create_if_missing(true).foreign_keys(false);
            let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        });
    }

    /// A log as Firstlight wrote it before runs had lots of their own.
    const OLD: &str = concat!(
        include_str!("../../migrations/0001_runs.sql"),
        "INSERT INTO recipe VALUES ('ab', '400g-fr4', 'B', ''); INSERT INTO unit VALUES (1, 'PN', '1', 'A7', ''); \
         INSERT INTO run VALUES (1, 'r1', 1, 'ab', 'bench', NULL, '0', '1', 1, '', '', 1, 'pass', NULL, NULL, 'free', 1); \
         PRAGMA application_id = 0x464c6974; PRAGMA user_version = 1;"
    );

    #[test]
    fn a_log_of_an_older_firstlight_is_read_as_it_is_and_brought_up_to_date_by_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        change(&path, OLD);
        let lots = |lot: &str| -> Vec<Option<String>> {
            let filter = Filter { lot: Some(lot.into()), ..Filter::default() };
            let runs = Reader::open(&path).unwrap().runs(&filter).unwrap();
            runs.into_iter().map(|r| r.lot).collect()
        };
        let before = std::fs::read(&path).unwrap();
        assert_eq!((lots("A7"), lots("B")), (vec![Some("A7".into())], vec![]));
        assert_eq!(Reader::open(&path).unwrap().run("r1").unwrap().run.lot.as_deref(), Some("A7"));
        assert_eq!(std::fs::read(&path).unwrap(), before, "a reader changes nothing");
        let writer = Writer::open(&path, || Timestamp::UNIX_EPOCH).unwrap();
        record(&writer, &start("1", Some("B")), Outcome::Pass, Some(1.0));
        writer.close().unwrap();
        assert_eq!((lots("A7").len(), lots("B").len()), (1, 1), "each run keeps its own lot");
    }
}
