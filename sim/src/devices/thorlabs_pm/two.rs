//! The Ethernet port, and the second channel of a PM5020: `SENS2`, `ACQ2`, `READ2` and so on, and both channels at once.

use super::{Act, ThorlabsPm};
use crate::devices::scpi::{self, Command};
use crate::world::World;

/// First words of commands that each channel has for itself.
const CHANNELLED: [&str; 10] =
    ["SENSe", "INPut", "ACQuire", "CONFigure", "INITiate", "FETCh", "READ", "MEASure", "ABORt", "CALibration"];

impl ThorlabsPm {
    /// A meter on its Ethernet port; a PM5020 has two channels.
    pub(in crate::devices) fn on_ethernet(world: &World, name: &str, channel: u32, model: &str) -> ThorlabsPm {
        let two = model.eq_ignore_ascii_case("PM5020");
        let mut meter = ThorlabsPm::new(world, name, if two { 1 } else { channel }, Some(model));
        meter.ethernet = true;
        if two {
            let mut second = ThorlabsPm::new(world, name, 2, Some(model));
            second.ethernet = true;
            meter.second = Some(Box::new(second));
        }
        meter
    }

    /// What a command comes to on the channel that it is for.
    pub(super) fn act_on_channel(&mut self, now_s: f64, c: &Command) -> Act {
        if self.second.is_none() {
            return self.act(now_s, c);
        }
        if let Some(act) = self.both(now_s, c) {
            return act;
        }
        match (of_second(&c.header), &mut self.second) {
            (Some(header), Some(second)) => second.act(now_s, &Command { header, ..c.clone() }),
            _ => self.act(now_s, c),
        }
    }

    /// Both channels at once, each with a window of channel 1's averaging.
    fn both(&mut self, now_s: f64, c: &Command) -> Option<Act> {
        if !scpi::is(&c.header, "MEASure:SIMUltaneous[:POWer]") || !c.query {
            return None;
        }
        let averaging = self.settings.averaging;
        let (first_s, first) = self.measure(now_s);
        let second = self.second.as_mut()?;
        let own = std::mem::replace(&mut second.settings.averaging, averaging);
        let (second_s, told) = second.measure(now_s);
        second.settings.averaging = own;
        Some(Act::SayAt(first_s.max(second_s), format!("{first},{told}")))
    }
}

/// The header without the 2 of its first word, or of the sensor in `SYSTem:SENSor2`; `None` for one of channel 1.
fn of_second(header: &str) -> Option<String> {
    let nodes: Vec<&str> = header.split(':').collect();
    let named = nodes.iter().position(|node| node.ends_with('2'))?;
    let word = nodes[named].strip_suffix('2').filter(|word| !word.ends_with(|c: char| c.is_ascii_digit()))?;
    let channelled = named == 0 && CHANNELLED.iter().any(|known| scpi::word_is(word, known));
    let sensor = named == 1 && scpi::word_is(nodes[0], "SYSTem") && scpi::word_is(word, "SENSor");
    (channelled || sensor).then(|| {
        let mut nodes = nodes.clone();
        nodes[named] = word;
        nodes.join(":")
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::dialogues::with;
    use super::*;

    fn segment(text: &str) -> Vec<u8> {
        [&[0xca, 0, u8::try_from(text.len()).unwrap(), 0], text.as_bytes()].concat()
    }

    #[test]
    fn headers_of_the_second_channel_are_told_from_others() {
        assert_eq!(of_second("SENS2:POW:UNIT").as_deref(), Some("SENS:POW:UNIT"));
        assert_eq!(of_second("acquire2:FAST:FETC").as_deref(), Some("acquire:FAST:FETC"));
        assert_eq!(of_second("SYST:SENS2:IDN").as_deref(), Some("SYST:SENS:IDN"));
        for other in ["SENS:POW", "SENS1:POW", "SENS22:POW", "SENS:POW2", "FOO2"] {
            assert_eq!(of_second(other), None, "{other}");
        }
    }

    #[test]
    fn channels_keep_their_own_settings_and_are_read_at_once() {
        with("thorlabs-pm-lan", &[("model", "PM5020")], |d| {
            let mut say = |text: &str| String::from_utf8(d.raw(&segment(text)).split_off(4)).unwrap();
            assert_eq!(say("*IDN?\n"), "Thorlabs,PM5020,SIM00000101,1.2.0\n");
            assert_eq!(say("SENS2:CORR:WAV 1310;:SENS:CORR:WAV?\n"), "1.550000E+03\n");
            assert_eq!(say("SENS2:CORR:WAV?\n"), "1.310000E+03\n");
            assert_eq!(say("MEAS:SIMU?\n").matches(',').count(), 1);
            assert_eq!(say("ACQ:FAST:MAXS?\n"), "100000\n");
            assert_eq!(say("FOO2?;:SYST:ERR?\n"), "-113,\"Undefined header\"\n");
        });
    }

    /// As the maker's `fastMode.py` asks.
    #[test]
    fn the_stream_counts_in_binary_and_on_older_models_in_text() {
        with("thorlabs-pm-lan", &[("model", "PM5020")], |d| {
            assert_eq!(d.raw(&segment("ACQ2:FAST:POW\n")), b"");
            assert_eq!(d.raw(&segment("ACQ2:FAST:RESET\n")), b"");
            assert_eq!(d.raw(&segment("ACQ2:FAST:FETC?\n")), [0xca, 0, 4, 0, 0, 0, 0, 0]);
            d.now_s += 0.004;
            let answer = d.raw(&segment("ACQ2:FAST:FETC?\n"));
            assert_eq!((answer.len(), &answer[4..8]), (4 + 804, &[100, 0, 0, 0][..]));
            let us = |at: usize| u32::from_le_bytes(answer[at..at + 4].try_into().unwrap());
            assert_eq!(us(16).wrapping_sub(us(8)), 10);
        });
        with("thorlabs-pm-lan", &[], |d| {
            d.raw(&segment("ACQ1:FAST:POW\n"));
            assert_eq!(d.raw(&segment("ACQ1:FAST:FETC?\n")), b"\xca\x00\x02\x000\n");
            d.now_s += 0.004;
            let answer = d.raw(&segment("ACQ1:FAST:FETC?\n"));
            assert_eq!((answer.len(), &answer[4..8], answer.last()), (4 + 4 + 800 + 1, &b"100,"[..], Some(&b'\n')));
        });
        with("thorlabs-pm", &[("model", "PM103")], |d| {
            d.check(&[("ACQ1:FAST:FETC?;:SYST:ERR?\n", "-113,\"Undefined header\"\n")]);
        });
    }
}
