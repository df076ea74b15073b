//! A directory answers at a date; these are its promises, by theme.

mod bytes;
mod delta;
mod enrolment;
mod properties;
mod search;
mod soundness;
mod the_country;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;
use crate::id::{OfficeId, RegionId};
use crate::time::Millis;

const BEFORE: Date = date(2025, 6, 30);
const AFTER: Date = date(2025, 7, 1);
/// A public user nkey whose checksum is right.
const LOGIN: &str = "UAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCLL5";

static COUNTRY: LazyLock<Directory> = LazyLock::new(|| {
    DirectoryBuilder::country()
        .and_then(|builder| builder.build(1, Millis(1_000)))
        .expect("the carried tables hold together")
});

fn id(n: u8) -> OfficeId {
    OfficeId::new([n; 16])
}

fn office(n: u8, name: &str) -> Office {
    let mut office = Office::new(id(n));
    office.names.push(Name { text: name.to_owned(), validity: Validity::ALWAYS });
    office
}

fn region(token: &str) -> Region {
    Region {
        id: token.parse().unwrap(),
        name: token.to_owned(),
        url: "nats://relay.example:4222".to_owned(),
        login: None,
        stamp_key: (token == "p02").then_some([3; 32]),
    }
}

fn directory(offices: impl IntoIterator<Item = Office>) -> Result<Directory, DirectoryError> {
    let offices = offices.into_iter().collect();
    Directory::new(DirectorySnapshot {
        version: 7,
        issued_at: Millis(700),
        regions: vec![region("p01"), region("p02")],
        offices,
        successors: vec![],
    })
}

fn code(system: CodeSystem, text: &str, validity: Validity) -> Code {
    Code { system, text: text.to_owned(), validity }
}

fn unit(tier: Tier, code: &str, at: Date) -> &'static Office {
    COUNTRY.resolve_in(CodeSystem::StatisticsUnit(tier), code, at).unwrap()
}
