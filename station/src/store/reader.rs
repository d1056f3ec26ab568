//! Looking into a log: read-only, also while a writer is at work.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Connection as _, Decode, Row as _, Sqlite, SqliteConnection, Type};
use units::Power;

use super::{StoreError, blob, options, runtime, schema};
use crate::event::{Cause, Component, Launched, LaunchedOrigin, Measurement, Outcome, Trace};
use crate::yields::Attempt;

/// Which runs are wanted; everything that is `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this unit.
    pub serial_number: Option<String>,
    /// By this recipe.
    pub recipe: Option<String>,
    /// Of this part number.
    pub part_number: Option<String>,
    /// Of this lot.
    pub lot: Option<String>,
    /// At the most so many, the latest.
    pub limit: Option<u32>,
}

/// One run as it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its id.
    pub run_id: String,
    /// Its unit's part number.
    pub part_number: String,
    /// Its unit's serial number.
    pub serial_number: String,
    /// Its lot, or its unit's where it was run without one.
    pub lot: Option<String>,
    /// The recipe's product.
    pub recipe: String,
    /// The recipe's revision.
    pub recipe_revision: String,
    /// SHA-256 of the recipe's text.
    pub recipe_hash: String,
    /// The station.
    pub station: String,
    /// The operator, if named.
    pub operator: Option<String>,
    /// Firstlight's version.
    pub software_version: String,
    /// Seed of the simulated world.
    pub seed: Option<u64>,
    /// Whether the bench was simulated.
    pub simulated: bool,
    /// When it began, UTC.
    pub started_at: String,
    /// When it ended, UTC; `None` of a run still open.
    pub ended_at: Option<String>,
    /// How long it took on the run's monotonic clock, seconds.
    pub duration_s: Option<f64>,
    /// How it ended; `None` of a run still open.
    pub outcome: Option<Outcome>,
    /// Whose doing, unless it passed.
    pub cause: Option<Cause>,
    /// Why, in words.
    pub message: Option<String>,
    /// The phase the part had reached.
    pub phase: String,
    /// Whether the bench was made safe.
    pub safe: Option<bool>,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Index, from 0.
    pub step: usize,
    /// Kind as in the recipe.
    pub kind: String,
    /// When it began, seconds into the run.
    pub started_s: f64,
    /// When it ended; `None` where the run was cut off in it.
    pub ended_s: Option<f64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What it came to.
    pub message: Option<String>,
}

/// Words with their time: a note, or a phase entered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timed {
    /// When, seconds into the run.
    pub t_s: f64,
    /// The words.
    pub text: String,
}

/// The last exchanges of an instrument.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transcript {
    /// When it was written, seconds into the run.
    pub t_s: f64,
    /// The instrument.
    pub instrument: String,
    /// The exchanges, one a line.
    pub text: String,
}

/// What is known of a trace without its samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceHead {
    /// Index of the step.
    pub step: usize,
    /// Name of the search.
    pub search: String,
    /// Logical axes.
    pub axes: Vec<String>,
    /// Channels.
    pub channels: Vec<String>,
    /// How many samples.
    pub samples: usize,
    #[serde(skip)]
    id: i64,
    #[serde(skip)]
    t_s: f64,
}

/// All of a run but the samples of its traces.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDetail {
    /// The run.
    pub run: Run,
    /// Which of its unit's runs it is, from 1.
    pub attempt: usize,
    /// Its unit's components.
    pub components: Vec<Component>,
    /// Its steps in order.
    pub steps: Vec<Step>,
    /// The phases of its part in order.
    pub phases: Vec<Timed>,
    /// Its measurements in order.
    pub measurements: Vec<Measurement>,
    /// Its notes in order.
    pub notes: Vec<Timed>,
    /// Its traces in order.
    pub traces: Vec<TraceHead>,
    /// Transcripts of its instruments.
    pub transcripts: Vec<Transcript>,
}

/// A log opened for reading. Blocks; not for use on a runtime.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    runtime: tokio::runtime::Runtime,
    conn: SqliteConnection,
    /// The lot of a run, in SQL.
    lot: &'static str,
}

const RUNS: &str = "SELECT run.seq, run.id, unit.part_number, unit.serial_number, recipe.product, recipe.revision, \
     run.recipe_hash, run.station, run.operator, run.software_version, run.seed, run.simulated, run.started_at, \
     run.ended_at, run.duration_s, run.outcome, run.cause, run.message, run.phase, run.safe, run.unit_id";
const OF_RUNS: &str = "FROM run JOIN unit ON unit.id = run.unit_id JOIN recipe ON recipe.hash = run.recipe_hash ";

/// From this version on a run has a lot of its own.
const LOTS_SINCE: i64 = 2;

impl Reader {
    /// Opens a log, one of an older Firstlight too; never makes nor changes one.
    pub fn open(path: &Path) -> Result<Reader, StoreError> {
        match std::fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::NoLog { path: path.to_path_buf() });
            }
            Err(e) => return Err(StoreError::Sqlite { path: path.to_path_buf(), detail: e.to_string() }),
            Ok(_) => {}
        }
        let runtime = runtime()?;
        let options = options(path).read_only(true).create_if_missing(false);
        let fault = |e: sqlx::Error| StoreError::sqlite(path, &e);
        let mut conn = runtime.block_on(SqliteConnection::connect_with(&options)).map_err(fault)?;
        match runtime.block_on(schema::version(&mut conn, path))? {
            0 => Err(StoreError::NoLog { path: path.to_path_buf() }),
            found => {
                let lot = if found < LOTS_SINCE { "unit.lot" } else { "coalesce(run.lot, unit.lot)" };
                Ok(Reader { path: path.to_path_buf(), runtime, conn, lot })
            }
        }
    }

    /// The runs wanted, the latest last.
    pub fn runs(&mut self, filter: &Filter) -> Result<Vec<Run>, StoreError> {
        let lot = self.lot;
        let sql = format!(
            "{RUNS}, {lot} AS lot {OF_RUNS} WHERE (?1 IS NULL OR unit.serial_number = ?1) AND (?2 IS NULL OR recipe.product = ?2) \
             AND (?3 IS NULL OR unit.part_number = ?3) AND (?5 IS NULL OR {lot} = ?5) ORDER BY run.seq DESC LIMIT ?4"
        );
        // Put together from constants alone.
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&filter.serial_number)
            .bind(&filter.recipe)
            .bind(&filter.part_number)
            .bind(filter.limit.map_or(-1, i64::from))
            .bind(&filter.lot);
        let rows = self.runtime.block_on(query.fetch_all(&mut self.conn));
        let mut runs: Vec<Run> = self.each(rows, run)?;
        runs.reverse();
        Ok(runs)
    }

    /// The id of the run that `wanted` names: an id, the unique beginning of one, or `last`.
    pub fn resolve(&mut self, wanted: &str) -> Result<String, StoreError> {
        let none = || StoreError::NoRun { path: self.path.clone(), wanted: wanted.to_string() };
        let query = if wanted == "last" {
            sqlx::query("SELECT id FROM run ORDER BY seq DESC LIMIT 1")
        } else {
            sqlx::query(
                "SELECT id FROM run WHERE length(?1) > 0 AND substr(id, 1, length(?1)) = lower(?1) ORDER BY seq",
            )
            .bind(wanted)
        };
        let rows = self.runtime.block_on(query.fetch_all(&mut self.conn));
        let ids: Vec<String> = self.each(rows, |row| row.try_get(0))?;
        match ids.as_slice() {
            [] => Err(none()),
            [id] => Ok(id.clone()),
            [first, second, ..] => Err(StoreError::Ambiguous {
                path: self.path.clone(),
                wanted: wanted.to_string(),
                count: ids.len(),
                first: first.clone(),
                second: second.clone(),
            }),
        }
    }

    /// Everything of one run but the samples of its traces. `id` is a whole id.
    pub fn run(&mut self, id: &str) -> Result<RunDetail, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{RUNS}, {} AS lot {OF_RUNS} WHERE run.id = ?", self.lot));
        let row = self.runtime.block_on(sqlx::query(sql).bind(id).fetch_optional(&mut self.conn));
        let row = row.map_err(|e| self.fault(&e))?;
        let row = row.ok_or_else(|| StoreError::NoRun { path: self.path.clone(), wanted: id.to_string() })?;
        let seq: i64 = row.try_get("seq").map_err(|e| self.fault(&e))?;
        let unit: i64 = row.try_get("unit_id").map_err(|e| self.fault(&e))?;
        let run = run(&row).map_err(|e| self.fault(&e))?;
        // A simulated unit is another one under another seed.
        let sql = "SELECT count(*) FROM run WHERE unit_id = ?1 AND seq <= ?2 AND simulated = ?3 AND seed IS ?4";
        let seed = run.seed.map(|s| s.to_string());
        let query = sqlx::query(sql).bind(unit).bind(seq).bind(run.simulated).bind(seed);
        let row = self.runtime.block_on(query.fetch_one(&mut self.conn));
        let attempt = row.and_then(|r| index(&r, 0)).map_err(|e| self.fault(&e))?;
        let components =
            self.of(unit, "SELECT kind, serial, lot FROM component WHERE unit_id = ? ORDER BY id", |r| {
                Ok(Component { kind: r.try_get(0)?, serial: r.try_get(1)?, lot: r.try_get(2)? })
            })?;
        let steps = self.of(
            seq,
            "SELECT position, kind, started_s, ended_s, outcome, message FROM step WHERE run_seq = ? ORDER BY position",
            |r| {
                Ok(Step {
                    step: index(r, 0)?,
                    kind: r.try_get(1)?,
                    started_s: r.try_get(2)?,
                    ended_s: r.try_get(3)?,
                    outcome: word(r, 4, &Outcome::ALL, Outcome::as_str)?,
                    message: r.try_get(5)?,
                })
            },
        )?;
        let timed = |r: &SqliteRow| Ok(Timed { t_s: r.try_get(0)?, text: r.try_get(1)? });
        let phases = self.of(seq, "SELECT t_s, phase FROM phase WHERE run_seq = ? ORDER BY rowid", timed)?;
        let notes = self.of(seq, "SELECT t_s, text FROM note WHERE run_seq = ? ORDER BY id", timed)?;
        let measurements = self.of(
            seq,
            "SELECT t_s, step, name, channel, value, unit, lower, upper, outcome, launched_w, launched_origin, \
             launched_age_s, launched_uncertainty_db, uncertainty FROM measurement WHERE run_seq = ? ORDER BY id",
            measurement,
        )?;
        let traces = self.of(
            seq,
            "SELECT id, t_s, step, search, axes, channels, samples FROM trace WHERE run_seq = ? ORDER BY id",
            trace_head,
        )?;
        let transcripts =
            self.of(seq, "SELECT t_s, instrument, text FROM transcript WHERE run_seq = ? ORDER BY id", |r| {
                Ok(Transcript { t_s: r.try_get(0)?, instrument: r.try_get(1)?, text: r.try_get(2)? })
            })?;
        Ok(RunDetail { run, attempt, components, steps, phases, measurements, notes, traces, transcripts })
    }

    /// The text of a recipe by its SHA-256.
    ///
    /// # Errors
    /// Storage errors.
    pub fn recipe_text(&mut self, hash: &str) -> Result<String, StoreError> {
        let query = sqlx::query("SELECT text FROM recipe WHERE hash = ?").bind(hash.to_string());
        let row = self.runtime.block_on(query.fetch_one(&mut self.conn));
        row.and_then(|r| r.try_get(0)).map_err(|e| self.fault(&e))
    }

    /// A trace with its samples.
    pub fn trace(&mut self, head: &TraceHead) -> Result<Trace, StoreError> {
        let query = sqlx::query("SELECT data FROM trace WHERE id = ?").bind(head.id);
        let row = self.runtime.block_on(query.fetch_one(&mut self.conn));
        let data: Vec<u8> = row.and_then(|r| r.try_get(0)).map_err(|e| self.fault(&e))?;
        let damaged = || StoreError::Damaged { path: self.path.clone(), detail: format!("trace {}", head.id) };
        let samples = blob::unpack(&data).ok_or_else(damaged)?;
        Ok(Trace {
            t_s: head.t_s,
            step: head.step,
            search: head.search.clone(),
            axes: head.axes.clone(),
            channels: head.channels.clone(),
            samples,
        })
    }

    /// The runs wanted as attempts at their units, in the order they began. The filter's lot and limit are left alone.
    pub fn attempts(&mut self, filter: &Filter, simulated: bool) -> Result<Vec<Attempt>, StoreError> {
        let query = sqlx::query(
            "SELECT unit.part_number, unit.serial_number, run.seed, run.outcome, run.cause FROM run \
             JOIN unit ON unit.id = run.unit_id JOIN recipe ON recipe.hash = run.recipe_hash \
             WHERE run.simulated = ?1 AND (?2 IS NULL OR recipe.product = ?2) AND (?3 IS NULL OR unit.part_number = ?3) \
             AND (?4 IS NULL OR unit.serial_number = ?4) ORDER BY run.seq",
        );
        let query = query.bind(simulated).bind(&filter.recipe).bind(&filter.part_number).bind(&filter.serial_number);
        let rows = self.runtime.block_on(query.fetch_all(&mut self.conn));
        self.each(rows, |row| {
            Ok(Attempt {
                part_number: row.try_get(0)?,
                serial_number: row.try_get(1)?,
                seed: row.try_get(2)?,
                outcome: word(row, 3, &Outcome::ALL, Outcome::as_str)?,
                cause: word(row, 4, &Cause::ALL, Cause::as_str)?,
            })
        })
    }

    fn fault(&self, error: &sqlx::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }

    fn of<T>(
        &mut self,
        key: i64,
        sql: &'static str,
        read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.runtime.block_on(sqlx::query(sql).bind(key).fetch_all(&mut self.conn));
        self.each(rows, read)
    }

    fn each<T>(
        &self,
        rows: Result<Vec<SqliteRow>, sqlx::Error>,
        read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = rows.map_err(|e| self.fault(&e))?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(|e| self.fault(&e))
    }
}

fn run(row: &SqliteRow) -> Result<Run, sqlx::Error> {
    let seed: Option<String> = row.try_get("seed")?;
    Ok(Run {
        run_id: row.try_get("id")?,
        part_number: row.try_get("part_number")?,
        serial_number: row.try_get("serial_number")?,
        lot: row.try_get("lot")?,
        recipe: row.try_get("product")?,
        recipe_revision: row.try_get("revision")?,
        recipe_hash: row.try_get("recipe_hash")?,
        station: row.try_get("station")?,
        operator: row.try_get("operator")?,
        software_version: row.try_get("software_version")?,
        seed: seed.map(|s| s.parse().map_err(|e| decode("seed", e))).transpose()?,
        simulated: row.try_get("simulated")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        duration_s: row.try_get("duration_s")?,
        outcome: word(row, "outcome", &Outcome::ALL, Outcome::as_str)?,
        cause: word(row, "cause", &Cause::ALL, Cause::as_str)?,
        message: row.try_get("message")?,
        phase: row.try_get("phase")?,
        safe: row.try_get("safe")?,
    })
}

fn measurement(row: &SqliteRow) -> Result<Measurement, sqlx::Error> {
    let power: Option<f64> = row.try_get(9)?;
    let origin = word(row, 10, &LaunchedOrigin::ALL, LaunchedOrigin::as_str)?;
    let age_s: Option<f64> = row.try_get(11)?;
    let uncertainty_db: Option<f64> = row.try_get(12)?;
    Ok(Measurement {
        t_s: row.try_get(0)?,
        step: index(row, 1)?,
        name: row.try_get(2)?,
        channel: row.try_get(3)?,
        value: row.try_get(4)?,
        unit: row.try_get(5)?,
        uncertainty: row.try_get(13)?,
        lower: row.try_get(6)?,
        upper: row.try_get(7)?,
        outcome: word(row, 8, &Outcome::ALL, Outcome::as_str)?,
        launched: power.zip(origin).map(|(watts, origin)| Launched {
            power_w: Power::from_watts(watts),
            origin,
            age_s: age_s.unwrap_or_default(),
            uncertainty_db: uncertainty_db.unwrap_or_default(),
        }),
    })
}

fn trace_head(row: &SqliteRow) -> Result<TraceHead, sqlx::Error> {
    let words = |column: usize| -> Result<Vec<String>, sqlx::Error> {
        Ok(row.try_get::<String, _>(column)?.split_whitespace().map(str::to_string).collect())
    };
    Ok(TraceHead {
        id: row.try_get(0)?,
        t_s: row.try_get(1)?,
        step: index(row, 2)?,
        search: row.try_get(3)?,
        axes: words(4)?,
        channels: words(5)?,
        samples: index(row, 6)?,
    })
}

fn index(row: &SqliteRow, column: usize) -> Result<usize, sqlx::Error> {
    let value: i64 = row.try_get(column)?;
    usize::try_from(value).map_err(|e| decode("index", e))
}

fn word<I, T: Copy>(
    row: &SqliteRow,
    column: I,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Option<T>, sqlx::Error>
where
    I: ColumnIndex<SqliteRow>,
    for<'r> Option<String>: Decode<'r, Sqlite> + Type<Sqlite>,
{
    let text: Option<String> = row.try_get(column)?;
    let Some(text) = text else { return Ok(None) };
    let found = all.iter().copied().find(|w| name(*w) == text);
    found.map(Some).ok_or_else(|| decode("word", format!("\"{text}\" is none known here")))
}

fn decode(column: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: source.into() }
}
