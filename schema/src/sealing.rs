//! Sealed bodies (*niêm phong nội dung*): what relays carry and cannot read.
//!
//! The body of a sealed event is a file for its recipients and its author, encrypted by whoever makes the event; how, is not
//! known here, because it draws randomness. Beside it the event signs, in the clear, a [`Commitment`] to the content. So whoever
//! holds the content proves from the signed event alone, without any key, that it is the one that was sent: a replay needs no key,
//! and neither does an auditor.
//!
//! The content names sender, recipients, kind and archive once more. It is taken only when they are those of the event: nobody passes a
//! document on as if its sender had sent it there, although every recipient can encrypt it anew for anybody (*surreptitious
//! forwarding*; Davis, "Defective Sign & Encrypt", 2001).

use std::fmt;

use minicbor::{Decode, Encode};

use crate::cose::{encodes_to, infallible, sha256};
use crate::event::{EVENT_BYTES_MAX, Event, Kind, key_id};
use crate::id::{KeyId, OfficeId, hex};

/// Largest content, in bytes: it is encrypted into one event.
pub const CONTENT_BYTES_MAX: usize = EVENT_BYTES_MAX;

/// Keeps the hash from being that of something else.
const CONTEXT: &[u8] = b"tram/content/v1";

/// What an event signs of a content that it does not show: SHA-256 over a fixed text and the content. The salt in it keeps
/// everybody who has only the event from trying likely contents.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Commitment(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The public half of the key under which others seal for an office: an X25519 point (RFC 7748).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SealingKey(pub [u8; 32]);

/// The content of a sealed body, in the clear: bound to its event by [`Content::of`] or [`Content::new`].
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Vec<u8>,
    /// How long the body at its end is.
    body: usize,
}

/// Its encoding; the body comes last.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    /// Random, so that nobody guesses the content from its hash.
    #[cbor(n(1), with = "minicbor::bytes")]
    salt: [u8; 32],
    /// Its sender.
    #[n(2)]
    from: OfficeId,
    /// All of its recipients.
    #[n(3)]
    to: Vec<OfficeId>,
    /// What it is.
    #[n(4)]
    kind: Kind,
    /// The archive that can read it too.
    #[n(5)]
    archive: Option<OfficeId>,
    /// Under which key of each recipient it was sealed, in the order of `to`: tells its author whether sealing it anew is of use to one
    /// that cannot open it.
    #[n(6)]
    under: Vec<KeyId>,
    /// The body, in the encoding of its kind.
    #[cbor(b(7), with = "minicbor::bytes")]
    body: &'a [u8],
}

/// Why a content is not that of its event.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ContentError {
    /// The event has no sealed body.
    #[error("the body of the event is in the clear")]
    NotSealed,
    /// Another content.
    #[error("the content is not the one that the event commits to")]
    Other,
    /// The event commits to it, and it cannot be read.
    #[error("the content cannot be read: {0}")]
    Malformed(String),
    /// The event commits to it, and says something else about it.
    #[error("the content names another {what} than the event: somebody passes on what was not sent so")]
    Disagrees {
        /// In what they differ.
        what: &'static str,
    },
}

impl Content {
    /// The content for an event whose body is still in the clear, and that will be sealed under one key of each recipient, in their order.
    /// The salt must be random and used once.
    pub fn new(event: &Event, salt: [u8; 32], keys: &[SealingKey]) -> Self {
        let under = keys.iter().map(|key| key_id(&key.0)).collect();
        let (from, kind, body) = (event.office, event.kind, event.body.as_slice());
        let fields = Fields { salt, from, to: recipients(event), kind, archive: event.archive, under, body };
        let mut bytes = Vec::with_capacity(128 + body.len());
        infallible(minicbor::encode(&fields, &mut bytes));
        Self { bytes, body: body.len() }
    }

    /// Takes the content of a sealed event, as somebody decrypted or kept it.
    ///
    /// # Errors
    /// When the event does not commit to these bytes, or they say something else than it does.
    pub fn of(event: &Event, bytes: Vec<u8>) -> Result<Self, ContentError> {
        let sealed = event.sealed.ok_or(ContentError::NotSealed)?;
        if bytes.len() > CONTENT_BYTES_MAX || commitment(&bytes) != sealed {
            return Err(ContentError::Other);
        }
        let fields: Fields<'_> =
            minicbor::decode(&bytes).map_err(|error| ContentError::Malformed(error.to_string()))?;
        if !encodes_to(&fields, &bytes) {
            return Err(ContentError::Malformed("not the deterministic encoding of its fields".to_owned()));
        }
        if fields.under.len() != fields.to.len() {
            return Err(ContentError::Malformed("it does not name one key for each recipient".to_owned()));
        }
        let disagrees = |what| Err(ContentError::Disagrees { what });
        if fields.from != event.office {
            return disagrees("sender");
        }
        if fields.to != recipients(event) {
            return disagrees("list of recipients");
        }
        if fields.kind != event.kind {
            return disagrees("kind");
        }
        if fields.archive != event.archive {
            return disagrees("archive");
        }
        let body = fields.body.len();
        Ok(Self { bytes, body })
    }

    /// What is encrypted, and kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body that it holds.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.bytes.len() - self.body..]
    }

    /// Under which key of the recipient that stands at this place it was sealed.
    pub fn sealed_under(&self, recipient: usize) -> Option<KeyId> {
        let fields: Fields<'_> = minicbor::decode(&self.bytes).ok()?;
        fields.under.get(recipient).copied()
    }

    /// What the event signs of it.
    pub fn commitment(&self) -> Commitment {
        commitment(&self.bytes)
    }
}

/// Its length only.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "content of {} bytes", self.bytes.len())
    }
}

fn recipients(event: &Event) -> Vec<OfficeId> {
    event.to.iter().map(|to| to.office).collect()
}

fn commitment(bytes: &[u8]) -> Commitment {
    Commitment(sha256(&[CONTEXT, bytes].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Addressee, EventError, Urgency, seal};
    use crate::id::{Counter, EventId, Incarnation, Seq};
    use crate::time::Millis;

    const SENDER: OfficeId = OfficeId::new([1; 16]);
    const RECIPIENT: OfficeId = OfficeId::new([2; 16]);
    const THIRD: OfficeId = OfficeId::new([3; 16]);

    fn clear(from: OfficeId, to: &[OfficeId]) -> Event {
        Event {
            office: from,
            incarnation: Incarnation::FIRST,
            seq: Seq(1),
            prev: EventId::NONE,
            claimed_at: Millis(1),
            kind: Kind::Dispatch,
            urgency: Urgency::Normal,
            to: to.iter().map(|office| Addressee { office: *office, counter: Counter(1) }).collect(),
            seen: Vec::new(),
            blobs: Vec::new(),
            body: b"the body".to_vec(),
            sealed: None,
            archive: None,
            content: None,
        }
    }

    fn under(to: &[OfficeId]) -> Vec<SealingKey> {
        to.iter().map(|office| SealingKey([office.as_bytes()[0]; 32])).collect()
    }

    /// The event, sealed; nothing is encrypted here.
    fn sealed(from: OfficeId, to: &[OfficeId]) -> (Event, Content) {
        let event = clear(from, to);
        let content = Content::new(&event, [7; 32], &under(to));
        let sealed = event.with_sealed_body(content.clone(), b"ciphertext".to_vec());
        (Event { content: None, ..sealed }, content)
    }

    #[test]
    fn content_is_the_one_that_its_event_commits_to() {
        let (event, content) = sealed(SENDER, &[RECIPIENT]);
        let opened = Content::of(&event, content.bytes().to_vec()).expect("its own");
        assert_eq!((opened.body(), opened.commitment()), (&b"the body"[..], content.commitment()));
        for at in 0..content.bytes().len() {
            let mut changed = content.bytes().to_vec();
            changed[at] ^= 1;
            assert_eq!(Content::of(&event, changed), Err(ContentError::Other), "byte {at}");
        }
        let cut = content.bytes()[..content.bytes().len() - 1].to_vec();
        assert_eq!(Content::of(&event, cut), Err(ContentError::Other));
        let in_the_clear = clear(SENDER, &[RECIPIENT]);
        assert_eq!(Content::of(&in_the_clear, content.bytes().to_vec()), Err(ContentError::NotSealed));
    }

    /// A recipient encrypts what it has got for a third office, and commits to it in an event of its own: the content still says
    /// who sent it, and to whom.
    #[test]
    fn content_cannot_be_passed_on_under_another_name() {
        let (_, content) = sealed(SENDER, &[RECIPIENT]);
        let forwarded = |from, to: &[OfficeId], kind| {
            let event = Event { kind, ..clear(from, to) };
            let event = event.with_sealed_body(content.clone(), b"anew".to_vec());
            Content::of(&event, content.bytes().to_vec())
        };
        let disagrees = |what| Err(ContentError::Disagrees { what });
        assert_eq!(forwarded(RECIPIENT, &[THIRD], Kind::Dispatch), disagrees("sender"));
        assert_eq!(forwarded(SENDER, &[THIRD], Kind::Dispatch), disagrees("list of recipients"));
        assert_eq!(forwarded(SENDER, &[RECIPIENT, THIRD], Kind::Dispatch), disagrees("list of recipients"));
        assert_eq!(forwarded(SENDER, &[RECIPIENT], Kind::Status), disagrees("kind"));
        assert!(forwarded(SENDER, &[RECIPIENT], Kind::Dispatch).is_ok());
        let read_by = |archive| {
            let event = Event { archive, ..clear(SENDER, &[RECIPIENT]) };
            let event = event.with_sealed_body(content.clone(), b"anew".to_vec());
            Content::of(&event, content.bytes().to_vec())
        };
        assert_eq!(read_by(Some(THIRD)), disagrees("archive"));
        assert!(read_by(None).is_ok());
    }

    #[test]
    fn archive_is_named_by_a_sealed_document_only_and_is_neither_of_its_ends() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let (event, _) = sealed(SENDER, &[RECIPIENT]);
        let naming = |archive| Event { archive: Some(archive), ..event.clone() };
        assert!(seal(naming(THIRD), &key).is_ok());
        assert_eq!((event.readers(), naming(THIRD).readers()), (2, 3));
        let in_the_clear = Event { sealed: None, ..naming(THIRD) };
        let status = Event { kind: Kind::Status, ..naming(THIRD) };
        for wrong in [naming(SENDER), naming(RECIPIENT), in_the_clear, status] {
            assert!(matches!(seal(wrong, &key), Err(EventError::Rule { .. })));
        }
    }

    #[test]
    fn content_says_under_which_key_it_was_sealed_for_whom() {
        let (event, content) = sealed(SENDER, &[RECIPIENT, THIRD]);
        let opened = Content::of(&event, content.bytes().to_vec()).expect("its own");
        let [first, second] = [2, 3].map(|n| Some(key_id(&[n; 32])));
        assert_eq!([0, 1, 2].map(|n| opened.sealed_under(n)), [first, second, None]);
        let clear = clear(SENDER, &[RECIPIENT, THIRD]);
        let content = Content::new(&clear, [7; 32], &under(&[RECIPIENT]));
        let event = clear.with_sealed_body(content.clone(), b"ciphertext".to_vec());
        assert!(matches!(Content::of(&event, content.bytes().to_vec()), Err(ContentError::Malformed(_))));
    }

    #[test]
    fn commitment_says_nothing_without_the_salt() {
        let event = clear(SENDER, &[RECIPIENT]);
        let [one, other] =
            [[1; 32], [2; 32]].map(|salt| Content::new(&event, salt, &under(&[RECIPIENT])).commitment());
        assert_ne!(one, other);
    }

    #[test]
    fn content_that_is_committed_to_and_makes_no_sense_is_refused() {
        let (event, content) = sealed(SENDER, &[RECIPIENT]);
        let mut longer = content.bytes().to_vec();
        longer.push(0);
        for bytes in [Vec::new(), b"\xa0".to_vec(), longer, vec![0; CONTENT_BYTES_MAX]] {
            let event = Event { sealed: Some(commitment(&bytes)), ..event.clone() };
            assert!(matches!(Content::of(&event, bytes), Err(ContentError::Malformed(_))));
        }
        let large = vec![0; CONTENT_BYTES_MAX + 1];
        let event = Event { sealed: Some(commitment(&large)), ..event };
        assert_eq!(Content::of(&event, large), Err(ContentError::Other), "too large to be looked at");
    }
}
