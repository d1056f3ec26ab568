//! Runs units: opens and connects the bench, loads simulated units, makes start and end of every run durable.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{BufWriter, Write as _};
use std::rc::Rc;

use recipes::{Quantity, Recipe};
use sim::{BackDoor, World};
use station::bench::{Bench, MachinePorts, Ports};
use station::event::{Cause, Component, Event, EventSink, Measurement, Outcome, Phase, RunEnd, RunStart, Unit};
use station::sequence::lot::Lot;
use station::sequence::{self, Job, LaunchedSource, Stop, StopReason};
use station::store::{Earlier, Writer};
use units::clock::Clock;

use crate::bench_file::BenchFile;
use crate::failure::{Failure, STATION, UNIT_FAILED};
use crate::terminal;
use firstlight::wiring::{WorldPorts, wiring};

/// A world to run in.
#[derive(Debug, Clone)]
pub(crate) struct WorldPlan {
    pub(crate) seed: u64,
    pub(crate) defects: bool,
    pub(crate) faults: Vec<sim::Fault>,
}

/// Everything a command to run units comes to.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) recipe: Recipe,
    pub(crate) bench: BenchFile,
    pub(crate) world: Option<WorldPlan>,
    pub(crate) part_number: String,
    pub(crate) serial_number: Option<String>,
    pub(crate) lot: Option<String>,
    pub(crate) components: Vec<Component>,
    pub(crate) operator: Option<String>,
    pub(crate) units: u32,
    pub(crate) launched: LaunchedSource,
    pub(crate) keep_transcripts: bool,
    pub(crate) talk: bool,
}

/// One run that ended.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// Loss from launched to coupled power at the moment of the loss measurement, by the simulated world itself, dB.
    pub(crate) true_loss_db: Option<f64>,
    pub(crate) run_id: String,
    pub(crate) serial_number: String,
    pub(crate) simulated: bool,
    pub(crate) end: RunEnd,
    pub(crate) measurements: Vec<Measurement>,
}

/// Files that a command writes lines to.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The runs' events.
    pub(crate) events: Option<BufWriter<File>>,
    /// What each simulated unit really was.
    pub(crate) truth: Option<BufWriter<File>>,
}

/// What a command came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) runs: Vec<Done>,
    pub(crate) stopped: Option<StopReason>,
}

impl Report {
    /// The exit code: a stop's own, else station errors before failed units before none.
    pub(crate) fn code(&self) -> u8 {
        if let Some(reason) = self.stopped {
            return crate::signals::exit_code(reason);
        }
        let any = |outcome| self.runs.iter().any(|r| r.end.outcome == outcome);
        match () {
            () if any(Outcome::Error) || any(Outcome::Aborted) => STATION,
            () if any(Outcome::Fail) => UNIT_FAILED,
            () => 0,
        }
    }
}

/// A seed nobody chose; short enough to read over the phone.
pub(crate) fn drawn_seed() -> u64 {
    RandomState::new().build_hasher().finish() & 0xFFFF_FFFF
}

/// Runs the units of a plan. What ended before a failure is in the report all the same.
pub(crate) async fn work(
    plan: &Plan,
    clock: Clock,
    stop: &mut Stop,
    writer: &Writer,
    files: &mut Files,
    report: &mut Report,
) -> Result<(), Failure> {
    let world = world(plan, &clock)?;
    let ports: Rc<dyn Ports> = match &world {
        Some(world) => Rc::new(WorldPorts { world: world.clone() }),
        None => Rc::new(MachinePorts),
    };
    let Some(mut bench) = open(plan, &clock, ports.as_ref(), stop, report).await? else { return Ok(()) };
    let mut sink = Sink::new(writer, files.events.as_mut(), world.as_ref().map(World::backdoor), plan.talk);
    for number in 1..=plan.units {
        if let Some(world) = &world {
            world.backdoor().load_next_unit();
        }
        let done = one(plan, number, &mut bench, world.is_some(), stop, &mut sink).await?;
        if let (Some(file), Some(world)) = (&mut files.truth, &world) {
            let line = crate::truth::document(&world.backdoor(), done.true_loss_db);
            writeln!(file, "{line}").and_then(|()| file.flush()).map_err(|e| lines_failure("truth", &e))?;
        }
        let (outcome, safe) = (done.end.outcome, done.end.safe);
        report.runs.push(done);
        report.stopped = stop.asked();
        if report.stopped.is_some() || !safe {
            break;
        }
        let more = number < plan.units;
        if more && outcome == Outcome::Error {
            // Ports too: one of them may have gone and come back.
            drop(bench);
            bench = match open(plan, &clock, ports.as_ref(), stop, report).await? {
                Some(bench) => bench,
                None => break,
            };
        }
    }
    match sink.failed {
        Some(e) => Err(lines_failure("events", &e)),
        None => Ok(()),
    }
}

fn lines_failure(what: &str, e: &std::io::Error) -> Failure {
    Failure::new(crate::failure::STORAGE, format!("{what} file: {e}"), "check its path and the disk")
}

/// Opens and connects the bench; none where a stop came first.
async fn open(
    plan: &Plan,
    clock: &Clock,
    ports: &dyn Ports,
    stop: &mut Stop,
    report: &mut Report,
) -> Result<Option<Bench>, Failure> {
    let opened = tokio::select! {
        biased;
        reason = stop.requested() => { report.stopped = Some(reason); return Ok(None) }
        opened = Bench::open(plan.bench.config.clone(), clock.clone(), ports) => opened,
    };
    let mut bench = opened.map_err(|e| Failure::bench(&e))?;
    Ok(connect(&mut bench, plan, stop, report).await?.then_some(bench))
}

pub(crate) fn world(plan: &Plan, clock: &Clock) -> Result<Option<World>, Failure> {
    let Some(setup) = &plan.world else { return Ok(None) };
    let bench = &plan.bench;
    let world =
        World::from_bench(&bench.text, &bench.folder, &wiring(&bench.config), setup.seed, setup.defects, clock.clone());
    let world = world.map_err(|f| Failure::faults(&bench.label, &f))?;
    for fault in &setup.faults {
        world.backdoor().inject(fault.clone());
    }
    Ok(Some(world))
}

/// Connects the bench's instruments; `false` when a stop came first. A bench that cannot be connected is left safe.
pub(crate) async fn connect(
    bench: &mut Bench,
    plan: &Plan,
    stop: &mut Stop,
    report: &mut Report,
) -> Result<bool, Failure> {
    let connected = tokio::select! {
        biased;
        reason = stop.requested() => { report.stopped = Some(reason); None }
        connected = bench.connect(plan.recipe.unit.wavelength_nm) => Some(connected),
    };
    let failure = match connected {
        Some(Ok(())) => return Ok(true),
        Some(Err(e)) => Some(Failure::bench(&e)),
        None => None,
    };
    if bench.can_move() {
        let safety = bench.make_safe(Phase::Free).await;
        for problem in safety.problems {
            terminal::tell(format_args!("the bench is not safe: {problem}"));
        }
    }
    failure.map_or(Ok(false), Err)
}

pub(crate) async fn one(
    plan: &Plan,
    number: u32,
    bench: &mut Bench,
    in_process: bool,
    stop: &mut Stop,
    sink: &mut Sink<'_>,
) -> Result<Done, Failure> {
    let serial_number = plan.serial_number.clone().unwrap_or_else(|| format!("SIM-{number:06}"));
    let start = RunStart {
        unit: Unit {
            part_number: plan.part_number.clone(),
            serial_number: serial_number.clone(),
            lot: plan.lot.clone(),
            components: plan.components.clone(),
        },
        recipe: plan.recipe.product.clone(),
        recipe_revision: plan.recipe.revision.clone(),
        recipe_hash: plan.recipe.hash.clone(),
        recipe_text: plan.recipe.text.clone(),
        station: plan.bench.config.station.clone(),
        operator: plan.operator.clone(),
        software_version: env!("CARGO_PKG_VERSION").to_string(),
        seed: plan.world.as_ref().map(|w| w.seed),
        simulated: in_process || bench.is_simulated(),
    };
    let lot = earlier(&start, sink.writer)?;
    let run_id = sink.writer.begin(&start).map_err(|e| Failure::storage(&e))?;
    sink.begin(&start);
    let job = Job { recipe: &plan.recipe, launched: plan.launched, keep_transcripts: plan.keep_transcripts };
    let end = sequence::run_in_lot(bench, &job, lot.as_ref(), stop, sink).await;
    sink.end(&end);
    sink.writer.end(&end).map_err(|e| Failure::storage(&e))?;
    let measurements = std::mem::take(&mut sink.measurements);
    let true_loss_db = sink.true_loss_db.take();
    Ok(Done { true_loss_db, run_id: run_id.to_string(), serial_number, simulated: start.simulated, end, measurements })
}

/// What the log tells of the lot of a run that is about to begin.
fn earlier(start: &RunStart, writer: &Writer) -> Result<Option<Lot>, Failure> {
    let Some(name) = start.unit.lot.clone() else { return Ok(None) };
    let of = Earlier {
        lot: name.clone(),
        recipe: start.recipe.clone(),
        station: start.station.clone(),
        simulated: start.simulated,
    };
    let peaks = writer.peaks(&of).map_err(|e| Failure::storage(&e))?;
    Ok(Some(Lot { name, peaks }))
}

/// Where the events of a run go: the log, the events file, and the screen.
pub(crate) struct Sink<'w> {
    writer: &'w Writer,
    events: Option<&'w mut BufWriter<File>>,
    door: Option<BackDoor>,
    failed: Option<std::io::Error>,
    measurements: Vec<Measurement>,
    true_loss_db: Option<f64>,
    kept: Option<Vec<Event>>,
    talk: bool,
}

impl<'w> Sink<'w> {
    /// A sink into the log and, where there are some, an events file, a simulated world's truth and the screen.
    pub(crate) fn new(
        writer: &'w Writer,
        events: Option<&'w mut BufWriter<File>>,
        door: Option<BackDoor>,
        talk: bool,
    ) -> Sink<'w> {
        Sink { writer, events, door, failed: None, measurements: Vec::new(), true_loss_db: None, kept: None, talk }
    }

    /// Keeps every event for [`Sink::kept`].
    pub(crate) fn keeping(self) -> Self {
        Sink { kept: Some(Vec::new()), ..self }
    }

    /// What was kept.
    pub(crate) fn kept(self) -> Vec<Event> {
        self.kept.unwrap_or_default()
    }

    fn begin(&mut self, start: &RunStart) {
        if self.talk {
            terminal::tell(format_args!(
                "{} {} on {} by recipe {} rev {}",
                start.unit.part_number, start.unit.serial_number, start.station, start.recipe, start.recipe_revision
            ));
        }
        self.write_out(&Event::RunStarted(start.clone()));
    }

    fn end(&mut self, end: &RunEnd) {
        self.write_out(&Event::RunEnded(end.clone()));
        if let Some(file) = &mut self.events
            && let Err(e) = file.flush()
        {
            self.failed.get_or_insert(e);
        }
    }

    fn write_out(&mut self, event: &Event) {
        if let Some(kept) = &mut self.kept {
            kept.push(event.clone());
        }
        let Some(file) = &mut self.events else { return };
        if self.failed.is_some() {
            return;
        }
        let written = serde_json::to_writer(&mut **file, event).map_err(std::io::Error::from);
        if let Err(e) = written.and_then(|()| file.write_all(b"\n")) {
            self.failed = Some(e);
        }
    }
}

impl EventSink for Sink<'_> {
    fn event(&mut self, event: &Event) {
        self.writer.record(event);
        self.write_out(event);
        if let Event::Measurement(m) = event {
            self.measurements.push(m.clone());
            if m.name == Quantity::CouplingLoss.as_str() {
                self.true_loss_db = self.door.as_ref().map(|door| door.truth().loss_db);
            }
        }
        if self.talk {
            crate::lines::progress(event);
        }
    }
}

/// The word for a cause in results.
pub(crate) fn cause(end: &RunEnd) -> Option<&'static str> {
    end.cause.map(Cause::as_str)
}
