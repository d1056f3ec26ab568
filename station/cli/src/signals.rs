//! SIGINT, SIGTERM and an operator's word become a stop that a run listens to.

use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use station::sequence::{Stop, StopReason, StopSender, stop};

use crate::failure::Failure;
use crate::terminal;

/// A stop that is asked for by SIGINT and SIGTERM. The first signal counts; later ones only say that it is under way.
pub(crate) fn listen() -> Result<(StopSender, Stop), Failure> {
    listen_saying("stopping: making the bench safe", "already making the bench safe")
}

/// As [`listen`], for a command that moves nothing.
pub(crate) fn listen_quietly() -> Result<(StopSender, Stop), Failure> {
    listen_saying("", "")
}

fn listen_saying(at_first: &'static str, then: &'static str) -> Result<(StopSender, Stop), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|e| Failure::station(format!("cannot listen to signals: {e}"), "check the process limits"))?;
    let (sender, receiver) = stop();
    let to = sender.clone();
    std::thread::spawn(move || {
        let mut text = at_first;
        for signal in &mut signals {
            to.stop(if signal == SIGTERM { StopReason::Terminate } else { StopReason::Interrupt });
            if !text.is_empty() {
                terminal::tell(format_args!("{text}"));
            }
            text = then;
        }
    });
    Ok((sender, receiver))
}

/// A line `stop` on standard input asks for a stop too. Its end asks for nothing.
pub(crate) fn listen_to_stdin(sender: StopSender) {
    std::thread::spawn(move || {
        let lines = std::io::stdin().lines().map_while(Result::ok);
        for _ in lines.filter(|line| line.trim() == "stop") {
            terminal::tell(format_args!("stopping: making the bench safe"));
            sender.stop(StopReason::Operator);
        }
    });
}

/// Lets a write beyond the limit on file sizes fail like one on a full disk; by itself it would end the program with the
/// bench as it is.
pub(crate) fn survive_file_size_limit() -> Result<(), Failure> {
    let registered = signal_hook::flag::register(SIGXFSZ, Arc::default());
    registered
        .map(drop)
        .map_err(|e| Failure::station(format!("cannot listen to signals: {e}"), "check the process limits"))
}

/// The exit code of a run stopped so.
pub(crate) fn exit_code(reason: StopReason) -> u8 {
    match reason {
        StopReason::Interrupt => 130,
        StopReason::Terminate => 143,
        StopReason::Operator => crate::failure::OPERATOR,
    }
}
