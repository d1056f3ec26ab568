//! The line between a client and a device: byte times, line settings, and the faults of wires. One task a port.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use units::clock::Clock;

use crate::devices::Device;
use crate::faults::FaultKind;
use crate::noise::Stream;
use crate::uart::{LineSettings, received};
use crate::world::World;

/// A device with its name, shared between clients that come and go.
pub(crate) type Shared = Rc<RefCell<Box<dyn Device>>>;

/// How a line behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinePlan {
    /// Settings of the device.
    pub(crate) device: LineSettings,
    /// Settings of the client, where they are known.
    pub(crate) client: Option<LineSettings>,
    /// Whether bytes take their time.
    pub(crate) timed: bool,
}

/// Why a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// The client went away.
    Client,
    /// The fault took the port.
    Gone,
}

/// Most that is read at once, bytes.
const CHUNK: usize = 4096;
/// Pause between the pieces of a split reply, seconds.
const SPLIT_S: f64 = 0.020;
/// Delay of a late reply, seconds.
const LATE_S: f64 = 2.0;
/// Mean delay of slow replies, seconds; each is between half of it and half as much again.
const SLOW_S: f64 = 0.012;
/// On a real clock, what is due within this is done now: waits below its grain cannot be slept.
const GRAIN_S: f64 = 0.001;
/// While no byte comes, faults that act by themselves are looked for this often, seconds.
const LOOK_S: f64 = 0.050;
/// No wait is longer, seconds: what a client can make due may be further off than a clock can count.
const FAR_S: f64 = 3600.0;

/// A client's bytes reach the device in lots of this many at the most, so that what they make it say is bounded before
/// the next.
const LOT: usize = 64;
/// With this many bytes on their way a direction is full, as a port's buffer is: the client's are left with it, the
/// device's commands wait.
const WAY_MAX: usize = 64 * 1024;

/// Bytes on their way, each lot with the time it is there.
#[derive(Default)]
struct Way {
    lots: VecDeque<(f64, Vec<u8>)>,
    bytes: usize,
}

impl Way {
    /// A lot begins its way, behind all that are there no later.
    fn push(&mut self, at_s: f64, lot: Vec<u8>) {
        self.bytes += lot.len();
        let place = self.lots.partition_point(|(t, _)| *t <= at_s);
        self.lots.insert(place, (at_s, lot));
    }

    /// The next lot that is there.
    fn take(&mut self, until_s: f64) -> Option<Vec<u8>> {
        let (_, lot) = self.lots.pop_front_if(|(at, _)| *at <= until_s)?;
        self.bytes -= lot.len();
        Some(lot)
    }

    fn next(&self) -> Option<f64> {
        self.lots.front().map(|(at, _)| *at)
    }

    fn is_full(&self) -> bool {
        self.bytes >= WAY_MAX
    }
}

pub(crate) struct Wire {
    world: World,
    name: String,
    device: Shared,
    plan: LinePlan,
    to_device: Way,
    to_client: Way,
    rx_free_s: f64,
    tx_free_s: f64,
    noise: Stream,
    /// One-time faults that have struck, and how often replies were counted.
    struck: Vec<FaultKind>,
    restarted: bool,
    replies: u64,
}

impl Wire {
    pub(crate) fn new(world: World, name: &str, device: Shared, plan: LinePlan) -> Wire {
        let noise = Stream::new(world.inner.borrow().seed, &format!("line {name}"));
        Wire {
            world,
            name: name.to_string(),
            device,
            plan,
            to_device: Way::default(),
            to_client: Way::default(),
            rx_free_s: 0.0,
            tx_free_s: 0.0,
            noise,
            struck: Vec::new(),
            restarted: false,
            replies: 0,
        }
    }

    /// The client's line settings as they are now, where they can be seen.
    pub(crate) fn set_client(&mut self, client: Option<LineSettings>) {
        self.plan.client = client;
    }

    /// Carries bytes until the client goes away or the fault takes the port. `look` gives the client's line settings
    /// before each lot of bytes, where they can be seen.
    pub(crate) async fn carry<S>(&mut self, stream: &mut S, mut look: impl FnMut() -> Option<LineSettings>) -> LineEnd
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = vec![0u8; CHUNK];
        loop {
            let now = self.world.now_s();
            if self.world.is_gone(&self.name, now) {
                return LineEnd::Gone;
            }
            self.device_faults(now);
            if let Err(end) = self.due(stream, now).await {
                return end;
            }
            let next = self.next(now);
            let clock = self.world.clock.clone();
            tokio::select! {
                biased;
                read = stream.read(&mut buffer), if !self.to_device.is_full() => match read {
                    Ok(0) | Err(_) => return LineEnd::Client,
                    Ok(n) => {
                        if let Some(client) = look() {
                            self.set_client(Some(client));
                        }
                        self.arrive(&buffer[..n]);
                    }
                },
                () = until(&clock, next) => {}
            }
        }
    }

    fn faulty(&self, kind: FaultKind, now_s: f64) -> bool {
        self.world.faulty(kind, &self.name, now_s)
    }

    /// Bytes of the client begin their way to the device.
    fn arrive(&mut self, bytes: &[u8]) {
        let now = self.world.now_s();
        let bytes = match self.plan.client {
            Some(client) => received(bytes, client, self.plan.device),
            None => bytes.to_vec(),
        };
        for lot in bytes.chunks(LOT) {
            let takes = if self.plan.timed { self.byte_s() * count(lot.len()) } else { 0.0 };
            self.rx_free_s = self.rx_free_s.max(now) + takes;
            self.to_device.push(self.rx_free_s, lot.to_vec());
        }
    }

    fn byte_s(&self) -> f64 {
        self.plan.client.unwrap_or(self.plan.device).byte_s()
    }

    /// Faults that change the device itself.
    fn device_faults(&mut self, now_s: f64) {
        let refuse = self.faulty(FaultKind::ErrorReply, now_s);
        self.device.borrow_mut().refuse(refuse);
        if !self.restarted && self.faulty(FaultKind::Restart, now_s) {
            self.restarted = true;
            self.device.borrow_mut().restart(now_s);
        }
    }

    /// Does everything that is due: bytes reach the device, replies are ready, bytes reach the client.
    async fn due<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, now_s: f64) -> Result<(), LineEnd> {
        let until = now_s + if self.world.clock.is_virtual() { 1e-9 } else { GRAIN_S };
        while !self.to_client.is_full()
            && let Some(bytes) = self.to_device.take(until)
        {
            if !self.faulty(FaultKind::Silent, now_s) {
                self.device.borrow_mut().receive(now_s, &bytes);
            }
            self.replies(now_s, until);
        }
        self.replies(now_s, until);
        while let Some(bytes) = self.to_client.take(until) {
            stream.write_all(&bytes).await.map_err(|_| LineEnd::Client)?;
        }
        Ok(())
    }

    /// Replies that are ready begin their way.
    fn replies(&mut self, now_s: f64, until_s: f64) {
        while !self.to_client.is_full() {
            let reply = self.device.borrow_mut().reply(until_s);
            let Some(reply) = reply else { return };
            self.send(now_s, reply);
        }
    }

    /// A reply begins its way to the client, through the faults of the wire.
    fn send(&mut self, now_s: f64, reply: Vec<u8>) {
        if self.faulty(FaultKind::Silent, now_s) {
            return;
        }
        self.replies += 1;
        let mut pieces: Vec<(f64, Vec<u8>)> = vec![(0.0, reply)];
        self.wire_faults(now_s, &mut pieces);
        let timed = self.plan.timed;
        let byte_s = self.plan.device.byte_s();
        for (delay, bytes) in pieces {
            let bytes = match self.plan.client {
                Some(client) => received(&bytes, self.plan.device, client),
                None => bytes,
            };
            let takes = if timed { byte_s * count(bytes.len()) } else { 0.0 };
            let begin = if delay >= LATE_S { now_s + delay } else { self.tx_free_s.max(now_s) + delay };
            if delay < LATE_S {
                self.tx_free_s = begin + takes;
            }
            self.to_client.push(begin + takes, bytes);
        }
    }

    fn wire_faults(&mut self, now_s: f64, pieces: &mut Vec<(f64, Vec<u8>)>) {
        let draw = self.noise.bits(self.replies);
        let Some((_, reply)) = pieces.first_mut() else { return };
        let at = usize::try_from(draw % count_u64(reply.len()).max(1)).unwrap_or(0);
        if self.faulty(FaultKind::HalfReply, now_s) {
            reply.truncate(reply.len() / 2);
        }
        if self.strikes(FaultKind::DropByte, now_s) && at < reply.len() {
            reply.remove(at);
        }
        if self.strikes(FaultKind::FlipByte, now_s)
            && let Some(byte) = reply.get_mut(at)
        {
            *byte ^= 1 << (draw >> 32 & 7);
        }
        if self.strikes(FaultKind::ExtraBytes, now_s) {
            reply.splice(0..0, *b"?!\xff0\n");
        }
        if self.strikes(FaultKind::DuplicateReply, now_s) {
            let again = reply.clone();
            reply.extend(again);
        }
        if self.faulty(FaultKind::SlowReplies, now_s) {
            pieces[0].0 = SLOW_S * (0.5 + self.noise.child(1).uniform(self.replies));
        }
        if self.strikes(FaultKind::LateReply, now_s) {
            pieces[0].0 = LATE_S;
        } else if self.strikes(FaultKind::SplitReply, now_s) {
            let whole = std::mem::take(&mut pieces[0].1);
            let third = whole.len().div_ceil(3).max(1);
            *pieces = whole
                .chunks(third)
                .enumerate()
                .map(|(i, c)| (if i == 0 { 0.0 } else { SPLIT_S }, c.to_vec()))
                .collect();
        }
    }

    /// Whether a fault that strikes once does so now.
    fn strikes(&mut self, kind: FaultKind, now_s: f64) -> bool {
        let now = !self.struck.contains(&kind) && self.faulty(kind, now_s);
        if now {
            self.struck.push(kind);
        }
        now
    }

    /// When something is due next, if anything is.
    fn next(&self, now_s: f64) -> Option<Duration> {
        // A device that cannot say anything is not asked until it can.
        let full = self.to_client.is_full();
        let device = self.device.borrow().due().filter(|_| !full);
        let ways = [self.to_device.next().filter(|_| !full), self.to_client.next()].into_iter().flatten();
        let faults = !self.world.inner.borrow().faults.is_empty();
        let look = faults.then_some(now_s + LOOK_S);
        let next = ways.chain(device).chain(look).filter(|at| at.is_finite()).reduce(f64::min)?;
        Some(Duration::from_secs_f64(next.clamp(now_s, now_s + FAR_S)))
    }
}

/// Waits for a time, or for good. No timer is better than a late one: each wait of the operating system arms it anew.
async fn until(clock: &Clock, time: Option<Duration>) {
    match time {
        Some(time) => clock.sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths of messages")]
fn count(n: usize) -> f64 {
    n as f64
}

fn count_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
