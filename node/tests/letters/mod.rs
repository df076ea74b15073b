//! Letters with attachments, for tests of the step alone: whatever carries and looks is played by the test.

use node::step::Opening;
use schema::blob::{BlobIdentity, BlobRef, Enclosure, FileRef};
use schema::id::{BlobHash, FileHash, RegionId};
use schema::time::Millis;

/// 2025-06-10T00:00:00Z.
pub(crate) const DAY: Millis = Millis(1_749_513_600_000);

pub(crate) fn relay() -> RegionId {
    "p01".parse().expect("a region")
}

/// A small attachment, and what opens it.
pub(crate) fn opening(n: u8) -> Opening {
    let blob = BlobRef { hash: BlobHash::new([n; 32]), length: 70_000 };
    let file = FileRef { hash: FileHash::new([n ^ 0xff; 32]), length: 69_000 };
    Opening { enclosure: Enclosure { blob, identity: BlobIdentity([n; 32]) }, file }
}
