//! What an authority can do, as the journal says it. Acts are written once and read for ever: names and fields of those that
//! exist never change.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use data_encoding::HEXLOWER;
use schema::id::hex;
use schema::time::Millis;
use serde::{Deserialize, Serialize};

use super::approval::{Approver, Signed};
use super::build::Words;
use super::proposal::Proposal;
use super::subject::{Place, Subject};

/// Bytes as hexadecimal digits in JSON.
pub(super) mod hexadecimal {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// The number of a certificate (*số sê-ri*): 128 random bits, the first byte not zero, so that it has one spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SerialNo([u8; 16]);

impl SerialNo {
    /// Takes random bytes; `None` when the first is zero: draw again.
    pub const fn new(bytes: [u8; 16]) -> Option<Self> {
        if bytes[0] == 0 { None } else { Some(Self(bytes)) }
    }

    /// Its bytes, most significant first.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SerialNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for SerialNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SerialNo {
    type Err = String;

    /// As it is written here or by openssl (upper case, colons).
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.replace(':', "").to_ascii_lowercase();
        let bytes =
            HEXLOWER.decode(digits.as_bytes()).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        bytes.and_then(Self::new).ok_or_else(|| "a serial number has 32 hexadecimal digits".to_owned())
    }
}

impl TryFrom<String> for SerialNo {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SerialNo> for String {
    fn from(serial: SerialNo) -> Self {
        serial.to_string()
    }
}

/// Why a certificate is revoked (*lý do thu hồi*; RFC 5280 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The key, the token or its PIN is lost, stolen or known to others (lộ, mất khóa bí mật).
    KeyCompromise,
    /// The same for the key of a delegated authority (lộ khóa của cơ quan cấp chứng thư).
    CaCompromise,
    /// The office was merged, split or renamed, the officer moved (sáp nhập, đổi tên, chuyển công tác).
    AffiliationChanged,
    /// A new certificate took its place (đã được thay thế).
    Superseded,
    /// The office was dissolved, the officer retired (giải thể, nghỉ hưu, thôi việc).
    CessationOfOperation,
    /// Suspended until it is looked into (tạm dừng); release lifts it.
    CertificateHold,
    /// The right to sign was withdrawn (thu hồi quyền ký).
    PrivilegeWithdrawn,
}

impl Reason {
    /// Its token, as on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCompromise => "key-compromise",
            Self::CaCompromise => "ca-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::CertificateHold => "certificate-hold",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    pub(super) const fn for_list(self) -> rcgen::RevocationReason {
        use rcgen::RevocationReason as R;
        match self {
            Self::KeyCompromise => R::KeyCompromise,
            Self::CaCompromise => R::CaCompromise,
            Self::AffiliationChanged => R::AffiliationChanged,
            Self::Superseded => R::Superseded,
            Self::CessationOfOperation => R::CessationOfOperation,
            Self::CertificateHold => R::CertificateHold,
            Self::PrivilegeWithdrawn => R::PrivilegeWithdrawn,
        }
    }

    /// Whether one person may revoke for it at once, also where others approve: every hour counts when a key is in
    /// strange hands.
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::KeyCompromise | Self::CaCompromise)
    }

    /// Whether somebody else may have used the key.
    pub const fn is_compromise(self) -> bool {
        matches!(self, Self::KeyCompromise | Self::CaCompromise | Self::PrivilegeWithdrawn)
    }
}

/// One act of an authority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// It began.
    Founded {
        /// Its name.
        subject: Subject,
        /// What it may certify; none for a root.
        place: Option<Place>,
        /// Its key (SubjectPublicKeyInfo, DER); every line of the journal is signed with it.
        #[serde(with = "hexadecimal")]
        spki: Vec<u8>,
        /// Who approves: always of a root, of a delegated authority when it wants that.
        approvers: Vec<Approver>,
    },
    /// Everybody who approves has signed the founding, and so has seen who else does.
    Countersigned {
        /// The proposal that says so.
        proposal: String,
    },
    /// A delegated authority took in its own certificate and the root above it (SHA-256 of each).
    Installed {
        /// Its own.
        certificate: String,
        /// The root's.
        root: String,
        /// Its last second, since 1970.
        not_after_s: u64,
    },
    /// The authority was asked for something that others must approve.
    Proposed {
        /// What.
        proposal: Proposal,
    },
    /// One person agreed.
    Approved {
        /// To what, with the signature.
        approval: Signed,
    },
    /// Who approves from now on.
    ApproversChanged {
        /// By which proposal.
        proposal: String,
    },
    /// A certificate is about to be signed, with exactly these words.
    Intended {
        /// What it says.
        words: Words,
        /// Which one it renews.
        renews: Option<SerialNo>,
        /// Which proposal it carries out.
        proposal: Option<String>,
        /// What its key lies in (*thiết bị lưu khóa bí mật*), in the operator's words.
        device: Option<String>,
    },
    /// It was signed and is on the disk.
    Issued {
        /// Which one.
        serial: SerialNo,
        /// SHA-256 of it.
        hash: String,
    },
    /// A certificate does not count any more.
    Revoked {
        /// Which one.
        serial: SerialNo,
        /// Why.
        reason: Reason,
        /// From when on the key must not be believed.
        invalid_from: Option<Millis>,
        /// Which proposal it carries out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proposal: Option<String>,
    },
    /// A hold was lifted.
    Released {
        /// Which one.
        serial: SerialNo,
        /// Which proposal it carries out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proposal: Option<String>,
    },
    /// A list is about to be signed, of everything revoked so far.
    ListIntended {
        /// Its number.
        number: u64,
        /// Since 1970.
        this_update_s: u64,
        /// Since 1970.
        next_update_s: u64,
    },
    /// It was signed and is on the disk.
    ListIssued {
        /// Its number.
        number: u64,
        /// SHA-256 of it.
        hash: String,
    },
    /// An agency key changed hands, by minutes.
    HandedOver {
        /// Whose.
        serial: SerialNo,
        /// Name of the file in `minutes/`.
        minutes: String,
        /// SHA-256 of it.
        hash: String,
    },
}
