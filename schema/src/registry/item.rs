//! What the registry is made of: items that prove themselves, so that anybody may carry them.

use std::fmt;
use std::sync::Arc;

use minicbor::{Decode, Decoder, Encode, Encoder};
use sha2::{Digest, Sha256};

use crate::cose::infallible;
use crate::directory::SNAPSHOT_BYTES_MAX;
use crate::id::write_hex;
use crate::trust::certificate::CERTIFICATE_BYTES_MAX;
use crate::trust::crl::LIST_BYTES_MAX;

/// Most items of one registry: every office of the country with a few certificates.
pub const ITEMS_MAX: usize = 400_000;
/// Largest registry file, in bytes: the directory of the country, its certificates, and large lists.
pub const REGISTRY_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX + 192 * 1024 * 1024;

/// Largest announcement, in bytes: an event with one key in it.
pub(super) const ANNOUNCEMENT_BYTES_MAX: usize = 4 * 1024;

const FORMAT: &str = "tram/registry/v1";
/// Room for the frame around a snapshot, in bytes.
const FRAME_BYTES: usize = 256;

/// What an item is. Numbers are stable for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum ItemKind {
    /// A root certificate. Counts only where its hash is pinned; never taken from the network.
    #[n(0)]
    Anchor,
    /// The directory, signed by the registrar.
    #[n(1)]
    Directory,
    /// The certificate of a delegated authority or of an office's node (X.509, DER).
    #[n(2)]
    Certificate,
    /// A revocation list (*danh sách thu hồi*; X.509 CRL, DER).
    #[n(3)]
    RevocationList,
    /// An office announces its next key, signed with the present one ([`crate::body::KeyAnnouncement`]).
    #[n(4)]
    Announcement,
}

impl ItemKind {
    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Anchor),
            1 => Some(Self::Directory),
            2 => Some(Self::Certificate),
            3 => Some(Self::RevocationList),
            4 => Some(Self::Announcement),
            _ => None,
        }
    }

    /// Largest item of this kind, in bytes.
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Anchor | Self::Certificate => CERTIFICATE_BYTES_MAX,
            Self::Directory => SNAPSHOT_BYTES_MAX + FRAME_BYTES,
            Self::RevocationList => LIST_BYTES_MAX,
            Self::Announcement => ANNOUNCEMENT_BYTES_MAX,
        }
    }

    /// What to call it in a message.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anchor => "root certificate",
            Self::Directory => "directory",
            Self::Certificate => "certificate",
            Self::RevocationList => "revocation list",
            Self::Announcement => "key announcement",
        }
    }
}

/// SHA-256 over kind and bytes of an item: what it is known by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ItemId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One item, with nothing proven about it yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    kind: ItemKind,
    bytes: Arc<[u8]>,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.kind.word(), self.bytes.len())
    }
}

/// Why bytes are not a registry file, or not an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemFormatError {
    /// Too large; not looked at.
    #[error("the {what} has {found} bytes, at most {max} are accepted")]
    TooLarge {
        /// What it says it is.
        what: &'static str,
        /// Its size in bytes.
        found: usize,
        /// How large it may be.
        max: usize,
    },
    /// Not a registry file of this version.
    #[error("not a registry file `{FORMAT}` with at most {ITEMS_MAX} items: {0}")]
    Malformed(String),
}

impl Item {
    /// An item of this kind; bounds it.
    ///
    /// # Errors
    /// When it is larger than any of its kind.
    pub fn new(kind: ItemKind, bytes: impl Into<Arc<[u8]>>) -> Result<Self, ItemFormatError> {
        let bytes = bytes.into();
        let (what, found, max) = (kind.word(), bytes.len(), kind.bytes_max());
        if found > max {
            return Err(ItemFormatError::TooLarge { what, found, max });
        }
        Ok(Self { kind, bytes })
    }

    /// What it says it is.
    pub const fn kind(&self) -> ItemKind {
        self.kind
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its bytes, shared.
    pub fn shared_bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    /// What it is known by.
    pub fn id(&self) -> ItemId {
        let mut hash = Sha256::new();
        hash.update([self.kind.number()]);
        hash.update(&self.bytes);
        ItemId(hash.finalize().into())
    }
}

/// The bytes of a registry file: these items, in order. Unsigned, because every item proves itself.
pub fn encode_items<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<u8> {
    let items: Vec<&Item> = items.into_iter().collect();
    let mut bytes = Vec::with_capacity(64 + items.iter().map(|item| item.bytes.len() + 8).sum::<usize>());
    let mut e = Encoder::new(&mut bytes);
    infallible(e.array(2).and_then(|e| e.str(FORMAT)?.array(items.len() as u64)));
    for item in items {
        infallible(e.array(2).and_then(|e| e.u8(item.kind.number())?.bytes(&item.bytes)));
    }
    bytes
}

/// Takes a registry file apart; bounds it and each item first. Nothing is proven yet.
///
/// # Errors
/// When it is too large or not a registry file; then nothing of it is used.
pub fn decode_items(bytes: &[u8]) -> Result<Vec<Item>, ItemFormatError> {
    if bytes.len() > REGISTRY_BYTES_MAX {
        let (what, found, max) = ("registry file", bytes.len(), REGISTRY_BYTES_MAX);
        return Err(ItemFormatError::TooLarge { what, found, max });
    }
    let malformed = |error: minicbor::decode::Error| ItemFormatError::Malformed(error.to_string());
    let wrong = |what: &str| ItemFormatError::Malformed(what.to_owned());
    let mut d = Decoder::new(bytes);
    if d.array().map_err(malformed)? != Some(2) || d.str().map_err(malformed)? != FORMAT {
        return Err(wrong("it begins otherwise"));
    }
    let count = d.array().map_err(malformed)?.and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| *count <= ITEMS_MAX).ok_or_else(|| wrong("too many items"))?;
    let mut items = Vec::with_capacity(count.min(bytes.len() / 4));
    for _ in 0..count {
        if d.array().map_err(malformed)? != Some(2) {
            return Err(wrong("an item is not a pair"));
        }
        let kind = ItemKind::from_number(d.u8().map_err(malformed)?);
        let kind = kind.ok_or_else(|| wrong("an item of an unknown kind"))?;
        items.push(Item::new(kind, d.bytes().map_err(malformed)?)?);
    }
    if d.position() != bytes.len() {
        return Err(wrong("bytes follow the last item"));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn file_holds_its_items_in_order(
            items in prop::collection::vec((0..5_u8, prop::collection::vec(any::<u8>(), 0..60)), 0..20),
            cut: prop::sample::Index,
        ) {
            let items: Vec<Item> = items
                .into_iter()
                .map(|(kind, bytes)| {
                    Item::new(ItemKind::from_number(kind).expect("below 5"), bytes).expect("small")
                })
                .collect();
            let file = encode_items(&items);
            prop_assert_eq!(decode_items(&file), Ok(items));
            let cut = cut.index(file.len());
            prop_assert!(decode_items(&file[..cut]).is_err());
            prop_assert!(decode_items(&[&file[..], &[0]].concat()).is_err());
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_items(&bytes);
            let _ = decode_items(&[b"\x82\x70tram/registry/v1", &bytes[..]].concat());
        }
    }

    #[test]
    fn oversize_item_is_refused_by_name() {
        let too_large = Item::new(ItemKind::Certificate, vec![0; CERTIFICATE_BYTES_MAX + 1]);
        assert!(matches!(too_large, Err(ItemFormatError::TooLarge { what: "certificate", .. })));
    }

    #[test]
    fn same_bytes_of_another_kind_are_another_item() {
        let one = Item::new(ItemKind::Certificate, vec![1, 2]).expect("small");
        let other = Item::new(ItemKind::RevocationList, vec![1, 2]).expect("small");
        assert_ne!(one.id(), other.id());
    }
}
