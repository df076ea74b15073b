//! Planted bugs: the answer to "would the simulation notice?".
//!
//! Each mutant removes one defence. The gate in `chaos-tests` plants them one at a time and shows in how many seeds
//! each is caught; one that survives is a fault of the tests. Without the feature `mutants`, which no product build
//! has, [`is`] is a constant `false` and the compiler removes every branch on it.

/// A defence that can be removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mutant {
    /// Accept events whatever their signature.
    NoSignatureCheck,
    /// Present a document that came before once more.
    NoDocumentDedup,
    /// Present documents as they come.
    NoOrder,
    /// Never tell correspondents both heads.
    NoHeads,
    /// Trust a consumer's sequence after its stream went back.
    CursorBySequence,
    /// Take a receipt for a number as a receipt for the event that has it here.
    ReceiptByNumber,
    /// Close an outbox row when a relay has stored the event.
    DropOnRelayAck,
    /// Say "saved" before the disk has it.
    AckBeforeSync,
    /// Take a contradicting event for a repeat.
    NoForkCheck,
    /// Give a receipt before the attachments are here.
    ReceiptBeforeAttachments,
    /// Do not answer a repeat with the receipt.
    NoRepeatReceipt,
    /// Start a new incarnation without sending again what is open.
    NoReissue,
    /// Do not refill a correspondent that went backwards.
    NoRefill,
    /// Do not notice that this station went backwards.
    NoBackwardsCheck,
    /// Do not ask correspondents for what was lost with the disk.
    NoAskingBack,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::NoSignatureCheck,
        Self::NoDocumentDedup,
        Self::NoOrder,
        Self::NoHeads,
        Self::CursorBySequence,
        Self::ReceiptByNumber,
        Self::DropOnRelayAck,
        Self::AckBeforeSync,
        Self::NoForkCheck,
        Self::ReceiptBeforeAttachments,
        Self::NoRepeatReceipt,
        Self::NoReissue,
        Self::NoRefill,
        Self::NoBackwardsCheck,
        Self::NoAskingBack,
    ];
}

#[cfg(feature = "mutants")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Plants a mutant in this thread, or removes it.
#[cfg(feature = "mutants")]
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
}

/// Whether this mutant is planted in this thread.
#[inline]
pub fn is(mutant: Mutant) -> bool {
    #[cfg(feature = "mutants")]
    {
        PLANTED.get() == Some(mutant)
    }
    #[cfg(not(feature = "mutants"))]
    {
        let _ = mutant;
        false
    }
}
