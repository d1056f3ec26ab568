//! One file a command.

pub(crate) mod bench;
pub(crate) mod campaign;
pub(crate) mod log;
pub(crate) mod recipe;
pub(crate) mod run;
pub(crate) mod sim;
