//! What is not kept any more: the content of documents that was erased, and files that nobody needs. The files go after the
//! transaction that says so.

use std::collections::BTreeSet;

use schema::blob::BlobRef;
use schema::body::{Act, Place};
use schema::exchange::Records as _;
use schema::handling::ErasedRow;
use schema::id::{FileHash, OfficeId};
use schema::time::Millis;

use super::{Node, StepError, Work};
use crate::step::{Effect, LEFTOVERS_MAX};
use crate::store::{Claim, StoreError};

impl Node {
    /// The attachments of a document are kept no more, unless another document needs them. The event stays, and with it the hashes:
    /// what somebody else still has can be shown to be what this office had.
    pub(super) fn erase_content(&mut self, row: &ErasedRow, work: &mut Work) -> Result<(), StoreError> {
        let mut blobs = BTreeSet::new();
        for position in self.store.entries_with(&row.issuer, &row.document)? {
            blobs.extend(self.store.recorded_at(position)?.event.blobs);
        }
        let drafts = self.store.files_of_drafts()?;
        self.discard(blobs, &drafts, work)?;
        Ok(())
    }

    /// Tells a recipient that has lost attachments which of them do not come any more.
    pub(super) fn tell_erased(
        &mut self,
        to: OfficeId,
        lacking: &[Place],
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        if let Some(draft) = self.exchange.erased_since(&self.store, to, lacking)? {
            self.record(&draft, now, work)?;
        }
        Ok(())
    }

    /// Discards what nobody needs of these.
    pub(super) fn discard_leftovers(
        &mut self,
        blobs: &[BlobRef],
        work: &mut Work,
    ) -> Result<Vec<BlobRef>, StoreError> {
        let drafts = self.store.files_of_drafts()?;
        let leftovers = blobs.iter().take(LEFTOVERS_MAX).copied().collect();
        self.discard(leftovers, &drafts, work)
    }

    fn discard(
        &mut self,
        blobs: BTreeSet<BlobRef>,
        drafts: &BTreeSet<FileHash>,
        work: &mut Work,
    ) -> Result<Vec<BlobRef>, StoreError> {
        let mut discarded = Vec::new();
        for blob in blobs {
            let is_kept = self.store.claim_on(&blob)? == Claim::Needed
                || self.is_fetched(&blob)
                || self.store.holds_one_of(&blob, drafts)?;
            if !is_kept {
                self.store.forget_blob(&blob)?;
                discarded.push(blob);
            }
        }
        if !discarded.is_empty() {
            work.effects.push(Effect::Discard { blobs: discarded.clone() });
        }
        Ok(discarded)
    }

    /// Repeats in this life of the station what an earlier one erased: an older copy of the store does not know it. Nobody is asked
    /// whether it may be: that was decided when it was done.
    ///
    /// # Errors
    /// When the store fails; nothing is recorded then.
    pub fn erase_again(&mut self, acts: &[(ErasedRow, Act)], now: Millis) -> Result<usize, StepError> {
        self.store.begin()?;
        let mut work = Work::default();
        let mut again = 0;
        for (row, act) in acts {
            if self.store.erased(&row.issuer, &row.document)?.is_some() {
                continue;
            }
            let draft = self.exchange.act_again(act.clone());
            self.record(&draft, now, &mut work)?;
            again += 1;
        }
        // The files go when the station starts: they are in the folder that the present store, too, looks into.
        self.store.save_exchange(&self.exchange, &work.touched)?;
        self.store.commit()?;
        Ok(again)
    }
}
