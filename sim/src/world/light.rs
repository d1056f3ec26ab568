//! The light of a world: from the laser through the part to the meters.

use super::{FIBRE, Inner, Patch, SOURCE, View, World};
use crate::faults::FaultKind;
use crate::light::source::Surroundings;
use crate::noise::Stream;

/// Time a laser stays in one mode, seconds.
const HOP_S: f64 = 0.5;
/// A laser that droops stops here, dB.
const DROOP_MAX_DB: f64 = 6.0;
/// Loss of a laser that ages, dB a day.
const AGEING_DB_DAY: f64 = 0.1;
/// Loss of a cord that wears, dB a mating: 0.25 dB over 200.
const CORD_DB_MATING: f64 = 0.25 / 200.0;
/// A window in which the stage moves is looked at this often: a few micrometres a millisecond are resolved to one.
const WINDOW_LOOKS: u32 = 4;

/// Insertion loss of an optical switch, dB (0.5 to 1 for mirrors).
const SWITCH_LOSS_DB: f64 = 0.7;

impl World {
    /// Mean power of a view over a window, W, without noise.
    fn light(&self, view: &View, begin_s: f64, end_s: f64) -> f64 {
        self.advance(end_s);
        crate::dither::advance(&mut self.inner.borrow_mut(), end_s);
        let inner = self.inner.borrow();
        if let Some(steady) = inner.steady_w {
            return steady;
        }
        let moves = matches!(view, View::Lane(_) | View::Switched(_))
            && inner.axes.values().any(|a| a.moving(begin_s) || a.moving(end_s) || !a.settled(end_s));
        let moves = moves || inner.hexapod.as_ref().is_some_and(|h| h.state.moving(begin_s) || h.state.moving(end_s));
        let looks: u32 = if moves && end_s > begin_s { WINDOW_LOOKS } else { 1 };
        let mut sum = 0.0;
        for k in 0..looks {
            let t = begin_s + (end_s - begin_s) * (f64::from(k) + 0.5) / f64::from(looks);
            sum += inner.power(view, t);
        }
        sum / f64::from(looks)
    }

    /// Mean power that a meter sees on a channel over a window, W, by what is wrong with the meter.
    pub(crate) fn seen(&self, meter: &str, view: &View, begin_s: f64, end_s: f64) -> f64 {
        let (lag, low) = {
            let inner = self.inner.borrow();
            let lag = inner.fault(FaultKind::MeterLag, meter, end_s).map_or(0.0, |(ms, _)| ms / 1e3);
            (lag, inner.fault(FaultKind::MeterLow, meter, end_s).map_or(0.0, |(db, _)| db))
        };
        self.light(view, begin_s - lag, end_s - lag) * 10f64.powf(-low / 10.0)
    }
}

impl Inner {
    /// Power the laser gives at a time, W.
    pub(crate) fn laser_w(&self, now_s: f64) -> f64 {
        if self.source.on_since_s.is_none_or(|since| now_s < since)
            || self.faulty(FaultKind::SourceOff, SOURCE, now_s)
            || self.interlock_open(now_s)
        {
            return 0.0;
        }
        // Only a laser that minds what comes back must be told how far the facet is.
        let minds = self.plan.light.source.feedback_db > 0.0;
        let gap_um = if minds { self.pose(now_s).0.um[2] - self.part.aligned.um[2] + self.part.gap_um } else { 0.0 };
        let around = Surroundings {
            now_s,
            on_since_s: self.source.on_since_s,
            age_days: 0.0,
            travelled_um: self.axes.values().map(|a| a.travelled(now_s)).sum(),
            gap_um,
            wavelength_um: self.source.wavelength_um,
        };
        self.source.level_w * self.laser.factor(&around) * self.laser_faults(now_s)
    }

    pub(crate) fn interlock_open(&self, now_s: f64) -> bool {
        self.plan.light.interlock_open || self.faulty(FaultKind::InterlockOpen, SOURCE, now_s)
    }

    /// Power launched towards the unit, W.
    pub(crate) fn launched_w(&self, now_s: f64) -> f64 {
        let light = &self.plan.light;
        self.laser_w(now_s) * 10f64.powf(-light.feed_loss_db / 10.0) * (1.0 - light.tap_split)
    }

    /// Power that a view has at a time, W: the steady light of a device that stands alone, or the world's.
    pub(crate) fn light_now(&self, view: &View, now_s: f64) -> f64 {
        self.steady_w.unwrap_or_else(|| self.power(view, now_s))
    }

    /// Power of a view at a time, W.
    fn power(&self, view: &View, now_s: f64) -> f64 {
        let launched = self.launched_w(now_s);
        let light = &self.plan.light;
        let ambient = light.ambient.watts();
        let lane = match view {
            View::Dark => return ambient,
            View::Tap => return ambient + launched * light.tap_split / (1.0 - light.tap_split),
            View::Lane(lane) => *lane,
            View::Switched(switch) => match self.on_meter(*switch, now_s) {
                None => return ambient,
                Some(lane) => lane,
            },
        };
        let switch_db = if matches!(view, View::Switched(_)) { SWITCH_LOSS_DB } else { 0.0 };
        let cord = 10f64.powf(-(self.cord_loss_db(now_s) + switch_db) / 10.0);
        if self.patch == Patch::Reference {
            // The cord leads to the first lane's place.
            return ambient + if lane == 0 { launched * cord } else { 0.0 };
        }
        let stray = if launched > 0.0 { light.stray.watts() } else { 0.0 };
        let coupled = match self.lane_loss_db(now_s).get(lane) {
            Some(loss) if launched > 0.0 => launched * 10f64.powf(-loss / 10.0),
            _ => 0.0,
        };
        ambient + (stray + coupled) * cord
    }

    /// Loss of each lane at a time, scratches included, dB.
    pub(crate) fn lane_loss_db(&self, now_s: f64) -> Vec<f64> {
        self.looks.set(self.looks.get() + 1);
        let (pose, contact) = self.pose(now_s);
        let mut more_db = contact.scratch_db(&self.contact_model());
        if let (Some(end), Some((um, contact))) = (&self.part.second, self.second_pose(now_s)) {
            more_db += end.left_db(self.source.wavelength_um, um);
            more_db += self.second_contact_model().map_or(0.0, |model| contact.scratch_db(&model));
        }
        let lanes = self.part.lane_loss_db(self.source.wavelength_um, &pose);
        lanes.into_iter().map(|db| db + more_db).collect()
    }

    /// Power of the laser by what is wrong with it, as a factor.
    fn laser_faults(&self, now_s: f64) -> f64 {
        let mut loss_db = 0.0;
        if let Some((db, since)) = self.fault(FaultKind::LaserHop, SOURCE, now_s) {
            // Half a second in one mode or the other, by chance; struck, it hops at once.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below 0")]
            let slot = (since / HOP_S) as u64;
            let hopped = slot == 0 || Stream::new(self.seed, "hops").bits(slot) & 1 == 1;
            loss_db += if hopped { db } else { 0.0 };
        }
        if let Some((db_s, since)) = self.fault(FaultKind::LaserDroop, SOURCE, now_s) {
            loss_db += (db_s * since).min(DROOP_MAX_DB);
        }
        if let Some((days, since)) = self.fault(FaultKind::LaserAging, SOURCE, now_s) {
            loss_db += AGEING_DB_DAY * (days + since / 86_400.0);
        }
        10f64.powf(-loss_db / 10.0)
    }

    /// Loss of the cord between the unit and the signal meter, dB.
    fn cord_loss_db(&self, now_s: f64) -> f64 {
        let worn = self.fault(FaultKind::WornCord, FIBRE, now_s);
        #[expect(clippy::cast_precision_loss, reason = "counts of units")]
        worn.map_or(0.0, |(matings, _)| CORD_DB_MATING * (matings + self.part.number as f64))
    }
}
