//! Bytes of a client into a simulated device. The first byte of the input is the length of the pieces in which they
//! arrive (0: all at once), the second the pause between them in ms.

use std::time::Duration;

use sim::{LineSettings, Link, Parity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use units::clock::Clock;

use crate::alone::{Alone, in_virtual_time};

const LINE: LineSettings = LineSettings { baud: 921_600, parity: Parity::None };
/// How long a device is listened to after the last byte.
const LISTEN: Duration = Duration::from_secs(2);
/// Reads until then, at the most: one every 10 us.
const READS_MAX: u32 = 200_000;
/// What the line carries in all this time and a bit, bytes.
const HEARD_MAX: usize = 4 * 92_160 * 4;
/// No input pauses for longer in all.
const PAUSES: Duration = Duration::from_secs(2);

pub(super) fn hear(kind: &str, model: &str, input: &[u8]) {
    let [piece, pause, bytes @ ..] = input else { return };
    in_virtual_time(async |clock| {
        let link = Link::Serial { path: "unused".into(), settings: LINE };
        let alone = Alone::new(kind, model, link, &clock);
        let mut ear = Ear { pipe: alone.pipe(LINE), clock: clock.clone(), reads: 0, heard: 0 };
        let piece = if *piece == 0 { bytes.len().max(1) } else { usize::from(*piece) };
        let pieces = u32::try_from(bytes.chunks(piece).len()).unwrap_or(u32::MAX).max(1);
        let pause = Duration::from_millis((*pause).into()).min(PAUSES / pieces);
        for part in bytes.chunks(piece) {
            ear.pipe.write_all(part).await.expect("the device listens");
            ear.listen(pause).await;
        }
        ear.listen(LISTEN).await;
    });
}

struct Ear {
    pipe: DuplexStream,
    clock: Clock,
    reads: u32,
    heard: usize,
}

impl Ear {
    async fn listen(&mut self, time: Duration) {
        let end = self.clock.now() + time;
        let mut chunk = [0; 4096];
        loop {
            let left = end.saturating_sub(self.clock.now());
            if left.is_zero() {
                return;
            }
            let Ok(read) = self.clock.timeout(left, self.pipe.read(&mut chunk)).await else { return };
            let read = read.expect("a pipe");
            assert!(read > 0, "the device has hung up");
            self.reads += 1;
            self.heard += read;
            assert!(self.reads < READS_MAX && self.heard < HEARD_MAX, "{} bytes in {} reads", self.heard, self.reads);
        }
    }
}
