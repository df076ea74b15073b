//! One office's station: what it has recorded, what it still owes, and the doors to the clerk and to the relays.
//!
//! Start with [`step`] (what goes in and comes out), then [`node`] (what happens in between), then [`store`] (the only
//! SQL). The edges carry bytes and hold no opinions.

pub mod api;
pub mod backup;
pub mod cli;
pub mod config;
pub mod content;
pub mod keyring;
pub mod link;
pub mod node;
pub mod pdf;
pub mod people;
pub mod runtime;
pub mod sealing;
pub mod signing;
pub mod sniff;
pub mod step;
pub mod store;
pub mod verify;
pub mod words;

pub use node::{Node, StepError};

#[cfg(test)]
#[path = "../../schema/tests/certified/mod.rs"]
mod certified;
