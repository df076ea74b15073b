//! When to ask the mailbox for more. Pure: the caller carries messages and time.
//!
//! One pull stands at the server at any time; while nothing is new it costs a heartbeat of some hundred bytes
//! every half minute. A pull is bounded in messages and bytes, and the next one is sent only when the core
//! keeps up, so a mailbox of a month never fills the memory of a small station. (The library's own batches
//! lose their wake-up after a heartbeat and have no bound on what waits; this is the same protocol by hand.)

use std::time::Duration;

use async_nats::StatusCode;
use async_nats::jetstream::consumer::pull::BatchConfig;
use schema::pack::MESSAGE_BYTES_MAX;
use tokio::time::Instant;

/// Most messages of one pull.
pub(super) const PULL_MESSAGES_MAX: usize = 64;
/// Most bytes of one pull, and of what was delivered but not yet acknowledged: three of the largest messages.
/// On a 64 kbit/s line that is under two minutes, which the relay's patience for an acknowledgement must
/// exceed.
pub(super) const PULL_BYTES_MAX: usize = 3 * MESSAGE_BYTES_MAX;
/// How long a pull stands.
pub(super) const PULL_EXPIRES: Duration = Duration::from_secs(300);
/// How often the server shows that it still holds the pull.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(30);
/// Pause after a pull that ended at once without a message, so that a server that refuses is not asked in a
/// circle.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Pulls that ended at once, in a row, after which the mailbox is taken for lost.
const EMPTY_ENDS_MAX: u32 = 3;

/// What to do about the mailbox now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Send this pull.
    Pull,
    /// Nothing before this moment.
    Wait(Instant),
    /// The mailbox does not answer as a mailbox does: connect anew.
    Lost(String),
}

/// What came on the pull's reply subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Arrived {
    /// A message of this many bytes.
    Message(usize),
    /// A sign of life.
    Heartbeat,
    /// The pull is over: as expected.
    Ended,
    /// The pull is over, and the mailbox with it.
    Gone(String),
}

impl Arrived {
    /// Reads the status line of a message from the server.
    pub(super) fn of(status: Option<StatusCode>, description: Option<&str>, bytes: usize) -> Self {
        let words = description.unwrap_or_default();
        match status {
            None | Some(StatusCode::OK) => Self::Message(bytes),
            Some(StatusCode::IDLE_HEARTBEAT) => Self::Heartbeat,
            Some(StatusCode::NO_RESPONDERS) => Self::Gone("nobody serves the mailbox".to_owned()),
            Some(StatusCode::REQUEST_TERMINATED) if words.to_lowercase().contains("deleted") => {
                Self::Gone(words.to_owned())
            }
            // 404, 408, 409: nothing there, expired, full batch, other limits.
            Some(_) => Self::Ended,
        }
    }
}

/// The standing pull and what it brought.
#[derive(Debug)]
pub(super) struct Mailbox {
    standing: Option<Standing>,
    /// Not before this moment.
    not_before: Instant,
    empty_ends: u32,
    /// Pulls in a row that fell silent.
    silences: u32,
    gone: Option<String>,
}

#[derive(Debug)]
struct Standing {
    sent_at: Instant,
    heard_at: Instant,
    messages: usize,
}

impl Mailbox {
    pub(super) fn new(now: Instant) -> Self {
        Self { standing: None, not_before: now, empty_ends: 0, silences: 0, gone: None }
    }

    /// The pull to be sent.
    pub(super) fn request() -> BatchConfig {
        BatchConfig {
            batch: PULL_MESSAGES_MAX,
            expires: Some(PULL_EXPIRES),
            max_bytes: PULL_BYTES_MAX,
            idle_heartbeat: HEARTBEAT,
            ..BatchConfig::default()
        }
    }

    pub(super) fn pulled(&mut self, now: Instant) {
        self.standing = Some(Standing { sent_at: now, heard_at: now, messages: 0 });
    }

    pub(super) fn arrived(&mut self, arrived: &Arrived, now: Instant) {
        match arrived {
            Arrived::Message(_) => {
                (self.empty_ends, self.silences) = (0, 0);
                if let Some(pull) = &mut self.standing {
                    pull.heard_at = now;
                    pull.messages += 1;
                    if pull.messages >= PULL_MESSAGES_MAX {
                        self.standing = None;
                    }
                }
            }
            Arrived::Heartbeat => {
                self.silences = 0;
                if let Some(pull) = &mut self.standing {
                    pull.heard_at = now;
                }
            }
            Arrived::Ended => self.ended(now),
            Arrived::Gone(words) => self.gone = Some(words.clone()),
        }
    }

    fn ended(&mut self, now: Instant) {
        let Some(pull) = self.standing.take() else { return };
        if pull.messages == 0 && now.duration_since(pull.sent_at) < PAUSE {
            self.empty_ends += 1;
            self.not_before = now + PAUSE;
        } else {
            self.empty_ends = 0;
        }
    }

    /// What to do now, when `unacked` bytes wait for the core, and the core takes nothing before `rests_until`.
    pub(super) fn next(&mut self, unacked: usize, rests_until: Instant, now: Instant) -> Next {
        if let Some(words) = &self.gone {
            return Next::Lost(words.clone());
        }
        if self.empty_ends >= EMPTY_ENDS_MAX {
            return Next::Lost("the mailbox ends every request at once".to_owned());
        }
        match &self.standing {
            Some(pull) => {
                let silent = now.duration_since(pull.heard_at);
                let patience = 2 * HEARTBEAT + Duration::from_secs(5);
                if silent < patience {
                    return Next::Wait(pull.heard_at + patience);
                }
                // The server has forgotten the pull (restarted, rolled back), or the line is dead.
                if self.silences > 0 {
                    return Next::Lost(format!("no heartbeat for {} s, twice", silent.as_secs()));
                }
                self.silences += 1;
                self.standing = None;
                Next::Pull
            }
            None if now < self.not_before => Next::Wait(self.not_before),
            None if now < rests_until => Next::Wait(rests_until),
            // The core is behind: its acknowledgements wake us.
            None if unacked >= PULL_BYTES_MAX => Next::Wait(now + HEARTBEAT),
            None => Next::Pull,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended_at_once(mailbox: &mut Mailbox, now: Instant) -> Next {
        mailbox.pulled(now);
        mailbox.arrived(&Arrived::Ended, now);
        mailbox.next(0, now, now + PAUSE)
    }

    #[test]
    fn one_pull_stands_until_it_ends() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        assert_eq!(mailbox.next(0, now, now), Next::Pull);
        mailbox.pulled(now);
        assert!(matches!(mailbox.next(0, now, now), Next::Wait(_)));
        mailbox.arrived(&Arrived::Message(10), now);
        assert!(matches!(mailbox.next(0, now, now), Next::Wait(_)), "a second pull beside the first");
        mailbox.arrived(&Arrived::Ended, now);
        assert_eq!(mailbox.next(0, now, now), Next::Pull);
    }

    #[test]
    fn full_batch_is_followed_by_the_next() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        mailbox.pulled(now);
        (0..PULL_MESSAGES_MAX).for_each(|_| mailbox.arrived(&Arrived::Message(10), now));
        assert_eq!(mailbox.next(0, now, now), Next::Pull);
    }

    #[test]
    fn station_that_is_behind_asks_for_no_more() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        assert!(matches!(mailbox.next(PULL_BYTES_MAX, now, now), Next::Wait(_)));
        assert_eq!(mailbox.next(PULL_BYTES_MAX - 1, now, now), Next::Pull);
    }

    #[test]
    fn station_that_rests_asks_for_nothing_until_it_has_rested() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        let rested = now + HEARTBEAT;
        assert_eq!(mailbox.next(0, rested, now), Next::Wait(rested));
        assert_eq!(mailbox.next(0, rested, rested), Next::Pull);
    }

    #[test]
    fn silence_is_asked_about_once_then_taken_for_a_lost_mailbox() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        mailbox.pulled(now);
        let later = now + 3 * HEARTBEAT;
        assert!(matches!(mailbox.next(0, now, later), Next::Pull));
        mailbox.pulled(later);
        assert!(matches!(mailbox.next(0, now, later + 3 * HEARTBEAT), Next::Lost(_)));
    }

    #[test]
    fn heartbeat_keeps_the_pull_standing() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        mailbox.pulled(now);
        let later = now + 2 * HEARTBEAT;
        mailbox.arrived(&Arrived::Heartbeat, later);
        assert!(matches!(mailbox.next(0, now, later + HEARTBEAT), Next::Wait(_)));
    }

    #[test]
    fn server_that_ends_every_pull_is_not_asked_in_a_circle() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        mailbox.pulled(now);
        mailbox.arrived(&Arrived::Ended, now);
        assert_eq!(mailbox.next(0, now, now), Next::Wait(now + PAUSE));
        assert_eq!(ended_at_once(&mut mailbox, now + PAUSE), Next::Pull);
        assert!(matches!(ended_at_once(&mut mailbox, now + 2 * PAUSE), Next::Lost(_)));
    }

    #[test]
    fn deleted_consumer_is_a_lost_mailbox_and_a_full_batch_is_not() {
        let terminated = Some(StatusCode::REQUEST_TERMINATED);
        assert!(matches!(Arrived::of(terminated, Some("Consumer Deleted"), 0), Arrived::Gone(_)));
        assert_eq!(Arrived::of(terminated, Some("Message Size Exceeds MaxBytes"), 0), Arrived::Ended);
        assert_eq!(Arrived::of(Some(StatusCode::TIMEOUT), None, 0), Arrived::Ended);
        assert_eq!(Arrived::of(None, None, 5), Arrived::Message(5));
    }
}
