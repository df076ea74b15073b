//! Identifiers: parsed once, valid ever after, printed and parsed in one form only.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// A text that is not the identifier it claims to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the expected number of lower-case hexadecimal digits.
    #[error("`{text}` is not a {what}: expected {digits} lower-case hexadecimal digits")]
    Hex {
        /// Which identifier was expected.
        what: &'static str,
        /// How many digits it has.
        digits: usize,
        /// The text, cut to 80 characters.
        text: String,
    },
    /// Not a region token.
    #[error(
        "`{text}` is not a region: expected 1 to 32 of a-z, 0-9 and `-`, starting with a letter or digit"
    )]
    Region {
        /// The text, cut to 80 characters.
        text: String,
    },
    /// Not an incarnation.
    #[error("{number} is not an incarnation: at most {} is possible", Incarnation::MAX.number())]
    Incarnation {
        /// The number.
        number: u64,
    },
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The bytes as lower-case hexadecimal digits: the one form in which ids, hashes and keys are written.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// What [`hex`] says, without a text in between.
pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    HEXLOWER.encode_write(bytes, f)
}

fn parse_hex<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], IdError> {
    let error = || IdError::Hex { what, digits: 2 * N, text: shortened(text) };
    let digit = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(error()),
    };
    if text.len() != 2 * N {
        return Err(error());
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
        #[cbor(transparent)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] [u8; $bytes]);

        impl $name {
            /// The identifier with these bytes.
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex($what, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                let bytes = bytes.try_into().map_err(|_| IdError::Hex {
                    what: $what,
                    digits: 2 * $bytes,
                    text: format!("{} bytes", bytes.len()),
                })?;
                Ok(Self(bytes))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

byte_id! {
    /// An office (*cơ quan, đơn vị*): anyone who sends or receives. Opaque and never re-used; codes are attributes
    /// with validity dates, because real codes are re-used (see [`crate::directory`]).
    OfficeId, 16, "office id"
}

byte_id! {
    /// A document (*văn bản*), the same for all its recipients and for every event that carries it; edXML
    /// `DocumentId` in its UUID form. What enters a register once (P2) is the pair (issuing office, document).
    DocumentId, 16, "document id"
}

byte_id! {
    /// SHA-256 over the `Sig_structure` (RFC 9052 section 4.4) of an event: over what was signed, not over the
    /// signature, because one signer can make many valid signatures of one message.
    EventId, 32, "event id"
}

byte_id! {
    /// SHA-256 of an attachment's bytes as they travel, sealed: its name at stations and relays.
    BlobHash, 32, "blob hash"
}

byte_id! {
    /// SHA-256 of an attachment's bytes as people have them: what a document names, and nobody else learns.
    FileHash, 32, "file hash"
}

byte_id! {
    /// The first 16 bytes of the SHA-256 of an Ed25519 public key: names a key inside the signed frame.
    KeyId, 16, "key id"
}

byte_id! {
    /// A request for an officer's signature, at the station that asks for it. Drawn at random; the same for whoever
    /// signs, so that asking twice is asking once.
    RequestId, 16, "signing request id"
}

byte_id! {
    /// A take-back or recall of a document (*lấy lại*, *thu hồi*), the same for all recipients that are asked. Drawn at random by
    /// whoever asks, so that asking twice is asking once.
    BusinessId, 16, "id of a take-back or recall"
}

byte_id! {
    /// A piece of work that uses a number of a register and is about no document of the exchange. Drawn at random by whoever asks,
    /// so that asking twice is asking once.
    WorkId, 16, "id of a piece of work"
}

byte_id! {
    /// SHA-256 over a station's state after replay: two replays agree when it does (P7).
    StateHash, 32, "state hash"
}

impl EventId {
    /// What `prev` holds in the first event of an office's first incarnation.
    pub const NONE: Self = Self([0; 32]);
}

/// One region, served by one relay: `trung-uong`, `p01`. Never re-used.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(try_from = "String", into = "String")]
pub struct RegionId(#[n(0)] String);

impl RegionId {
    /// The longest token, in bytes. NATS subjects and account names are built from it.
    pub const LENGTH_MAX: usize = 32;

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RegionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // A region becomes a NATS subject token and a user name: `*`, `>` and `.` would turn into wildcards there.
        let fits = (1..=Self::LENGTH_MAX).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(IdError::Region { text: shortened(text) }) }
    }
}

impl<'b, C> Decode<'b, C> for RegionId {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let position = d.position();
        let parsed = d.str()?.parse();
        parsed.map_err(|_| minicbor::decode::Error::message("not a region").at(position))
    }
}

impl TryFrom<String> for RegionId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RegionId> for String {
    fn from(region: RegionId) -> String {
        region.0
    }
}

impl fmt::Display for RegionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode, Serialize, Deserialize,
        )]
        #[cbor(transparent)]
        #[serde(transparent)]
        pub struct $name(#[n(0)] pub $inner);

        impl $name {
            /// The one after this; stays at the last number there is.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

/// One life of a station: it ends when the station is restored or rebuilt. Order is promised within one incarnation.
///
/// Two parts in one number: how often the station was restored (`ordinal`, high), and a number drawn at that moment
/// (`branch`, low). A station that is restored twice from the same backup does not know of the life in between; the
/// branch keeps the two lives apart, so that no event of one is ever taken for an event of the other.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Serialize, Deserialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Incarnation(#[n(0)] u64);

impl Incarnation {
    const BRANCH_BITS: u32 = 32;
    /// The highest there is: exact in a JSON number (RFC 8259 section 6).
    pub const MAX: Self = Self((1 << 53) - 1);
    /// The first life of a station.
    pub const FIRST: Self = Self(0);

    /// The life number `ordinal` on this branch; stays at [`Incarnation::MAX`] at most.
    pub const fn new(ordinal: u32, branch: u32) -> Self {
        let number = ((ordinal as u64) << Self::BRANCH_BITS) | branch as u64;
        if number > Self::MAX.0 { Self::MAX } else { Self(number) }
    }

    /// The number that is written, sent and compared.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// How often the station was restored.
    pub const fn ordinal(self) -> u64 {
        self.0 >> Self::BRANCH_BITS
    }

    /// The life after this one, on a branch of its own.
    #[must_use]
    pub const fn following(self, branch: u32) -> Self {
        let number = ((self.ordinal() + 1) << Self::BRANCH_BITS) | branch as u64;
        if number > Self::MAX.0 { Self::MAX } else { Self(number) }
    }
}

impl TryFrom<u64> for Incarnation {
    type Error = IdError;

    fn try_from(number: u64) -> Result<Self, IdError> {
        if number <= Self::MAX.0 { Ok(Self(number)) } else { Err(IdError::Incarnation { number }) }
    }
}

impl<'b, C> Decode<'b, C> for Incarnation {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let position = d.position();
        let incarnation = Self::try_from(d.u64()?);
        incarnation.map_err(|_| minicbor::decode::Error::message("not an incarnation").at(position))
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::FIRST {
            return f.write_str("0");
        }
        write!(f, "{}-{:08x}", self.ordinal(), self.0 & u64::from(u32::MAX))
    }
}

number! {
    /// Position in the hash chain of one incarnation; starts at 1, has no gaps.
    Seq, u64
}

number! {
    /// Number of an event among those from one incarnation of a sender to one recipient; starts at 1, has no gaps,
    /// so a recipient sees a withheld event although it does not see the sender's other mail.
    Counter, u64
}

number! {
    /// Order in which one station recorded its own and received events; local, never sent.
    Position, u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn incarnation_follows_on_a_branch_of_its_own() {
        let second = Incarnation::FIRST.following(0xc0ff_ee00);
        assert_eq!((second.ordinal(), second.to_string().as_str()), (1, "1-c0ffee00"));
        assert_eq!(Incarnation::FIRST.to_string(), "0");
        assert!(second < second.following(0), "a later life is the higher number, whatever its branch");
        assert_eq!(Incarnation::MAX.following(5), Incarnation::MAX, "it stops at the end");
    }

    #[test]
    fn incarnation_beyond_the_last_is_refused() {
        let bytes = minicbor::to_vec((1_u64 << 53) - 1).expect("a number");
        assert_eq!(minicbor::decode::<Incarnation>(&bytes).expect("the last"), Incarnation::MAX);
        let bytes = minicbor::to_vec(1_u64 << 53).expect("a number");
        assert!(minicbor::decode::<Incarnation>(&bytes).is_err());
    }

    #[test]
    fn bytes_are_written_in_lower_case_with_every_zero() {
        assert_eq!(hex(&[0x00, 0x0a, 0xff]), "000aff");
        assert_eq!(hex(&[]), "");
        assert_eq!(format!("{:?}", OfficeId::new([0xa0; 16])), hex(&[0xa0; 16]));
    }

    #[test]
    fn region_is_never_a_wildcard_or_a_second_token() {
        for text in ["*", ">", "a.b", "", "-a", "A", "tỉnh", &"a".repeat(33)] {
            assert!(text.parse::<RegionId>().is_err(), "`{text}` passed");
        }
        assert_eq!("p01".parse::<RegionId>().map(String::from), Ok("p01".to_owned()));
    }

    proptest! {
        #[test]
        fn office_id_prints_and_parses_in_one_form(bytes: [u8; 16]) {
            let id = OfficeId::new(bytes);
            prop_assert_eq!(id.to_string().parse::<OfficeId>(), Ok(id));
        }

        #[test]
        fn only_the_printed_form_parses(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<OfficeId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
