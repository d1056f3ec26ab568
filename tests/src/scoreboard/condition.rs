//! What a station is like: play, repeatability, drift, noise, and what an exchange costs.

/// One set of conditions under which every landscape can be tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// Name on the command line.
    pub name: &'static str,
    /// Full play of a linear axis, um, and of an angle, degrees.
    pub play: (f64, f64),
    /// Repeatability of a linear axis, um, and of an angle, degrees; one standard deviation a move.
    pub repeatability: (f64, f64),
    /// Speed at which the part drifts across the light, um a second.
    pub drift_um_s: f64,
    /// Amplitude of the laser's wander of 30 s period, dB.
    pub laser_db: f64,
    /// Relative noise of one reading, dB, one standard deviation.
    pub relative_db: f64,
    /// Additive noise of one reading, dBm, one standard deviation.
    pub floor_dbm: f64,
    /// One exchange with an instrument, s, and how far it varies to either side.
    pub exchange_s: (f64, f64),
    /// Settling after a motion, s.
    pub settle_s: f64,
    /// Integration of one reading, s.
    pub integrate_s: f64,
    /// A reading that begins sooner than this after a motion shows the window before it; 0 where none does.
    pub lag_s: f64,
}

/// A perfect stage.
pub const IDEAL: Condition = Condition {
    name: "ideal",
    play: (0.0, 0.0),
    repeatability: (0.0, 0.0),
    drift_um_s: 0.0,
    laser_db: 0.0,
    relative_db: 0.005,
    floor_dbm: -70.0,
    exchange_s: (0.004, 0.0),
    settle_s: 0.010,
    integrate_s: 0.001,
    lag_s: 0.0,
};

/// A good laboratory station.
pub const STD: Condition = Condition {
    name: "std",
    play: (0.2, 0.002),
    repeatability: (0.02, 0.0002),
    drift_um_s: 0.002,
    laser_db: 0.005,
    ..IDEAL
};

/// A worn stage, a drifting part and a noisy meter.
pub const STRESS: Condition = Condition {
    name: "stress",
    play: (1.0, 0.010),
    repeatability: (0.05, 0.0005),
    drift_um_s: 0.020,
    laser_db: 0.030,
    relative_db: 0.020,
    floor_dbm: -60.0,
    ..IDEAL
};

/// A production line: slow and uneven exchanges, long settling, a meter that shows the reading before.
pub const LINE: Condition =
    Condition { name: "line", exchange_s: (0.012, 0.006), settle_s: 0.060, integrate_s: 0.010, lag_s: 0.020, ..STD };

/// All of them.
pub const ALL: [Condition; 4] = [IDEAL, STD, STRESS, LINE];

impl Condition {
    /// The condition of a name.
    pub fn named(name: &str) -> Option<Condition> {
        ALL.into_iter().find(|c| c.name == name)
    }
}
