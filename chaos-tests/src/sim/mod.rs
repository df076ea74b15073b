//! A whole country in one thread: the same node and relay code, a virtual clock, lossy lines, disks that lose power.
//!
//! Three phases: faults, healing, quiet. Safety is checked after every step, liveness once the faults have stopped. The
//! same seed gives the same trace.

mod broker;
#[path = "../../../schema/tests/certified/mod.rs"]
mod certified;
mod check;
mod clones;
mod contents;
mod faults;
mod mail;
mod office;
mod options;
mod people;
mod registry;
mod relay_host;
mod sealing;
mod world;

pub use options::{Fault, Options};
pub use world::{Listener, Report, Violated, run, run_telling};
