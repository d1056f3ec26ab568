//! Somebody wants the run to stop: a signal, a button.

use tokio::sync::watch;

use crate::event::{Cause, Outcome};

/// Why a run is stopped from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// A stop command or button.
    Operator,
}

impl StopReason {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            StopReason::Interrupt => "stopped by Ctrl-C (SIGINT)",
            StopReason::Terminate => "stopped by SIGTERM",
            StopReason::Operator => "stopped by the operator",
        }
    }

    /// Outcome and cause of a run stopped so.
    pub fn verdict(self) -> (Outcome, Cause) {
        (Outcome::Aborted, Cause::Operator)
    }
}

/// The end that asks for a stop; may be used from any thread.
#[derive(Debug, Clone)]
pub struct StopSender(watch::Sender<Option<StopReason>>);

impl StopSender {
    /// Asks for a stop. The first reason stays.
    pub fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|now| {
            let first = now.is_none();
            now.get_or_insert(reason);
            first
        });
    }
}

/// The end a run listens to.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<StopReason>>);

impl Stop {
    /// The reason, if a stop was asked for.
    pub fn asked(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// Waits until a stop is asked for; for ever if nobody is left who could.
    pub async fn requested(&mut self) -> StopReason {
        loop {
            if let Some(reason) = *self.0.borrow_and_update() {
                return reason;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Both ends.
pub fn stop() -> (StopSender, Stop) {
    let (sender, receiver) = watch::channel(None);
    (StopSender(sender), Stop(receiver))
}
