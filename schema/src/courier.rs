//! The courier file: the same bytes, carried on a USB stick.
//!
//! ```text
//! "tram-courier/1\n"   then records, each: length (4 bytes, big-endian), CBOR
//! ```
//!
//! Records are packs and chunks; the last one counts them. A file that was cut short or damaged still gives every
//! record before the damage, and says that it is not complete.

use std::io::{self, Read, Write};

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Decoder, Encode};

use crate::blob::{BlobRef, CHUNK_BYTES};
use crate::cose::infallible;
use crate::event::RECIPIENTS_MAX;
use crate::pack::{MESSAGE_BYTES_MAX, PACK_EVENTS_MAX, PackItem};

/// First line of a courier file.
pub const MAGIC: &[u8; 15] = b"tram-courier/1\n";

const RECORD_BYTES_MAX: usize = MESSAGE_BYTES_MAX + CHUNK_BYTES as usize;

/// One record.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Record {
    /// Events.
    #[n(0)]
    Pack(#[n(0)] Vec<PackItem>),
    /// A chunk of an attachment.
    #[n(1)]
    Chunk {
        /// The attachment.
        #[n(0)]
        blob: BlobRef,
        /// Which chunk.
        #[n(1)]
        index: u32,
        /// Its bytes.
        #[n(2)]
        bytes: ByteVec,
    },
    /// The end: how many records came before.
    #[n(2)]
    End {
        /// Records before this one.
        #[n(0)]
        records: u64,
    },
}

impl Record {
    /// What a relay would refuse is refused here too: a stick is an outside door like any other.
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Pack(items) if items.len() > PACK_EVENTS_MAX => Err("more than 64 events in a pack"),
            Self::Pack(items) if items.iter().any(|item| item.only.len() > RECIPIENTS_MAX) => {
                Err("more than 64 recipients of one item")
            }
            Self::Chunk { bytes, .. } if bytes.len() > CHUNK_BYTES as usize => {
                Err("a chunk of more than 64 KiB")
            }
            Self::Pack(_) | Self::Chunk { .. } | Self::End { .. } => Ok(()),
        }
    }
}

/// Why a courier file could not be read to its end. The records before are good.
#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    /// Not a courier file.
    #[error("this is not a courier file of this version: it does not start with `tram-courier/1`")]
    Magic,
    /// A record is broken.
    #[error(
        "record {record} of the courier file is damaged: {found}; the {record} records before it are intact"
    )]
    Record {
        /// How many records were read before.
        record: u64,
        /// What was found.
        found: String,
    },
    /// The file ends early.
    #[error(
        "the courier file ends after {records} records without its end mark: it was not copied completely"
    )]
    Cut {
        /// How many records were read.
        records: u64,
    },
    /// The medium failed.
    #[error("the courier file could not be read or written")]
    Medium(#[from] io::Error),
}

/// Writes a courier file record by record.
pub struct CourierWriter<W> {
    to: W,
    records: u64,
}

impl<W: Write> CourierWriter<W> {
    /// Starts a file.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn new(mut to: W) -> Result<Self, CourierError> {
        to.write_all(MAGIC)?;
        Ok(Self { to, records: 0 })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn add(&mut self, record: &Record) -> Result<(), CourierError> {
        let mut bytes = Vec::new();
        infallible(minicbor::encode(record, &mut bytes));
        let length = u32::try_from(bytes.len()).expect("records are far below 4 GiB");
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(&bytes)?;
        self.records += 1;
        Ok(())
    }

    /// Ends the file and gives the medium back, flushed but not yet synced.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn finish(mut self) -> Result<W, CourierError> {
        self.add(&Record::End { records: self.records })?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// Reads a courier file record by record; each is bounded before it is read.
pub struct CourierReader<R> {
    from: R,
    records: u64,
    ended: bool,
}

impl<R: Read> CourierReader<R> {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is not a courier file, or the medium fails.
    pub fn new(mut from: R) -> Result<Self, CourierError> {
        let mut magic = [0; MAGIC.len()];
        match from.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => Ok(Self { from, records: 0, ended: false }),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
            _ => Err(CourierError::Magic),
        }
    }

    fn read(&mut self) -> Result<Option<Record>, CourierError> {
        let records = self.records;
        let cut = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CourierError::Cut { records },
            _ => CourierError::Medium(error),
        };
        let damaged = |found: String| CourierError::Record { record: records, found };
        let mut length = [0; 4];
        self.from.read_exact(&mut length).map_err(cut)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > RECORD_BYTES_MAX {
            return Err(damaged(format!(
                "a length of {length} bytes, at most {RECORD_BYTES_MAX} are accepted"
            )));
        }
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes).map_err(cut)?;
        let mut d = Decoder::new(&bytes);
        let record: Record = d.decode().map_err(|error| damaged(error.to_string()))?;
        if d.position() != bytes.len() {
            return Err(damaged("bytes after the record".to_owned()));
        }
        record.check().map_err(|rule| damaged(rule.to_owned()))?;
        match record {
            Record::End { records } if records == self.records => Ok(None),
            Record::End { records } => Err(damaged(format!("an end mark for {records} records"))),
            record => {
                self.records += 1;
                Ok(Some(record))
            }
        }
    }
}

impl<R: Read> Iterator for CourierReader<R> {
    type Item = Result<Record, CourierError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.read().transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BlobHash;

    fn file() -> Vec<u8> {
        let mut writer = CourierWriter::new(Vec::new()).expect("memory");
        let blob = BlobRef { hash: BlobHash::new([1; 32]), length: 3 };
        writer.add(&Record::Pack(vec![PackItem::new(0, b"event")])).expect("memory");
        writer.add(&Record::Chunk { blob, index: 0, bytes: b"abc".to_vec().into() }).expect("memory");
        writer.finish().expect("memory")
    }

    #[test]
    fn file_gives_back_its_records_and_its_end() {
        let records: Vec<_> = CourierReader::new(file().as_slice()).expect("a file").collect();
        assert_eq!(records.len(), 2);
        assert!(records.iter().all(Result::is_ok));
    }

    #[test]
    fn file_cut_anywhere_gives_what_is_whole_and_says_so() {
        let file = file();
        for length in MAGIC.len()..file.len() {
            let records: Vec<_> = CourierReader::new(&file[..length]).expect("a file").collect();
            assert!(matches!(records.last(), Some(Err(CourierError::Cut { .. }))), "cut at {length}");
        }
    }

    #[test]
    fn damaged_length_is_refused_before_allocation() {
        let mut file = file();
        file[MAGIC.len()] = 0xff;
        let first = CourierReader::new(file.as_slice()).expect("a file").next();
        assert!(matches!(first, Some(Err(CourierError::Record { record: 0, .. }))));
    }
}
