//! The entries of the directory and what makes one sound on its own.

use std::fmt;

use jiff::civil::Date;
use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::id::{OfficeId, RegionId};
use crate::text::{TextError, quoted, require_nfc};
use crate::time::Day;

/// The longest name of an office or region, in characters.
pub const NAME_CHARS_MAX: usize = 300;
/// The longest code, in characters: edXML `OrganId` since 15 September 2022.
pub const CODE_CHARS_MAX: usize = 35;
/// The most names, places or codes (each) that one office may have over its whole life.
pub const ENTRIES_MAX: usize = 64;
/// The most relays one office may name.
pub const RELAYS_MAX: usize = 8;
/// The longest address of a region's NATS server, in bytes.
pub const URL_BYTES_MAX: usize = 255;

/// The tier (*cấp*) an office belongs to. Which tiers exist is data: districts ended on 2025-06-30.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Tier {
    /// Central (*trung ương*): ministries and what belongs to them.
    #[n(0)]
    Central,
    /// Province or centrally-run city (*tỉnh, thành phố trực thuộc trung ương*).
    #[n(1)]
    Province,
    /// District (*huyện, quận, thị xã, thành phố thuộc tỉnh*).
    #[n(2)]
    District,
    /// Commune (*xã, phường, thị trấn, đặc khu*).
    #[n(3)]
    Commune,
}

impl Tier {
    /// Its token in tables and ids: `central`, `province`, `district`, `commune`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Central => "central",
            Self::Province => "province",
            Self::District => "district",
            Self::Commune => "commune",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stretch of time, both ends included. `None` means: not known to begin, or not ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Period<T> {
    /// The first day or millisecond inside.
    pub from: Option<T>,
    /// The last day or millisecond inside.
    pub until: Option<T>,
}

/// When an attribute holds, in whole days of the Vietnamese calendar.
pub type Validity = Period<Date>;

impl<T: Copy + Ord> Period<T> {
    /// Without beginning and end.
    pub const ALWAYS: Self = Self { from: None, until: None };

    /// From this moment on.
    pub const fn since(from: T) -> Self {
        Self { from: Some(from), until: None }
    }

    /// Up to and including this moment.
    pub const fn up_to(until: T) -> Self {
        Self { from: None, until: Some(until) }
    }

    /// Whether this moment lies inside.
    pub fn contains(&self, at: T) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at <= until)
    }

    /// Whether the two share a moment.
    pub fn overlaps(&self, other: &Self) -> bool {
        let begins_in_time = |a: &Self, b: &Self| match (a.from, b.until) {
            (Some(from), Some(until)) => from <= until,
            _ => true,
        };
        begins_in_time(self, other) && begins_in_time(other, self)
    }

    fn runs_forward(&self) -> bool {
        self.overlaps(self)
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.until) {
            (None, None) => f.write_str("without known dates"),
            (Some(from), None) => write!(f, "since {from}"),
            (None, Some(until)) => write!(f, "until {until}"),
            (Some(from), Some(until)) => write!(f, "from {from} until {until}"),
        }
    }
}

fn encode_ends<W: Write, T>(
    e: &mut Encoder<W>,
    period: &Period<T>,
    mut one: impl FnMut(&mut Encoder<W>, &T) -> Result<(), EncodeError<W::Error>>,
) -> Result<(), EncodeError<W::Error>> {
    e.array(2)?;
    for end in [&period.from, &period.until] {
        match end {
            None => {
                e.null()?;
            }
            Some(end) => one(e, end)?,
        }
    }
    Ok(())
}

fn decode_ends<'b, T>(
    d: &mut Decoder<'b>,
    mut one: impl FnMut(&mut Decoder<'b>) -> Result<T, DecodeError>,
) -> Result<Period<T>, DecodeError> {
    let position = d.position();
    if d.array()? != Some(2) {
        return Err(DecodeError::message("period is not an array of two").at(position));
    }
    let mut end = || {
        if d.datatype()? == minicbor::data::Type::Null { d.null().map(|()| None) } else { one(d).map(Some) }
    };
    Ok(Period { from: end()?, until: end()? })
}

impl<C> Encode<C> for Validity {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        encode_ends(e, self, |e, day| Day(*day).encode(e, ctx))
    }
}

impl<'b, C> Decode<'b, C> for Validity {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        decode_ends(d, |d| day::decode(d, ctx))
    }
}

/// Which list a code (*mã định danh*) comes from. A code text means something only within one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CodeSystem {
    /// QĐ 20/2020/QĐ-TTg, written large to small: `G12.18`.
    Qd20,
    /// QCVN 102:2016, written small to large: `000.00.18.G12`; edXML `OrganId` of older systems.
    Qcvn102,
    /// The General Statistics Office's codes of administrative units, one list per tier: `01`, `001`,
    /// `00004`.
    StatisticsUnit(Tier),
}

impl CodeSystem {
    /// Every system, in wire order.
    pub const ALL: [Self; 6] = [
        Self::Qd20,
        Self::Qcvn102,
        Self::StatisticsUnit(Tier::Central),
        Self::StatisticsUnit(Tier::Province),
        Self::StatisticsUnit(Tier::District),
        Self::StatisticsUnit(Tier::Commune),
    ];

    const fn number(self) -> u8 {
        match self {
            Self::Qd20 => 0,
            Self::Qcvn102 => 1,
            Self::StatisticsUnit(Tier::Central) => 2,
            Self::StatisticsUnit(Tier::Province) => 3,
            Self::StatisticsUnit(Tier::District) => 4,
            Self::StatisticsUnit(Tier::Commune) => 5,
        }
    }
}

impl fmt::Display for CodeSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qd20 => f.write_str("QĐ 20/2020"),
            Self::Qcvn102 => f.write_str("QCVN 102:2016"),
            Self::StatisticsUnit(tier) => write!(f, "statistics ({tier})"),
        }
    }
}

impl<C> Encode<C> for CodeSystem {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.u8(self.number()).map(|_| ())
    }
}

impl<'b, C> Decode<'b, C> for CodeSystem {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let position = d.position();
        let number = d.u8()?;
        Self::ALL
            .get(usize::from(number))
            .copied()
            .ok_or_else(|| DecodeError::message("unknown code system").at(position))
    }
}

/// A name (*tên cơ quan*; edXML `OrganName`) and when it was borne.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Name {
    /// The name, in NFC, at most [`NAME_CHARS_MAX`] characters.
    #[n(0)]
    pub text: String,
    /// When.
    #[n(1)]
    pub validity: Validity,
}

/// Where an office stood among the others, and when.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Place {
    /// Its tier.
    #[n(0)]
    pub tier: Tier,
    /// The office above it (*đơn vị chủ quản*), if any.
    #[n(1)]
    pub parent: Option<OfficeId>,
    /// When.
    #[n(2)]
    pub validity: Validity,
}

/// A code and when the office held it. Any text up to [`CODE_CHARS_MAX`] characters: irregular codes such as
/// `28.22.H17` are in real use, so shape decides nothing.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Code {
    /// The list it comes from.
    #[n(0)]
    pub system: CodeSystem,
    /// The code as it is written.
    #[n(1)]
    pub text: String,
    /// When.
    #[n(2)]
    pub validity: Validity,
}

/// An office (*cơ quan, đơn vị*): anyone who sends or receives.
///
/// The fields are open for whoever assembles one; only [`Office::check`] and, among the others,
/// [`super::Directory::new`] make it trustworthy.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Office {
    /// For ever.
    #[n(0)]
    pub id: OfficeId,
    /// Its names; at any date at most one. It exists on the days on which it has a name.
    #[cbor(n(1), decode_with = "bounded::<_, _, ENTRIES_MAX>")]
    pub names: Vec<Name>,
    /// Its places; at any date at most one.
    #[cbor(n(2), decode_with = "bounded::<_, _, ENTRIES_MAX>")]
    pub places: Vec<Place>,
    /// Its codes, several side by side.
    #[cbor(n(3), decode_with = "bounded::<_, _, ENTRIES_MAX>")]
    pub codes: Vec<Code>,
    /// The NATS login of its station: a public user nkey, `U…`.
    #[n(4)]
    pub login: Option<String>,
    /// The regions that keep its mailbox, the preferred one first; empty until it is enrolled.
    #[cbor(n(5), decode_with = "bounded::<_, _, RELAYS_MAX>")]
    pub relays: Vec<RegionId>,
}

impl Office {
    /// An office that is known by its id only.
    pub const fn new(id: OfficeId) -> Self {
        Self { id, names: Vec::new(), places: Vec::new(), codes: Vec::new(), login: None, relays: Vec::new() }
    }

    /// Its name on this day; `None` when it does not exist.
    pub fn name_at(&self, at: Date) -> Option<&str> {
        self.names.iter().find(|name| name.validity.contains(at)).map(|name| name.text.as_str())
    }

    /// Its place on this day.
    pub fn place_at(&self, at: Date) -> Option<&Place> {
        self.places.iter().find(|place| place.validity.contains(at))
    }

    /// Its code in this system on this day.
    pub fn code_at(&self, system: CodeSystem, at: Date) -> Option<&str> {
        let mut held = self.codes.iter().filter(|code| code.system == system && code.validity.contains(at));
        held.next().map(|code| code.text.as_str())
    }

    /// Whether it exists on this day.
    pub fn exists_at(&self, at: Date) -> bool {
        self.name_at(at).is_some()
    }

    /// Whether it has been given a mailbox. Which key its station signs with is for certificates to say
    /// ([`crate::registry`]).
    pub fn is_enrolled(&self) -> bool {
        !self.relays.is_empty()
    }

    /// Checks what can be judged without the other offices.
    ///
    /// # Errors
    ///
    /// The first [`OfficeFault`] found.
    pub fn check(&self) -> Result<(), OfficeFault> {
        let counts =
            [self.names.len(), self.places.len(), self.codes.len()].map(|found| (found, ENTRIES_MAX));
        for (what, (found, max)) in ["names", "places", "codes", "relays"]
            .into_iter()
            .zip(counts.into_iter().chain([(self.relays.len(), RELAYS_MAX)]))
        {
            if found > max {
                return Err(OfficeFault::TooMany { what, found, max });
            }
        }
        if self.names.is_empty() {
            return Err(OfficeFault::Nameless);
        }
        for name in &self.names {
            check_text("name", &name.text, NAME_CHARS_MAX)?;
        }
        for code in &self.codes {
            check_text("code", &code.text, CODE_CHARS_MAX)?;
        }
        check_periods("name", self.names.iter().map(|name| name.validity), true)?;
        check_periods("place", self.places.iter().map(|place| place.validity), true)?;
        check_periods("code", self.codes.iter().map(|code| code.validity), false)?;
        if self.places.iter().any(|place| place.parent == Some(self.id)) {
            return Err(OfficeFault::OwnParent);
        }
        if let Some(login) = &self.login {
            check_login(login)?;
        }
        for (n, relay) in self.relays.iter().enumerate() {
            if self.relays[..n].contains(relay) {
                return Err(OfficeFault::RelayTwice { region: relay.clone() });
            }
        }
        Ok(())
    }
}

/// A region: one relay and the offices that have their mailboxes there.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Region {
    /// Its token.
    #[n(0)]
    pub id: RegionId,
    /// Its name for people.
    #[n(1)]
    pub name: String,
    /// Where its NATS server listens: `nats://host:port` or `tls://host:port`, never with a password inside.
    #[n(2)]
    pub url: String,
    /// The NATS login of its relay at other relays: a public user nkey, `U…`.
    #[n(3)]
    pub login: Option<String>,
    /// The Ed25519 key with which its relay says when an event was there ([`crate::stamp`]). Another one than the
    /// login's: that one signs whatever a server asks it to.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub stamp_key: Option<[u8; 32]>,
}

impl Region {
    /// Checks what can be judged without the other regions.
    ///
    /// # Errors
    ///
    /// The first [`OfficeFault`] found.
    pub fn check(&self) -> Result<(), OfficeFault> {
        check_text("name", &self.name, NAME_CHARS_MAX)?;
        if let Some(login) = &self.login {
            check_login(login)?;
        }
        let host =
            self.url.strip_prefix("nats://").or_else(|| self.url.strip_prefix("tls://")).unwrap_or_default();
        // The address ends up in generated server configurations: nothing there may quote, open a block or
        // carry a password.
        let plain = |c: u8| c.is_ascii_alphanumeric() || b".-_:[]".contains(&c);
        if host.is_empty() || self.url.len() > URL_BYTES_MAX || !host.bytes().all(plain) {
            return Err(OfficeFault::Url { url: quoted(&self.url) });
        }
        Ok(())
    }
}

/// One office took over from another on a day. Many to many: an office may be divided, several may be merged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Successor {
    /// The office that gave up the task.
    #[n(0)]
    pub old: OfficeId,
    /// The office that took it over.
    #[n(1)]
    pub new: OfficeId,
    /// The first day of the new one.
    #[cbor(n(2), with = "day")]
    pub date: Date,
}

mod day {
    use super::{Date, Day, Decode as _, DecodeError, Decoder, Encode as _, EncodeError, Encoder, Write};

    pub(super) fn encode<C, W: Write>(
        day: &Date,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        Day(*day).encode(e, ctx)
    }

    pub(super) fn decode<C>(d: &mut Decoder<'_>, ctx: &mut C) -> Result<Date, DecodeError> {
        Day::decode(d, ctx).map(|day| day.0)
    }
}

/// Why an office or region cannot stand in the directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfficeFault {
    /// No name at all.
    #[error("it has no name; give it at least one")]
    Nameless,
    /// More entries of one sort than allowed.
    #[error("it has {found} {what}, at most {max} are allowed")]
    TooMany {
        /// Which sort.
        what: &'static str,
        /// How many it has.
        found: usize,
        /// How many it may have.
        max: usize,
    },
    /// A text that is too long or not in NFC.
    #[error("its {what} cannot be carried")]
    Text {
        /// Which text.
        what: &'static str,
        /// Why.
        source: TextError,
    },
    /// A text that is empty, has blanks at its ends, or holds control characters.
    #[error("its {what} `{text}` is empty, has blanks at an end or holds control characters; correct it")]
    Unclean {
        /// Which text.
        what: &'static str,
        /// Its beginning.
        text: String,
    },
    /// A period that ends before it begins.
    #[error("the period of a {what} ends before it begins; correct its dates")]
    Backwards {
        /// The period of what.
        what: &'static str,
    },
    /// Two names or two places at one date.
    #[error("two entries of its {what} hold at the same time; end one the day before the other begins")]
    Overlap {
        /// Which.
        what: &'static str,
    },
    /// It names itself as its parent.
    #[error("it names itself as its parent; leave the parent out or correct it")]
    OwnParent,
    /// Not a public user nkey.
    #[error(
        "`{login}` is no public key of a NATS user: expected 56 characters beginning with `U`, checksum right"
    )]
    Login {
        /// The login, shortened.
        login: String,
    },
    /// One relay twice in the order of preference.
    #[error("it names relay `{region}` twice; keep the preferred place")]
    RelayTwice {
        /// Which.
        region: RegionId,
    },
    /// Not the address of a NATS server.
    #[error("`{url}` is not the address of a NATS server: expected `nats://host:port` or `tls://host:port`")]
    Url {
        /// The address, shortened.
        url: String,
    },
}

fn check_text(what: &'static str, text: &str, chars_max: usize) -> Result<(), OfficeFault> {
    require_nfc(text, chars_max).map_err(|source| OfficeFault::Text { what, source })?;
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return Err(OfficeFault::Unclean { what, text: quoted(text).escape_default().to_string() });
    }
    Ok(())
}

fn check_periods<T: Copy + Ord>(
    what: &'static str,
    periods: impl Iterator<Item = Period<T>>,
    one_at_a_time: bool,
) -> Result<(), OfficeFault> {
    let mut earlier = Vec::new();
    for period in periods {
        if !period.runs_forward() {
            return Err(OfficeFault::Backwards { what });
        }
        if one_at_a_time && earlier.iter().any(|other: &Period<T>| other.overlaps(&period)) {
            return Err(OfficeFault::Overlap { what });
        }
        earlier.push(period);
    }
    Ok(())
}

/// A public user nkey: base32 of one type byte, 32 key bytes and a CRC-16 (XMODEM, little-endian) over both.
/// A mistyped login would lock an office out of its mailbox, so the checksum is checked where it enters.
fn check_login(login: &str) -> Result<(), OfficeFault> {
    const USER: u8 = 20 << 3;
    let bytes = base32(login);
    let sound = bytes.is_some_and(|bytes| {
        let (body, checksum) = bytes.split_at(33);
        body[0] == USER && crc16(body).to_le_bytes() == *checksum
    });
    if sound { Ok(()) } else { Err(OfficeFault::Login { login: quoted(login) }) }
}

/// 56 digits of base32 (RFC 4648, upper case) are exactly 35 bytes.
fn base32(text: &str) -> Option<[u8; 35]> {
    let digits = text.as_bytes();
    if digits.len() != 56 {
        return None;
    }
    let mut bytes = [0; 35];
    for (five, eight) in bytes.chunks_exact_mut(5).zip(digits.chunks_exact(8)) {
        let mut group = 0_u64;
        for digit in eight {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'2'..=b'7' => digit - b'2' + 26,
                _ => return None,
            };
            group = group << 5 | u64::from(value);
        }
        five.copy_from_slice(&group.to_be_bytes()[3..]);
    }
    Some(bytes)
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

/// Decodes an array of known length and refuses more than `MAX` elements before reading them, so that a few
/// bytes cannot claim a large memory.
pub(super) fn bounded<'b, C, T: Decode<'b, C>, const MAX: usize>(
    d: &mut Decoder<'b>,
    ctx: &mut C,
) -> Result<Vec<T>, DecodeError> {
    /// What is set aside on the word of the length alone, in elements.
    const TRUSTED_MAX: usize = 1024;
    let position = d.position();
    let length = d.array()?.and_then(|length| usize::try_from(length).ok()).filter(|length| *length <= MAX);
    let Some(length) = length else {
        return Err(DecodeError::message("array of unknown length or with too many elements").at(position));
    };
    let mut items = Vec::with_capacity(length.min(TRUSTED_MAX));
    for _ in 0..length {
        items.push(T::decode(d, ctx)?);
    }
    items.shrink_to_fit();
    Ok(items)
}
