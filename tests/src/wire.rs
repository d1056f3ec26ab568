//! The way between a driver and its device, with something on it that may change the device's bytes.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use units::clock::Clock;

/// Lots that are carried at the most.
const LOTS_MAX: u32 = 200_000;
/// Room of the driver's pipe, bytes.
const PIPE: usize = 64 * 1024;
/// Between the pieces of a lot.
const PAUSE: Duration = Duration::from_micros(10);

/// Both ends of a pipe for a driver: the first is the driver's, the other is to be carried.
pub fn pipe() -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(PIPE)
}

/// Carries bytes both ways until one side is gone. Each lot from the device arrives as the pieces that `mangle` makes of
/// it.
///
/// # Panics
/// When there is no end of lots.
pub async fn carry(
    mut near: DuplexStream,
    mut device: DuplexStream,
    clock: Clock,
    mut mangle: impl FnMut(&[u8]) -> Vec<Vec<u8>>,
) {
    let (mut there, mut back) = ([0; 4096], [0; 4096]);
    for _ in 0..LOTS_MAX {
        tokio::select! {
            biased;
            read = near.read(&mut there) => match read {
                Ok(n) if n > 0 => device.write_all(&there[..n]).await.expect("the device listens"),
                _ => return,
            },
            read = device.read(&mut back) => match read {
                Ok(n) if n > 0 => {
                    for piece in mangle(&back[..n]) {
                        if near.write_all(&piece).await.is_err() {
                            return;
                        }
                        clock.sleep(PAUSE).await;
                    }
                }
                _ => return,
            },
        }
    }
    panic!("more than {LOTS_MAX} lots of bytes");
}
