//! Whole alignments over the vendors' bytes: how long from the start of a run until the part is aligned, with how many
//! readings, and what is left against the simulated world's truth.
//!
//! `cargo bench -p tests --bench alignments > docs/alignments.md`; bench seconds are the same on every machine.

#![expect(clippy::print_stdout, reason = "a benchmark's table is its output")]

use std::path::Path;

use firstlight::benches;
use firstlight::wiring::{WorldPorts, wiring};
use recipes::{Method, Recipe, Step};
use sim::{BackDoor, World};
use station::bench::Bench;
use station::config::BenchConfig;
use station::event::{Event, EventSink, Outcome};
use station::sequence::{self, Job, LaunchedSource, stop};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

/// Seed the units are drawn with.
const SEED: u64 = 11;

/// A recipe on the built-in bench of its fixture class, and the methods to be compared on so many of its units.
struct Line {
    recipe: &'static str,
    of_what: &'static str,
    units: usize,
    compared: fn(Method) -> bool,
}

const LINES: [Line; 3] = [
    Line {
        recipe: "400g-fr4",
        of_what: "a single-mode receptacle in three axes",
        units: 50,
        // Its controller has no searches of its own to choose.
        compared: |m| !m.is_the_controllers() && m != Method::Auto,
    },
    Line {
        recipe: "800g-dr8",
        of_what: "an array of eight fibres on a hexapod in six axes, by the power of all lanes together",
        units: 20,
        compared: |m| matches!(m, Method::Engine | Method::HillClimb | Method::NelderMead),
    },
    Line {
        recipe: "pic-through",
        of_what: "both ends of a chip in six axes as one",
        units: 50,
        compared: |m| matches!(m, Method::Engine | Method::HillClimb | Method::NelderMead),
    },
];

/// One alignment.
#[derive(Default, Clone, Copy)]
struct Came {
    began_s: f64,
    aligned_s: f64,
    search_s: f64,
    readings: f64,
    residual_db: f64,
    bound_db: Option<f64>,
}

/// Watches a run for what the table tells.
struct Watch {
    door: BackDoor,
    came: Came,
}

impl EventSink for Watch {
    fn event(&mut self, event: &Event) {
        match event {
            Event::StepStarted { t_s, kind, .. } if kind == "peak" => self.came.began_s = *t_s,
            #[expect(clippy::cast_precision_loss, reason = "a count of readings")]
            Event::Trace(trace) if trace.search == "peak" => {
                self.came.aligned_s = trace.t_s;
                self.came.search_s = trace.t_s - self.came.began_s;
                self.came.readings = trace.samples.len() as f64;
                self.came.residual_db = self.door.left_db();
            }
            Event::Measurement(m) if m.name == "loss_left_95" => self.came.bound_db = Some(m.value),
            _ => {}
        }
    }
}

/// Aligns the units by a method; those that ended well.
fn align(line: &Line, method: Method) -> Vec<Came> {
    let mut recipe = Recipe::parse(recipes::named(line.recipe).expect("it is built in")).expect("it can run");
    let peak = recipe.steps.iter().position(|s| matches!(s, Step::Peak { .. })).expect("it searches");
    recipe.steps.truncate(peak + 1);
    recipe.limits.clear();
    if let Some(Step::Peak { method: searched, .. }) = recipe.steps.last_mut() {
        *searched = method;
    }
    let text = benches::named(&recipe.fixture).expect("it is built in");
    let config = BenchConfig::parse(text).expect("it is in order");
    let runtime = virtual_runtime().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let world = World::from_bench(text, Path::new(""), &wiring(&config), SEED, false, clock.clone());
        let world = world.expect("the built-in world");
        let door = world.backdoor();
        let mut bench = Bench::open(config, clock, &WorldPorts { world }).await.expect("ports of a world open");
        bench.connect(recipe.unit.wavelength_nm).await.expect("healthy instruments connect");
        let (_sender, mut stop) = stop();
        let mut all = Vec::new();
        for _ in 0..line.units {
            door.load_next_unit();
            let mut watch = Watch { door: door.clone(), came: Came::default() };
            let job = Job { recipe: &recipe, launched: LaunchedSource::Tap, keep_transcripts: false };
            let end = sequence::run(&mut bench, &job, &mut stop, &mut watch).await;
            if end.outcome == Outcome::Pass {
                all.push(watch.came);
            }
        }
        all
    })
}

fn quantile(all: &[Came], share: f64, of: impl Fn(&Came) -> f64) -> f64 {
    let mut values: Vec<f64> = all.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of a short list")]
    let index = (share * (values.len() as f64 - 1.0)).round() as usize;
    values.get(index).copied().unwrap_or(f64::NAN)
}

fn main() {
    println!("# Whole alignments\n");
    println!("    cargo bench -p tests --bench alignments > docs/alignments.md\n");
    println!(
        "Good units of seed {SEED} on the built-in benches, by each recipe with each method in place of its own, over the vendors'"
    );
    println!(
        "bytes. Bench seconds from the start of the run (source on and settled, approach, first light) until the part is aligned,"
    );
    println!(
        "and of the search alone; residual against what the simulated world says is the best. Each line of a raster is one sweep,"
    );
    println!("which costs more than on a controller that scans by itself.");
    for line in &LINES {
        println!("\n## {}: {}\n", line.recipe, line.of_what);
        println!(
            "| method | aligned | until aligned, median | search, median | 95 % | readings, median | residual, median | 95 % | within its 95 % bound |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
        for method in Method::ALL.into_iter().filter(|m| (line.compared)(*m)) {
            row(line, method);
        }
    }
}

fn row(line: &Line, method: Method) {
    let all = align(line, method);
    let bounded = all.iter().filter_map(|c| c.bound_db.map(|b| c.residual_db <= b));
    let (within, of) = bounded.fold((0, 0), |(w, n), yes| (w + usize::from(yes), n + 1));
    let covered = if of == 0 { "states none".to_string() } else { format!("{within} of {of}") };
    println!(
        "| {} | {} of {} | {:.2} s | {:.2} s | {:.2} s | {:.0} | {:.4} dB | {:.4} dB | {covered} |",
        method.as_str(),
        all.len(),
        line.units,
        quantile(&all, 0.5, |c| c.aligned_s),
        quantile(&all, 0.5, |c| c.search_s),
        quantile(&all, 0.95, |c| c.search_s),
        quantile(&all, 0.5, |c| c.readings),
        quantile(&all, 0.5, |c| c.residual_db),
        quantile(&all, 0.95, |c| c.residual_db),
    );
}
