//! `firstlight align`: one search by hand, from a dark bench to the peak and back to safety; nothing is logged.

use clap::Args as ClapArgs;
use firstlight::wiring::WorldPorts;
use recipes::{Axis, Method, Recipe, Step};
use serde_json::json;
use sim::BackDoor;
use station::bench::{Bench, MachinePorts, Ports};
use station::event::{Event, EventSink, Outcome, RunEnd, Sample};
use station::sequence::{self, Job, launched, preflight};
use tokio::task::LocalSet;
use units::clock::{Clock, real_runtime, virtual_runtime};

use super::live::Live;
use super::run::load_recipe;
use crate::bench_file::BenchFile;
use crate::failure::{FILES, Failure, STATION, UNIT_FAILED};
use crate::runner::{self, Plan, Report, WorldPlan, drawn_seed};
use crate::{lines, signals, terminal};

/// Arguments of `align`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  firstlight align --sim --seed 7
  firstlight align --sim --recipe 400g-fr4 --method nelder_mead --json
  firstlight align --bench ./bench.toml --axes x,y --wavelength-nm 1550 --mode-field-um 10.4

The part is brought near, the light found and the peak searched as a recipe would; then the source goes off, the part is
backed off and parked.")]
#[command(group(clap::ArgGroup::new("where").required(true).args(["sim", "bench"])))]
pub(crate) struct Args {
    /// Align on the embedded simulator: the built-in bench of the recipe's fixture class, or BENCH (a name or a file).
    #[arg(long, value_name = "BENCH", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    sim: Option<String>,
    /// Align on the instruments of a bench file.
    #[arg(long, value_name = "FILE")]
    bench: Option<String>,
    /// Recipe whose optics, approach and search areas to take: a built-in name, or a path.
    #[arg(long, value_name = "RECIPE", default_value = "400g-fr4")]
    recipe: String,
    /// Axes to search (x,y,z,rx,ry,rz) in place of the recipe's.
    #[arg(long, value_name = "AXES", value_delimiter = ',')]
    axes: Vec<String>,
    /// How to search: engine, parabola, hill_climb, nelder_mead, dither, raster_fit, raster_centroid, spiral; by a controller:
    /// gradient_search, area_scan, track; or auto.
    #[arg(long, value_name = "M")]
    method: Option<String>,
    /// Wavelength in place of the recipe's, nm.
    #[arg(long, value_name = "NM")]
    wavelength_nm: Option<f64>,
    /// Mode field diameter of the fibre in place of the recipe's, um; of the fixed side too.
    #[arg(long, value_name = "UM")]
    mode_field_um: Option<f64>,
    /// Loss the search may leave, dB.
    #[arg(long, value_name = "DB")]
    tolerance_db: Option<f64>,
    /// Seed of the simulated world; drawn and printed where not given.
    #[arg(long, value_name = "S", requires = "sim")]
    seed: Option<u64>,
    /// One JSON document on stdout.
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: &Args) -> Result<u8, Failure> {
    let recipe = asked(args)?;
    let bench = match (&args.bench, args.sim.as_deref()) {
        (Some(file), _) => BenchFile::load(file)?,
        (None, Some("") | None) => BenchFile::of_class(&recipe.fixture)?,
        (None, Some(name)) => BenchFile::load(name)?,
    };
    if args.sim.is_some() && !bench.config.has_simulation {
        let message = format!("{}: no [simulation] section", bench.label);
        return Err(Failure::new(FILES, message, "add one, or use --bench"));
    }
    // By hand any optics may be tried on any fixture.
    let recipe = Recipe { fixture: bench.config.fixture.clone(), ..recipe };
    let now = jiff::Timestamp::now();
    let problems = preflight(&recipe, &bench.config, None, now);
    if !problems.is_empty() {
        return Err(Failure::problems(&problems));
    }
    let launched = launched(&bench.config, None, now);
    let seed = args.sim.is_some().then(|| args.seed.unwrap_or_else(drawn_seed));
    if let (None, Some(seed)) = (args.seed, seed) {
        terminal::tell(format_args!("seed {seed}"));
    }
    let plan = Plan {
        part_number: recipe.part_number.clone(),
        recipe,
        bench,
        world: seed.map(|seed| WorldPlan { seed, defects: false, faults: Vec::new() }),
        serial_number: None,
        lot: None,
        components: Vec::new(),
        operator: None,
        units: 1,
        launched,
        keep_transcripts: false,
        talk: !args.json,
    };
    let (_sender, mut stop) = signals::listen()?;
    let runtime = if seed.is_some() { virtual_runtime() } else { real_runtime() };
    let runtime = runtime.map_err(|e| Failure::station(format!("no runtime: {e}"), "check the process limits"))?;
    LocalSet::new().block_on(&runtime, async {
        let clock = if seed.is_some() { Clock::simulated() } else { Clock::real() };
        let world = runner::world(&plan, &clock)?;
        let ports: Box<dyn Ports> = match &world {
            Some(world) => Box::new(WorldPorts { world: world.clone() }),
            None => Box::new(MachinePorts),
        };
        let door = world.as_ref().map(sim::World::backdoor);
        if let Some(door) = &door {
            door.load_next_unit();
        }
        let opened = Bench::open(plan.bench.config.clone(), clock, ports.as_ref()).await;
        let mut bench = opened.map_err(|e| Failure::bench(&e))?;
        let mut report = Report::default();
        if !runner::connect(&mut bench, &plan, &mut stop, &mut report).await? {
            return Ok(report.code());
        }
        let mut came = Came::new(door, plan.talk);
        let job = Job { recipe: &plan.recipe, launched: plan.launched, keep_transcripts: false };
        let end = sequence::run(&mut bench, &job, &mut stop, &mut came).await;
        came.tell(args, &plan, seed, &end);
        Ok(match stop.asked() {
            Some(reason) => signals::exit_code(reason),
            None if end.outcome == Outcome::Fail => UNIT_FAILED,
            None if end.outcome != Outcome::Pass => STATION,
            None => 0,
        })
    })
}

/// The recipe up to its peak search, with what the command line says in place of its own.
fn asked(args: &Args) -> Result<Recipe, Failure> {
    let mut recipe = load_recipe(&args.recipe)?;
    let Some(last) = recipe.steps.iter().position(|s| matches!(s, Step::Peak { .. })) else {
        let message = format!("recipe {} searches no peak", recipe.product);
        return Err(Failure::new(FILES, message, "name one with a `peak` step"));
    };
    recipe.steps.truncate(last + 1);
    recipe.limits.clear();
    let within = |name: &str, value: Option<f64>, low: f64, high: f64| match value {
        Some(v) if !(low..=high).contains(&v) => {
            Err(Failure::usage(format!("--{name} {v} is outside {low} to {high}"), "see `firstlight align --help`"))
        }
        value => Ok(value),
    };
    let unit = &mut recipe.unit;
    unit.wavelength_nm = within("wavelength-nm", args.wavelength_nm, 400.0, 2000.0)?.unwrap_or(unit.wavelength_nm);
    if let Some(mode) = within("mode-field-um", args.mode_field_um, 1.0, 200.0)? {
        (unit.mode_field_diameter_um, unit.chip_mode_field_diameter_um) = (mode, mode);
    }
    let tolerance = within("tolerance-db", args.tolerance_db, 0.001, 1.0)?;
    let method = args.method.as_deref().map(method).transpose()?;
    if let Some(Step::Peak { axes, tolerance_db, method: searched, .. }) = recipe.steps.last_mut() {
        if !args.axes.is_empty() {
            *axes = args.axes.iter().map(|a| axis(a)).collect::<Result<_, _>>()?;
            if !(axes.contains(&Axis::X) && axes.contains(&Axis::Y)) {
                return Err(Failure::usage("--axes without x and y", "give x,y or x,y,z"));
            }
        }
        *tolerance_db = tolerance.unwrap_or(*tolerance_db);
        *searched = method.unwrap_or(*searched);
        if let Some((message, hint)) = recipe.unit.refuses(axes, *searched) {
            return Err(Failure::usage(message, hint));
        }
        let across = axes.iter().all(|a| matches!(a, Axis::X | Axis::Y));
        if searched.is_the_controllers() && (!across || recipe.unit.channel_pitch_um.is_some()) {
            let message = format!("{} searches x and y of one channel", searched.as_str());
            return Err(Failure::usage(message, "give --axes x,y, and a recipe that is of no array"));
        }
        if *searched == Method::Parabola && axes.iter().any(|a| a.is_angle()) {
            return Err(Failure::usage("parabolas do not search angles", "give --axes x,y,z, or --method engine"));
        }
    }
    Ok(recipe)
}

/// A method by its name.
pub(crate) fn method(name: &str) -> Result<Method, Failure> {
    Method::named(name).ok_or_else(|| {
        let names = Method::ALL.map(Method::as_str);
        Failure::usage(format!("there is no method \"{name}\""), format!("methods: {}", names.join(", ")))
    })
}

fn axis(name: &str) -> Result<Axis, Failure> {
    Axis::named(name).ok_or_else(|| {
        Failure::usage(format!("--axes: there is no axis \"{name}\""), "axes are x, y, z, rx, ry, rz, x2, y2 and z2")
    })
}

/// What came of it, and who watches.
struct Came {
    door: Option<BackDoor>,
    talk: bool,
    live: Live,
    began_s: f64,
    peak_s: f64,
    message: Option<String>,
    left: [Option<f64>; 2],
    readings: usize,
    /// Loss left against the simulated world's truth when the search ended, dB.
    residual_db: Option<f64>,
    end: Option<(Vec<String>, Sample)>,
}

impl Came {
    fn new(door: Option<BackDoor>, talk: bool) -> Came {
        Came {
            door,
            talk,
            live: Live::new(),
            began_s: 0.0,
            peak_s: 0.0,
            message: None,
            left: [None; 2],
            readings: 0,
            residual_db: None,
            end: None,
        }
    }

    fn tell(&self, args: &Args, plan: &Plan, seed: Option<u64>, end: &RunEnd) {
        let method = plan.recipe.steps.iter().find_map(|s| match s {
            Step::Peak { method, .. } => Some(method.as_str()),
            _ => None,
        });
        let aligned = self.end.as_ref().filter(|_| self.message.is_some() && end.outcome == Outcome::Pass);
        if args.json {
            let position: Option<serde_json::Map<String, serde_json::Value>> =
                aligned.map(|(axes, s)| axes.iter().zip(&s.commanded).map(|(a, p)| (a.clone(), json!(p))).collect());
            let dbm = aligned.and_then(|(_, s)| s.readings.first().and_then(|r| r.power()).and_then(units::Power::dbm));
            let document = json!({
                "method": method, "outcome": end.outcome.as_str(), "message": end.message, "seed": seed,
                "simulated": seed.is_some(), "position": position, "power_dbm": dbm, "readings": self.readings,
                "search_s": self.peak_s, "until_aligned_s": self.began_s + self.peak_s,
                "expected_loss_db": self.left[0], "bound95_db": self.left[1], "true_loss_left_db": self.residual_db,
                "safe": end.safe,
            });
            terminal::print(format_args!("{document}"));
            return;
        }
        match (&self.message, &end.message) {
            (Some(message), None) => {
                terminal::print(format_args!("{}: {message}; {:.3} s", method.unwrap_or("-"), self.peak_s));
                if let Some(db) = self.residual_db {
                    terminal::print(format_args!("the simulated world says {db:.4} dB are left"));
                }
            }
            (_, why) => {
                let why = why.as_deref().unwrap_or("ended before the search did");
                terminal::print(format_args!("{}: {why}", end.outcome.as_str().to_uppercase()));
            }
        }
    }
}

impl EventSink for Came {
    fn event(&mut self, event: &Event) {
        match event {
            Event::StepStarted { t_s, kind, .. } if kind == "peak" => self.began_s = *t_s,
            Event::Trace(trace) if trace.search == "peak" => {
                self.peak_s = trace.t_s - self.began_s;
                self.readings = trace.samples.len();
                self.end = trace.samples.last().map(|s| (trace.axes.clone(), s.clone()));
                self.residual_db = self.door.as_ref().map(BackDoor::left_db);
            }
            Event::Measurement(m) if m.name == "loss_left" => self.left[0] = Some(m.value),
            Event::Measurement(m) if m.name == "loss_left_95" => self.left[1] = Some(m.value),
            Event::StepEnded { outcome: Outcome::Pass, message, .. } if self.end.is_some() => {
                self.message.clone_from(message);
            }
            _ => {}
        }
        if self.talk {
            self.live.rest();
            lines::progress(event);
        }
    }

    fn samples(&mut self, search: &str, axes: &[Axis], samples: &[Sample]) {
        if self.talk {
            self.live.show(search, axes, samples);
        }
    }
}
