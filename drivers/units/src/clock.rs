//! Time as a value, real or virtual. Below the command line nobody asks the operating system for the time.
//!
//! The virtual clock is tokio's paused clock on a current-thread runtime with one virtual microsecond mapped to one
//! millisecond of tokio time, because tokio's timers have a grain of 1 ms. It leaps whenever the runtime is idle, so
//! nothing outside the runtime may be awaited on it: such waits are blocking receives, which hold the clock.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// How many tokio microseconds one virtual microsecond takes.
const STRETCH: u32 = 1000;

/// tokio's timers have this grain; shorter real waits are not slept.
const REAL_GRAIN: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Seconds of this clock per second of the operating system's.
    Real(f64),
    Virtual,
}

/// A clock that tells the time since it was made, sleeps and bounds waits.
#[derive(Debug, Clone)]
pub struct Clock {
    kind: Kind,
    origin: Instant,
}

/// A wait reached its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("time limit reached")]
pub struct Elapsed;

impl Clock {
    /// A clock on real time. Must be made inside a runtime of [`real_runtime`]'s kind.
    pub fn real() -> Self {
        Clock::scaled(1.0)
    }

    /// A clock on real time that runs `scale` times as fast (above 0): for a simulator that is to hurry.
    pub fn scaled(scale: f64) -> Self {
        Clock { kind: Kind::Real(scale), origin: Instant::now() }
    }

    /// A clock on virtual time. Must be made inside a runtime of [`virtual_runtime`].
    pub fn simulated() -> Self {
        Clock { kind: Kind::Virtual, origin: Instant::now() }
    }

    /// True for a virtual clock.
    pub fn is_virtual(&self) -> bool {
        self.kind == Kind::Virtual
    }

    /// Time since the clock was made; whole microseconds on a virtual clock.
    pub fn now(&self) -> Duration {
        let elapsed = self.origin.elapsed();
        match self.kind {
            Kind::Real(1.0) => elapsed,
            Kind::Real(scale) => elapsed.mul_f64(scale),
            Kind::Virtual => elapsed / STRETCH,
        }
    }

    /// Seconds since the clock was made.
    pub fn seconds(&self) -> f64 {
        self.now().as_secs_f64()
    }

    /// Waits `wait`. Real waits below tokio's grain only yield; virtual waits are rounded up to a microsecond.
    pub async fn sleep(&self, wait: Duration) {
        match self.kind {
            Kind::Real(scale) => match wait.div_f64(scale) {
                short if short < REAL_GRAIN => tokio::task::yield_now().await,
                long => tokio::time::sleep(long).await,
            },
            Kind::Virtual if wait.is_zero() => tokio::task::yield_now().await,
            Kind::Virtual => tokio::time::sleep(stretched(wait)).await,
        }
    }

    /// Waits until the clock shows `until`; returns at once if that is past.
    pub async fn sleep_until(&self, until: Duration) {
        self.sleep(until.saturating_sub(self.now())).await;
    }

    /// Runs `work` for at most `limit`.
    ///
    /// # Errors
    /// [`Elapsed`] when the limit is reached first; `work` is then dropped.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Result<F::Output, Elapsed> {
        let limit = match self.kind {
            Kind::Real(scale) => limit.div_f64(scale),
            Kind::Virtual => stretched(limit),
        };
        tokio::time::timeout(limit, work).await.map_err(|_| Elapsed)
    }
}

/// A limit for one piece of work after the other, on the same clock. A new timer that is due before all others costs two
/// calls of the operating system; this one is put off instead, which costs none.
#[derive(Debug, Default)]
pub struct Limit(Option<Pin<Box<tokio::time::Sleep>>>);

impl Limit {
    /// As [`Clock::timeout`].
    ///
    /// # Errors
    /// [`Elapsed`] when the limit is reached first; `work` is then dropped.
    pub async fn timeout<F: Future>(&mut self, clock: &Clock, limit: Duration, work: F) -> Result<F::Output, Elapsed> {
        // A timer that nobody waits for any more would be a place for the virtual clock to leap to.
        let Kind::Real(scale) = clock.kind else { return clock.timeout(limit, work).await };
        let end = Instant::now() + limit.div_f64(scale);
        let timer = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        timer.as_mut().reset(end);
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => timer.as_mut().poll(cx).map(|()| Err(Elapsed)),
        })
        .await
    }
}

fn stretched(wait: Duration) -> Duration {
    let micros = wait.as_nanos().div_ceil(1000);
    Duration::from_millis(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// A current-thread runtime whose clock is paused and leaps when idle: the home of [`Clock::simulated`].
///
/// # Errors
/// When the operating system refuses the runtime's resources.
pub fn virtual_runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_time().start_paused(true).build()
}

/// A current-thread runtime on real time with I/O.
///
/// # Errors
/// When the operating system refuses the runtime's resources.
pub fn real_runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_limit_used_again_ends_each_work_in_its_own_time_and_no_earlier() {
        use super::*;
        let ms = Duration::from_millis;
        real_runtime().unwrap().block_on(async {
            let (clock, mut limit) = (Clock::real(), Limit::default());
            assert_eq!(limit.timeout(&clock, ms(5), std::future::pending::<()>()).await, Err(Elapsed));
            assert_eq!(limit.timeout(&clock, ms(10_000), clock.sleep(ms(20))).await, Ok(()));
            assert_eq!(limit.timeout(&clock, ms(5), std::future::pending::<()>()).await, Err(Elapsed));
            assert!((ms(30)..ms(5000)).contains(&clock.now()));
        });
        virtual_runtime().unwrap().block_on(async {
            let (clock, mut limit) = (Clock::simulated(), Limit::default());
            assert_eq!(limit.timeout(&clock, ms(5), std::future::pending::<()>()).await, Err(Elapsed));
            assert_eq!(clock.now(), ms(5));
        });
    }

    use super::*;

    #[test]
    fn virtual_sleep_is_exact_to_the_microsecond_and_takes_no_real_time() {
        let rt = virtual_runtime().unwrap();
        rt.block_on(async {
            let clock = Clock::simulated();
            clock.sleep(Duration::from_micros(137)).await;
            assert_eq!(clock.now(), Duration::from_micros(137));
            clock.sleep(Duration::from_secs(3600)).await;
            assert_eq!(clock.now(), Duration::from_secs(3600) + Duration::from_micros(137));
            clock.sleep(Duration::from_nanos(1)).await;
            assert_eq!(clock.now(), Duration::from_secs(3600) + Duration::from_micros(138));
        });
    }

    #[test]
    fn timeout_ends_at_its_limit_on_the_virtual_clock() {
        let rt = virtual_runtime().unwrap();
        rt.block_on(async {
            let clock = Clock::simulated();
            let never = std::future::pending::<()>();
            assert_eq!(clock.timeout(Duration::from_millis(250), never).await, Err(Elapsed));
            assert_eq!(clock.now(), Duration::from_millis(250));
            assert_eq!(clock.timeout(Duration::from_millis(1), async { 7 }).await, Ok(7));
        });
    }

    #[test]
    fn sleep_until_the_past_returns_at_once() {
        let rt = virtual_runtime().unwrap();
        rt.block_on(async {
            let clock = Clock::simulated();
            clock.sleep(Duration::from_millis(5)).await;
            clock.sleep_until(Duration::from_millis(2)).await;
            assert_eq!(clock.now(), Duration::from_millis(5));
        });
    }
}
