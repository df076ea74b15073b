//! Who plays: real offices of the four-tier country, and where their mailboxes are.

/// The day on which the offices are looked up: the last working day but one of the four-tier country.
pub(super) const DAY: jiff::civil::Date = jiff::civil::date(2025, 6, 27);
/// The first day of the three-tier country.
pub(super) const DAY_AFTER: jiff::civil::Date = jiff::civil::date(2025, 7, 1);

/// A region of the demo.
pub(super) struct RegionRole {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
}

pub(super) const REGIONS: [RegionRole; 3] = [
    RegionRole { id: "trung-uong", name: "Trung ương" },
    RegionRole { id: "lao-cai", name: "Tỉnh Lào Cai" },
    RegionRole { id: "da-nang", name: "Thành phố Đà Nẵng" },
];
pub(super) const CENTRE_RELAY: usize = 0;
pub(super) const LAO_CAI_RELAY: usize = 1;
pub(super) const DA_NANG_RELAY: usize = 2;

/// Names an office of [`OFFICES`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Part(pub(super) usize);

/// An office of the demo.
pub(super) struct OfficeRole {
    /// A code it holds on [`DAY`].
    pub(super) code: &'static str,
    /// Its folder.
    pub(super) folder: &'static str,
    /// Regions that keep its mailbox, the preferred one first.
    pub(super) relays: &'static [usize],
}

pub(super) const MINISTRY: Part = Part(0);
pub(super) const LAO_CAI: Part = Part(1);
pub(super) const DA_NANG: Part = Part(2);
pub(super) const BAC_HA: Part = Part(3);
pub(super) const HOA_VANG: Part = Part(4);
pub(super) const NA_HOI: Part = Part(5);
pub(super) const BAN_PHO: Part = Part(6);
pub(super) const NAM_MON: Part = Part(7);
pub(super) const TA_CU_TY: Part = Part(8);
pub(super) const HOA_SON: Part = Part(9);
pub(super) const HOA_BAC: Part = Part(10);
pub(super) const HOA_LIEN: Part = Part(11);

const fn office(code: &'static str, folder: &'static str, relays: &'static [usize]) -> OfficeRole {
    OfficeRole { code, folder, relays }
}

pub(super) const OFFICES: [OfficeRole; 12] = [
    office("G09", "bo-noi-vu", &[CENTRE_RELAY]),
    office("10", "tinh-lao-cai", &[LAO_CAI_RELAY, CENTRE_RELAY]),
    office("48", "thanh-pho-da-nang", &[DA_NANG_RELAY, CENTRE_RELAY]),
    office("085", "huyen-bac-ha", &[LAO_CAI_RELAY]),
    office("497", "huyen-hoa-vang", &[DA_NANG_RELAY]),
    office("02875", "xa-na-hoi", &[LAO_CAI_RELAY]),
    office("02866", "xa-ban-pho", &[LAO_CAI_RELAY]),
    office("02881", "xa-nam-mon", &[LAO_CAI_RELAY]),
    office("02854", "xa-ta-cu-ty", &[LAO_CAI_RELAY]),
    // Its real code, irregular as it is, in use before 2025-07-01.
    office("28.22.H17", "xa-hoa-son", &[DA_NANG_RELAY]),
    office("20293", "xa-hoa-bac", &[DA_NANG_RELAY]),
    office("20296", "xa-hoa-lien", &[DA_NANG_RELAY]),
];

/// Never on line: served by courier only.
pub(super) const BY_COURIER: Part = TA_CU_TY;
/// Closed for the night while its relay dies.
pub(super) const ASLEEP: Part = HOA_BAC;

pub(super) fn parts() -> impl Iterator<Item = Part> {
    (0..OFFICES.len()).map(Part)
}

impl Part {
    pub(super) fn role(self) -> &'static OfficeRole {
        &OFFICES[self.0]
    }
}
