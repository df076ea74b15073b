//! One region: takes verified events in, and carries them to mailboxes and to other regions.
//!
//! A relay is a cache that need not be trusted. It checks who signed an event, never what the event says; it may lose its
//! disk at any moment, because an event leaves its sender's outbox only by the recipient's signed receipt.
//!
//! Start with [`Relay::step`], the decisions. They follow [`admission`] (may it enter), [`positions`] (does it
//! fit its chain) and [`route`] (where to).
//!
//! What this room deliberately does not do: it opens no bodies, deletes nothing by deadline, and acknowledges nothing as
//! delivered.

pub mod admission;
pub mod guard;
pub mod positions;
pub mod route;
mod step;

pub use step::{Alarm, Effect, Input, Limits, Relay, Tally, Token};
