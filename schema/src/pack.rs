//! What one NATS message carries: an envelope for transport, unsigned and freely re-packed.
//!
//! With `sync_interval: always` a server takes a few thousand messages a second however small they are, so events
//! travel in packs. A broken event in a pack never blocks the others: items are parsed one by one.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Decoder, Encode};

use crate::cose::infallible;
use crate::event::RECIPIENTS_MAX;
use crate::id::{EventId, OfficeId, RegionId};
use crate::stamp::{STAMPS_MAX, Stamp};

/// Most events in one pack.
pub const PACK_EVENTS_MAX: usize = 64;
/// Most bytes of items in one pack.
pub const PACK_BYTES_MAX: usize = 256 * 1024;
/// Largest message, in bytes: a full pack and its envelope. NATS takes 1 MiB by default.
pub const MESSAGE_BYTES_MAX: usize = PACK_BYTES_MAX + 16 * 1024;
/// Most relays on the way of one message: loop protection.
pub const PATH_MAX: usize = 4;

const FORMAT: u8 = 1;

/// One event in a pack.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct PackItem {
    /// How often its sender has sent it before. A relay uses it to try the recipient's other region.
    #[n(0)]
    pub attempt: u32,
    /// The event, as sealed.
    #[n(1)]
    pub event: ByteVec,
    /// Deliver to these of its recipients only, because the others have answered; empty means all. Unsigned: it
    /// saves repeats, and a relay that lies about it does no more than one that drops.
    #[n(2)]
    pub only: Vec<OfficeId>,
    /// Relays' word on when it was there; a relay adds its own.
    #[n(3)]
    pub stamps: Vec<Stamp>,
}

impl PackItem {
    /// An item for all recipients of these bytes.
    pub fn new(attempt: u32, event: &[u8]) -> Self {
        Self { attempt, event: event.to_vec().into(), only: Vec::new(), stamps: Vec::new() }
    }

    /// How much room it takes in a pack, in bytes: the list of recipients can be a kilobyte too.
    fn size(&self) -> usize {
        const HEADS: usize = 16;
        const RECIPIENT: usize = 17;
        const STAMP: usize = 64 + RegionId::LENGTH_MAX + 4 * 34 + 24;
        self.event.len() + RECIPIENT * self.only.len() + STAMP * self.stamps.len() + HEADS
    }
}

/// Why a relay did not take an event, as it tells the sender. Unsigned: shown, never trusted.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Notice {
    /// The event, when it could be read.
    #[n(1)]
    pub id: Option<EventId>,
    /// Why: a code word that stations have words for, a colon, and the relay's own words for engineers.
    #[n(2)]
    pub reason: String,
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Events.
    Pack(Vec<PackItem>),
    /// A relay's refusals.
    Notices(Vec<Notice>),
    /// Events on their way to another region.
    Forward {
        /// Whose offices they are for.
        to: RegionId,
        /// The relays they have passed, first to last.
        path: Vec<RegionId>,
        /// The events.
        items: Vec<PackItem>,
    },
}

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Larger than [`MESSAGE_BYTES_MAX`]; not parsed.
    #[error("the message has {found} bytes, at most {MESSAGE_BYTES_MAX} are accepted")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// A newer format.
    #[error("the message is in format {found}, this version reads {FORMAT}")]
    Format {
        /// What it says.
        found: u8,
    },
    /// Not a message.
    #[error("not a message: {0}")]
    Malformed(String),
}

impl Message {
    /// The bytes of this message.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Pack(items) => infallible(minicbor::encode((FORMAT, 0u8, items), &mut bytes)),
            Self::Notices(notices) => infallible(minicbor::encode((FORMAT, 1u8, notices), &mut bytes)),
            Self::Forward { to, path, items } => {
                infallible(minicbor::encode((FORMAT, 2u8, to, path, items), &mut bytes));
            }
        }
        bytes
    }

    /// Reads a message from outside; bounds it first.
    ///
    /// # Errors
    /// When it is too large, in a newer format or malformed. Items are not looked into.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLarge { found: bytes.len() });
        }
        let malformed = |error: minicbor::decode::Error| MessageError::Malformed(error.to_string());
        let mut d = Decoder::new(bytes);
        let fields = d.array().map_err(malformed)?;
        let format = d.u8().map_err(malformed)?;
        if format != FORMAT {
            return Err(MessageError::Format { found: format });
        }
        let message = match (d.u8().map_err(malformed)?, fields) {
            (0, Some(3)) => Self::Pack(items(&mut d).map_err(malformed)?),
            (1, Some(3)) => Self::Notices(bounded(&mut d, PACK_EVENTS_MAX).map_err(malformed)?),
            (2, Some(5)) => Self::Forward {
                to: region(&mut d).map_err(malformed)?,
                path: (0..count(&mut d, PATH_MAX).map_err(malformed)?)
                    .map(|_| region(&mut d))
                    .collect::<Result<_, _>>()
                    .map_err(malformed)?,
                items: items(&mut d).map_err(malformed)?,
            },
            (kind, _) => return Err(MessageError::Malformed(format!("no message is of kind {kind}"))),
        };
        if d.position() != bytes.len() {
            return Err(MessageError::Malformed("bytes after the message".to_owned()));
        }
        Ok(message)
    }
}

fn region(d: &mut Decoder<'_>) -> Result<RegionId, minicbor::decode::Error> {
    d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not a region"))
}

fn count(d: &mut Decoder<'_>, most: usize) -> Result<usize, minicbor::decode::Error> {
    let count = d.array()?.and_then(|count| usize::try_from(count).ok());
    count.filter(|count| *count <= most).ok_or_else(|| minicbor::decode::Error::message("too many items"))
}

fn items(d: &mut Decoder<'_>) -> Result<Vec<PackItem>, minicbor::decode::Error> {
    let items: Vec<PackItem> = bounded(d, PACK_EVENTS_MAX)?;
    if items.iter().any(|item| item.only.len() > RECIPIENTS_MAX || item.stamps.len() > STAMPS_MAX) {
        return Err(minicbor::decode::Error::message("too many recipients or stamps of one item"));
    }
    Ok(items)
}

fn bounded<'b, T: Decode<'b, ()>>(
    d: &mut Decoder<'b>,
    most: usize,
) -> Result<Vec<T>, minicbor::decode::Error> {
    (0..count(d, most)?).map(|_| d.decode()).collect()
}

/// Cuts events into packs within the limits of [`PACK_EVENTS_MAX`] and [`PACK_BYTES_MAX`], in order.
pub fn packs(items: impl IntoIterator<Item = PackItem>) -> Vec<Vec<PackItem>> {
    let mut packs: Vec<Vec<PackItem>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = item.size();
        match packs.last_mut() {
            Some(pack) if pack.len() < PACK_EVENTS_MAX && bytes + size <= PACK_BYTES_MAX => {
                bytes += size;
                pack.push(item);
            }
            _ => {
                bytes = size;
                packs.push(vec![item]);
            }
        }
    }
    packs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item() -> impl Strategy<Value = PackItem> {
        (any::<u32>(), proptest::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(attempt, event)| PackItem::new(attempt, &event))
    }

    proptest! {
        #[test]
        fn message_survives_the_wire(items in proptest::collection::vec(item(), 0..64), forward: bool) {
            let region: RegionId = "p01".parse().expect("a region");
            let message = if forward {
                Message::Forward { to: region.clone(), path: vec![region], items }
            } else {
                Message::Pack(items)
            };
            prop_assert_eq!(Message::parse(&message.encode()), Ok(message));
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn packs_keep_order_and_limits(items in proptest::collection::vec(item(), 0..300)) {
            let packs = packs(items.clone());
            prop_assert!(packs.iter().all(|pack| !pack.is_empty() && pack.len() <= PACK_EVENTS_MAX));
            prop_assert_eq!(packs.concat(), items);
        }
    }

    #[test]
    fn oversize_message_is_refused_before_parsing() {
        let bytes = vec![0; MESSAGE_BYTES_MAX + 1];
        assert_eq!(Message::parse(&bytes), Err(MessageError::TooLarge { found: bytes.len() }));
    }
}
