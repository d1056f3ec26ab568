//! One file a command.

pub(crate) mod align;
pub(crate) mod bench;
pub(crate) mod campaign;
mod live;
pub(crate) mod log;
pub(crate) mod recipe;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod sim;
