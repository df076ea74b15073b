//! What may happen next. Decides; changes nothing.

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;

use super::desk::{Work, WorkRefusal, beyond_role, beyond_sending, decide_work};
use super::settle::agrees;
use super::{AHEAD_MAX, Exchange, INCARNATIONS_LOST_MAX, RAISE_WINDOW_MS, RAISES_MAX, Records, SentRow};
use crate::blob::{BLOBS_MAX, BlobRef, Enclosures};
use crate::body::{
    Act, Ask, Body, BodyError, Deed, Dispatch, DocumentFact, ENTRIES_MAX, EntryStamp, HELD_MAX, Heads,
    KeyAnnouncement, Place, RECEIPT_STAMPS_MAX, RETURNED_BYTES_MAX, RETURNED_EVENTS_MAX, Receipt,
    RestoreReason, Restored, Returned, SentPlace, Status, Transport, TransportCode,
};
use crate::directory::Directory;
use crate::document::AmendKind;
use crate::event::{Event, Kind, RECIPIENTS_MAX, Urgency};
use crate::handling::{Actor, BusinessKind, Fact, Role, Rules, Side, Stage, Standing};
use crate::id::{
    BlobHash, BusinessId, Counter, DocumentId, EventId, FileHash, Incarnation, OfficeId, Position, RegionId,
};
use crate::mutant::{self, Mutant};
use crate::sealing::SealingKey;
use crate::stamp::Stamp;
use crate::time::{Day, Millis};
use crate::trust::{Language, Verdict};

/// Most recipients of one document.
pub const DOCUMENT_RECIPIENTS_MAX: usize = 16_384;

/// In which roles the sealing keys are handed over.
pub const HANDING_OVER_ROLES: [Role; 1] = [Role::Administrator];

/// Most documents sent anew because of one head; the next head asks for the rest.
const ANEW_MAX: usize = 1_000;
/// Most events with given back documents because of one ask.
const RETURNED_MAX: usize = 16;
/// Most places looked up because of one ask.
const RETURNED_LOOKUPS_MAX: u64 = 4_096;

/// What someone asks the station to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Send a document that was drafted elsewhere to these offices.
    Dispatch {
        /// Who seals it; nobody when a program with the station's own token sends it.
        by: Option<Actor>,
        /// Recipients, in any order.
        to: Vec<OfficeId>,
        /// The document.
        dispatch: Box<Dispatch>,
        /// It may leave although no person has signed it: it is for knowing only (Decision 28/2018).
        reference_only: bool,
    },
    /// Hand this office's sealing keys over to the one that takes over its tasks (*bàn giao khóa niêm phong*).
    HandOver {
        /// Who has it done; nobody when a program with the station's own token does.
        by: Option<Actor>,
        /// The successor.
        to: OfficeId,
        /// The newest of the keys.
        newest: SealingKey,
        /// All of them, sealed for the successor.
        keyring: Vec<u8>,
    },
    /// Somebody works on documents.
    Work {
        /// Who.
        by: Actor,
        /// What is to be done.
        work: Work,
    },
}

fn taker(office: Option<OfficeId>) -> String {
    office.map_or_else(|| "the relays of this office".to_owned(), |office| format!("office `{office}`"))
}

/// What decisions depend on besides the station's own state.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Who is who.
    pub directory: &'a Directory,
    /// What the office has settled for itself.
    pub rules: &'a Rules,
    /// The files that are here, sealed: at least those of the document that is decided about.
    pub enclosures: &'a Enclosures,
    /// The station's clock: decides which day and year a register says.
    pub now: Millis,
}

/// An event that is to be recorded; [`Exchange::next_event`] gives it its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// The incarnation it belongs to: the current one, or the next when it starts that.
    pub incarnation: Incarnation,
    /// What it is.
    pub kind: Kind,
    /// How urgent it is.
    pub urgency: Urgency,
    /// Recipients, sorted.
    pub to: Vec<OfficeId>,
    /// Attachments.
    pub blobs: Vec<BlobRef>,
    /// The encoded body.
    pub body: Vec<u8>,
}

/// Events that are given back together, and their attachments.
#[derive(Default)]
struct Parcel {
    events: Vec<ByteVec>,
    blobs: BTreeMap<BlobHash, u64>,
}

impl Parcel {
    fn takes(&self, event: &[u8], blobs: &[BlobRef]) -> bool {
        let together: usize = self.events.iter().map(|event| event.len()).sum();
        let new = blobs.iter().filter(|blob| !self.blobs.contains_key(&blob.hash)).count();
        self.events.len() < RETURNED_EVENTS_MAX
            && together + event.len() <= RETURNED_BYTES_MAX
            && self.blobs.len() + new <= BLOBS_MAX
    }

    fn add(&mut self, event: Vec<u8>, blobs: Vec<BlobRef>) {
        self.events.push(event.into());
        self.blobs.extend(blobs.into_iter().map(|blob| (blob.hash, blob.length)));
    }
}

/// Why a command is not carried out. An answer, not a fault: nothing was recorded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody to send to.
    #[error("the document has no recipients")]
    NoRecipients,
    /// More recipients than one document may have.
    #[error("the document has {found} recipients, at most {DOCUMENT_RECIPIENTS_MAX} are possible")]
    TooManyRecipients {
        /// How many.
        found: usize,
    },
    /// An office does not send to itself.
    #[error("the document is addressed to the sending office itself")]
    ToItself,
    /// The directory does not know a recipient.
    #[error("recipient `{office}` is not in directory version {directory}")]
    UnknownRecipient {
        /// The recipient.
        office: OfficeId,
        /// The directory that was asked.
        directory: u64,
    },
    /// A recipient has no station yet.
    #[error("recipient `{office}` has no station yet: it has no relay in directory version {directory}")]
    NotEnrolled {
        /// The recipient.
        office: OfficeId,
        /// The directory that was asked.
        directory: u64,
    },
    /// Nothing can be sealed for a recipient yet.
    #[error("office `{office}` has not announced yet under which key to seal for it")]
    NoSealingKey {
        /// The recipient.
        office: OfficeId,
    },
    /// No relay of this office, or a recipient does not, takes so large an attachment.
    #[error("a sealed attachment has {found} bytes, at most {max} are taken by {}", taker(*office))]
    AttachmentTooLarge {
        /// The recipient; none for the relays of this office.
        office: Option<OfficeId>,
        /// Its length in bytes.
        found: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// The directory does not say that it takes over this office's tasks, or not yet.
    #[error("directory version {directory} does not say that office `{office}` has taken over from this one")]
    NotSuccessor {
        /// The office.
        office: OfficeId,
        /// The directory that was asked.
        directory: u64,
    },
    /// This office does not send to that one.
    #[error("this office is not entitled to send to office `{office}`")]
    RecipientNotAllowed {
        /// The recipient.
        office: OfficeId,
    },
    /// A document with this number, symbol and year went to that office before.
    #[error("document `{other}` with the same number, symbol and year went to office `{office}` before")]
    SameNumber {
        /// The recipient.
        office: OfficeId,
        /// That document.
        other: DocumentId,
    },
    /// No person has signed it (Decree 30/2020 article 32).
    #[error("no person has signed the document: the office does not seal it")]
    Unsigned,
    /// The document was sent before.
    #[error("document `{document}` was sent before")]
    AlreadyDispatched {
        /// The document.
        document: DocumentId,
    },
    /// The document itself is not acceptable.
    #[error("the document is refused")]
    Document(#[from] BodyError),
    /// An attachment was not uploaded completely.
    #[error("attachment `{hash}` is not here completely; upload it first")]
    AttachmentMissing {
        /// The attachment.
        hash: FileHash,
    },
    /// A signature on the document is not worth anything: every recipient would see it as invalid.
    #[error("signature {number} on the document is not valid: {}", why.told(Language::English))]
    SignatureInvalid {
        /// Which, counted from 1.
        number: usize,
        /// What was found.
        why: Box<Verdict>,
    },
    /// The event would be larger than an event may be.
    #[error(
        "the document's own text and signatures make an event of more than 64 KiB; put the text in an attachment"
    )]
    TooLarge,
    /// Somebody's work is not done.
    #[error(transparent)]
    Work(#[from] WorkRefusal),
}

/// Decides what a command means in this state. Changes nothing.
///
/// # Errors
/// The outer error is a failing look-up, the inner one the answer to whoever asked.
pub fn decide<R: Records>(
    exchange: &Exchange,
    records: &R,
    context: Context<'_>,
    command: &Command,
) -> Result<Result<Vec<Draft>, Refusal>, R::Error> {
    match command {
        Command::Dispatch { by, to, dispatch, reference_only } => {
            if let Some(by) = by
                && let Some(refusal) = beyond_sending(exchange, records, context, by, (dispatch, to))?
            {
                return Ok(Err(refusal.into()));
            }
            if dispatch.signatures.is_empty() && dispatch.manifest.copy.is_none() && !reference_only {
                return Ok(Err(Refusal::Unsigned));
            }
            let document = dispatch.manifest.document;
            if records.knows_outgoing(&document)? {
                return Ok(Err(Refusal::AlreadyDispatched { document }));
            }
            // B1: what is on its way out in the order of the law leaves in that order, with the number that it was given.
            if records.drafted(&document)?.is_some() {
                return Ok(Err(WorkRefusal::IsDrafted { document }.into()));
            }
            decide_dispatch(exchange, records, context, by.as_ref(), to, dispatch)
        }
        Command::HandOver { by, to, newest, keyring } => {
            let said = KeyAnnouncement::handing_over(*newest, keyring.clone());
            hand_over(exchange, records, context, by.as_ref(), *to, said)
        }
        Command::Work { by, work } => decide_work(exchange, records, context, by, work),
    }
}

/// Decides about handing the sealing keys over. Only the registrar's word makes an office the successor.
fn hand_over<R: Records>(
    exchange: &Exchange,
    records: &R,
    context: Context<'_>,
    by: Option<&Actor>,
    to: OfficeId,
    said: KeyAnnouncement,
) -> Result<Result<Vec<Draft>, Refusal>, R::Error> {
    if let Some(by) = by
        && let Some(refusal) = beyond_role(records, by, &HANDING_OVER_ROLES)?
    {
        return Ok(Err(refusal.into()));
    }
    if let Err(refusal) = check_reachable(exchange, context, to) {
        return Ok(Err(refusal));
    }
    let (directory, today) = (context.directory, Day::in_vietnam(context.now));
    if !directory.has_succeeded(&to, &exchange.me(), today.0) {
        return Ok(Err(Refusal::NotSuccessor { office: to, directory: directory.version() }));
    }
    let mut drafts = vec![exchange.draft(vec![to], Kind::KeyAnnouncement, &Body::KeyAnnouncement(said))];
    drafts.extend(by.map(|by| {
        let act = Body::Act(Act { by: by.clone(), deed: Deed::KeysHandedOver { to } });
        exchange.draft(Vec::new(), Kind::Act, &act)
    }));
    Ok(Ok(drafts))
}

/// Decides about sending a document, whoever keeps its register, and records who seals it.
pub(super) fn decide_dispatch<R: Records>(
    exchange: &Exchange,
    records: &R,
    context: Context<'_>,
    by: Option<&Actor>,
    to: &[OfficeId],
    dispatch: &Dispatch,
) -> Result<Result<Vec<Draft>, Refusal>, R::Error> {
    let mut to = to.to_vec();
    to.sort_unstable();
    to.dedup();
    if let Err(refusal) = check_dispatch(exchange, context, &to, dispatch) {
        return Ok(Err(refusal));
    }
    let dispatch = &match enclosed(dispatch, context.enclosures) {
        Ok(dispatch) => dispatch,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let amends = dispatch.manifest.amends.as_ref();
    let earlier = match amends {
        Some(amends) => records.recipients(&amends.document)?,
        None => Vec::new(),
    };
    if let (Some(amends), true) = (amends, earlier.is_empty()) {
        return Ok(Err(WorkRefusal::NotSent { document: amends.document }.into()));
    }
    let mut removed = Vec::new();
    if let Some(amends) = amends {
        let kind = amends.business_kind();
        for office in &to {
            let known = records.case(office, &amends.document, Side::Sender)?;
            if known.is_some_and(|case| !case.progress.has_room_for(kind)) {
                return Ok(Err(WorkRefusal::AskedTooOften { office: *office }.into()));
            }
        }
        // G4: whoever had the earlier document and does not get the updated one is to cancel it.
        let left_out =
            |office: &OfficeId| amends.how == AmendKind::Update && to.binary_search(office).is_err();
        for office in earlier.into_iter().filter(left_out) {
            let known = records.case(&office, &amends.document, Side::Sender)?;
            if known.is_none_or(|case| case.progress.standing() != Standing::Recalled) {
                removed.push(office);
            }
        }
    }
    if let Some(issued) = &dispatch.issued {
        let document = dispatch.manifest.document;
        let code_key = issued.key();
        for office in &to {
            for other in records.went_with_code(office, code_key)? {
                let amended = other == document || amends.is_some_and(|amends| amends.document == other);
                if !amended && counts_at(records, office, &other)? {
                    return Ok(Err(Refusal::SameNumber { office: *office, other }));
                }
            }
        }
    }
    let (urgency, blobs) = (dispatch.manifest.urgency, dispatch.blobs());
    let body = Body::Dispatch(dispatch.clone()).encode().unwrap_or_default();
    let drafts = to.chunks(RECIPIENTS_MAX).map(|to| Draft {
        incarnation: exchange.incarnation(),
        kind: Kind::Dispatch,
        urgency,
        to: to.to_vec(),
        blobs: blobs.clone(),
        body: body.clone(),
    });
    let mut drafts: Vec<Draft> = drafts.collect();
    if let Some(by) = by {
        let deed = Deed::Sealed { document: dispatch.manifest.document };
        let act = Body::Act(Act { by: by.clone(), deed });
        // Right after the first event, which is the largest: when that one fits, all do.
        drafts.insert(1, exchange.draft(Vec::new(), Kind::Act, &act));
    }
    if let Some(amends) = amends {
        let business = BusinessId::new(*dispatch.manifest.document.as_bytes());
        let fact = Fact::Asked { business, kind: BusinessKind::Recall, reason: amends.reason.clone() };
        let told = Body::BusinessRequest(DocumentFact { document: amends.document, fact, by: None });
        let recalls = removed.chunks(RECIPIENTS_MAX);
        drafts.extend(recalls.map(|to| exchange.draft(to.to_vec(), Kind::BusinessRequest, &told)));
    }
    Ok(Ok(drafts))
}

/// The document with its attachments as they travel.
pub(super) fn enclosed(dispatch: &Dispatch, sealed: &Enclosures) -> Result<Dispatch, Refusal> {
    let mut dispatch = dispatch.clone();
    dispatch.enclose(sealed).map_err(|hash| Refusal::AttachmentMissing { hash })?;
    Ok(dispatch)
}

/// Whether a document still counts at this recipient, as far as it is known here.
fn counts_at<R: Records>(records: &R, office: &OfficeId, document: &DocumentId) -> Result<bool, R::Error> {
    let known = records.case(office, document, Side::Sender)?;
    Ok(known.is_none_or(|case| {
        let current = matches!(case.progress.standing(), Standing::Current | Standing::AskedBack);
        current && case.progress.stage() != Stage::Refused
    }))
}

pub(super) fn check_dispatch(
    exchange: &Exchange,
    context: Context<'_>,
    to: &[OfficeId],
    dispatch: &Dispatch,
) -> Result<(), Refusal> {
    if to.is_empty() {
        return Err(Refusal::NoRecipients);
    }
    if to.len() > DOCUMENT_RECIPIENTS_MAX {
        return Err(Refusal::TooManyRecipients { found: to.len() });
    }
    for office in to {
        check_recipient(exchange, context, *office)?;
    }
    let document_type = dispatch.manifest.document_type;
    if !context.rules.may_issue(document_type) {
        return Err(Refusal::Work(WorkRefusal::TypeNotAllowed { document_type }));
    }
    // Sealing would find it too, but as a fault of this station instead of an answer to the clerk.
    dispatch.check_by(&exchange.me())?;
    Ok(())
}

fn check_recipient(exchange: &Exchange, context: Context<'_>, office: OfficeId) -> Result<(), Refusal> {
    check_reachable(exchange, context, office)?;
    match context.rules.may_send_to(&office) {
        true => Ok(()),
        false => Err(Refusal::RecipientNotAllowed { office }),
    }
}

fn check_reachable(exchange: &Exchange, context: Context<'_>, office: OfficeId) -> Result<(), Refusal> {
    if office == exchange.me() {
        return Err(Refusal::ToItself);
    }
    let directory = context.directory;
    let version = directory.version();
    match directory.office(&office) {
        None => Err(Refusal::UnknownRecipient { office, directory: version }),
        Some(listed) if !listed.is_enrolled() => Err(Refusal::NotEnrolled { office, directory: version }),
        Some(_) => Ok(()),
    }
}

/// What an event from outside means to this station.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reception {
    /// New: record it.
    New,
    /// Held already: answer with the receipt again.
    Repeat,
    /// Another event is held at its place: record it as evidence, and answer with the receipt of the held one. That
    /// receipt is what tells a sender that went back behind its own back; a head would not, because later events of
    /// the new branch are held by then.
    Fork {
        /// The event that is held.
        held: EventId,
    },
    /// Too far beyond a gap; its sender will offer it again.
    TooFarAhead,
    /// Not addressed to this station; a courier brought it to the wrong door.
    NotForUs,
}

impl Exchange {
    /// Decides what an event from outside is. The caller has verified it.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn receive<R: Records>(
        &self,
        records: &R,
        event: &Event,
        id: EventId,
    ) -> Result<Reception, R::Error> {
        let Some(counter) = event.counter_for(&self.me()) else {
            return Ok(Reception::NotForUs);
        };
        let channel = self.peer(&event.office).and_then(|peer| peer.channels.get(&event.incarnation));
        let held = match channel {
            Some(channel) if counter == channel.held => channel.held_id,
            Some(channel) if counter > channel.held => channel.ahead.get(&counter).copied(),
            _ => records.held(&event.office, event.incarnation, counter)?.map(|row| row.place.id),
        };
        Ok(match held {
            Some(held) if held == id => Reception::Repeat,
            Some(_) if mutant::is(Mutant::NoForkCheck) => Reception::Repeat,
            Some(held) => Reception::Fork { held },
            // The next one is always taken: it is what the others wait for.
            None if channel.is_some_and(|c| c.ahead.len() >= AHEAD_MAX && counter != c.held.next()) => {
                Reception::TooFarAhead
            }
            None => Reception::New,
        })
    }

    /// Whether what a correspondent says about this station's events proves that the station went backwards: it
    /// knows an event that the station does not. Returns the highest incarnation it has seen.
    ///
    /// A claim to know an incarnation more than [`INCARNATIONS_LOST_MAX`] ahead is not believed.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn went_backwards<R: Records>(
        &self,
        records: &R,
        from: &OfficeId,
        body: &Body,
    ) -> Result<Option<Incarnation>, R::Error> {
        let (entries, heads): (&[Place], &Heads) = match body {
            Body::Receipt(receipt) => (&receipt.entries, &receipt.heads),
            Body::Head(heads) => (&[], heads),
            Body::Restored(restored) => (&[], &restored.heads),
            Body::Dispatch(_)
            | Body::Status(_)
            | Body::BusinessRequest(_)
            | Body::Act(_)
            | Body::Returned(_)
            | Body::RegistryChange(_)
            | Body::KeyAnnouncement(_)
            | Body::Verdict(_)
            | Body::Unsupported => return Ok(None),
        };
        if mutant::is(Mutant::NoBackwardsCheck) {
            return Ok(None);
        }
        let mut told = None;
        // What is held incomplete, unread or beyond a gap gets no receipt, and is held all the same.
        let held = heads.held.iter().chain(&heads.incomplete).chain(&heads.strays).chain(&heads.unopened);
        for place in entries.iter().chain(held) {
            // What an earlier incarnation lost is known since that incarnation ended.
            let newest = self.incarnation().ordinal() + u64::from(INCARNATIONS_LOST_MAX);
            if place.incarnation < self.incarnation() || place.incarnation.ordinal() > newest {
                continue;
            }
            let known = place.incarnation == self.incarnation()
                && records
                    .sent(from, place.incarnation, place.counter)?
                    .is_some_and(|row| row.place.id == place.id);
            if !known {
                told = told.max(Some(place.incarnation));
            }
        }
        Ok(told)
    }

    /// What the author of an event of this incarnation is told besides the heads: an event of a later incarnation of
    /// it, of which the beginning is missing. Heads cannot name that one, and an author that works in an earlier
    /// incarnation may have gone back behind it.
    pub fn beyond(&self, author: &OfficeId, incarnation: Incarnation) -> Option<Place> {
        let (newest, channel) = self.peer(author)?.channels.last_key_value()?;
        let (counter, id) = channel.ahead.first_key_value()?;
        let unnamed = *newest > incarnation && channel.held_id.is_none();
        unnamed.then_some(Place { incarnation: *newest, counter: *counter, id: *id })
    }

    /// What the author of a head is told when the newest event that it says it has sent is another one here: two
    /// stations are alive with its key, and relays have kept the events that would have shown it. The receipt for
    /// what is held names an event that the author does not know, and that is never silent.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn contradicted<R: Records>(
        &self,
        records: &R,
        author: &OfficeId,
        body: &Body,
    ) -> Result<Option<Place>, R::Error> {
        let Body::Head(Heads { sent: Some(sent), .. }) = body else { return Ok(None) };
        let held = records.held(author, sent.incarnation, sent.counter)?;
        Ok(held.map(|row| row.place).filter(|place| place.id != sent.id))
    }

    /// Whether the station may start another incarnation by itself. Having done so again and again looks like two
    /// stations alive with one key, or like a correspondent that invents: more incarnations would mend neither.
    pub fn may_raise(&self, now: Millis) -> bool {
        let recent = self.raised_at().iter().filter(|at| now.0.abs_diff(at.0) < RAISE_WINDOW_MS).count();
        recent < RAISES_MAX
    }

    /// The events that start a new incarnation after `told`: one per correspondent. `branch` must be fresh randomness;
    /// see [`Incarnation`].
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn raise<R: Records>(
        &self,
        records: &R,
        told: Incarnation,
        branch: u32,
        reason: RestoreReason,
    ) -> Result<Vec<Draft>, R::Error> {
        let incarnation = told.max(self.incarnation()).following(branch);
        let restored = |to: Option<OfficeId>, heads: Heads| {
            let peer = to.and_then(|office| self.peer(&office));
            let body = Restored {
                previous: self.incarnation(),
                last_seq: self.seq(),
                last_sent: peer.and_then(|peer| peer.sent),
                reason,
                heads: Heads { sent: None, ..heads },
            };
            Draft {
                incarnation,
                kind: Kind::Restored,
                urgency: Urgency::Normal,
                to: to.into_iter().collect(),
                blobs: Vec::new(),
                body: Body::Restored(body).encode().unwrap_or_default(),
            }
        };
        if self.peers().is_empty() {
            return Ok(vec![restored(None, Heads::default())]);
        }
        self.peers()
            .keys()
            .map(|office| Ok(restored(Some(*office), self.full_heads(records, office)?)))
            .collect()
    }

    /// The receipts for these events of one sender, and with them the relays' word on when they were there, as far as
    /// it is known here.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn receipts<R: Records>(
        &self,
        records: &R,
        to: OfficeId,
        places: &[Place],
        stamps: &BTreeMap<EventId, Option<Stamp>>,
    ) -> Result<Vec<Draft>, R::Error> {
        let heads = self.heads(records, &to)?;
        let stamp_on = |place: &Place| stamps.get(&place.id).and_then(Option::as_ref);
        let most = if places.iter().any(|place| stamp_on(place).is_some()) {
            RECEIPT_STAMPS_MAX
        } else {
            ENTRIES_MAX
        };
        let receipts = places.chunks(most).map(|entries| {
            let stamped = |(entry, place): (u16, &Place)| {
                stamp_on(place).map(|stamp| EntryStamp { entry, stamp: stamp.clone() })
            };
            let stamps = (0..).zip(entries).filter_map(stamped).collect();
            let receipt = Receipt { entries: entries.to_vec(), heads: heads.clone(), stamps };
            self.draft(vec![to], Kind::Receipt, &Body::Receipt(receipt))
        });
        Ok(receipts.collect())
    }

    /// Tells a correspondent both heads, and asks it for what was lost here.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn head_draft<R: Records>(
        &self,
        records: &R,
        to: OfficeId,
        asks: Vec<Ask>,
    ) -> Result<Draft, R::Error> {
        let heads = Heads { asks, ..self.full_heads(records, &to)? };
        Ok(self.draft(vec![to], Kind::Head, &Body::Head(heads)))
    }

    /// What to ask a correspondent for that holds these events: those that this station does not know.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn unknown<R: Records>(
        &self,
        records: &R,
        with: &OfficeId,
        places: &[Place],
    ) -> Result<Vec<Ask>, R::Error> {
        let mut asks = Vec::new();
        for place in places.iter().filter(|place| place.incarnation <= self.incarnation()) {
            if !agrees(records, *with, *place)? {
                let Place { incarnation, counter, .. } = *place;
                asks.push(Ask { incarnation, from: counter, to: counter, whole: false });
            }
        }
        Ok(asks)
    }

    /// What to ask a correspondent for: by its heads it holds events of this station that the station has lost. Those of
    /// the current incarnation belong to an earlier one by the time the question leaves: they are why it ends.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn lost<R: Records>(
        &self,
        records: &R,
        with: &OfficeId,
        heads: &Heads,
    ) -> Result<Vec<Ask>, R::Error> {
        let returned = self.peer(with).map(|peer| &peer.returned);
        let mut told: BTreeMap<Incarnation, BTreeMap<Counter, bool>> = BTreeMap::new();
        for place in heads.held.iter().filter(|place| place.incarnation <= self.incarnation()) {
            let row = records.sent(with, place.incarnation, place.counter)?;
            // What was given back, perhaps by another recipient, says nothing about what stands before it.
            let own = row.is_some_and(|row| row.place.id == place.id && !row.regained);
            told.entry(place.incarnation).or_default().insert(place.counter, own);
        }
        let mut lost = Vec::new();
        for (incarnation, places) in told.into_iter().rev() {
            // A file that was put back by hand went on in the same incarnation: what is known may stand behind what is
            // not. Only what stands before the first unknown one is known to the end.
            let Some((first, _)) = places.iter().find(|(_, own)| !**own) else { continue };
            let Some((to, _)) = places.last_key_value() else { continue };
            let before = places.range(..*first).next_back().map(|(counter, _)| *counter).unwrap_or_default();
            let back = returned.and_then(|returned| returned.get(&incarnation)).copied().unwrap_or_default();
            let ask = Ask { incarnation, from: back.max(before).next(), to: *to, whole: true };
            lost.extend((ask.from <= ask.to).then_some(ask));
        }
        let strays = self.unknown(records, with, &heads.strays)?;
        let receipted = self.unknown(records, with, &records.unmatched_receipts(with, HELD_MAX)?)?;
        Ok(lost.into_iter().chain(strays).chain(receipted).collect())
    }

    /// Open rows of earlier incarnations at whose places a correspondent holds something else, by its receipts: they
    /// can never be taken there, and are sent anew.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn displaced<R: Records>(
        &self,
        records: &R,
        with: &OfficeId,
        held: &[Place],
    ) -> Result<Vec<SentRow>, R::Error> {
        let mut displaced = Vec::new();
        for place in held.iter().filter(|place| place.incarnation < self.incarnation()) {
            let row = records.sent(with, place.incarnation, place.counter)?;
            displaced.extend(row.filter(|row| row.open && !row.superseded && row.place.id != place.id));
        }
        Ok(displaced)
    }

    /// Gives back to their author the documents of a run that it has lost, with their attachments; `read` reads an
    /// event of the journal. Not more than a bounded number of events of this station: the author asks for the rest.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn give_back<R: Records>(
        &self,
        records: &R,
        to: OfficeId,
        ask: &Ask,
        read: impl Fn(Position) -> Result<(Vec<u8>, Vec<BlobRef>), R::Error>,
    ) -> Result<Vec<Draft>, R::Error> {
        let last = Counter(ask.to.0.min(ask.from.0.saturating_add(RETURNED_LOOKUPS_MAX)));
        let mut drafts = Vec::new();
        let mut parcel = Parcel::default();
        let mut through = Counter(ask.from.0.saturating_sub(1));
        for counter in (ask.from.0..=last.0).map(Counter) {
            let row = records.held(&to, ask.incarnation, counter)?;
            // What is not complete here cannot be given back; when it is one day, its receipt makes the author ask.
            if let Some(row) = row.filter(|row| row.kind.is_given_back() && row.receipt.is_some()) {
                let (event, blobs) = read(row.position)?;
                if !parcel.takes(&event, &blobs) {
                    drafts.push(self.returned(to, ask, through, std::mem::take(&mut parcel)));
                    if drafts.len() == RETURNED_MAX {
                        return Ok(drafts);
                    }
                }
                // A dispatch of this version always fits; what does not was made by another program.
                if parcel.takes(&event, &blobs) {
                    parcel.add(event, blobs);
                }
            }
            through = counter;
        }
        // That there is nothing is worth saying about a whole run only.
        if ask.whole || !parcel.events.is_empty() {
            drafts.push(self.returned(to, ask, through, parcel));
        }
        Ok(drafts)
    }

    fn returned(&self, to: OfficeId, ask: &Ask, through: Counter, parcel: Parcel) -> Draft {
        let body = Returned { ask: *ask, through, events: parcel.events };
        Draft {
            blobs: parcel.blobs.into_iter().map(|(hash, length)| BlobRef { hash, length }).collect(),
            ..self.draft(vec![to], Kind::Returned, &Body::Returned(body))
        }
    }

    /// Events of earlier incarnations that are settled no more, because the correspondent's head shows another history
    /// after some place: both sides were restored, and what it once receipted may be gone. Those that
    /// [`SentRow::is_said_again`] go out in new events.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn to_send_anew<R: Records>(
        &self,
        records: &R,
        to: &OfficeId,
        theirs: Incarnation,
        heads: &Heads,
    ) -> Result<Vec<SentRow>, R::Error> {
        let mut anew = Vec::new();
        for incarnation in self.earlier().iter().copied() {
            let mut reported: Vec<Place> =
                heads.held.iter().copied().filter(|held| held.incarnation == incarnation).collect();
            reported.sort_unstable_by_key(|place| std::cmp::Reverse(place.counter));
            let mut agreed = None;
            for (index, place) in reported.iter().enumerate() {
                let Some(row) = records.sent(to, incarnation, place.counter)? else { continue };
                if row.place.id == place.id {
                    agreed = agreed.or(Some((index, place.counter)));
                } else if agreed.is_some() && row.is_said_again() && !row.superseded {
                    // Two histories are mixed: what stands here took the place of this one, which at best an earlier
                    // life of the correspondent held.
                    let answered =
                        row.receipt.map(|receipt| records.incarnation_at(receipt)).transpose()?.flatten();
                    anew.extend(answered.is_none_or(|answered| answered < theirs).then_some(row));
                }
            }
            // The newest place is known here: the histories are one, and what is missing is refilled as it is.
            if reported.is_empty() || matches!(agreed, Some((0, _))) {
                continue;
            }
            let mut counter = agreed.map_or(Counter(0), |(_, counter)| counter);
            while anew.len() < ANEW_MAX
                && let Some(row) = records.next_sent(to, incarnation, counter)?
            {
                counter = row.place.counter;
                // A head has a receipt only because it contradicted something; that receipt holds no longer.
                if !row.superseded && (row.kind.wants_receipt() || row.receipt.is_some()) {
                    anew.push(row);
                }
            }
        }
        Ok(anew)
    }

    /// Records, for this station only, what a relay did with sent events.
    pub fn status_drafts(
        &self,
        code: TransportCode,
        entries: &[SentPlace],
        region: Option<&RegionId>,
        reason: Option<&str>,
    ) -> Vec<Draft> {
        let drafts = entries.chunks(ENTRIES_MAX).map(|entries| {
            let transport = Transport {
                code,
                entries: entries.to_vec(),
                region: region.cloned(),
                reason: reason.map(str::to_owned),
            };
            self.draft(Vec::new(), Kind::Status, &Body::Status(Status::Transport(transport)))
        });
        drafts.collect()
    }

    pub(super) fn draft(&self, to: Vec<OfficeId>, kind: Kind, body: &Body) -> Draft {
        Draft {
            incarnation: self.incarnation(),
            kind,
            urgency: Urgency::Normal,
            to,
            blobs: Vec::new(),
            body: body.encode().unwrap_or_default(),
        }
    }
}
