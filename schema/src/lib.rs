//! The words both sides of the wire agree on, and the rules about them.
//!
//! Pure: no I/O, no clock, no randomness. Time, keys and identifiers arrive as arguments, so the same inputs
//! give the same bytes and the same decisions everywhere: in the node, in the relay, in the simulation and in an audit
//! twenty years later.
//!
//! Start with [`event`] (what is signed and how it is proven), then [`exchange`] (what a station may decide and how its
//! state follows from its journal), then [`directory`] (who is who at a date) and
//! [`trust`] (whose certificate counted at the proven time).
//!
//! What this room deliberately does not do: it never reads a file, never asks for the time, never talks to a
//! network, and it never lets an unverified event pass for a verified one.

pub mod backup;
pub mod blob;
pub mod body;
mod cose;
pub mod courier;
pub mod directory;
pub mod document;
pub mod event;
pub mod exchange;
pub mod handling;
pub mod id;
pub mod inbound;
pub mod invariant;
pub mod merkle;
pub mod mutant;
pub mod pack;
pub mod registry;
pub mod sealing;
pub mod stamp;
pub mod text;
pub mod time;
pub mod trust;
pub mod wire;
pub mod words;

// The helper of tests in every room says `schema`.
#[cfg(test)]
extern crate self as schema;
#[cfg(test)]
#[path = "../tests/certified/mod.rs"]
mod certified;
