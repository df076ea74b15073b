//! One region: takes verified events in, and carries them to mailboxes and to other regions.
//!
//! A relay is a cache that need not be trusted. It checks who signed an event, never what the event says; it
//! may lose its disk at any moment, because an event leaves its sender's outbox only by the recipient's
//! signed receipt.
//!
//! Start with [`Relay::step`], the decisions. They follow [`admission`] (may it enter), [`positions`] (does
//! it fit its chain) and [`route`] (where to). Around them stand the edges: `worker` carries out what was
//! decided, `pusher` brings waiting events to other regions, [`content`] keeps attachments, [`server`] and
//! `streams` are the NATS server as code, and [`run`] holds them together.
//!
//! What this room deliberately does not do: it opens no bodies, deletes nothing by deadline, and acknowledges
//! nothing as delivered.

pub mod admin;
pub mod admission;
pub mod config;
pub mod content;
mod disk;
mod door;
pub mod guard;
pub mod keyring;
mod link;
mod monitor;
pub mod positions;
mod pusher;
pub mod registry;
pub mod route;
mod runtime;
pub mod server;
mod serving;
pub mod status;
mod step;
mod streams;
mod worker;

pub use registry::LoadError;
pub use runtime::{RunError, run};
pub use step::{Alarm, Effect, Input, Limits, Relay, Tally, Token};
pub use worker::CourierAnswer;
