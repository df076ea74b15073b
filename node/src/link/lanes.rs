//! Which chunk is next on a line.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schema::blob::BlobRef;
use schema::event::Urgency;

use super::Job;

/// Chunks that wait: the most urgent first, and among these one of each attachment in turn, so that a small attachment never waits for
/// a large one (start-time fair queueing; Goyal, Vin, Cheng, 1996; all chunks count as equal).
#[derive(Default)]
pub(super) struct Lanes {
    /// By urgency, the turn that a chunk has got, and the order in which they came.
    waiting: BTreeMap<(Reverse<Urgency>, u64, u64), (BlobRef, Job)>,
    /// The turn of the chunk that left last, of each urgency.
    turns: BTreeMap<Urgency, u64>,
    /// The last turn that a chunk of each attachment has got; of those that have chunks here.
    last: BTreeMap<(Urgency, BlobRef), u64>,
    count: u64,
}

impl Lanes {
    pub(super) fn push(&mut self, urgency: Urgency, blob: BlobRef, job: Job) {
        self.count += 1;
        let now = self.turns.get(&urgency).copied().unwrap_or_default();
        let last = self.last.entry((urgency, blob)).or_default();
        *last = now.max(*last) + 1;
        self.waiting.insert((Reverse(urgency), *last, self.count), (blob, job));
    }

    pub(super) fn pop(&mut self) -> Option<Job> {
        let ((Reverse(urgency), turn, _), (blob, job)) = self.waiting.pop_first()?;
        self.turns.insert(urgency, turn);
        if self.last.get(&(urgency, blob)) == Some(&turn) {
            self.last.remove(&(urgency, blob));
        }
        Some(job)
    }

    /// Whether the next one may go before everything else.
    pub(super) fn overtakes(&self) -> bool {
        self.waiting.first_key_value().is_some_and(|((Reverse(urgency), ..), _)| urgency.overtakes())
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::id::BlobHash;

    fn blob(n: u8) -> BlobRef {
        BlobRef { hash: BlobHash::new([n; 32]), length: 1 << 30 }
    }

    fn push(lanes: &mut Lanes, n: u8, urgency: Urgency, chunks: std::ops::Range<u32>) {
        for index in chunks {
            lanes.push(urgency, blob(n), Job::Store { blob: blob(n), index, urgency });
        }
    }

    fn pop(lanes: &mut Lanes, count: usize) -> Vec<(u8, u32)> {
        let popped = std::iter::from_fn(|| match lanes.pop()? {
            Job::Store { blob, index, .. } => Some((blob.hash.as_bytes()[0], index)),
            job => panic!("{job:?}"),
        });
        popped.take(count).collect()
    }

    #[test]
    fn attachments_take_turns_and_one_that_comes_later_does_not_wait_for_the_whole_of_another() {
        let mut lanes = Lanes::default();
        push(&mut lanes, 1, Urgency::Normal, 0..5);
        assert_eq!(pop(&mut lanes, 2), [(1, 0), (1, 1)]);
        push(&mut lanes, 2, Urgency::Normal, 0..2);
        assert_eq!(pop(&mut lanes, 5), [(1, 2), (2, 0), (1, 3), (2, 1), (1, 4)]);
        // Who had no turn for long gets no more than one for it.
        push(&mut lanes, 1, Urgency::Normal, 5..8);
        push(&mut lanes, 3, Urgency::Normal, 0..2);
        assert_eq!(pop(&mut lanes, 9), [(1, 5), (3, 0), (1, 6), (3, 1), (1, 7)]);
        assert!(lanes.last.is_empty() && lanes.len() == 0);
    }

    #[test]
    fn urgent_chunks_go_first() {
        let mut lanes = Lanes::default();
        push(&mut lanes, 1, Urgency::Normal, 0..2);
        push(&mut lanes, 2, Urgency::Urgent, 0..2);
        assert!(!lanes.overtakes());
        push(&mut lanes, 3, Urgency::Express, 0..1);
        assert!(lanes.overtakes());
        assert_eq!(pop(&mut lanes, 9), [(3, 0), (2, 0), (2, 1), (1, 0), (1, 1)]);
    }
}
