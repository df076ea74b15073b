//! Names on the wire: subjects, streams and consumers of a relay's NATS server.
//!
//! ```text
//! t.up.<office>.ev      events from an office          → stream UP       (untrusted)
//! t.up.<office>.at      chunks of attachments          → served by the relay
//! t.rq.<office>.blob    requests about attachments     → served by the relay
//! t.rq.<office>.reg     requests about the registry    → served by the relay
//! t.pr.<region>.<what>  the same from a peer region    → served by the relay
//! t.px.<region>.ev      events from a peer region      → stream PX       (untrusted)
//! t.out.<region>.ev     events for a peer region       → stream OUT_<region>
//! t.dn.<office>.ev      a mailbox of verified events   → stream DN, one durable consumer per office
//! t.qr.<office>         refused messages with reasons  → stream QUARANTINE
//! ```
//!
//! Tokens hold no dots or wildcards: an office id is 32 hexadecimal digits, a region is a [`RegionId`].

use crate::id::{OfficeId, RegionId};

/// Stream of events from offices, untrusted until admitted.
pub const STREAM_UP: &str = "UP";
/// Stream of events from peer regions, untrusted until admitted.
pub const STREAM_PEERS: &str = "PX";
/// Stream of mailboxes.
pub const STREAM_MAILBOXES: &str = "DN";
/// Stream of refused messages.
pub const STREAM_QUARANTINE: &str = "QUARANTINE";

/// Prefix under which offices reach the two JetStream requests they are allowed
/// (an import under the usual prefix is answered by the importing account itself).
pub const OFFICE_API_PREFIX: &str = "RB.API";

/// Where an office publishes its events.
pub fn up(office: &OfficeId) -> String {
    format!("t.up.{office}.ev")
}

/// Where an office asks its relay about attachments.
pub fn blob_request(office: &OfficeId) -> String {
    format!("t.rq.{office}.blob")
}

/// Where an office asks its relay about the registry ([`crate::registry::talk`]).
pub fn registry_request(office: &OfficeId) -> String {
    format!("t.rq.{office}.reg")
}

/// Where a peer region asks this relay about the registry.
pub fn peer_registry_request(region: &RegionId) -> String {
    format!("t.pr.{region}.reg")
}

/// Where a peer region publishes events on this server.
pub fn peer(region: &RegionId) -> String {
    format!("t.px.{region}.ev")
}

/// Where a peer region asks this relay for attachments.
pub fn peer_blob_request(region: &RegionId) -> String {
    format!("t.pr.{region}.blob")
}

/// Where events wait for a peer region.
pub fn out(region: &RegionId) -> String {
    format!("t.out.{region}.ev")
}

/// The stream in which events wait for a peer region.
pub fn stream_out(region: &RegionId) -> String {
    format!("OUT_{region}")
}

/// An office's mailbox.
pub fn mailbox(office: &OfficeId) -> String {
    format!("t.dn.{office}.ev")
}

/// The durable consumer of an office's mailbox.
pub fn mailbox_consumer(office: &OfficeId) -> String {
    format!("u-{office}")
}

/// Where refused messages of an uploader are kept.
pub fn quarantine(uploader: &str) -> String {
    format!("t.qr.{uploader}")
}

/// Prefix of an office's reply subjects.
pub fn inbox_prefix(office: &OfficeId) -> String {
    format!("_INBOX_{office}")
}

/// The office that published on an [`up`] subject.
pub fn office_of_up(subject: &str) -> Option<OfficeId> {
    subject.strip_prefix("t.up.")?.strip_suffix(".ev")?.parse().ok()
}

/// The region that published on a [`peer`] subject.
pub fn region_of_peer(subject: &str) -> Option<RegionId> {
    subject.strip_prefix("t.px.")?.strip_suffix(".ev")?.parse().ok()
}
