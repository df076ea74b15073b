//! How a station or relay brings its registry up to date with another's: compare, list, fetch, offer.
//!
//! One small question is enough when both hold the same. Whoever asks learns which items there are and fetches those it
//! lacks, piece by piece; what the other one lacks it offers afterwards. So a relay whose disk was wiped is filled again by
//! whoever connects, and revocation lists reach everybody over any relay. Nothing that comes this way is believed: each
//! item proves itself, or is left out.

use std::collections::VecDeque;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Decoder, Encode};

use super::{ITEMS_MAX, Item, ItemId, ItemKind, Registry};
use crate::cose::infallible;
use crate::time::Millis;

/// Most items that one answer lists.
pub const LISTED_MAX: usize = 1_024;
/// Most bytes of an item that one message carries.
pub const PIECE_BYTES_MAX: usize = 128 * 1024;
/// Largest item that an office may bring to a relay in one message, in bytes: certificates, announcements and lists of a
/// province. A directory comes to relays from the registrar, or from another relay.
pub const BROUGHT_BYTES_MAX: usize = PIECE_BYTES_MAX;
/// Largest message, in bytes.
pub const TALK_BYTES_MAX: usize = PIECE_BYTES_MAX + 4 * 1024;
/// Most bytes that are fetched in one go; the rest follows the next time.
pub const FETCHED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum RegistryRequest {
    /// What do you hold? Nothing needs to be listed when the fingerprint is yours.
    #[n(0)]
    List {
        /// [`Registry::fingerprint`] of whoever asks.
        #[cbor(n(0), with = "minicbor::bytes")]
        fingerprint: [u8; 32],
        /// Leave out so many: the answer to an earlier question held them.
        #[n(1)]
        from: u32,
    },
    /// Give me a piece of this item.
    #[n(1)]
    Fetch {
        /// Which item.
        #[n(0)]
        id: ItemId,
        /// From this byte on.
        #[n(1)]
        from: u32,
    },
    /// Take this item in.
    #[n(2)]
    Bring {
        /// What it is.
        #[n(0)]
        kind: ItemKind,
        /// Its bytes.
        #[n(1)]
        bytes: ByteVec,
    },
}

/// One item that is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Listed {
    /// What it is.
    #[n(0)]
    pub kind: ItemKind,
    /// Which one.
    #[n(1)]
    pub id: ItemId,
    /// How long it is, in bytes.
    #[n(2)]
    pub length: u32,
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum RegistryReply {
    /// Both hold the same.
    #[n(0)]
    Same,
    /// What is held, in the order it was taken in.
    #[n(1)]
    Items {
        /// At most [`LISTED_MAX`] of them.
        #[cbor(n(0), decode_with = "listed")]
        items: Vec<Listed>,
        /// Whether more follow.
        #[n(1)]
        more: bool,
    },
    /// The piece; shorter than [`PIECE_BYTES_MAX`] only at the end of the item.
    #[n(2)]
    Piece {
        /// Its bytes.
        #[n(0)]
        bytes: ByteVec,
    },
    /// No such item.
    #[n(3)]
    Absent,
    /// The item was taken in, or is known.
    #[n(4)]
    Taken,
    /// Not accepted.
    #[n(5)]
    Refused {
        /// Why, in words.
        #[n(0)]
        reason: String,
    },
}

/// An answer, and when it was given.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RegistryAnswer {
    /// What is answered.
    #[n(1)]
    pub reply: RegistryReply,
    /// The clock of whoever answers. Whoever asks learns how far its own is off; nothing else follows from it.
    #[n(2)]
    pub at: Millis,
}

fn listed<C>(d: &mut Decoder<'_>, ctx: &mut C) -> Result<Vec<Listed>, minicbor::decode::Error> {
    let count = d.array()?.filter(|count| *count <= LISTED_MAX as u64);
    let count = count.ok_or_else(|| minicbor::decode::Error::message("more than 1,024 items"))?;
    (0..count).map(|_| Listed::decode(d, ctx)).collect()
}

/// Reads a question or an answer from outside; bounds it first.
///
/// # Errors
/// When it is too large or malformed.
pub fn parse_talk<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, minicbor::decode::Error> {
    if bytes.len() > TALK_BYTES_MAX {
        return Err(minicbor::decode::Error::message("larger than a piece and its envelope"));
    }
    let mut d = Decoder::new(bytes);
    let message = d.decode()?;
    if d.position() != bytes.len() {
        return Err(minicbor::decode::Error::message("bytes after the message").at(d.position()));
    }
    Ok(message)
}

/// The bytes of a question or an answer.
pub fn encode_talk<T: Encode<()>>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    infallible(minicbor::encode(message, &mut bytes));
    bytes
}

impl Registry {
    /// Answers what can be answered without taking anything in; `None` for [`RegistryRequest::Bring`].
    pub fn answer(&self, request: &RegistryRequest) -> Option<RegistryReply> {
        Some(match request {
            RegistryRequest::List { fingerprint, .. } if *fingerprint == self.fingerprint() => {
                RegistryReply::Same
            }
            RegistryRequest::List { from, .. } => {
                let from = usize::try_from(*from).unwrap_or(usize::MAX);
                let listed = |item: &Item| Listed {
                    kind: item.kind(),
                    id: item.id(),
                    length: u32::try_from(item.bytes().len()).unwrap_or(u32::MAX),
                };
                let mut items: Vec<Listed> =
                    self.told_items().skip(from).take(LISTED_MAX + 1).map(listed).collect();
                let more = items.len() > LISTED_MAX;
                items.truncate(LISTED_MAX);
                RegistryReply::Items { items, more }
            }
            RegistryRequest::Fetch { id, from } => {
                let from = usize::try_from(*from).unwrap_or(usize::MAX);
                match self.item(id).and_then(|item| item.bytes().get(from..)) {
                    Some(rest) => {
                        let piece = &rest[..rest.len().min(PIECE_BYTES_MAX)];
                        RegistryReply::Piece { bytes: piece.to_vec().into() }
                    }
                    None => RegistryReply::Absent,
                }
            }
            RegistryRequest::Bring { .. } => return None,
        })
    }
}

/// The asking side, as a machine without input or output: [`Catching::next`] says what to ask, [`Catching::heard`] takes the
/// answer, and in the end [`Catching::finish`] gives what came.
#[derive(Debug)]
pub struct Catching {
    fingerprint: [u8; 32],
    state: State,
    lacking: Vec<Listed>,
    listed: Vec<ItemId>,
    /// The whole list was heard.
    compared: bool,
    piece: Vec<u8>,
    items: Vec<Item>,
    bytes: usize,
}

#[derive(Debug)]
enum State {
    Listing { from: u32 },
    Fetching,
    Done,
}

/// The other side does not answer as agreed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the registry cannot be fetched: {0}")]
pub struct TalkError(pub String);

impl Catching {
    /// Begins to bring this registry up to date.
    pub fn new(registry: &Registry) -> Self {
        Self {
            fingerprint: registry.fingerprint(),
            state: State::Listing { from: 0 },
            lacking: Vec::new(),
            listed: Vec::new(),
            compared: false,
            piece: Vec::new(),
            items: Vec::new(),
            bytes: 0,
        }
    }

    /// The next question; `None` when all is said.
    pub fn next(&self) -> Option<RegistryRequest> {
        match (&self.state, self.lacking.last()) {
            (State::Listing { from }, _) => {
                Some(RegistryRequest::List { fingerprint: self.fingerprint, from: *from })
            }
            (State::Fetching, Some(item)) => {
                let from = u32::try_from(self.piece.len()).unwrap_or(u32::MAX);
                Some(RegistryRequest::Fetch { id: item.id, from })
            }
            (State::Fetching, None) | (State::Done, _) => None,
        }
    }

    /// Takes the answer to the last question.
    ///
    /// # Errors
    /// When it does not fit the question; what came until then is kept.
    pub fn heard(&mut self, reply: RegistryReply, registry: &Registry) -> Result<(), TalkError> {
        let wrong = |what: &str| Err(TalkError(what.to_owned()));
        match (&mut self.state, reply) {
            (State::Listing { .. }, RegistryReply::Same) => self.state = State::Done,
            (State::Listing { from }, RegistryReply::Items { items, more }) => {
                if more && items.is_empty() || self.listed.len() + items.len() > ITEMS_MAX {
                    return wrong("it lists more items than a registry has");
                }
                *from = from.saturating_add(u32::try_from(items.len()).unwrap_or(u32::MAX));
                self.listed.extend(items.iter().map(|item| item.id));
                let fits = |item: &Listed| {
                    item.kind != ItemKind::Anchor
                        && usize::try_from(item.length).is_ok_and(|length| length <= item.kind.bytes_max())
                };
                self.lacking
                    .extend(items.into_iter().filter(|item| fits(item) && registry.item(&item.id).is_none()));
                if !more {
                    // The last one is taken first; the order in which they came is the order to take them in.
                    self.lacking.reverse();
                    self.compared = true;
                    self.state = State::Fetching;
                }
            }
            (State::Fetching, RegistryReply::Piece { bytes }) => {
                let Some(item) = self.lacking.last().copied() else { return wrong("nothing was asked for") };
                let length = usize::try_from(item.length).unwrap_or(usize::MAX);
                if bytes.is_empty() || self.piece.len() + bytes.len() > length {
                    return wrong("a piece has another length than its item");
                }
                self.piece.extend_from_slice(&bytes);
                if self.piece.len() == length {
                    self.lacking.pop();
                    self.bytes += length;
                    let whole = Item::new(item.kind, std::mem::take(&mut self.piece));
                    // Another one than was listed is of no use; the rest may be.
                    self.items.extend(whole.ok().filter(|whole| whole.id() == item.id));
                }
                if self.bytes >= FETCHED_BYTES_MAX {
                    self.state = State::Done;
                }
            }
            (State::Fetching, RegistryReply::Absent) => {
                // Replaced meanwhile; the next round finds what took its place.
                self.lacking.pop();
                self.piece.clear();
            }
            (_, RegistryReply::Refused { reason }) => return Err(TalkError(reason)),
            _ => return wrong("the answer does not fit the question"),
        }
        Ok(())
    }

    /// What came, in the order in which it should be taken in, and what the other side holds, when it has said so.
    pub fn finish(self) -> (Vec<Item>, Option<Theirs>) {
        let Self { items, mut listed, compared, .. } = self;
        listed.sort_unstable();
        (items, compared.then_some(Theirs(listed)))
    }
}

/// What the other side holds.
#[derive(Debug)]
pub struct Theirs(Vec<ItemId>);

impl Theirs {
    /// What it lacks and can be brought: not the directory, and nothing large.
    pub fn to_bring(&self, registry: &Registry) -> Vec<Item> {
        let lacks = |item: &&Item| self.0.binary_search(&item.id()).is_err();
        let may =
            |item: &&Item| item.kind() != ItemKind::Directory && item.bytes().len() <= BROUGHT_BYTES_MAX;
        registry.told_items().filter(lacks).filter(may).cloned().collect()
    }
}

/// Brings items one after the other. What is refused is brought again once something else was taken since: a list or a
/// certificate behind it may be what it rests on.
#[derive(Debug)]
pub struct Bringing {
    items: VecDeque<Item>,
    asked: Option<Item>,
    refused: Vec<(Item, String)>,
    taken: bool,
}

impl Bringing {
    /// Is to bring these.
    pub fn new(items: impl IntoIterator<Item = Item>) -> Self {
        Self { items: items.into_iter().collect(), asked: None, refused: Vec::new(), taken: false }
    }

    /// What to say next; `None` at the end. It is lost when no answer is [`Self::heard`].
    #[expect(clippy::should_implement_trait, reason = "an answer comes between two questions")]
    pub fn next(&mut self) -> Option<RegistryRequest> {
        if self.items.is_empty() && std::mem::take(&mut self.taken) {
            self.items.extend(self.refused.drain(..).map(|(item, _)| item));
        }
        let item = self.items.pop_front()?;
        let request = RegistryRequest::Bring { kind: item.kind(), bytes: item.bytes().to_vec().into() };
        self.asked = Some(item);
        Some(request)
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// When it is no answer to this.
    pub fn heard(&mut self, reply: RegistryReply) -> Result<(), TalkError> {
        match (self.asked.take(), reply) {
            (Some(_), RegistryReply::Taken) => self.taken = true,
            (Some(item), RegistryReply::Refused { reason }) => self.refused.push((item, reason)),
            _ => return Err(TalkError("the answer does not fit the question".to_owned())),
        }
        Ok(())
    }

    /// Why what was not taken was refused.
    pub fn refused(&self) -> impl Iterator<Item = &str> {
        self.refused.iter().map(|(_, reason)| reason.as_str())
    }
}
