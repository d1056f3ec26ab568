//! Where an axis really stands after a history of commands, when it has play: an axis follows its command only once the
//! command has pushed it through the play, so the pose depends on where each move came from.

use super::model::{AXES, Pose};

/// Where one axis stands and how that depends on its play.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Stand {
    /// Actual position.
    pub(super) actual: f64,
    /// Slope of the actual position by the relative error of the play.
    pub(super) by_play: f64,
    /// Slope of the actual position by the slack at the start (-1 to 1).
    pub(super) by_slack: f64,
}

impl Stand {
    /// After one more command; `play` is the full width with its error, `given` the width as told.
    pub(super) fn follow(self, command: f64, play: f64, given: f64) -> Stand {
        let half = play / 2.0;
        if command > self.actual + half {
            Stand { actual: command - half, by_play: -given / 2.0, by_slack: 0.0 }
        } else if command < self.actual - half {
            Stand { actual: command + half, by_play: given / 2.0, by_slack: 0.0 }
        } else {
            self
        }
    }
}

/// All axes.
pub(super) type Stands = [Stand; AXES];

/// The history of commands, and the play as told.
#[derive(Debug, Clone)]
pub(super) struct History {
    start: Pose,
    given: Pose,
    commands: Vec<Pose>,
}

impl History {
    /// Nothing commanded yet: at `start`, somewhere within the play.
    pub(super) fn new(start: Pose, given: Pose) -> History {
        History { start, given, commands: Vec::new() }
    }

    pub(super) fn push(&mut self, command: Pose) {
        self.commands.push(command);
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// The command that was given after so many others; the start before the first.
    pub(super) fn command(&self, commands: usize) -> Pose {
        commands.checked_sub(1).and_then(|i| self.commands.get(i)).copied().unwrap_or(self.start)
    }

    /// Play as told.
    pub(super) fn given(&self) -> Pose {
        self.given
    }

    /// Where the axes stand before the first command and after each, for a relative error and a slack of each axis.
    pub(super) fn stands(&self, error: &[f64], slack: &[f64]) -> Vec<Stands> {
        let mut now: Stands = std::array::from_fn(|k| {
            let half = self.given[k] * (1.0 + error[k]) / 2.0;
            let s = slack[k].clamp(-1.0, 1.0);
            Stand { actual: self.start[k] + half * s, by_play: self.given[k] / 2.0 * s, by_slack: half }
        });
        let mut all = Vec::with_capacity(self.commands.len() + 1);
        all.push(now);
        for command in &self.commands {
            for k in 0..AXES {
                now[k] = now[k].follow(command[k], self.given[k] * (1.0 + error[k]), self.given[k]);
            }
            all.push(now);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_follows_once_the_play_is_taken_up_and_stays_within_it_on_the_way_back() {
        let mut history = History::new([0.0; AXES], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        for x in [3.0, 2.5, 1.5, 1.5] {
            history.push([x, x, 0.0, 0.0, 0.0, 0.0]);
        }
        let at: Vec<f64> = history.stands(&[0.0; AXES], &[0.0; AXES]).iter().map(|s| s[0].actual).collect();
        assert_eq!(at, [0.0, 2.5, 2.5, 2.0, 2.0]);
        let free: Vec<f64> = history.stands(&[0.0; AXES], &[0.0; AXES]).iter().map(|s| s[1].actual).collect();
        assert_eq!(free, [0.0, 3.0, 2.5, 1.5, 1.5]);
    }
}
