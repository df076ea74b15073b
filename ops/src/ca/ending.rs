//! What ends soon, and who lacks what (*nhu cầu cấp, gia hạn*): certificates of others, the authority's own, and its
//! newest revocation list.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schema::directory::{Directory, Tier};
use schema::id::OfficeId;
use schema::registry::{NodeKey, Registry};
use schema::time::Millis;
use serde::Serialize;

use super::book::{Book, Record, SerialNo, Status};
use super::build::Kind;
use super::{Opening, Place};
use crate::{audit, calendar};

/// On how many days before its end a certificate is warned about; the last ones are the most urgent.
pub const WARNING_DAYS: [u64; 3] = [60, 30, 7];
/// The same for a revocation list: after its end no station can tell any more who is revoked.
pub const LIST_WARNING_DAYS: [u64; 3] = [14, 7, 2];

const DAY_S: u64 = 86_400;

/// Something that ends soon, or has ended unreplaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Which certificate; none for the authority itself and its list.
    pub serial: Option<SerialNo>,
    /// Whose, masked.
    pub subject: String,
    /// Days until its end.
    pub days_left: u64,
    /// The last threshold that was passed: 60, 30 or 7, of a list 14, 7 or 2. 0: it is over.
    pub threshold_days: u64,
    /// Whether that was the last one.
    pub urgent: bool,
    /// What to do about it.
    pub what_to_do: String,
}

/// Something that is lacking (*nhu cầu*).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Need {
    /// Whose name.
    pub name: String,
    /// Its id, when it is an office.
    pub office: Option<OfficeId>,
    /// What it lacks.
    pub what: String,
}

/// The end of something whose last second is that one, if it is near.
fn near(thresholds: [u64; 3], last_second_s: u64, now: Millis) -> Option<(u64, u64, bool)> {
    let left_s = (last_second_s + 1).saturating_sub(now.0 / Millis::SECOND);
    let days_left = left_s / DAY_S;
    if left_s == 0 {
        return Some((0, 0, true));
    }
    let passed = thresholds.into_iter().rev().find(|days| left_s <= days * DAY_S)?;
    Some((days_left, passed, passed == thresholds[2]))
}

impl Opening {
    /// What ends within 60 days, of lists within 14, the soonest first.
    pub fn warnings(&self, now: Millis) -> Vec<Warning> {
        let book = self.book();
        let mut warnings: Vec<Warning> = self.own_warnings(now);
        for record in book.issued().filter(|record| record.status(now) == Status::InUse) {
            let near = near(WARNING_DAYS, record.words.not_after_s, now);
            let Some((days_left, threshold_days, urgent)) = near.filter(|_| !book.is_renewed(record, now))
            else {
                continue;
            };
            let what_to_do = match record.words.kind {
                Kind::Delegated(_) => {
                    "take in its request once more (`tram ca request`), have it approved and issue it"
                        .to_owned()
                }
                _ if book.demands_approval() => {
                    format!("`tram ca request-renew FOLDER {}`", record.words.serial)
                }
                _ => format!("`tram ca renew FOLDER {}`", record.words.serial),
            };
            let (serial, subject) = (Some(record.words.serial), record.words.subject.to_string());
            warnings.push(Warning { serial, subject, days_left, threshold_days, urgent, what_to_do });
        }
        warnings.sort_by_key(|warning| warning.days_left);
        warnings
    }

    /// About the authority itself: its own certificate and its newest list.
    fn own_warnings(&self, now: Millis) -> Vec<Warning> {
        let book = self.book();
        let mut warnings = Vec::new();
        let mut note = |near: Option<(u64, u64, bool)>, subject: String, what_to_do: &str| {
            warnings.extend(near.map(|(days_left, threshold_days, urgent)| {
                let what_to_do = what_to_do.to_owned();
                Warning { serial: None, subject, days_left, threshold_days, urgent, what_to_do }
            }));
        };
        if let Some(own_s) = book.own_not_after_s() {
            let what_to_do = if book.is_root() {
                "make the root that follows it (`tram ca init-root`) and have every station pin both"
            } else {
                "carry `request.csr.pem` to the root's keeper once more, and take in the answer with `tram ca install`"
            };
            note(
                near(WARNING_DAYS, own_s, now),
                format!("{} (this authority itself)", book.subject),
                what_to_do,
            );
        }
        if let Some(list) = book.newest_list() {
            // The list counts to its last second; the one after it is too late.
            let near = near(LIST_WARNING_DAYS, list.next_update_s, now);
            let what_to_do = "`tram ca crl FOLDER`, and hand the new list on to the relays";
            note(near, format!("revocation list {} of {}", list.number, book.subject), what_to_do);
        }
        warnings
    }

    /// Who lacks what: the authority itself, the authorities below it, and offices: of a directory those enrolled within
    /// this jurisdiction, without one those that ever had a certificate from here.
    pub fn needs(&self, registry: Option<&Registry>, now: Millis) -> Vec<Need> {
        let mut needs = self.own_needs(now);
        let mut of_office: BTreeMap<OfficeId, Vec<&Record>> = BTreeMap::new();
        for record in self.book().issued() {
            if let Kind::Office(office) = &record.words.kind {
                of_office.entry(*office).or_default().push(record);
            }
        }
        let mut offices = Vec::new();
        let mut note = |name: &str, office: OfficeId, what: Option<String>| {
            offices.extend(what.map(|what| Need { name: name.to_owned(), office: Some(office), what }));
        };
        match (registry, &self.book().place) {
            (None, _) => {
                for (office, records) in &of_office {
                    let name = records.last().map_or("", |record| record.words.subject.name());
                    note(name, *office, lack(records, now));
                }
            }
            (Some(_), None) => {}
            (Some(registry), Some(place)) => {
                let directory = registry.directory();
                let at = calendar::date_of(now);
                let here = directory.offices().filter(|office| office.is_enrolled());
                for office in here.filter(|office| place.holds(directory, &office.id, at)) {
                    let records = of_office.get(&office.id).map_or(&[][..], Vec::as_slice);
                    let name = audit::newest_name(directory, &office.id);
                    let lack = lack(records, now).or_else(|| unpublished(records, registry, &office.id, now));
                    note(&name, office.id, lack);
                }
            }
        }
        offices.sort_unstable();
        needs.extend(offices);
        needs
    }

    fn own_needs(&self, now: Millis) -> Vec<Need> {
        let book = self.book();
        let mut needs = Vec::new();
        if !book.is_root() && book.own.is_none() {
            let what = "has no certificate: carry `request.csr.pem` to the root's keeper, take in the answer with \
                        `tram ca install`";
            needs.push(Need { name: book.subject.to_string(), office: None, what: what.to_owned() });
        }
        let of_authorities = self.warnings(now).into_iter().filter(|warning| match warning.serial {
            None => true,
            Some(serial) => book
                .certificates
                .get(&serial)
                .is_some_and(|record| matches!(record.words.kind, Kind::Delegated(_))),
        });
        needs.extend(of_authorities.map(|warning| {
            let Warning { subject, days_left, threshold_days, what_to_do, .. } = warning;
            let what = match threshold_days {
                0 => format!("is over: {what_to_do}"),
                _ => format!("ends in {days_left} days: {what_to_do}"),
            };
            Need { name: subject, office: None, what }
        }));
        needs
    }
}

impl Book {
    /// Whether a later certificate for the same subject counts at least as long.
    pub fn is_renewed(&self, record: &Record, now: Millis) -> bool {
        self.issued().any(|other| {
            other.words.subject == record.words.subject
                && other.words.serial != record.words.serial
                && other.status(now) == Status::InUse
                && other.words.not_after_s > record.words.not_after_s
        })
    }
}

impl Place {
    /// Whether an office of the directory lies within it on that day.
    pub fn holds(&self, directory: &Directory, office: &OfficeId, at: Date) -> bool {
        match self {
            Self::Centre(_) => directory.tier_at(office, at) == Some(Tier::Central),
            Self::Province(name) => {
                let is_it = |id: &OfficeId| directory.name_at(id, at) == Some(name.as_str());
                is_it(office) || directory.ancestors_at(office, at).any(|above| is_it(&above.id))
            }
        }
    }
}

/// What an office with these certificates lacks.
fn lack(records: &[&Record], now: Millis) -> Option<String> {
    let in_use = records.iter().filter(|record| record.status(now) == Status::InUse);
    let Some(best) = in_use.max_by_key(|record| record.words.not_after_s) else {
        let newest = records.iter().max_by_key(|record| record.issued_at);
        return Some(newest.map_or_else(
            || "has no certificate".to_owned(),
            |record| format!("has none in use: {} is {}", record.words.serial, record.status(now).label()),
        ));
    };
    let days_left = (best.words.not_after_s + 1).saturating_sub(now.0 / Millis::SECOND) / 86_400;
    (days_left < WARNING_DAYS[0]).then(|| format!("{} expires in {days_left} days", best.words.serial))
}

/// A certificate in use that the registry does not hold: nobody else knows of it.
fn unpublished(records: &[&Record], registry: &Registry, office: &OfficeId, now: Millis) -> Option<String> {
    let held = registry.keys(office).iter().flat_map(NodeKey::certificates);
    let held: Vec<&[u8]> = held.map(|certificate| certificate.serial().as_bytes()).collect();
    let mut in_use = records.iter().filter(|record| record.status(now) == Status::InUse);
    let missing = in_use.find(|record| !held.contains(&record.words.serial.as_bytes().as_slice()))?;
    Some(format!("{} is not in the registry: `tram registry add DEPLOYMENT FOLDER`", missing.words.serial))
}
