//! A switch after autosweep's dialogue, with faults; nothing is connected until it reads back so.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::DiconSwitch;
use super::codec;
use crate::fake::{on_virtual_clock, served};
use crate::identity::Expected;
use crate::switch::{OpticalSwitch, SwitchError};

struct Device {
    configuration: &'static str,
    outputs: [u32; 4],
    /// Selections that it takes and does not carry out.
    ignore: u32,
    errors: VecDeque<&'static str>,
    heard: Vec<String>,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request).trim_end().to_string();
        self.heard.push(text.clone());
        self.act(&text).map_or(Vec::new(), |reply| format!("{reply}\r").into_bytes())
    }

    fn act(&mut self, text: &str) -> Option<String> {
        match text {
            "*IDN?" => Some("Dicon Fiberoptics Inc, GP600, 19A0M10D0117, 7.0".into()),
            "SYST:ERR?" => Some(self.errors.pop_front().unwrap_or("+0, No Error").into()),
            "SYST:CONF?" => Some(self.configuration.into()),
            "X1 DIM?" => Some("4,8".into()),
            _ => {
                let words: Vec<&str> = text.strip_prefix("X1 CH ")?.split(' ').collect();
                let input: usize = words[0].trim_end_matches('?').parse().unwrap();
                if let Some(output) = words.get(1) {
                    if self.ignore > 0 {
                        self.ignore -= 1;
                    } else {
                        self.outputs[input - 1] = output.parse().unwrap();
                    }
                    return None;
                }
                Some(format!("{input},{}", self.outputs[input - 1]))
            }
        }
    }
}

fn talk<F: AsyncFnOnce(&mut DiconSwitch, Shared)>(test: F) {
    on_virtual_clock(async |clock| {
        let device = Rc::new(RefCell::new(Device {
            configuration: "X1",
            outputs: [0; 4],
            ignore: 0,
            errors: VecDeque::from(["-410, Query INTERRUPTED"]),
            heard: Vec::new(),
        }));
        let far = device.clone();
        let line = served(&clock, codec::line_end, move |request| far.borrow_mut().answer(request));
        test(&mut DiconSwitch::new(line, Expected::default()), device).await;
    });
}

#[test]
fn a_stale_error_is_drained_and_the_size_learnt() {
    talk(async |switch, _| {
        switch.connect().await.unwrap();
        assert_eq!((switch.inputs(), switch.outputs(), switch.identity().model.as_str()), (4, 8, "GP600"));
        assert_eq!(switch.selected(2).await.unwrap(), None);
    });
}

#[test]
fn a_selection_that_is_not_carried_out_is_said_again_and_given_up_in_the_end() {
    talk(async |switch, device| {
        switch.connect().await.unwrap();
        device.borrow_mut().ignore = 1;
        switch.select(2, Some(5)).await.unwrap();
        assert_eq!(device.borrow().outputs, [0, 5, 0, 0]);
        assert_eq!(switch.selected(2).await.unwrap(), Some(5));
        switch.select(2, None).await.unwrap();
        assert_eq!(switch.selected(2).await.unwrap(), None);
        device.borrow_mut().ignore = 100;
        let told = switch.select(1, Some(1)).await.unwrap_err();
        assert!(matches!(told, SwitchError::ReadBack { what: "output", .. }), "{told}");
        device.borrow_mut().errors.push_back("-222, Data out of range");
        let told = switch.select(1, Some(1)).await.unwrap_err().to_string();
        assert_eq!(told, "pm: \"X1 CH 1 1\" refused: -222, Data out of range");
    });
}

#[test]
fn what_is_selected_already_is_not_switched_again_and_no_other_port_is_asked_for() {
    talk(async |switch, device| {
        switch.connect().await.unwrap();
        switch.select(1, Some(3)).await.unwrap();
        device.borrow_mut().heard.clear();
        switch.select(1, Some(3)).await.unwrap();
        assert_eq!(device.borrow().heard, ["X1 CH 1?"]);
        let told = switch.select(5, Some(1)).await.unwrap_err().to_string();
        assert_eq!(told, "pm: there is no input 5; the switch has 4");
        assert!(matches!(switch.select(1, Some(9)).await, Err(SwitchError::NoSuchPort { side: "output", .. })));
        assert_eq!(device.borrow().heard.len(), 1);
    });
}

#[test]
fn another_configuration_is_refused() {
    talk(async |switch, device| {
        device.borrow_mut().configuration = "X1,X2";
        let told = switch.connect().await.unwrap_err();
        assert!(matches!(told, SwitchError::WrongDevice { .. }), "{told}");
    });
}
