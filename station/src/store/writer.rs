//! The one writer: a thread that turns events into transactions.
//!
//! A run's start and end wait until they are durable, by a blocking receive that holds a paused clock. Everything between is
//! queued and committed in groups as it comes: what the disk has finished when the power fails is kept. The queue holds at
//! most one run's events, since a run's end waits until it is empty.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use jiff::Timestamp;
use recipes::Axis;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection as _, Row as _, Sqlite, SqliteConnection, Transaction};
use uuid::{ContextV7, Uuid};

use super::{Earlier, StoreError, blob, lot, options, runtime, schema};
use crate::event::{Event, Measurement, Outcome, Phase, RunEnd, RunStart, Trace, Unit};

/// Events written in one transaction at the most, so that a long run's events become durable while it goes on.
const GROUP_MAX: usize = 256;

/// The identity of a run in the log: a UUID that begins with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId(Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A run that was found open and closed as aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Its id.
    pub run_id: String,
    /// Its unit.
    pub serial_number: String,
    /// The phase its part was last known to be in.
    pub phase: String,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Largest size of the file, in pages of 4096 bytes; a log that reaches it is full.
    pub pages_max: Option<u32>,
}

/// Of each unit, where its peak was from the approach pose.
type Peaks = Vec<BTreeMap<Axis, f64>>;

enum Order {
    Peaks(Earlier, SyncSender<Result<Peaks, StoreError>>),
    Begin(Box<RunStart>, SyncSender<Result<RunId, StoreError>>),
    Event(Box<Event>),
    End(Box<RunEnd>, SyncSender<Result<(), StoreError>>),
    Close(SyncSender<Result<(), StoreError>>),
}

/// The one writer of a log. Its thread holds the lock beside the file until it has written everything.
#[derive(Debug)]
pub struct Writer {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
    recovered: Vec<Recovered>,
    failed: Arc<OnceLock<StoreError>>,
}

impl Writer {
    /// Opens a log for writing, makes it where there is none, and closes runs left open as aborted. `wall` tells the date.
    pub fn open(path: &Path, wall: fn() -> Timestamp) -> Result<Writer, StoreError> {
        Writer::open_with(path, wall, Options::default())
    }

    /// As [`Writer::open`], with options.
    pub fn open_with(path: &Path, wall: fn() -> Timestamp, with: Options) -> Result<Writer, StoreError> {
        let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(|e| not_writable(path, &e))?;
        let is_database = is_database(path)?;
        let lock = lock(path)?;
        let (orders, inbox) = channel();
        let (opened, open) = sync_channel(1);
        let failed = Arc::new(OnceLock::new());
        let desk = Desk { path: path.to_path_buf(), wall, with, is_database, failed: failed.clone(), _lock: lock };
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || desk.work(&inbox, &opened));
        let thread = thread.map_err(|e| StoreError::Thread(e.to_string()))?;
        let recovered = open.recv().map_err(|e| StoreError::Thread(e.to_string()))??;
        Ok(Writer { orders, thread: Some(thread), recovered, failed })
    }

    /// The runs that were found open and closed as aborted.
    pub fn recovered(&self) -> &[Recovered] {
        &self.recovered
    }

    /// Records that a run begins. Blocks until that is durable.
    pub fn begin(&self, start: &RunStart) -> Result<RunId, StoreError> {
        self.ask(|reply| Order::Begin(Box::new(start.clone()), reply))
    }

    /// Where the peaks of a lot's earlier units were from the approach pose (um, degrees), the latest unit last. Only runs that passed
    /// after an alignment that was sure count, all that have ended so far among them; of a unit run again the latest.
    pub fn peaks(&self, of: &Earlier) -> Result<Peaks, StoreError> {
        self.ask(|reply| Order::Peaks(of.clone(), reply))
    }

    /// Queues an event of the run begun last. Never waits; a fault shows in [`Writer::failed`] and at the run's end.
    pub fn record(&self, event: &Event) {
        // A writer that is gone is told at the run's end.
        let _ = self.orders.send(Order::Event(Box::new(event.clone())));
    }

    /// Records how the run ended. Blocks until all of the run is durable.
    pub fn end(&self, end: &RunEnd) -> Result<(), StoreError> {
        self.ask(|reply| Order::End(Box::new(end.clone()), reply))
    }

    /// The fault that keeps the log from being written, once there is one.
    pub fn failed(&self) -> Option<&StoreError> {
        self.failed.get()
    }

    /// Writes what is queued and closes the file.
    pub fn close(mut self) -> Result<(), StoreError> {
        let closed = self.ask(Order::Close);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| StoreError::Thread("it panicked".into()))?;
        }
        closed
    }

    fn ask<T>(&self, order: impl FnOnce(SyncSender<Result<T, StoreError>>) -> Order) -> Result<T, StoreError> {
        let gone = || StoreError::Thread("it has ended".into());
        let (reply, answer) = sync_channel(1);
        self.orders.send(order(reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

fn not_writable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::NotWritable { path: path.to_path_buf(), detail: error.to_string() }
}

/// Whether a database is there; an error where something else is, so that it is left alone.
fn is_database(path: &Path) -> Result<bool, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(not_writable(path, &e)),
    };
    let mut head = Vec::new();
    file.take(16).read_to_end(&mut head).map_err(|e| not_writable(path, &e))?;
    match head.as_slice() {
        [] => Ok(false),
        b"SQLite format 3\0" => Ok(true),
        _ => Err(StoreError::NotADatabase { path: path.to_path_buf() }),
    }
}

/// Takes the lock beside the log, and writes into it who holds it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(|e| not_writable(path, &e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = file.take(100).read_to_string(&mut holder);
            let holder =
                if read.is_ok() && !holder.trim().is_empty() { holder.trim().to_string() } else { "unknown".into() };
            return Err(StoreError::Locked { path: path.to_path_buf(), holder });
        }
        Err(TryLockError::Error(e)) => return Err(not_writable(path, &e)),
    }
    let noted =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "process {}", std::process::id()));
    noted.map_err(|e| not_writable(path, &e))?;
    Ok(file)
}

/// What the writer's thread works with.
struct Desk {
    path: PathBuf,
    wall: fn() -> Timestamp,
    with: Options,
    is_database: bool,
    failed: Arc<OnceLock<StoreError>>,
    _lock: File,
}

impl Desk {
    fn work(self, inbox: &Receiver<Order>, opened: &SyncSender<Result<Vec<Recovered>, StoreError>>) {
        let open = runtime().and_then(|runtime| {
            let (conn, recovered) = runtime.block_on(self.open())?;
            Ok((runtime, conn, recovered))
        });
        match open {
            Err(e) => drop(opened.send(Err(e))),
            Ok((runtime, conn, recovered)) => {
                if opened.send(Ok(recovered)).is_ok() {
                    runtime.block_on(self.serve(conn, inbox));
                }
            }
        }
    }

    fn fault(&self, error: &sqlx::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }

    async fn open(&self) -> Result<(SqliteConnection, Vec<Recovered>), StoreError> {
        let options = options(&self.path).create_if_missing(true);
        let mut conn = SqliteConnection::connect_with(&options).await.map_err(|e| self.fault(&e))?;
        // Looked at before anything is changed: somebody else's file stays as it is.
        let version = if self.is_database { schema::version(&mut conn, &self.path).await? } else { 0 };
        drop(conn);
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let mut conn = SqliteConnection::connect_with(&options).await.map_err(|e| self.fault(&e))?;
        if let Some(pages) = self.with.pages_max {
            // Pragmas take no parameters; this is a number.
            let sql = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
            sqlx::raw_sql(sql).execute(&mut conn).await.map_err(|e| self.fault(&e))?;
        }
        if version < schema::NEWEST {
            schema::migrate(&mut conn, version, &self.path).await?;
        }
        let recovered = recover(&mut conn, self.wall).await.map_err(|e| self.fault(&e))?;
        Ok((conn, recovered))
    }

    async fn serve(&self, mut conn: SqliteConnection, inbox: &Receiver<Order>) {
        let ids = ContextV7::new();
        let mut run = None;
        let mut group: Vec<Event> = Vec::new();
        // Blocking this thread is right: nothing else lives on its runtime.
        while let Ok(order) = inbox.recv() {
            let mut next = Some(order);
            while let Some(Order::Event(event)) = next {
                group.push(*event);
                next = if group.len() < GROUP_MAX { inbox.try_recv().ok() } else { None };
            }
            let reply = match next {
                None | Some(Order::Event(_)) => {
                    self.keep(self.write(&mut conn, run, &group, None).await);
                    None
                }
                Some(Order::Peaks(of, reply)) => {
                    self.keep(self.write(&mut conn, run, &group, None).await);
                    // Whoever asked may be gone.
                    let _ = reply.send(lot::peaks(&mut conn, &of).await.map_err(|e| self.fault(&e)));
                    None
                }
                Some(Order::Begin(start, reply)) => {
                    let begun = self.begin(&mut conn, &start, &ids).await;
                    run = begun.as_ref().ok().map(|(_, seq)| *seq);
                    let begun = begun.map(|(id, _)| id);
                    // Whoever asked may be gone.
                    let _ = reply.send(begun);
                    None
                }
                Some(Order::End(end, reply)) => {
                    self.keep(self.write(&mut conn, run, &group, Some(&end)).await);
                    run = None;
                    Some(reply)
                }
                Some(Order::Close(reply)) => {
                    self.keep(self.write(&mut conn, run, &group, None).await);
                    // Closing checkpoints the write-ahead log; what it held is durable without.
                    let closed = conn.close().await.map_err(|e| self.fault(&e));
                    let _ = reply.send(self.failed.get().cloned().map_or(closed, Err));
                    return;
                }
            };
            group.clear();
            if let Some(reply) = reply {
                let _ = reply.send(self.failed.get().cloned().map_or(Ok(()), Err));
            }
        }
    }

    fn keep(&self, written: Result<(), StoreError>) {
        if let Err(e) = written {
            // The first fault is the one to tell.
            let _ = self.failed.set(e);
        }
    }

    async fn begin(
        &self,
        conn: &mut SqliteConnection,
        start: &RunStart,
        ids: &ContextV7,
    ) -> Result<(RunId, i64), StoreError> {
        if let Some(e) = self.failed.get() {
            return Err(e.clone());
        }
        let now = (self.wall)();
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        let id = RunId(Uuid::new_v7(uuid::Timestamp::from_unix(ids, seconds, nanos)));
        let begun = async {
            let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
            let seq = insert_run(&mut transaction, id, start, &now.to_string()).await?;
            transaction.commit().await?;
            Ok(seq)
        };
        let begun: Result<i64, sqlx::Error> = begun.await;
        begun.map(|seq| (id, seq)).map_err(|e| {
            let e = self.fault(&e);
            let _ = self.failed.set(e.clone());
            e
        })
    }

    /// Writes events, and the end of the run where there is one, in one transaction.
    async fn write(
        &self,
        conn: &mut SqliteConnection,
        run: Option<i64>,
        events: &[Event],
        end: Option<&RunEnd>,
    ) -> Result<(), StoreError> {
        let Some(run) = run else { return Ok(()) };
        if self.failed.get().is_some() || (events.is_empty() && end.is_none()) {
            return Ok(());
        }
        let written = async {
            let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
            for event in events {
                insert_event(&mut transaction, run, event).await?;
            }
            if let Some(end) = end {
                end_run(&mut transaction, run, end, &(self.wall)().to_string()).await?;
            }
            transaction.commit().await
        };
        written.await.map_err(|e| self.fault(&e))
    }
}

type Tx<'c> = Transaction<'c, Sqlite>;

/// Closes runs left open. Their bench was not made safe; the next run does that first.
async fn recover(conn: &mut SqliteConnection, wall: fn() -> Timestamp) -> Result<Vec<Recovered>, sqlx::Error> {
    let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
    let open = sqlx::query(
        "SELECT run.id, unit.serial_number, run.phase FROM run JOIN unit ON unit.id = run.unit_id \
         WHERE run.outcome IS NULL ORDER BY run.seq",
    );
    let open = open.fetch_all(&mut *transaction).await?;
    let recovered: Result<Vec<Recovered>, sqlx::Error> = open
        .iter()
        .map(|row| Ok(Recovered { run_id: row.try_get(0)?, serial_number: row.try_get(1)?, phase: row.try_get(2)? }))
        .collect();
    let recovered = recovered?;
    if !recovered.is_empty() {
        let close = sqlx::query(
            "UPDATE run SET outcome = 'aborted', cause = 'station', ended_at = ?, safe = 0, \
             message = 'cut off: the program or the power ended before the run did' WHERE outcome IS NULL",
        );
        close.bind(wall().to_string()).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(recovered)
}

async fn insert_run(tx: &mut Tx<'_>, id: RunId, start: &RunStart, now: &str) -> Result<i64, sqlx::Error> {
    sqlx::query("INSERT INTO recipe (hash, product, revision, text) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(&start.recipe_hash)
        .bind(&start.recipe)
        .bind(&start.recipe_revision)
        .bind(&start.recipe_text)
        .execute(&mut **tx)
        .await?;
    let unit = insert_unit(tx, &start.unit, now).await?;
    let run = sqlx::query(
        "INSERT INTO run (id, unit_id, recipe_hash, station, operator, software_version, seed, simulated, started_at, phase, lot) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
    );
    let run = run
        .bind(id.to_string())
        .bind(unit)
        .bind(&start.recipe_hash)
        .bind(&start.station)
        .bind(&start.operator)
        .bind(&start.software_version)
        .bind(start.seed.map(|s| s.to_string()))
        .bind(start.simulated)
        .bind(now)
        .bind(Phase::Free.as_str())
        .bind(&start.unit.lot);
    run.fetch_one(&mut **tx).await?.try_get(0)
}

/// The unit's row, made or found; a lot is filled in once known, components are added as they are named.
async fn insert_unit(tx: &mut Tx<'_>, unit: &Unit, now: &str) -> Result<i64, sqlx::Error> {
    let row = sqlx::query(
        "INSERT INTO unit (part_number, serial_number, lot, first_seen_at) VALUES (?, ?, ?, ?) \
         ON CONFLICT (part_number, serial_number) DO UPDATE SET lot = coalesce(excluded.lot, lot) RETURNING id",
    );
    let row = row.bind(&unit.part_number).bind(&unit.serial_number).bind(&unit.lot).bind(now);
    let id: i64 = row.fetch_one(&mut **tx).await?.try_get(0)?;
    for component in &unit.components {
        let insert = sqlx::query(
            "INSERT INTO component (unit_id, kind, serial, lot) SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS \
             (SELECT 1 FROM component WHERE unit_id = ?1 AND kind = ?2 AND serial IS ?3 AND lot IS ?4)",
        );
        let insert = insert.bind(id).bind(&component.kind).bind(&component.serial).bind(&component.lot);
        insert.execute(&mut **tx).await?;
    }
    Ok(id)
}

async fn insert_event(tx: &mut Tx<'_>, run: i64, event: &Event) -> Result<(), sqlx::Error> {
    match event {
        // Begin and end have orders of their own.
        Event::RunStarted(_) | Event::RunEnded(_) => Ok(()),
        Event::Phase { t_s, phase } => {
            let insert = sqlx::query("INSERT INTO phase (run_seq, t_s, phase) VALUES (?, ?, ?)");
            insert.bind(run).bind(t_s).bind(phase.as_str()).execute(&mut **tx).await?;
            let update = sqlx::query("UPDATE run SET phase = ? WHERE seq = ?");
            update.bind(phase.as_str()).bind(run).execute(&mut **tx).await.map(drop)
        }
        Event::StepStarted { t_s, step, kind } => {
            let insert = sqlx::query("INSERT INTO step (run_seq, position, kind, started_s) VALUES (?, ?, ?, ?)");
            insert.bind(run).bind(index(*step)).bind(kind).bind(t_s).execute(&mut **tx).await.map(drop)
        }
        Event::StepEnded { t_s, step, outcome, message } => {
            let update =
                sqlx::query("UPDATE step SET ended_s = ?, outcome = ?, message = ? WHERE run_seq = ? AND position = ?");
            let update = update.bind(t_s).bind(outcome.as_str()).bind(message).bind(run).bind(index(*step));
            update.execute(&mut **tx).await.map(drop)
        }
        Event::Measurement(m) => insert_measurement(tx, run, m).await,
        Event::Trace(trace) => insert_trace(tx, run, trace).await,
        Event::Note { t_s, text } => {
            let insert = sqlx::query("INSERT INTO note (run_seq, t_s, text) VALUES (?, ?, ?)");
            insert.bind(run).bind(t_s).bind(text).execute(&mut **tx).await.map(drop)
        }
        Event::Transcript { t_s, instrument, text } => {
            let insert = sqlx::query("INSERT INTO transcript (run_seq, t_s, instrument, text) VALUES (?, ?, ?, ?)");
            insert.bind(run).bind(t_s).bind(instrument).bind(text).execute(&mut **tx).await.map(drop)
        }
    }
}

async fn insert_measurement(tx: &mut Tx<'_>, run: i64, m: &Measurement) -> Result<(), sqlx::Error> {
    let insert = sqlx::query(
        "INSERT INTO measurement (run_seq, step, t_s, name, channel, value, unit, lower, upper, outcome, launched_w, \
         launched_origin, launched_age_s, launched_uncertainty_db, uncertainty) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let insert = insert
        .bind(run)
        .bind(index(m.step))
        .bind(m.t_s)
        .bind(&m.name)
        .bind(&m.channel)
        .bind(m.value)
        .bind(&m.unit)
        .bind(m.lower)
        .bind(m.upper)
        .bind(m.outcome.map(Outcome::as_str))
        .bind(m.launched.map(|l| l.power_w.watts()))
        .bind(m.launched.map(|l| l.origin.as_str()))
        .bind(m.launched.map(|l| l.age_s))
        .bind(m.launched.map(|l| l.uncertainty_db))
        .bind(m.uncertainty);
    insert.execute(&mut **tx).await.map(drop)
}

async fn insert_trace(tx: &mut Tx<'_>, run: i64, trace: &Trace) -> Result<(), sqlx::Error> {
    let data = blob::pack(trace.axes.len(), trace.channels.len(), &trace.samples).map_err(sqlx::Error::Io)?;
    let insert = sqlx::query(
        "INSERT INTO trace (run_seq, step, t_s, search, axes, channels, samples, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let insert = insert
        .bind(run)
        .bind(index(trace.step))
        .bind(trace.t_s)
        .bind(&trace.search)
        .bind(trace.axes.join(" "))
        .bind(trace.channels.join(" "))
        .bind(index(trace.samples.len()))
        .bind(data);
    insert.execute(&mut **tx).await.map(drop)
}

async fn end_run(tx: &mut Tx<'_>, run: i64, end: &RunEnd, now: &str) -> Result<(), sqlx::Error> {
    let update = sqlx::query(
        "UPDATE run SET ended_at = ?, duration_s = ?, outcome = ?, cause = ?, message = ?, phase = ?, safe = ? WHERE seq = ?",
    );
    let update = update
        .bind(now)
        .bind(end.t_s)
        .bind(end.outcome.as_str())
        .bind(end.cause.map(crate::event::Cause::as_str))
        .bind(&end.message)
        .bind(end.phase.as_str())
        .bind(end.safe)
        .bind(run);
    update.execute(&mut **tx).await.map(drop)
}

fn index(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
