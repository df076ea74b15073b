//! The sequence guard: is a consumer still where its stream is?
//!
//! One flipped bit in a stream's file, or a disk put back from yesterday, makes the stream's sequence smaller
//! without a word; its consumers then skip everything new until the sequence has caught up, and the server's
//! health check stays green. So the relay compares the two at every connect and every hour.

use schema::mutant::{self, Mutant};

/// What a stream and one of its consumers say about themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sequences {
    /// The stream's first sequence.
    pub first: u64,
    /// The stream's last sequence; 0 when nothing was ever stored.
    pub last: u64,
    /// The last sequence the consumer says it handed out.
    pub delivered: u64,
    /// The highest last sequence of this stream that was ever seen, by whatever memory survived; 0 for none.
    pub highest_seen: u64,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// They fit together.
    Keep,
    /// The stream went backwards: hand out everything it still has, from this sequence on. What was handed
    /// out before comes twice, which recipients absorb; what is skipped would only come by their senders'
    /// retries.
    Reset {
        /// The first sequence to hand out.
        from: u64,
    },
}

/// Compares a stream with one of its consumers.
pub fn judge(sequences: Sequences) -> Verdict {
    let Sequences { first, last, delivered, highest_seen } = sequences;
    // An empty stream keeps counting: what comes next has `last + 1`.
    if mutant::is(Mutant::CursorBySequence) {
        return Verdict::Keep;
    }
    if delivered > last || highest_seen > last {
        Verdict::Reset { from: first.clamp(1, last.saturating_add(1)) }
    } else {
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn consumer_ahead_of_its_stream_starts_over() {
        let found = Sequences { first: 1, last: 200, delivered: 350, highest_seen: 0 };
        assert_eq!(judge(found), Verdict::Reset { from: 1 });
    }

    #[test]
    fn stream_that_went_back_and_grew_again_is_noticed_by_memory() {
        let found = Sequences { first: 120, last: 380, delivered: 350, highest_seen: 400 };
        assert_eq!(judge(found), Verdict::Reset { from: 120 });
    }

    #[test]
    fn wiped_stream_starts_at_its_beginning() {
        let found = Sequences { first: 0, last: 0, delivered: 350, highest_seen: 400 };
        assert_eq!(judge(found), Verdict::Reset { from: 1 });
    }

    proptest! {
        #[test]
        fn nothing_is_skipped_after_a_reset(
            first in 0_u64..1_000, held in 0_u64..1_000, delivered: u64, highest_seen: u64,
        ) {
            let last = (first + held).saturating_sub(1);
            match judge(Sequences { first, last, delivered, highest_seen }) {
                Verdict::Keep => prop_assert!(delivered <= last && highest_seen <= last),
                Verdict::Reset { from } => prop_assert!(from >= 1 && from <= first.max(1)),
            }
        }
    }
}
