//! What piezo axes (E-712) have besides: closed loop without any reference, and a zero that is looked for (`ATZ`).

use super::{BUSY, COUNT, Channel, Gcs2, RANGE};

/// The amplifier is driven through its range and back while the sensor's offset is found, s.
const AUTO_ZERO_S: f64 = 1.2;
/// Lowest voltages that may be asked for, V.
const LOW_V: (f64, f64) = (-30.0, 100.0);

impl Channel {
    /// Unit of its positions.
    pub(super) fn unit(&self) -> &'static str {
        if self.unit_um > 1.0 { "MM" } else { "UM" }
    }
}

impl Gcs2 {
    /// `ATZ`: axes with a voltage or `NaN` each, or all; the controller is busy until it is done, and the servo goes off.
    pub(super) fn auto_zero(&mut self, now_s: f64, args: &[&str]) -> Result<(), i32> {
        if self.is_referencing() {
            return Err(BUSY);
        }
        if !args.len().is_multiple_of(2) {
            return Err(COUNT);
        }
        let mut axes = Vec::new();
        for pair in args.chunks_exact(2) {
            let volts: f64 = pair[1].parse().map_err(|_| super::NOT_A_NUMBER)?;
            if !volts.is_nan() && !(LOW_V.0..=LOW_V.1).contains(&volts) {
                return Err(RANGE);
            }
            axes.push(self.index(pair[0])?);
        }
        if axes.is_empty() {
            axes = (0..self.channels.len()).collect();
        }
        let names: Vec<&str> = axes.iter().map(|i| self.channels[*i].name.as_str()).collect();
        self.no_routine_on(names.into_iter())?;
        for index in axes {
            let low_um = self.channels[index].travel_um.0;
            self.drive(now_s, index, low_um);
            let channel = &mut self.channels[index];
            (channel.servo, channel.zeroed) = (false, false);
            channel.zeroing_until_s = Some(now_s + AUTO_ZERO_S);
        }
        Ok(())
    }

    /// Ends the search for zeros that is over.
    pub(super) fn end_zeroing(&mut self, now_s: f64) {
        for channel in self.channels.iter_mut().filter(|c| c.zeroing_until_s.is_some_and(|end| now_s >= end)) {
            (channel.zeroing_until_s, channel.zeroed) = (None, true);
        }
    }
}
