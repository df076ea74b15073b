//! Room on the relay's disk. Attachments share it with the streams, and a server that cannot write any more carries nothing at all: so
//! attachments are refused while there is still room for mail and receipts.

use std::io;
use std::path::Path;

/// Bytes that attachments leave free: at some kilobytes each, tens of thousands of documents and receipts.
pub(crate) const RESERVED_BYTES: u64 = 256 * 1024 * 1024;

/// Bytes that are free on the disk of a folder beyond what is reserved for mail.
///
/// # Errors
/// When the system does not say.
pub(crate) fn free_for_attachments(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(RESERVED_BYTES))
}
