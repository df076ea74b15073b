//! The simulated country, and the real processes under faults.
//!
//! [`sim`] runs node and relay code against modelled lines, servers and disks; [`power_cut`] is the disk. The tests
//! in `tests/live_*.rs` do the same to real processes.

pub mod power_cut;
pub mod sim;
