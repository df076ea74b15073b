//! What a station may decide, and how its state follows from its journal.
//!
//! The journal is the station's own chain and everything it received, in the order it recorded them. [`Exchange`] is
//! the small part of its state that every decision needs; [`Records`] is the large part, looked up by key. Both
//! follow from the journal alone: [`Exchange::evolve`] turns one entry into [`Change`]s, and whoever keeps the
//! records (SQLite in a node, maps in an audit) applies them. Nothing here reads a clock: `now` is an argument and
//! only ever becomes `claimed_at`.
//!
//! Rules worth knowing before reading on:
//!
//! - An outbox row is open until the *recipient's* receipt closes it. That a relay stored it is noted (`left`).
//! - An event is held once per (sender, incarnation, counter). Another event at a held place is evidence.
//! - A document is presented to the clerk in the sender's order; an express one at once.
//! - A correspondent that knows more of us than we do proves that we went backwards: a new incarnation follows.

mod change;
mod decide;
mod desk;
mod evolve;
mod learn;
#[cfg(test)]
mod model;
mod records;
mod settle;
#[cfg(test)]
mod tests;

pub use change::{Alarm, Change, Class, Entry};
pub use decide::{
    Command, Context, DOCUMENT_RECIPIENTS_MAX, Draft, HANDING_OVER_ROLES, Reception, Refusal, decide,
};
pub use desk::{Arrival, SENDING_ROLES, Work, WorkRefusal, beyond_authority};
pub use records::{HeldRow, Judged, LineUse, MemoryRecords, Records, SAME_CODE_MAX, SentRow, StateDigest};

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::body::{HELD_MAX, Heads, Place};
use crate::event::Event;
use crate::handling::Books;
use crate::id::{Counter, EventId, Incarnation, OfficeId, Seq};
use crate::time::Millis;

/// Most events of one channel that are held beyond a gap. Further ones are not taken until the gap is filled; their
/// sender offers them again.
pub const AHEAD_MAX: usize = 4_096;
/// Most incarnations of one peer that stay in the hot state.
pub const CHANNELS_MAX: usize = 16;
/// Earlier places of an ended incarnation that a head reports on.
const SAMPLES_MAX: u32 = 7;

/// Contested places that a head tells of, beside those.
const CONTESTED_MAX: usize = 16;
const _: () = assert!(CHANNELS_MAX * (SAMPLES_MAX as usize + 1) + CONTESTED_MAX <= HELD_MAX);
/// How often within [`RAISE_WINDOW_MS`] a station starts a new incarnation by itself. More than that looks like
/// two stations alive with one key, and a person must decide.
pub const RAISES_MAX: usize = 3;
/// See [`RAISES_MAX`]; in milliseconds of claimed time.
pub const RAISE_WINDOW_MS: u64 = Millis::DAY;
/// How far ahead of its own incarnation a station believes a correspondent that claims to know a later one. A
/// backup is a few incarnations old; a claim beyond this is invented, and following it would use up the numbers.
pub const INCARNATIONS_LOST_MAX: u32 = 1_024;
/// How many of its own earlier incarnations a station still compares with what its correspondents hold.
pub const EARLIER_MAX: usize = CHANNELS_MAX - 1;

/// The state every decision needs: this station's chain and one entry per correspondent.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Exchange {
    /// This office.
    #[n(1)]
    me: OfficeId,
    /// Where its own chain ends.
    #[n(2)]
    chain: Chain,
    /// Correspondents: every office this one ever sent to or heard from.
    #[n(3)]
    peers: BTreeMap<OfficeId, Peer>,
    /// How many documents were presented to the clerk.
    #[n(4)]
    presented: u64,
    /// When the newest incarnations were started because of a correspondent; at most [`RAISES_MAX`].
    #[n(5)]
    raised_at: Vec<Millis>,
    /// Its registers.
    #[n(6)]
    books: Books,
}

/// Where a station's own chain ends.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Chain {
    /// The current incarnation.
    #[n(1)]
    pub incarnation: Incarnation,
    /// The last position; 0 when there is none yet.
    #[n(2)]
    pub seq: Seq,
    /// The event there, or the last one of the incarnation before.
    #[n(3)]
    pub head: EventId,
    /// The incarnations before the current one, oldest first; at most [`EARLIER_MAX`].
    #[n(4)]
    pub earlier: Vec<Incarnation>,
}

impl Chain {
    /// The chain of a station that has recorded nothing.
    pub const EMPTY: Self =
        Self { incarnation: Incarnation::FIRST, seq: Seq(0), head: EventId::NONE, earlier: Vec::new() };

    /// Notes an incarnation before the current one.
    fn remember(&mut self, incarnation: Incarnation) {
        if let Err(at) = self.earlier.binary_search(&incarnation) {
            self.earlier.insert(at, incarnation);
        }
        if self.earlier.len() > EARLIER_MAX {
            self.earlier.remove(0);
        }
    }

    fn start_incarnation(&mut self, incarnation: Incarnation) {
        // An incarnation in which nothing was recorded left no trace, and needs none.
        if self.seq > Seq(0) {
            self.remember(self.incarnation);
        }
        self.incarnation = incarnation;
        self.seq = Seq(0);
    }
}

/// One correspondent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Peer {
    /// The newest event sent to it in the current incarnation.
    #[n(1)]
    pub sent: Option<Place>,
    /// What came from it, by its incarnations; at most [`CHANNELS_MAX`], older ones are in the records.
    #[n(2)]
    pub channels: BTreeMap<Incarnation, Channel>,
    /// When it was last told both heads.
    #[n(3)]
    pub told_at: Option<Millis>,
    /// When the newest event from it was recorded, by this station's claimed time of its answer; drives who is told
    /// first after a start.
    #[n(4)]
    pub heard: u64,
    /// What it said in its newest incarnation: it holds everything up to this counter of the current incarnation.
    #[n(5)]
    pub confirmed: Counter,
    /// What of this station's own earlier incarnations it has given back in its newest one: all documents up to this
    /// counter. At most [`CHANNELS_MAX`].
    #[n(6)]
    pub returned: BTreeMap<Incarnation, Counter>,
}

/// What came from one incarnation of a correspondent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Channel {
    /// Everything up to this counter is held.
    #[n(1)]
    pub held: Counter,
    /// The event at `held`.
    #[n(2)]
    pub held_id: Option<EventId>,
    /// Events held beyond a gap.
    #[n(3)]
    pub ahead: BTreeMap<Counter, EventId>,
    /// Every document up to this counter was presented.
    #[n(4)]
    pub presented: Counter,
    /// The incarnation is over: its gaps will not be filled by new sends.
    #[n(5)]
    pub ended: bool,
}

impl Channel {
    /// Whether something is known to be missing.
    pub fn has_gap(&self) -> bool {
        !self.ended && !self.ahead.is_empty()
    }

    /// The missing counters: from `held + 1` to the first one held beyond the gap.
    pub fn first_gap(&self) -> Option<(Counter, Counter)> {
        let (ahead, _) = self.ahead.first_key_value()?;
        Some((self.held.next(), Counter(ahead.0 - 1)))
    }

    fn holds(&self, counter: Counter) -> bool {
        counter <= self.held || self.ahead.contains_key(&counter)
    }

    /// What is held and was not passed by the presented mark, in order. As long as what is held, however far
    /// ahead a hostile counter is.
    fn waiting(&self) -> Vec<Counter> {
        let joined = (self.presented.next().0..=self.held.0).map(Counter);
        let ahead = self.ahead.keys().filter(|counter| **counter > self.presented);
        joined.chain(ahead.copied()).collect()
    }
}

impl Exchange {
    /// The state of a station that has recorded nothing.
    pub fn new(me: OfficeId) -> Self {
        let (peers, books) = (BTreeMap::new(), Books::default());
        Self { me, chain: Chain::EMPTY, peers, presented: 0, raised_at: Vec::new(), books }
    }

    /// The state a store has kept. Equal to a replay of its journal, or the store is broken (P7).
    pub fn from_parts(
        me: OfficeId,
        chain: Chain,
        peers: BTreeMap<OfficeId, Peer>,
        presented: u64,
        raised_at: Vec<Millis>,
        books: Books,
    ) -> Self {
        Self { me, chain, peers, presented, raised_at, books }
    }

    /// This office.
    pub fn me(&self) -> OfficeId {
        self.me
    }

    /// Its current incarnation.
    pub fn incarnation(&self) -> Incarnation {
        self.chain.incarnation
    }

    /// The incarnations before the current one, oldest first; at most [`EARLIER_MAX`].
    pub fn earlier(&self) -> &[Incarnation] {
        &self.chain.earlier
    }

    /// The last position in its chain.
    pub fn seq(&self) -> Seq {
        self.chain.seq
    }

    /// The event there.
    pub fn head(&self) -> EventId {
        self.chain.head
    }

    /// How many documents were presented.
    pub fn presented(&self) -> u64 {
        self.presented
    }

    /// When the newest incarnations were started.
    pub fn raised_at(&self) -> &[Millis] {
        &self.raised_at
    }

    /// Its registers, and the highest numbers in them.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Its correspondents.
    pub fn peers(&self) -> &BTreeMap<OfficeId, Peer> {
        &self.peers
    }

    /// One correspondent.
    pub fn peer(&self, office: &OfficeId) -> Option<&Peer> {
        self.peers.get(office)
    }

    /// Both directions between this office and `office`, as told to it with every receipt.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn heads<R: Records>(&self, records: &R, office: &OfficeId) -> Result<Heads, R::Error> {
        let Some(peer) = self.peers.get(office) else { return Ok(Heads::default()) };
        let mut held = Vec::new();
        for (incarnation, channel) in &peer.channels {
            let Some(id) = channel.held_id else { continue };
            held.push(Place { incarnation: *incarnation, counter: channel.held, id });
            let earlier = (0..SAMPLES_MAX).filter(|_| channel.ended).map(|power| 1_u64 << (2 * power));
            for step in earlier.take_while(|step| *step < channel.held.0) {
                let row = records.held(office, *incarnation, Counter(channel.held.0 - step))?;
                held.extend(row.map(|row| row.place));
            }
        }
        Ok(Heads { sent: peer.sent, held, ..Heads::default() })
    }

    /// Both directions, what is held without its attachments, what cannot be read, what is held beyond a gap that stays, and what is held
    /// where two lives of the correspondent contradict each other.
    fn full_heads<R: Records>(&self, records: &R, office: &OfficeId) -> Result<Heads, R::Error> {
        let mut heads = self.heads(records, office)?;
        heads.incomplete = records.incomplete(office, HELD_MAX)?;
        heads.strays = self.strays(records, office)?;
        heads.unopened = self.in_turn(records.unopened(office, AHEAD_MAX)?);
        for place in records.contested(office, CONTESTED_MAX)? {
            // Naming a place says that everything before it is held too.
            let channel = self.peer(office).and_then(|peer| peer.channels.get(&place.incarnation));
            let complete = channel.is_some_and(|channel| place.counter <= channel.held);
            if complete && !heads.held.contains(&place) {
                heads.held.push(place);
            }
        }
        Ok(heads)
    }

    fn strays<R: Records>(&self, records: &R, of: &OfficeId) -> Result<Vec<Place>, R::Error> {
        let ended =
            self.peer(of).into_iter().flat_map(|peer| &peer.channels).filter(|(_, channel)| channel.ended);
        let strays: Vec<Place> = ended
            .flat_map(|(incarnation, channel)| {
                let place = |(counter, id): (&Counter, &EventId)| Place {
                    incarnation: *incarnation,
                    counter: *counter,
                    id: *id,
                };
                channel.ahead.iter().map(place)
            })
            .collect();
        let mut told = Vec::new();
        for place in self.in_turn(strays) {
            let row = records.held(of, place.incarnation, place.counter)?;
            // Heads and receipts of an incarnation that is over are not missed.
            told.extend(row.filter(|row| row.kind.is_given_back()).map(|row| row.place));
        }
        Ok(told)
    }

    /// As many as a head tells of: the next ones with every event of this station, so that each has its turn.
    fn in_turn(&self, places: Vec<Place>) -> Vec<Place> {
        let turns = places.len().div_ceil(HELD_MAX).max(1) as u64;
        let turn = usize::try_from(self.seq().0 % turns).unwrap_or(0);
        places.into_iter().skip(turn * HELD_MAX).take(HELD_MAX).collect()
    }

    /// The event that records `draft` next in this station's chain.
    pub fn next_event(&self, draft: &Draft, now: Millis) -> Event {
        let to = draft.to.iter().map(|office| {
            let sent = self.peers.get(office).and_then(|peer| peer.sent);
            let starts_incarnation = draft.incarnation != self.chain.incarnation;
            let counter = sent.filter(|_| !starts_incarnation).map_or(Counter(1), |sent| sent.counter.next());
            crate::event::Addressee { office: *office, counter }
        });
        Event {
            office: self.me,
            incarnation: draft.incarnation,
            seq: if draft.incarnation == self.chain.incarnation { self.chain.seq.next() } else { Seq(1) },
            prev: self.chain.head,
            claimed_at: now,
            kind: draft.kind,
            urgency: draft.urgency,
            to: to.collect(),
            seen: Vec::new(),
            blobs: draft.blobs.clone(),
            body: draft.body.clone(),
            sealed: None,
            archive: None,
            content: None,
        }
    }
}
