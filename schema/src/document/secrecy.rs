//! Degrees of secrecy (*độ mật*; Law on Protection of State Secrets): asked for where a document is written, and refused
//! there unless it is the lowest. An event that says one all the same is refused at every door ([`EventError::Secret`]).
//!
//! [`EventError::Secret`]: crate::event::EventError::Secret

use serde::{Deserialize, Serialize};

/// How secret a document is (*độ mật*). It has no place on the wire and in the store: what is not *Thường* never gets so
/// far. State secrets are drafted and kept on machines without a network, in a system of their own (Decree 63/2026).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Secrecy {
    /// *Thường*: none.
    Normal,
    /// *Mật*.
    Confidential,
    /// *Tối mật*.
    Secret,
    /// *Tuyệt mật*.
    TopSecret,
}

impl Secrecy {
    /// Whether this system may touch it.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Normal)
    }
}
