//! Arguments that several commands of `tram ca` have.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use schema::time::Millis;

use super::super::book::{Reason, SerialNo};
use super::super::subject::{Place, citizen_number};
use super::LEAF_DAYS;
use crate::calendar;

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(in crate::ca) struct PlaceArgument {
    /// The province (tỉnh, thành phố) as it is officially written: "Tỉnh Phú Thọ".
    #[arg(long)]
    province: Option<String>,
    /// For the centre (trung ương): the name of the organisation whose offices it certifies.
    #[arg(long, value_name = "ORGANISATION")]
    centre: Option<String>,
}

impl PlaceArgument {
    pub(in crate::ca) fn place(self) -> Result<Place> {
        match (self.province, self.centre) {
            (Some(province), None) => Ok(Place::Province(province)),
            (None, Some(centre)) => Ok(Place::Centre(centre)),
            _ => bail!("name either --province or --centre"),
        }
    }
}

#[derive(Args)]
pub(in crate::ca) struct OfficeArguments {
    /// The authority's folder.
    pub(in crate::ca) folder: PathBuf,
    /// The office: its id (32 digits), or with --deployment any code it holds.
    #[arg(long)]
    pub(in crate::ca) office: String,
    #[command(flatten)]
    pub(in crate::ca) key: OfficeKeyArgument,
    /// The office's name; from the directory with --deployment.
    #[arg(long)]
    pub(in crate::ca) name: Option<String>,
    #[command(flatten)]
    pub(in crate::ca) terms: TermsArgument,
}

#[derive(Args)]
pub(in crate::ca) struct OfficerArguments {
    /// The authority's folder.
    pub(in crate::ca) folder: PathBuf,
    /// The request (PKCS#10). Only its key is used; a name in it must be the one given here.
    #[arg(long, value_name = "FILE")]
    pub(in crate::ca) csr: PathBuf,
    /// The person's name.
    #[arg(long)]
    pub(in crate::ca) name: String,
    /// Citizen number (số căn cước công dân); masked wherever it is shown.
    #[arg(long, value_parser = citizen_number)]
    pub(in crate::ca) citizen_id: Option<String>,
    /// A file with the citizen number, where others can see this machine's processes or the shell's history.
    #[arg(long, value_name = "FILE", conflicts_with = "citizen_id")]
    pub(in crate::ca) citizen_id_file: Option<PathBuf>,
    /// The office they work in (cơ quan, đơn vị).
    #[arg(long)]
    pub(in crate::ca) unit: Option<String>,
    /// Their position (chức vụ).
    #[arg(long)]
    pub(in crate::ca) title: Option<String>,
    #[command(flatten)]
    pub(in crate::ca) terms: TermsArgument,
}

#[derive(Args)]
pub(in crate::ca) struct RenewArguments {
    /// The authority's folder.
    pub(in crate::ca) folder: PathBuf,
    /// Which certificate.
    pub(in crate::ca) serial: SerialNo,
    /// A request for a new key; the same key goes on when left out.
    #[arg(long, value_name = "FILE")]
    pub(in crate::ca) csr: Option<PathBuf>,
    /// The deployment's folder: an office's key of today comes from its signed directory.
    #[arg(long, conflicts_with = "csr")]
    pub(in crate::ca) deployment: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::ca) terms: TermsArgument,
}

#[derive(Args)]
pub(in crate::ca) struct RevokeArguments {
    /// The authority's folder.
    pub(in crate::ca) folder: PathBuf,
    /// Which certificate.
    pub(in crate::ca) serial: SerialNo,
    /// Why (lý do thu hồi).
    #[arg(long, value_enum)]
    pub(in crate::ca) reason: Reason,
    /// From when the key must not be believed: when it was lost, not when that was noticed. A day (from midnight in Vietnam),
    /// or a moment like 2026-11-20T08:00:00+07:00.
    #[arg(long, value_name = "TIME", value_parser = calendar::moment)]
    pub(in crate::ca) invalid_from: Option<Millis>,
}

#[derive(Args)]
pub(in crate::ca) struct ReleaseArguments {
    /// The authority's folder.
    pub(in crate::ca) folder: PathBuf,
    /// Which certificate.
    pub(in crate::ca) serial: SerialNo,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub(in crate::ca) struct OfficeKeyArgument {
    /// The request (PKCS#10) made with the node's key.
    #[arg(long, value_name = "FILE")]
    pub(in crate::ca) csr: Option<PathBuf>,
    /// The node's public key: 64 hexadecimal digits, or a file with them. Nobody has proven to hold it: be sure.
    #[arg(long, conflicts_with = "csr")]
    pub(in crate::ca) public_key: Option<String>,
    /// The deployment's folder: key, name and province come from its signed directory.
    #[arg(long, conflicts_with = "public_key")]
    pub(in crate::ca) deployment: Option<PathBuf>,
}

#[derive(Args)]
pub(in crate::ca) struct TermsArgument {
    /// For how many days the certificate counts.
    #[arg(long, default_value_t = LEAF_DAYS)]
    pub(in crate::ca) days: u64,
    /// What the key lies in (thiết bị lưu khóa): token and its number, SIM, HSM, file.
    #[arg(long)]
    pub(in crate::ca) device: Option<String>,
}

#[derive(Args)]
pub(in crate::ca) struct MinutesArguments {
    /// The authority's folder.
    pub(in crate::ca) folder: PathBuf,
    /// Which certificate.
    pub(in crate::ca) serial: SerialNo,
    /// Who hands over (bên giao): name.
    #[arg(long)]
    pub(in crate::ca) from: String,
    /// Position (chức vụ) of who hands over.
    #[arg(long)]
    pub(in crate::ca) from_position: String,
    /// Office (đơn vị) of who hands over.
    #[arg(long)]
    pub(in crate::ca) from_office: String,
    /// Who receives (bên nhận): name.
    #[arg(long)]
    pub(in crate::ca) to: String,
    /// Position (chức vụ) of who receives.
    #[arg(long)]
    pub(in crate::ca) to_position: String,
    /// Office (đơn vị) of who receives.
    #[arg(long)]
    pub(in crate::ca) to_office: String,
    /// Where it is done (địa điểm).
    #[arg(long)]
    pub(in crate::ca) place: String,
    /// The device (thiết bị lưu khóa): kind, maker, number.
    #[arg(long)]
    pub(in crate::ca) device: String,
    /// State of the device, and what comes with it (tình trạng, tài liệu kèm theo).
    #[arg(long, default_value = "hoạt động bình thường")]
    pub(in crate::ca) state: String,
}
