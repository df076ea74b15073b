//! What the relay takes over, and why it refuses the rest. Pure.
//!
//! Only events whose signature was checked get here; what is judged is whether they may enter by this door.

use std::collections::BTreeMap;
use std::fmt;

use schema::directory::Directory;
use schema::event::Event;
use schema::id::{OfficeId, RegionId};
use schema::time::Millis;

/// Who brought a message to the relay.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Uploader {
    /// An office, by its NATS login.
    Office(OfficeId),
    /// A peer relay, by its NATS login.
    Region(RegionId),
    /// An operator with a courier file.
    Courier,
}

impl fmt::Display for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Office(office) => office.fmt(f),
            Self::Region(region) => region.fmt(f),
            Self::Courier => f.write_str("courier"),
        }
    }
}

/// Why something stands in quarantine; the token in its subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// The message or an item in it cannot be read.
    Malformed,
    /// Office, key or signature do not hold.
    Unproven,
    /// An office uploaded another office's event.
    NotOwn,
    /// An event that never leaves its office.
    LocalOnly,
    /// No recipient is in the directory with a relay.
    NoRecipient,
    /// A message of a sort that does not come through this door, or from another relay than its path says.
    WrongDoor,
    /// A message that has passed this relay, or too many.
    Loop,
    /// It says that it is a state secret: told, and kept nowhere.
    Secret,
    /// Evidence: two histories under one key. A copy; the event itself was delivered.
    Fork,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Unproven,
        Self::NotOwn,
        Self::LocalOnly,
        Self::NoRecipient,
        Self::WrongDoor,
        Self::Loop,
        Self::Secret,
        Self::Fork,
    ];

    /// Its token in subjects and in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unproven => "unproven",
            Self::NotOwn => "not-own",
            Self::LocalOnly => "local-only",
            Self::NoRecipient => "no-recipient",
            Self::WrongDoor => "wrong-door",
            Self::Loop => "loop",
            Self::Secret => "secret",
            Self::Fork => "fork",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event that does not enter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// An office uploaded another office's event.
    #[error("office `{uploader}` uploaded an event of office `{office}`; each office uploads its own")]
    NotOwn {
        /// Who uploaded it.
        uploader: OfficeId,
        /// Whose it is.
        office: OfficeId,
    },
    /// It has no recipients.
    #[error("the event has no recipients: it never leaves its office")]
    LocalOnly,
    /// None of its recipients can be reached.
    #[error("none of the {recipients} recipients has a relay in directory version {directory}")]
    NoRecipient {
        /// How many it names.
        recipients: usize,
        /// The directory that was asked.
        directory: u64,
    },
}

impl Refusal {
    /// The reason under which it is kept.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::NotOwn { .. } => Reason::NotOwn,
            Self::LocalOnly => Reason::LocalOnly,
            Self::NoRecipient { .. } => Reason::NoRecipient,
        }
    }
}

/// An event that enters.
#[derive(Debug)]
pub struct Admitted<'d> {
    /// Its recipients with their home regions.
    pub recipients: Vec<(OfficeId, &'d [RegionId])>,
    /// Recipients that this directory does not know or that have no relay. The sender's outbox keeps the
    /// event for them.
    pub unreachable: Vec<OfficeId>,
}

/// Judges a verified event, for those of its recipients that `only` names (all when it is empty). One unknown
/// recipient does not block the others.
///
/// # Errors
/// When it may not enter by this door, or nobody can be reached.
pub fn admit<'d>(
    uploader: &Uploader,
    event: &Event,
    only: &[OfficeId],
    directory: &'d Directory,
) -> Result<Admitted<'d>, Refusal> {
    if let Uploader::Office(uploader) = uploader
        && *uploader != event.office
    {
        return Err(Refusal::NotOwn { uploader: *uploader, office: event.office });
    }
    if event.to.is_empty() {
        return Err(Refusal::LocalOnly);
    }
    let mut admitted = Admitted { recipients: Vec::new(), unreachable: Vec::new() };
    for to in event.to.iter().filter(|to| only.is_empty() || only.contains(&to.office)) {
        match directory.home_regions(&to.office) {
            [] => admitted.unreachable.push(to.office),
            homes => admitted.recipients.push((to.office, homes)),
        }
    }
    if admitted.recipients.is_empty() {
        return Err(Refusal::NoRecipient { recipients: event.to.len(), directory: directory.version() });
    }
    Ok(admitted)
}

/// How much one uploader may bring. The whole hour's amount may come at once: offices come back after days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Events per hour; at least 1.
    pub events_per_hour: u64,
    /// Bytes of events per hour; at least 1.
    pub bytes_per_hour: u64,
}

const HOUR_NS: u128 = Millis::HOUR as u128 * 1_000_000;
/// Meters kept before idle ones are dropped.
const METERS_SWEPT_AT: usize = 4_096;

/// When the allowance used so far would be paid back, in nanoseconds: a bucket of one hour that leaks evenly.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    events_ns: u128,
    bytes_ns: u128,
}

/// The allowances of all uploaders.
#[derive(Debug, Default)]
pub struct Meters {
    meters: BTreeMap<Uploader, Meter>,
}

impl Meters {
    /// Takes one event of this size out of the uploader's allowance; `false` when it is used up and nothing
    /// was taken.
    pub fn take(&mut self, uploader: &Uploader, quota: Quota, bytes: usize, now: Millis) -> bool {
        let now_ns = u128::from(now.0) * 1_000_000;
        let after = |used_ns: u128, amount: u128, per_hour: u64| {
            // Further ahead than an hour means that the clock was set back: that must lock nobody out.
            let used_ns = if used_ns > now_ns + HOUR_NS { now_ns } else { used_ns.max(now_ns) };
            used_ns + amount * HOUR_NS / u128::from(per_hour.max(1))
        };
        if self.meters.len() >= METERS_SWEPT_AT && !self.meters.contains_key(uploader) {
            self.meters.retain(|_, meter| meter.events_ns.max(meter.bytes_ns) > now_ns);
        }
        let meter = self.meters.entry(uploader.clone()).or_default();
        let next = Meter {
            events_ns: after(meter.events_ns, 1, quota.events_per_hour),
            bytes_ns: after(meter.bytes_ns, bytes as u128, quota.bytes_per_hour),
        };
        let within = next.events_ns.max(next.bytes_ns) <= now_ns + HOUR_NS;
        if within {
            *meter = next;
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUOTA: Quota = Quota { events_per_hour: 10, bytes_per_hour: 1_000 };

    #[test]
    fn hours_amount_may_come_at_once_and_returns_evenly() {
        let mut meters = Meters::default();
        let start = Millis(1_700_000_000_000);
        let taken = (0..20).filter(|_| meters.take(&Uploader::Courier, QUOTA, 1, start)).count();
        assert_eq!(taken, 10);
        let later = start.plus(Millis::HOUR / 2);
        let taken = (0..20).filter(|_| meters.take(&Uploader::Courier, QUOTA, 1, later)).count();
        assert_eq!(taken, 5);
    }

    #[test]
    fn one_uploaders_flood_does_not_touch_another() {
        let mut meters = Meters::default();
        let (a, b) = (Uploader::Office(OfficeId::new([1; 16])), Uploader::Office(OfficeId::new([2; 16])));
        while meters.take(&a, QUOTA, 100, Millis(0)) {}
        assert!(meters.take(&b, QUOTA, 100, Millis(0)));
    }

    #[test]
    fn clock_set_back_by_years_locks_nobody_out() {
        let mut meters = Meters::default();
        assert!(meters.take(&Uploader::Courier, QUOTA, 1, Millis(1_700_000_000_000)));
        let back = Millis(1_000_000_000_000);
        assert!(meters.take(&Uploader::Courier, QUOTA, 1, back));
    }

    proptest! {
        #[test]
        fn no_hour_lets_more_than_two_hours_amounts_through(
            arrivals in proptest::collection::vec((0_u64..600_000, 1_usize..300), 0..200),
        ) {
            let mut meters = Meters::default();
            let (mut now, mut taken): (Millis, Vec<(u64, usize)>) = (Millis(0), Vec::new());
            for (pause_ms, bytes) in arrivals {
                now = now.plus(pause_ms);
                if meters.take(&Uploader::Courier, QUOTA, bytes, now) {
                    taken.push((now.0, bytes));
                }
            }
            for (at, _) in &taken {
                let hour = || taken.iter().filter(|(other, _)| (*at..*at + Millis::HOUR).contains(other));
                prop_assert!(hour().count() as u64 <= 2 * QUOTA.events_per_hour);
                prop_assert!(hour().map(|(_, bytes)| *bytes as u64).sum::<u64>() <= 2 * QUOTA.bytes_per_hour);
            }
        }
    }
}
