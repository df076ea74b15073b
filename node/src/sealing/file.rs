//! Attachments: each is sealed under a key of its own, which the sealed body of its document carries.

use std::io::{self, BufWriter, Read, Write};

use age::x25519::Identity;
use schema::blob::{BLOB_BYTES_MAX, BlobIdentity, BlobRef, Enclosure, FILE_BYTES_MAX, FileRef};
use schema::id::{BlobHash, FileHash};
use sha2::{Digest, Sha256};

use super::{SealError, identity_of, secret_of};

/// Bytes that are read and written at a time; what age encrypts at a time.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Why a file is not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealFileError {
    /// It cannot be read or written, or was cut.
    #[error(transparent)]
    File(#[from] io::Error),
    /// age does not do it.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It is too large.
    #[error("a file has at most {FILE_BYTES_MAX} bytes")]
    TooLarge,
}

/// Seals a file under a new key: what it was, and what it has become.
///
/// # Errors
/// When it is too large, or cannot be read or written.
pub fn seal_file(file: &mut dyn Read, sealed: impl Write) -> Result<(FileRef, Enclosure), SealFileError> {
    let identity = Identity::generate();
    let recipient = identity.to_public();
    let failed = |error: &dyn std::fmt::Display| SealError::Encrypt(error.to_string());
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(|error| failed(&error))?;
    // Of a header that cannot be written age says only that: it comes to the disk together with what follows it.
    let sealed = BufWriter::with_capacity(PIECE_BYTES, sealed);
    let mut writer = encryptor.wrap_output(Hashing::new(sealed))?;
    let (mut hash, mut length) = (Sha256::new(), 0_u64);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        length += read as u64;
        if length > FILE_BYTES_MAX {
            return Err(SealFileError::TooLarge);
        }
        hash.update(&piece[..read]);
        writer.write_all(&piece[..read])?;
    }
    let mut sealed = writer.finish()?;
    sealed.flush()?;
    let blob = sealed.blob();
    let file = FileRef { hash: FileHash::new(hash.finalize().into()), length };
    Ok((file, Enclosure { blob, identity: secret_of(&identity)? }))
}

/// What a blob holds, as it is read. Every piece is authentic when it comes, that nothing is missing is known at the end only: nobody may
/// take a part for the whole.
///
/// # Errors
/// When this identity does not open it.
pub fn open_file<R: Read>(identity: &BlobIdentity, sealed: R) -> Result<impl Read + use<R>, SealError> {
    let failed = |error: &dyn std::fmt::Display| SealError::Decrypt(error.to_string());
    let identity = identity_of(identity);
    let decryptor = age::Decryptor::new(sealed).map_err(|error| failed(&error))?;
    decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(|error| failed(&error))
}

/// Whether a blob, opened, is this file and nothing else.
///
/// # Errors
/// When the blob cannot be read; what cannot be opened is `false`.
pub fn holds_file<R: Read>(identity: &BlobIdentity, sealed: R, file: &FileRef) -> io::Result<bool> {
    let Ok(opened) = open_file(identity, sealed) else { return Ok(false) };
    match hash_of(&mut opened.take(file.length + 1)) {
        Ok((hash, length)) => Ok(hash == *file.hash.as_bytes() && length == file.length),
        // age says so of bytes that were not encrypted under its key.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// SHA-256 and length of everything that can be read, at most what a blob may have and one byte more.
pub(crate) fn hash_of(from: &mut dyn Read) -> io::Result<([u8; 32], u64)> {
    let mut hashing = Hashing::new(io::sink());
    let mut piece = vec![0; PIECE_BYTES];
    while hashing.length <= BLOB_BYTES_MAX {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => hashing.write_all(&piece[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let BlobRef { hash, length } = hashing.blob();
    Ok((*hash.as_bytes(), length))
}

/// Hashes what is written through it.
struct Hashing<W> {
    to: W,
    hash: Sha256,
    length: u64,
}

impl<W> Hashing<W> {
    fn new(to: W) -> Self {
        Self { to, hash: Sha256::new(), length: 0 }
    }

    fn blob(self) -> BlobRef {
        BlobRef { hash: BlobHash::new(self.hash.finalize().into()), length: self.length }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn content(length: usize) -> Vec<u8> {
        (0..=250).cycle().take(length).collect()
    }

    fn sealed(bytes: &[u8]) -> (Vec<u8>, FileRef, Enclosure) {
        let mut sealed = Vec::new();
        let (file, enclosure) = seal_file(&mut &*bytes, &mut sealed).expect("sealed");
        (sealed, file, enclosure)
    }

    #[test]
    fn file_is_found_again_under_its_own_key_and_no_other() {
        for length in [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 300_000] {
            let (bytes, (blob, file, enclosure)) = (content(length), sealed(&content(length)));
            assert_eq!((file.length, enclosure.blob.length), (length as u64, blob.len() as u64));
            assert_eq!(enclosure.blob.hash.as_bytes()[..], Sha256::digest(&blob)[..]);
            let mut opened = Vec::new();
            let reader = open_file(&enclosure.identity, &blob[..]).expect("its own key");
            { reader }.read_to_end(&mut opened).expect("whole");
            assert!(opened == bytes);
            assert!(holds_file(&enclosure.identity, &blob[..], &file).expect("readable"));
            let (_, _, other) = sealed(&bytes);
            assert_ne!(other.identity, enclosure.identity);
            assert!(!holds_file(&other.identity, &blob[..], &file).expect("readable"));
        }
    }

    /// At every place a full disk is what it is, and no other failure.
    #[test]
    fn disk_that_is_full_says_so() {
        struct Disk(usize);
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for (length, room) in [(5, 0), (5, 150), (300_000, 0), (300_000, 70_000), (300_000, 300_000)] {
            let refused = seal_file(&mut &content(length)[..], Disk(room));
            let Err(SealFileError::File(error)) = refused else { panic!("{refused:?}") };
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{length} bytes, room for {room}");
        }
    }

    /// Flip, cut, lengthen, swap, repeat: it is not that file.
    #[test]
    fn blob_that_was_changed_is_not_its_file() {
        let (blob, file, Enclosure { identity, .. }) = sealed(&content(200_000));
        let holds = |blob: &[u8]| holds_file(&identity, blob, &file).expect("readable");
        assert!(holds(&blob));
        for at in (0..blob.len()).step_by(997).chain([blob.len() - 1]) {
            let mut changed = blob.clone();
            changed[at] ^= 1;
            assert!(!holds(&changed), "byte {at}");
            assert!(!holds(&blob[..at]), "cut at {at}");
        }
        assert!(!holds(&[&blob[..], b"x"].concat()));
        let header = blob.len() - (200_000 + 4 * 16);
        let piece = PIECE_BYTES + 16;
        let (head, body) = blob.split_at(header);
        let swapped = [head, &body[piece..2 * piece], &body[..piece], &body[2 * piece..]].concat();
        assert!(!holds(&swapped), "two pieces swapped");
        assert!(!holds(&[head, &body[..piece], body].concat()), "a piece twice");
        assert!(!holds(&[head, &body[piece..]].concat()), "a piece left out");
    }

    /// A sender that seals one file and signs the hash of another.
    #[test]
    fn blob_of_another_file_is_not_this_one() {
        let (blob, file, Enclosure { identity, .. }) = sealed(b"the one");
        let (_, other, _) = sealed(b"another");
        assert!(!holds_file(&identity, &blob[..], &other).expect("readable"));
        for length in [file.length - 1, file.length + 1] {
            assert!(!holds_file(&identity, &blob[..], &FileRef { length, ..file }).expect("readable"));
        }
    }

    /// Both directions with the `age` of the system.
    #[test]
    fn age_of_the_command_line_opens_and_seals_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (blob, file, enclosure) = sealed(&content(150_000));
        std::fs::write(path("identity"), super::super::identity_text(&enclosure.identity).as_bytes())
            .expect("written");
        std::fs::write(path("blob"), &blob).expect("written");
        let opened = Command::new("age").args(["-d", "-i", &path("identity"), &path("blob")]).output();
        let opened = opened.expect("age is installed");
        assert_eq!(opened.stdout, content(150_000), "{}", String::from_utf8_lossy(&opened.stderr));
        std::fs::write(path("clear"), content(150_000)).expect("written");
        let recipient = identity_of(&enclosure.identity).to_public().to_string();
        let sealed = Command::new("age").args(["-r", &recipient, &path("clear")]).output();
        let sealed = sealed.expect("age is installed").stdout;
        assert!(holds_file(&enclosure.identity, &sealed[..], &file).expect("readable"));
    }

    #[test]
    fn file_that_cannot_be_read_is_not_sealed() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::TimedOut.into())
            }
        }
        assert!(matches!(seal_file(&mut Broken, io::sink()), Err(SealFileError::File(_))));
    }
}
