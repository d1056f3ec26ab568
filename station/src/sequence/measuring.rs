//! The `measure` step: what the unit couples, of an array lane by lane, judged by the recipe's limits.

use recipes::Quantity;
use units::{Power, Reading};

use super::readings::{Agreed, agreed, dbm, same_to_the_last_digit};
use super::steps::{Done, Run};
use super::{Halt, LaunchedSource, emit};
use crate::config::{Channel, Role};
use crate::event::{Event, Launched, LaunchedOrigin, Measurement, Outcome};

/// A channel that tells what the unit couples.
struct Lane {
    /// Its place among the bench's readings.
    index: usize,
    name: String,
    uncertainty_db: f64,
    floor: Power,
}

/// A value that was recorded.
#[derive(Debug, Clone, Copy)]
struct Judged {
    quantity: Quantity,
    value: f64,
    uncertainty: f64,
    passed: bool,
}

impl Run<'_> {
    /// Measures the signal, of an array each lane.
    pub(super) async fn measure(&mut self, quantity: Quantity, count: u32) -> Result<Done, Halt> {
        let lanes = self.lanes();
        let (mut coupled, mut launched) = (vec![Vec::new(); lanes.len()], Vec::new());
        for _ in 0..count {
            let readings = self.bench.read().await?;
            for (lane, watts) in lanes.iter().zip(&mut coupled) {
                match readings.get(lane.index) {
                    Some(Reading::Power(p)) => watts.push(p.watts()),
                    Some(Reading::UnderRange) => watts.push(0.0),
                    _ => return Err(Halt::NoReading("saturated")),
                }
            }
            launched.extend(self.bench.launched_by_tap(&readings).map(Power::watts));
        }
        // Under range reads 0 each time, rightly.
        let lit = coupled.iter().map(|watts| watts.iter().copied().filter(|w| *w != 0.0).collect::<Vec<f64>>());
        if let Some(same) = lit.into_iter().find_map(|watts| same_to_the_last_digit(&watts)) {
            return Err(Halt::Frozen(same));
        }
        let launched = self.launched_beside(&launched)?;
        if quantity == Quantity::CouplingLoss && launched.is_none() {
            self.note("no launched power is known: the result is a power, not a loss".into());
        }
        let mut means = Vec::new();
        for (lane, watts) in lanes.iter().zip(&coupled) {
            means.push(self.agreed("signal", watts, lane.floor)?);
        }
        if means.iter().all(|a| a.mean.dbm().is_none()) {
            return Err(Halt::NoReading("no light left at the end of the alignment"));
        }
        let judged: Vec<Judged> =
            lanes.iter().zip(&means).map(|(lane, mean)| self.record(quantity, lane, mean, launched)).collect();
        let passed = judged.iter().all(|j| j.passed);
        match self.unsure.take() {
            // A part is not failed by a search that was not sure of its end.
            Some(halt) if !passed => Err(halt),
            _ => Ok(Done { passed, message: Some(summary(&judged, launched)) }),
        }
    }

    /// The channels that tell what the unit couples: the signal, of an array all lanes in their order.
    fn lanes(&self) -> Vec<Lane> {
        let channels = self.bench.config().channels.iter().enumerate();
        let signals = channels.filter(|(_, c)| c.role == Role::Signal);
        let lane = |(index, c): (usize, &Channel)| Lane {
            index,
            name: c.name.clone(),
            uncertainty_db: c.uncertainty_db,
            floor: c.floor,
        };
        if self.job.recipe.unit.channel_pitch_um.is_none() {
            return signals.take(1).map(lane).collect();
        }
        let mut signals: Vec<(usize, &Channel)> = signals.collect();
        signals.sort_by_key(|(_, c)| c.lane);
        signals.into_iter().map(lane).collect()
    }

    /// The launched power of a measurement, given what the tap showed beside it.
    fn launched_beside(&mut self, tap: &[f64]) -> Result<Option<Launched>, Halt> {
        Ok(match self.job.launched {
            LaunchedSource::Tap => {
                let floor = self.bench.config().tap().map_or(Power::ZERO, |(c, _)| c.floor);
                let tap = self.agreed("tap", tap, floor)?;
                self.check_source(Some(tap.mean))?;
                let uncertainty_db = self.bench.config().tap().map_or(0.0, |(c, _)| c.uncertainty_db);
                let uncertainty_db = uncertainty_db.hypot(tap.scatter_db());
                Some(Launched { power_w: tap.mean, origin: LaunchedOrigin::Tap, age_s: 0.0, uncertainty_db })
            }
            LaunchedSource::Earlier(l) => Some(Launched { age_s: l.age_s + self.t_s(), ..l }),
            LaunchedSource::None => None,
        })
    }

    /// The mean of readings of one channel without those that the others do not bear out.
    fn agreed(&mut self, channel: &'static str, watts: &[f64], floor: Power) -> Result<Agreed, Halt> {
        let agreed = agreed(watts, floor).ok_or(Halt::Scattered(channel))?;
        if agreed.left_out > 0 {
            let of = watts.len();
            self.note(format!("{} of {of} readings of the {channel} left out: far from all others", agreed.left_out));
        }
        Ok(agreed)
    }

    /// Records a lane's power, and its loss where there is a launched power; judges both. Gives the quantity asked for, or the
    /// power where there is none; a lane without light has the power of its floor.
    fn record(&mut self, quantity: Quantity, lane: &Lane, coupled: &Agreed, launched: Option<Launched>) -> Judged {
        let coupled = Agreed { mean: Power::from_watts(coupled.mean.watts().max(lane.floor.watts())), ..*coupled };
        let (dbm, scatter_db) = (dbm(coupled.mean), coupled.scatter_db());
        let uncertainty = lane.uncertainty_db.hypot(scatter_db);
        let mut judged = self.judge(Quantity::CoupledPower, lane, (dbm, uncertainty), None);
        if quantity == Quantity::CouplingLoss
            && let Some(l) = launched
        {
            // A reference is read on the same meter: its calibration drops out of the loss.
            let calibration_db = if l.origin == LaunchedOrigin::Reference { 0.0 } else { lane.uncertainty_db };
            let uncertainty = calibration_db.hypot(scatter_db).hypot(l.uncertainty_db);
            let loss = self::dbm(l.power_w) - dbm;
            let power = judged.passed;
            judged = self.judge(Quantity::CouplingLoss, lane, (loss, uncertainty), Some(l));
            judged.passed &= power;
        }
        judged
    }

    fn judge(
        &mut self,
        quantity: Quantity,
        lane: &Lane,
        (value, uncertainty): (f64, f64),
        launched: Option<Launched>,
    ) -> Judged {
        let limit = self.job.recipe.limit(quantity);
        let holds = limit.map(|l| l.holds(value));
        let measurement = Measurement {
            t_s: self.t_s(),
            step: self.step,
            name: quantity.as_str().into(),
            channel: Some(lane.name.clone()),
            value,
            unit: quantity.unit().into(),
            uncertainty: Some(uncertainty),
            lower: limit.and_then(|l| l.lower),
            upper: limit.and_then(|l| l.upper),
            outcome: holds.map(|h| if h { Outcome::Pass } else { Outcome::Fail }),
            launched,
        };
        emit(self.sink, &Event::Measurement(measurement));
        Judged { quantity, value, uncertainty, passed: holds.unwrap_or(true) }
    }
}

/// What was measured, in words: of an array the least and the greatest.
fn summary(judged: &[Judged], launched: Option<Launched>) -> String {
    let Some(first) = judged.first() else { return "no signal channel".into() };
    let (name, unit) = (first.quantity.as_str(), first.quantity.unit());
    let origin = match launched {
        Some(l) if first.quantity == Quantity::CouplingLoss => format!(", launched power by {}", l.origin.as_str()),
        _ => String::new(),
    };
    if judged.len() == 1 {
        let uncertainty = match first.quantity {
            Quantity::CouplingLoss => format!(" +-{:.2}", first.uncertainty),
            Quantity::CoupledPower => String::new(),
        };
        return format!("{name} {:.3}{uncertainty} {unit}{origin}", first.value);
    }
    let least = judged.iter().map(|j| j.value).fold(f64::INFINITY, f64::min);
    let greatest = judged.iter().map(|j| j.value).fold(f64::NEG_INFINITY, f64::max);
    format!("{name} {least:.3} to {greatest:.3} {unit} over {} lanes{origin}", judged.len())
}
