//! A DiCon GP600 matrix switch in its usual configuration, X1: lines of words that end with CR. From what the public driver
//! autosweep sends and hears.
//!
//! A lane of the part is on the meter that the switch is wired to while its fibre's port is connected to the meter's.

use super::lines::Lines;
use super::{Device, Replies};
use crate::config::SwitchPort;
use crate::world::World;

/// Time a command takes to be understood, seconds.
const COMMAND_S: f64 = 0.002;
/// Switching, seconds: 1 to 30 ms for mirrors. What is asked meanwhile is answered afterwards.
const SWITCH_S: f64 = 0.02;
/// Inputs and outputs.
const SIZE: (usize, usize) = (4, 8);
/// Wavelengths that it is calibrated for, nm.
const WAVELENGTHS: [f64; 3] = [1310.0, 1490.0, 1550.0];
/// Errors kept.
const QUEUE_MAX: usize = 10;

const UNDEFINED: (i32, &str) = (-113, "Undefined Header");
const OUT_OF_RANGE: (i32, &str) = (-222, "Data Out of Range");
const DATA_TYPE: (i32, &str) = (-104, "Data Type Error");
/// In the queue at power-on: a query of nobody's.
const INTERRUPTED: (i32, &str) = (-410, "Query INTERRUPTED");

pub(super) struct DiconSwitch {
    world: World,
    name: String,
    meter: SwitchPort,
    /// Ports on the other side and the lanes, from 1, that are on them.
    lanes: Vec<(u32, u32)>,
    lines: Lines,
    replies: Replies,
    errors: Vec<(i32, &'static str)>,
    refuse: bool,
    /// Output of each input, 0 for none.
    outputs: [usize; SIZE.0],
    settled_s: f64,
    wavelength_nm: f64,
    save_state: bool,
}

impl DiconSwitch {
    pub(super) fn new(world: World, name: &str, meter: SwitchPort, lanes: Vec<(u32, u32)>) -> DiconSwitch {
        DiconSwitch {
            world,
            name: name.to_string(),
            meter,
            lanes,
            lines: Lines::default(),
            replies: Replies::default(),
            errors: vec![INTERRUPTED],
            refuse: false,
            outputs: [0; SIZE.0],
            settled_s: f64::NEG_INFINITY,
            wavelength_nm: 1550.0,
            save_state: false,
        }
    }

    fn line_ended(&mut self, now_s: f64) {
        let act = match self.lines.end() {
            Err(_) => Err((-223, "Too Much Data")),
            Ok(line) if line.trim().is_empty() => return,
            Ok(line) if self.refuse && !line.to_ascii_uppercase().starts_with("SYST:ERR") => {
                Err((-200, "Execution Error"))
            }
            Ok(line) => self.act(now_s, &line.trim().to_ascii_uppercase()),
        };
        match act {
            Ok(Some(answer)) => {
                let ready = self.settled_s.max(now_s) + COMMAND_S;
                self.replies.push(ready, format!("{answer}\r").into_bytes());
            }
            Ok(None) => {}
            Err(error) if self.errors.len() < QUEUE_MAX => self.errors.push(error),
            Err(_) => {}
        }
    }

    fn act(&mut self, now_s: f64, line: &str) -> Result<Option<String>, (i32, &'static str)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(Some(match words[..] {
            ["*IDN?"] => "Dicon Fiberoptics Inc, GP600, SIM0000601, 7.0".into(),
            ["SYST:ERR?"] => self.next_error(),
            ["SYST:CONF?"] => "X1".into(),
            ["VER?"] => "7.0".into(),
            ["X1", "DIM?"] => format!("{},{}", SIZE.0, SIZE.1),
            ["X1", "WAVESAVAIL?"] => WAVELENGTHS.map(|w| w.to_string()).join(","),
            ["X1", "W?"] => self.wavelength_nm.to_string(),
            ["WEN?"] => u8::from(self.save_state).to_string(),
            ["X1", "CH", input] if input.ends_with('?') => {
                let input = port(input.trim_end_matches('?'), 1, SIZE.0)?;
                format!("{input},{}", self.outputs[input - 1])
            }
            ["X1", "CH", input, output] => {
                let (input, output) = (port(input, 1, SIZE.0)?, port(output, 0, SIZE.1)?);
                self.switch(now_s, input, output);
                return Ok(None);
            }
            ["X1", "W", nm] => {
                let nm: f64 = nm.parse().map_err(|_| DATA_TYPE)?;
                self.wavelength_nm = *WAVELENGTHS.iter().find(|w| **w == nm).ok_or(OUT_OF_RANGE)?;
                return Ok(None);
            }
            ["WEN", on @ ("0" | "1")] => {
                self.save_state = on == "1";
                return Ok(None);
            }
            ["RESET"] => {
                self.outputs = [0; SIZE.0];
                self.tell_world(now_s);
                return Ok(None);
            }
            ["*CLS"] => {
                self.errors.clear();
                return Ok(None);
            }
            _ => return Err(UNDEFINED),
        }))
    }

    fn next_error(&mut self) -> String {
        if self.errors.is_empty() {
            return "+0, No Error".into();
        }
        let (code, text) = self.errors.remove(0);
        format!("{code}, {text}")
    }

    /// Connects; an output has one input only, so another one on it is let go.
    fn switch(&mut self, now_s: f64, input: usize, output: usize) {
        for other in &mut self.outputs {
            if output > 0 && *other == output {
                *other = 0;
            }
        }
        self.outputs[input - 1] = output;
        self.tell_world(now_s);
    }

    fn tell_world(&mut self, now_s: f64) {
        self.settled_s = now_s + SWITCH_S;
        let to_port = |number: usize| u32::try_from(number).unwrap_or(0);
        let port = match self.meter {
            SwitchPort::Output(meter) => {
                (1..).zip(&self.outputs).find(|(_, output)| to_port(**output) == meter).map(|(input, _)| input)
            }
            SwitchPort::Input(meter) => {
                (1..).zip(&self.outputs).find(|(input, _)| *input == meter).map(|(_, output)| to_port(*output))
            }
        };
        let lane = self.lanes.iter().find(|(on, _)| Some(*on) == port).map(|(_, lane)| *lane);
        let lane = lane.and_then(|lane| usize::try_from(lane).ok()).and_then(|lane| lane.checked_sub(1));
        self.world.switched(&self.name, self.settled_s, lane);
    }
}

/// The number of a port.
fn port(word: &str, least: usize, most: usize) -> Result<usize, (i32, &'static str)> {
    let number = word.parse::<usize>().map_err(|_| DATA_TYPE)?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(OUT_OF_RANGE) }
}

impl Device for DiconSwitch {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.line_ended(now_s),
                _ => self.lines.push(*byte),
            }
        }
    }

    fn due(&self) -> Option<f64> {
        self.replies.due()
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.replies.take(now_s)
    }

    fn restart(&mut self, now_s: f64) {
        self.errors = vec![INTERRUPTED];
        if !self.save_state {
            self.outputs = [0; SIZE.0];
        }
        self.tell_world(now_s);
        self.hang_up();
    }

    fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    fn hang_up(&mut self) {
        self.lines.clear();
        self.replies.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use units::clock::{Clock, virtual_runtime};

    use super::super::{Device, dialogues::with, make, standalone};
    use crate::config::{Link, PortWiring, Role, SwitchPort, Wiring};
    use crate::world::{Patch, World};

    /// A meter and a switch in a world whose reference cord, on lane 1, is lit.
    fn behind_a_switch(at: SwitchPort, lanes: Vec<(u32, u32)>, talk: impl FnOnce(&mut dyn Device, &mut dyn Device)) {
        let mut meter = standalone("thorlabs-pm", &BTreeMap::new()).unwrap();
        let mut switch = standalone("dicon-switch", &BTreeMap::new()).unwrap();
        (meter.name, meter.port) = ("pm".into(), "a".into());
        (switch.name, switch.port) = ("switch".into(), "b".into());
        switch.role = Role::Switch { meter: "pm".into(), number: 1, at, lanes };
        let port = |name: &str| PortWiring { name: name.into(), link: Link::Tcp { address: "unused".into() } };
        let wiring = Wiring { ports: vec![port("a"), port("b")], instruments: vec![meter.clone(), switch.clone()] };
        virtual_runtime().unwrap().block_on(async {
            let bench = "[simulation]\npreset = \"receptacle\"\n";
            let world =
                World::from_bench(bench, std::path::Path::new(""), &wiring, 1, false, Clock::simulated()).unwrap();
            {
                let mut inner = world.inner.borrow_mut();
                inner.patch = Patch::Reference;
                (inner.source.level_w, inner.source.on_since_s) = (1e-3, Some(0.0));
            }
            talk(&mut *make(&world, &meter).unwrap(), &mut *make(&world, &switch).unwrap());
        });
    }

    fn power_w(meter: &mut dyn Device, now_s: f64) -> f64 {
        meter.receive(now_s, b"MEAS:POW?\n");
        let text = meter.reply(now_s + 5.0).unwrap();
        std::str::from_utf8(&text).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn the_meter_behind_it_sees_the_lane_that_is_on_its_output_and_nothing_while_it_switches() {
        behind_a_switch(SwitchPort::Output(1), vec![(1, 1), (2, 2)], |meter, switch| {
            assert!(power_w(meter, 10.0) < 1e-9);
            switch.receive(20.0, b"X1 CH 1 1\r");
            assert!(power_w(meter, 20.005) < 1e-9);
            let seen = power_w(meter, 21.0);
            // 1 mW less feed, tap and 0.7 dB.
            assert!((0.6e-3..0.9e-3).contains(&seen), "{seen}");
            switch.receive(30.0, b"X1 CH 2 1\r");
            assert!(power_w(meter, 31.0) < 1e-9);
            switch.receive(40.0, b"X1 CH 1 2\r");
            assert!(power_w(meter, 41.0) < 1e-9);
        });
    }

    #[test]
    fn light_goes_through_it_both_ways_and_a_lane_is_where_its_fibre_is() {
        behind_a_switch(SwitchPort::Input(2), vec![(7, 1)], |meter, switch| {
            switch.receive(20.0, b"X1 CH 1 7\r");
            assert!(power_w(meter, 21.0) < 1e-9);
            switch.receive(30.0, b"X1 CH 2 7\r");
            assert!(power_w(meter, 31.0) > 0.6e-3);
            switch.receive(40.0, b"X1 CH 2 0\r");
            assert!(power_w(meter, 41.0) < 1e-9);
        });
    }

    /// The requests of autosweep 0.1.0's DiConGP600X1, as it sends them.
    #[test]
    fn autosweep_connects_an_input_and_reads_it_back() {
        with("dicon-switch", &[], |d| {
            d.check(&[
                ("*IDN?\r", "Dicon Fiberoptics Inc, GP600, SIM0000601, 7.0\r"),
                ("SYST:ERR?\r", "-410, Query INTERRUPTED\r"),
                ("SYST:ERR?\r", "+0, No Error\r"),
                ("SYST:CONF?\r", "X1\r"),
                ("X1 DIM?\r", "4,8\r"),
                ("X1 CH 2 5\rSYST:ERR?\r", "+0, No Error\r"),
                ("X1 CH 2?\r", "2,5\r"),
                ("X1 CH 3 5\rX1 CH 2?\r", "2,0\r"),
                ("X1 W 1310\n\rX1 W?\r", "1310\r"),
                ("X1 CH 5 1\rSYST:ERR?\r", "-222, Data Out of Range\r"),
                (":SYST:ERR?\rSYST:ERR?\r", "-113, Undefined Header\r"),
                ("RESET\rX1 CH 3?\r", "3,0\r"),
            ]);
        });
    }

    #[test]
    fn what_is_asked_while_it_switches_is_answered_afterwards() {
        with("dicon-switch", &[], |d| {
            let begun = d.now_s;
            d.check(&[("X1 CH 1 1\rX1 CH 1?\r", "1,1\r")]);
            assert!(d.now_s - begun >= super::SWITCH_S);
        });
    }
}
