//! Reading the channels: meters beside one another at once, channels behind the switch in turn.

use drivers::switch::SwitchError;
use futures_util::future::try_join_all;
use units::Reading;

use super::{Bench, BenchError};
use crate::config::{Channel, Switch};

/// The readings of each meter, by its name.
type Read = Vec<(String, Vec<Reading>)>;

impl Bench {
    /// Reads every channel of the bench in the order of the channels: all meters at once, with the first signal behind the
    /// switch if there is one; then the other channels behind it, one after the other, each settled.
    ///
    /// # Errors
    /// Meter and switch errors.
    pub async fn read(&mut self) -> Result<Vec<Reading>, BenchError> {
        let in_turn: Vec<Channel> = self.config.channels.iter().filter(|c| c.switch_port.is_some()).cloned().collect();
        let Some((first, others)) = in_turn.split_first() else {
            let read = self.read_meters().await?;
            return self.config.channels.iter().map(|c| of(c, &read)).collect();
        };
        self.put_through(first).await?;
        let at_once = self.read_meters().await?;
        let mut turned = Vec::new();
        for channel in others {
            self.put_through(channel).await?;
            turned.push((&channel.name, vec![self.read_meter(channel).await?]));
        }
        let read = |c: &Channel| match turned.iter().find(|(name, _)| **name == c.name) {
            Some((_, readings)) => Ok(readings[0]),
            None => of(c, &at_once),
        };
        self.config.channels.iter().map(read).collect()
    }

    async fn read_meters(&mut self) -> Result<Read, BenchError> {
        let reads = self
            .meters
            .iter_mut()
            .map(|(name, meter)| async move { Ok::<_, BenchError>((name.clone(), meter.read().await?)) });
        try_join_all(reads).await
    }

    /// Reads the meter of a channel alone, as the switch stands.
    async fn read_meter(&mut self, channel: &Channel) -> Result<Reading, BenchError> {
        let meter = self.meters.get_mut(&channel.meter).ok_or_else(|| no_channel(channel))?;
        of(channel, &vec![(channel.meter.clone(), meter.read().await?)])
    }

    /// Reads the signal channel alone.
    ///
    /// # Errors
    /// Meter and switch errors.
    pub async fn read_signal(&mut self) -> Result<Reading, BenchError> {
        let signal = self.config.signal().clone();
        self.put_through(&signal).await?;
        self.read_meter(&signal).await
    }

    /// Brings the signal to its meter, where a switch is between.
    pub(super) async fn signal_through(&mut self) -> Result<(), BenchError> {
        let signal = self.config.signal().clone();
        self.put_through(&signal).await
    }

    /// Switches a channel's fibre to the meter and waits until a reading of it is good; nothing for a channel that is not
    /// behind the switch. That it is there is read back each time.
    async fn put_through(&mut self, channel: &Channel) -> Result<(), BenchError> {
        let Some(port) = channel.switch_port else { return Ok(()) };
        let (Some(switch), Some(config)) = (&mut self.switch, &self.config.switch) else {
            return Err(no_channel(channel));
        };
        let (input, output) = config.path(port);
        // In doubt until it is done: whoever drops this future leaves the switch somewhere.
        let before = self.through.take();
        switch.select(input, Some(output)).await?;
        if before != Some(port) {
            self.clock.sleep(std::time::Duration::from_secs_f64(config.settle_s)).await;
        }
        self.through = Some(port);
        Ok(())
    }

    /// How long one reading of the signal meter integrates, seconds.
    pub fn signal_integration_s(&self) -> f64 {
        self.meters.get(&self.config.signal().meter).map_or(0.0, |m| m.integration().as_secs_f64())
    }

    /// Identifies the switch and brings the signal to its meter. Fibres on ports that it does not have are refused.
    pub(super) async fn connect_switch(&mut self) -> Result<(), BenchError> {
        self.through = None;
        let (Some(switch), Some(config)) = (&mut self.switch, &self.config.switch) else { return Ok(()) };
        switch.connect().await?;
        let (inputs, outputs) = (switch.inputs(), switch.outputs());
        let ports = self.config.channels.iter().filter_map(|c| c.switch_port);
        for (input, output) in ports.map(|port| config.path(port)) {
            has(config, ("input", input, inputs))?;
            has(config, ("output", output, outputs))?;
        }
        self.signal_through().await
    }

    /// Whether the bench file fixes the signal meter's range.
    pub fn signal_range_is_fixed(&self) -> bool {
        let meter = self.config.meters.get(&self.config.signal().meter);
        meter.is_some_and(|m| matches!(m.range, drivers::meter::Range::Upper(_)))
    }

    /// The upper end of the signal meter's range in use.
    ///
    /// # Errors
    /// Meter errors.
    pub async fn signal_range(&mut self) -> Result<units::Power, BenchError> {
        let (meter, number) = (self.config.signal().meter.clone(), self.config.signal().number);
        let found = self.meters.get_mut(&meter);
        Ok(found.ok_or(BenchError::NoChannel { meter, number })?.range().await?)
    }
}

/// The reading of a channel among those of the meters.
fn of(channel: &Channel, read: &Read) -> Result<Reading, BenchError> {
    let of_meter = read.iter().find(|(name, _)| *name == channel.meter).map(|(_, readings)| readings);
    let index = usize::try_from(channel.number).ok().and_then(|n| n.checked_sub(1));
    let reading = of_meter.zip(index).and_then(|(readings, i)| readings.get(i)).copied();
    reading.ok_or_else(|| no_channel(channel))
}

fn no_channel(channel: &Channel) -> BenchError {
    BenchError::NoChannel { meter: channel.meter.clone(), number: channel.number }
}

fn has(switch: &Switch, (side, number, count): (&'static str, u32, u32)) -> Result<(), SwitchError> {
    if (1..=count).contains(&number) {
        return Ok(());
    }
    Err(SwitchError::NoSuchPort { instrument: switch.instrument.name.clone(), side, number, count })
}
