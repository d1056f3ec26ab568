//! DiCon GP600 matrix switches (configuration `X1`) on TCP or a serial line.
//!
//! What is peculiar to them:
//! - Lines end with CR, both ways; a header has no colon in front.
//! - An empty error queue is `+0, No Error`; at power-on it holds a -410 of nobody's, so it is drained first.
//! - Commands are not always carried out (autosweep's author: "unreliable commands, be extra careful"). Selecting is the
//!   same done twice, so it is read back and said again, within a bound.
//! - Output 0 is none.
//!
//! Source: autosweep (`DiConGP600X1`), after the GP600 manual's table 4-11.

mod codec;
mod driver;
#[cfg(test)]
mod tests;

pub use driver::DiconSwitch;
