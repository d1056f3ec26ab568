//! Where light comes from and where it is read: a laser and a photodiode with its amplifier, as functions of time. Pure;
//! knows no part, no stage and no instrument's language.

pub mod detector;
pub mod source;
