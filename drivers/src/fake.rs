//! Devices for tests: one that follows a script to the letter, one that answers by a function. Virtual time only.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::{JoinHandle, LocalSet};
use units::clock::{Clock, virtual_runtime};

use crate::exchange::Line;

/// One step of a scripted device.
pub(crate) enum Step {
    /// These bytes, and no others, must come next.
    Hear(&'static [u8]),
    Say(&'static [u8]),
    Wait(u64),
    Close,
}

/// Runs a test on the virtual clock.
pub(crate) fn on_virtual_clock<F: Future<Output = ()>>(test: impl FnOnce(Clock) -> F) {
    let runtime = virtual_runtime().unwrap();
    LocalSet::new().block_on(&runtime, async { test(Clock::simulated()).await });
}

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn piped(clock: &Clock) -> (Line, DuplexStream) {
    let (near, far) = tokio::io::duplex(4096);
    (Line::new(Box::new(near), clock.clone(), "pm", "/dev/ttyUSB0"), far)
}

/// A line to a device that follows `steps`; await the handle to learn whether it came to its end.
pub(crate) fn scripted(clock: &Clock, steps: Vec<Step>) -> (Line, JoinHandle<()>) {
    let (line, far) = piped(clock);
    (line, tokio::task::spawn_local(follow(far, clock.clone(), steps)))
}

async fn follow(mut far: DuplexStream, clock: Clock, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Hear(expected) => {
                let mut got = vec![0; expected.len()];
                far.read_exact(&mut got).await.unwrap();
                assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string());
            }
            Step::Say(bytes) => far.write_all(bytes).await.unwrap(),
            Step::Wait(millis) => clock.sleep(ms(millis)).await,
            Step::Close => return,
        }
    }
    // Nothing more may be asked; the line stays open until the test ends.
    let mut rest = Vec::new();
    let _ = far.read_to_end(&mut rest).await;
    assert_eq!(rest.escape_ascii().to_string(), "", "asked after the end of the script");
}

/// A line to a device that cuts its input with `cut` and answers each request 1 ms later with what `answer` gives.
pub(crate) fn served(
    clock: &Clock,
    cut: fn(&[u8]) -> Option<usize>,
    mut answer: impl FnMut(&[u8]) -> Vec<u8> + 'static,
) -> Line {
    let (line, mut far) = piped(clock);
    let clock = clock.clone();
    tokio::task::spawn_local(async move {
        let mut input = Vec::new();
        while let Ok(1..) = far.read_buf(&mut input).await {
            while let Some(end) = cut(&input) {
                let request: Vec<u8> = input.drain(..end).collect();
                let reply = answer(&request);
                clock.sleep(ms(1)).await;
                if far.write_all(&reply).await.is_err() {
                    return;
                }
            }
        }
    });
    line
}
