//! What a correspondent's receipts and heads say about what was sent to it: settled, to be sent again, or lost here.

use super::change::{Alarm, Change, Entry};
use super::{AHEAD_MAX, Exchange, Records};
use crate::body::{Heads, Place};
use crate::id::{Counter, EventId, Incarnation, OfficeId};
use crate::mutant::{self, Mutant};

impl Exchange {
    /// Settles what a receipt is for. A receipt for an event that this station does not know is noted.
    pub(super) fn receipted<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        place: Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let (to, position) = (entry.event.office, entry.position);
        let Place { incarnation, counter, id } = place;
        let row = records.sent(&to, incarnation, counter)?;
        if row.as_ref().is_none_or(|row| row.place.id != id) {
            changes.push(Change::EarlyReceipt { from: to, place, position });
        }
        let Some(row) = row.filter(|row| row.place.id == id || mutant::is(Mutant::ReceiptByNumber)) else {
            return Ok(());
        };
        // A receipt of a later incarnation says more than the one that is here: it outlived the restore.
        let news = match row.receipt {
            Some(receipt) if !row.open => {
                records.incarnation_at(receipt)?.is_none_or(|earlier| earlier < entry.event.incarnation)
            }
            Some(_) | None => true,
        };
        if news {
            changes.push(Change::Receipted { to, incarnation, counter, position });
        }
        Ok(())
    }

    /// Compares what a correspondent holds, by its head, with what was sent to it. A receipt's heads are not
    /// compared: they are answered again with each repeat, and would cause repeats themselves.
    pub(super) fn compare<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        theirs: Incarnation,
        heads: &Heads,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let mine: Vec<Incarnation> = self.earlier().iter().copied().chain([self.incarnation()]).collect();
        for incarnation in mine {
            // A correspondent that does not mention an incarnation holds nothing of it from the start.
            let none = Place { incarnation, counter: Counter(0), id: EventId::NONE };
            let held =
                heads.held.iter().copied().find(|held| held.incarnation == incarnation).unwrap_or(none);
            if !agrees(records, to, held)? {
                let given_back = self.peer(&to).and_then(|peer| peer.returned.get(&incarnation));
                if incarnation < self.chain.incarnation && given_back.is_none_or(|back| *back < held.counter)
                {
                    let alarm = Alarm::LostHere { office: to, incarnation, counter: held.counter };
                    changes.push(Change::Alarm(alarm));
                }
                continue;
            }
            self.confirm_up_to(records, to, held, changes)?;
            self.refill_after(records, to, theirs, held, changes)?;
        }
        for place in heads.incomplete.iter().chain(&heads.unopened) {
            let row = records.sent(&to, place.incarnation, place.counter)?;
            let Some(row) = row.filter(|row| row.place.id == place.id && !row.open && !row.superseded) else {
                continue;
            };
            // It had attachments and keys when it gave its receipt, and was restored since. A receipt of this same
            // incarnation is newer than the head, and they are there.
            let answered = row.receipt.map(|receipt| records.incarnation_at(receipt)).transpose()?.flatten();
            if answered.is_none_or(|answered| answered < theirs) {
                let (incarnation, counter) = (place.incarnation, place.counter);
                changes.push(Change::Reopened { to, incarnation, counter });
            }
        }
        Ok(())
    }

    /// Events that want no receipt are settled once the correspondent's head passes them. Those of an earlier
    /// incarnation were settled when it ended.
    pub(super) fn confirm_up_to<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        held: Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let Some(peer) = self.peers.get_mut(&to) else {
            return Ok(());
        };
        if held.incarnation != self.chain.incarnation {
            return Ok(());
        }
        // Each row is looked at once: what was confirmed stays so until the correspondent is restored.
        for counter in (peer.confirmed.next().0..=held.counter.0).map(Counter) {
            let row = records.sent(&to, held.incarnation, counter)?;
            if row.is_some_and(|row| row.open && !row.kind.wants_receipt()) {
                changes.push(Change::Confirmed { to, incarnation: held.incarnation, counter });
            }
        }
        peer.confirmed = peer.confirmed.max(held.counter);
        Ok(())
    }

    /// The run of settled events right after what the correspondent holds, as far as it cannot have them. The run
    /// ends at the first one that is open anyway.
    ///
    /// What it gave a receipt for in this same incarnation it holds, beyond a gap or since: sending that again
    /// would be answered by the receipt that is here already, which settles nothing, for ever. The newest event of
    /// all, when it wants no receipt, is left alone: nothing waits behind it, and heads that cross on their way would
    /// have each other sent again.
    fn refill_after<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        theirs: Incarnation,
        held: Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        if mutant::is(Mutant::NoRefill) {
            return Ok(());
        }
        let current = held.incarnation == self.chain.incarnation;
        let mut counter = held.counter;
        if current {
            // A head that was overtaken by a later one says less than is known.
            counter = counter.max(self.peer(&to).map_or(Counter(0), |peer| peer.confirmed));
        }
        let newest = self.peer(&to).and_then(|peer| peer.sent).map(|sent| (sent.incarnation, sent.counter));
        let mut passed = 0;
        while passed < AHEAD_MAX {
            let row = records.next_sent(&to, held.incarnation, counter)?;
            let Some(row) = row.filter(|row| !row.open) else { break };
            counter = row.place.counter;
            let lost = match row.receipt {
                Some(receipt) => records.incarnation_at(receipt)?.is_none_or(|answered| answered < theirs),
                // Receipts and heads of an incarnation that is over say nothing that later ones do not.
                None if row.kind.wants_receipt() => true,
                None => current && newest != Some((held.incarnation, counter)),
            };
            if lost && !row.superseded {
                changes.push(Change::Reopened { to, incarnation: held.incarnation, counter });
            } else {
                passed += 1;
            }
        }
        Ok(())
    }
}

/// Whether this station sent the event that a correspondent says it holds last; holding nothing agrees.
pub(super) fn agrees<R: Records>(records: &R, with: OfficeId, held: Place) -> Result<bool, R::Error> {
    if held.counter == Counter(0) {
        return Ok(true);
    }
    let row = records.sent(&with, held.incarnation, held.counter)?;
    Ok(row.is_some_and(|row| row.place.id == held.id))
}
