//! What bytes may do on a line, one table over all protocols: driver against simulated device, two independent writings
//! of each. An answer that is cut, glued, late or noise is never taken for another value, and the line comes back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use drivers::registry;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sim::{LineSettings, Link, Parity};
use tests::alone::{Alone, LIGHT_W, in_virtual_time, models};
use tests::any::Any;
use tests::wire;
use units::clock::Clock;

const LINE: LineSettings = LineSettings { baud: 921_600, parity: Parity::None };

fn words() -> Vec<&'static str> {
    [registry::MOTION, registry::METERS, registry::SOURCES, registry::SWITCHES].concat()
}

/// What happens to the next lot of bytes from the device, and to those after it.
type Harm = Rc<RefCell<Change>>;

/// What becomes of an answer: the pieces that arrive.
type Change = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>>>;

fn none() -> Change {
    Box::new(|lot| vec![lot.to_vec()])
}

/// Does harm to the lot that comes after `pass` others, and to no other.
fn once(pass: usize, mut harm: impl FnMut(&[u8]) -> Vec<Vec<u8>> + 'static) -> Change {
    let mut count = 0;
    Box::new(move |lot| {
        count += 1;
        if count == pass + 1 { harm(lot) } else { vec![lot.to_vec()] }
    })
}

/// A connected driver over a line with `Harm` on it.
fn with(word: &str, test: impl AsyncFnOnce(Any, Harm, Clock)) {
    in_virtual_time(async |clock| {
        let model = models(word)[0];
        let link = Link::Serial { path: "unused".into(), settings: LINE };
        let alone = Alone::new(word, model, link, &clock);
        let (near, far) = wire::pipe();
        let harm: Harm = Rc::new(RefCell::new(none()));
        let mangle = harm.clone();
        let device = alone.pipe(LINE);
        tokio::task::spawn_local(wire::carry(far, device, clock.clone(), move |lot| (mangle.borrow_mut())(lot)));
        let mut any = Any::new(word, model, &alone, Box::new(near), &clock);
        any.connect().await.unwrap_or_else(|e| panic!("{word}: {e}"));
        any.reference().await.unwrap_or_else(|e| panic!("{word}: {e}"));
        // A meter's first readings after it found its range are off.
        any.look().await.unwrap();
        clock.sleep(Duration::from_millis(500)).await;
        test(any, harm, clock).await;
    });
}

/// Whether two looks say the same, but for noise.
fn same(any: &Any, a: &[f64], b: &[f64]) -> bool {
    let near = |(a, b): (&f64, &f64)| match any {
        Any::Motion(..) => (a - b).abs() < 0.5,
        Any::Meter(_) => (a - b).abs() < 0.02 * LIGHT_W,
        // Lasers round their levels to hundredths of a dB.
        Any::Source(..) => (a - b).abs() < 0.01,
        Any::Switch(_) => a == b,
    };
    a.len() == b.len() && a.iter().zip(b).all(near)
}

/// Lots of bytes that come back at a look.
async fn lots(any: &mut Any, harm: &Harm) -> Vec<Vec<u8>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let ear = heard.clone();
    *harm.borrow_mut() = Box::new(move |lot| {
        ear.borrow_mut().push(lot.to_vec());
        vec![lot.to_vec()]
    });
    any.look().await.unwrap();
    *harm.borrow_mut() = none();
    heard.take()
}

/// Looks on a line that is sound again. A meter that cannot tell its wavelength must be set up afresh after its line was
/// lost, and says so.
async fn look_after(word: &str, any: &mut Any, what: &str) -> Vec<f64> {
    let mut looked = any.look().await;
    if word == "joinwit-pm" && looked.is_err() {
        any.connect().await.unwrap_or_else(|e| panic!("{word}, after {what}: {e}"));
        looked = any.look().await;
    }
    looked.unwrap_or_else(|e| panic!("{word}, after {what}: {e}"))
}

/// Looks once while harm is done, then once more: the first gives the truth or an error, the second the truth.
async fn check(word: &str, any: &mut Any, harm: &Harm, truth: &[f64], what: &str, does: Change) {
    *harm.borrow_mut() = does;
    if let Ok(seen) = any.look().await {
        assert!(same(any, &seen, truth), "{word}, {what}: {seen:?} for {truth:?}");
    }
    *harm.borrow_mut() = none();
    let after = look_after(word, any, what).await;
    assert!(same(any, &after, truth), "{word}, after {what}: {after:?} for {truth:?}");
}

#[test]
fn answers_cut_at_every_byte_are_errors_and_the_line_comes_back() {
    for word in words() {
        with(word, async |mut any, harm, _| {
            let truth = any.look().await.unwrap();
            for (which, lot) in lots(&mut any, &harm).await.into_iter().enumerate() {
                for end in 0..lot.len() {
                    let cut = once(which, move |lot| vec![lot[..end.min(lot.len())].to_vec()]);
                    check(word, &mut any, &harm, &truth, &format!("lot {which} cut at {end}"), cut).await;
                }
            }
        });
    }
}

/// A second copy that comes after the next question was sent is beyond any protocol without numbers; one that comes with
/// the answer is not.
#[test]
fn answers_that_come_twice_or_with_noise_about_them_are_never_taken_for_the_next() {
    for word in words() {
        with(word, async |mut any, harm, _| {
            let truth = any.look().await.unwrap();
            for which in 0..lots(&mut any, &harm).await.len() {
                let glued = once(which, |lot| vec![[lot, lot].concat()]);
                check(word, &mut any, &harm, &truth, "answer glued to itself", glued).await;
                for noise in [&b"\xff"[..], b"\n", b"\r\n", b"?!\xff0\n", b"\x00\x00\x00\x00\x00\x00\x00", b"#9"] {
                    let before = once(which, move |lot| vec![[noise, lot].concat()]);
                    check(word, &mut any, &harm, &truth, "noise before", before).await;
                    let behind = once(which, move |lot| vec![[lot, noise].concat()]);
                    check(word, &mut any, &harm, &truth, "noise behind", behind).await;
                }
            }
        });
    }
}

#[test]
fn answers_in_pieces_are_the_answers_whole() {
    for word in words() {
        with(word, async |mut any, harm, _| {
            let truth = any.look().await.unwrap();
            for size in 1..8 {
                *harm.borrow_mut() = Box::new(move |lot| lot.chunks(size).map(<[u8]>::to_vec).collect());
                let seen = any.look().await.unwrap_or_else(|e| panic!("{word} in pieces of {size}: {e}"));
                assert!(same(&any, &seen, &truth), "{word} in pieces of {size}: {seen:?} for {truth:?}");
            }
        });
    }
}

/// A flipped bit can make a number another number: the driver must come back, and so must the line.
#[test]
fn a_flipped_bit_does_no_lasting_harm() {
    for word in words() {
        with(word, async |mut any, harm, _| {
            let truth = any.look().await.unwrap();
            for (which, lot) in lots(&mut any, &harm).await.into_iter().enumerate() {
                for bit in 0..lot.len() * 8 {
                    *harm.borrow_mut() = once(which, move |lot| {
                        let mut lot = lot.to_vec();
                        if let Some(byte) = lot.get_mut(bit / 8) {
                            *byte ^= 1 << (bit % 8);
                        }
                        vec![lot]
                    });
                    let _ = any.look().await;
                    *harm.borrow_mut() = none();
                    let after = look_after(word, &mut any, &format!("bit {bit} of lot {which}")).await;
                    assert!(same(&any, &after, &truth), "{word}, bit {bit} of lot {which}: {after:?} for {truth:?}");
                }
            }
        });
    }
}

#[test]
fn what_is_set_through_one_writing_of_a_protocol_is_read_back_through_the_other() {
    let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
    for word in words() {
        let shares = prop::collection::vec(0.0f64..1.0, 1..4);
        TestRunner::new(config.clone())
            .run(&shares, |shares| {
                with(word, async |mut any, _, _| {
                    for share in shares {
                        let went = any.go(share).await.unwrap_or_else(|e| panic!("{word}: {e}"));
                        let seen = any.look().await.unwrap();
                        let wanted = went.unwrap_or(LIGHT_W);
                        assert!(same(&any, &seen[..1], &[wanted]), "{word}: {seen:?} for {wanted}");
                    }
                });
                Ok(())
            })
            .unwrap();
    }
}
