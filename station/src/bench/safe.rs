//! Making the bench safe, on every path: stop, source off, back off along the optical axis only, park.

use drivers::exchange::Line;
use drivers::registry;
use units::clock::Clock;

use super::{Bench, BenchError, Ports, no_driver};
use crate::config::{BenchConfig, Instrument};
use crate::event::Phase;

/// What came of making the bench safe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Safety {
    /// What could not be done, in words. Empty: the bench is safe.
    pub problems: Vec<String>,
    /// What was left undone of a bench that is safe all the same.
    pub notes: Vec<String>,
}

impl Safety {
    /// Whether nothing was left undone.
    pub fn is_safe(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Stops every controller, latches the tracker and switches the source off, each on its own: one that is not there keeps no
/// other from being stopped. What could not be done, in words.
pub async fn stop_everything(config: &BenchConfig, clock: Clock, ports: &dyn Ports) -> Vec<String> {
    let mut problems = Vec::new();
    for i in config.controllers.values().map(|c| &c.instrument) {
        let stopped = match line(i, config, &clock, ports).await {
            Ok(line) => match registry::motion(&i.driver, line, i.expected.clone()) {
                Some(mut controller) => controller.stop_all().await.map_err(|e| e.to_string()),
                None => Err(no_driver(i).to_string()),
            },
            Err(e) => Err(e),
        };
        problems.extend(stopped.err());
    }
    if let Some(i) = config.tracker.as_ref().map(|t| &t.instrument) {
        let latched = match line(i, config, &clock, ports).await {
            Ok(line) => match registry::tracker(&i.driver, line, i.expected.clone()) {
                Some(mut tracker) => tracker.latch().await.map_err(|e| e.to_string()),
                None => Err(no_driver(i).to_string()),
            },
            Err(e) => Err(e),
        };
        problems.extend(latched.err());
    }
    let i = &config.source.instrument;
    let off = match line(i, config, &clock, ports).await {
        Ok(line) => match registry::source(&i.driver, line, i.expected.clone()) {
            Some(mut source) => source.switch_off().await.map_err(|e| e.to_string()),
            None => Err(no_driver(i).to_string()),
        },
        Err(e) => Err(e),
    };
    problems.extend(off.err());
    problems
}

async fn line(i: &Instrument, config: &BenchConfig, clock: &Clock, ports: &dyn Ports) -> Result<Line, String> {
    let address = &config.ports[&i.port];
    match ports.open(&i.port, address).await {
        Ok(stream) => Ok(Line::new(stream, clock.clone(), &i.name, &address.to_string())),
        Err(e) => Err(format!("{}: {e}", i.name)),
    }
}

impl Bench {
    /// Stops all axes, latches the tracker, switches the source off, backs off along the optical axis alone, then parks. Goes on
    /// with what it can when something fails; motion only after every axis stands and only from a known position.
    pub async fn make_safe(&mut self, phase: Phase) -> Safety {
        let (mut problems, unlatched) = self.stand().await;
        let stopped = problems.is_empty();
        // Piezos across the light are no reason to leave the part near contact.
        problems.extend(unlatched);
        let mut safety = Safety { problems, notes: Vec::new() };
        if let Err(e) = self.source.switch_off().await {
            safety.problems.push(format!("the source may be on: {e}"));
        }
        if !stopped {
            safety.problems.push("the part was not backed off, because the stage's state is unknown".into());
            return safety;
        }
        match self.back_off().await {
            Ok(_) => self.park_if_known(&mut safety).await,
            // Nothing has been near anything, and what is not referenced cannot be moved to a known place.
            Err(BenchError::NotReferenced { .. }) if phase == Phase::Free => {}
            Err(e) => safety.problems.push(format!("the part was not backed off: {e}")),
        }
        safety
    }

    /// Stops every axis where it is and latches the tracker; what did not confirm it, in words.
    pub async fn halt(&mut self) -> Vec<String> {
        let (mut problems, unlatched) = self.stand().await;
        problems.extend(unlatched);
        problems
    }

    /// As [`Bench::halt`], with what the axes did not confirm apart from what the tracker did not.
    async fn stand(&mut self) -> (Vec<String>, Option<String>) {
        let (controllers, tracker) = (&mut self.controllers, &mut self.tracker);
        let stop = async {
            let mut problems = Vec::new();
            for (name, controller) in controllers {
                if let Err(e) = controller.stop_all().await {
                    problems.push(format!("{name} did not confirm its stop: {e}"));
                }
            }
            problems
        };
        let latch = async {
            let latched = match tracker {
                Some(tracker) => tracker.latch().await,
                None => Ok(()),
            };
            latched.err().map(|e| format!("the tracker may still follow the light: {e}"))
        };
        // Neither waits for the other: whichever does not answer, the other one stands at once.
        let (mut problems, unlatched) = tokio::join!(biased; stop, latch);
        self.commanded = None;
        if let Err(e) = self.release_confined().await {
            problems.push(format!("the soft limits of a routine stay in force: {e}"));
        }
        (problems, unlatched)
    }

    async fn park_if_known(&mut self, safety: &mut Safety) {
        match self.park().await {
            // At clearance with some lateral axis unreferenced: free, but not parked; the next run references it.
            Ok(()) | Err(BenchError::NotReferenced { .. }) => {}
            // Nothing can touch any more: with everything at a stand, a stage that cannot be parked is safe where it is.
            Err(e) => {
                safety.problems.extend(self.halt().await);
                safety.notes.push(format!("not parked: {e}"));
            }
        }
    }
}
