//! Placeholder while the workspace is laid out.

pub mod power_cut;
