//! A courier file read by whoever has a key to it: the archive that its documents name, or the office that has taken over from one of
//! their recipients. Nothing of it comes into the store, and nobody is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use schema::blob::{BlobRef, CHUNK_BYTES};
use schema::body::{Body, Dispatch};
use schema::courier::{CourierReader, Record};
use schema::directory::Directory;
use schema::event::{Kind, VerifiedEvent, Verifier};
use schema::id::{BlobHash, EventId, OfficeId};
use schema::inbound;
use schema::pack::Message;
use serde_json::{Value, json};

use super::client::CliError;
use super::unlock::refused;
use super::write_whole;
use crate::api::day_in_vietnam;
use crate::config::{Config, DataFolder};
use crate::runtime::now;
use crate::sealing::{SealingKeys, holds_file, open_contents, open_file};
use crate::step::Opening;
use crate::store::openings;
use crate::words::{Lang, with_causes};

/// Most documents that are read from one file.
const DOCUMENTS_MAX: usize = 100_000;

/// An attachment that is to be put beside its document.
struct Wanted {
    /// Of which document, among those that were read, and which of its attachments.
    of: (usize, usize),
    opening: Opening,
    to: PathBuf,
}

/// What was read so far.
struct Reading<'a> {
    out: Option<&'a Path>,
    directory: &'a Directory,
    documents: Vec<Value>,
    seen: BTreeSet<EventId>,
    /// Documents that no key here opens.
    closed: usize,
    /// Items that are no events, or whose signature does not hold.
    refused: usize,
    wanted: BTreeMap<BlobHash, (BlobRef, Vec<Wanted>)>,
}

/// Reads a courier file with the sealing keys of this office; with `out` the documents are put there as they were sent, each in a folder
/// of its own: the event as it was received, what persons have signed, their signatures, the attachments.
pub(super) fn read(
    folder: &DataFolder,
    file: &Path,
    out: Option<&Path>,
    lang: Lang,
) -> Result<Value, CliError> {
    let words = |error: &(dyn std::error::Error + 'static)| refused(error, lang);
    let config = Config::read(folder).map_err(|error| words(&error))?;
    let keys = SealingKeys::open(&config.sealing_keys()).map_err(|error| words(&error))?;
    let registry = config.load_registry().map_err(|error| words(&error))?;
    let verifier = Verifier::new(registry.clone());
    let directory = registry.directory();
    let mut reading = Reading {
        out,
        directory,
        documents: Vec::new(),
        seen: BTreeSet::new(),
        closed: 0,
        refused: 0,
        wanted: BTreeMap::new(),
    };
    let opened = File::open(file).map_err(failed("read", file))?;
    let records = CourierReader::new(BufReader::new(opened)).map_err(|error| words(&error))?;
    let mut damage = None;
    for record in records {
        match record {
            Ok(Record::Pack(items)) => {
                let message = Message::Pack(items).encode();
                let mut opened = inbound::open(&verifier, &message).map_err(|error| words(&error))?;
                open_contents(&keys, &mut opened);
                reading.refused += opened.refused.len();
                for arrival in
                    opened.events.iter().filter(|arrival| arrival.event.event().kind == Kind::Dispatch)
                {
                    reading.document(&arrival.event)?;
                }
            }
            Ok(Record::Chunk { blob, index, bytes }) => reading.chunk(&blob, index, &bytes)?,
            Ok(Record::End { .. }) => {}
            Err(error) => {
                damage = Some(with_causes(&error));
                break;
            }
        }
    }
    reading.put_attachments()?;
    Ok(json!({
        "file": file,
        "out": out,
        "complete": damage.is_none(),
        "damage": damage,
        "documents": reading.documents,
        "closed": reading.closed,
        "refused": reading.refused,
    }))
}

fn failed(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CliError {
    let path = path.to_owned();
    move |source| CliError::File { attempted, path, source }
}

impl Reading<'_> {
    fn name(&self, office: &OfficeId) -> Value {
        let name = self.directory.name_at(office, day_in_vietnam(now())).unwrap_or_default();
        json!({ "office": office, "office_name": name })
    }

    fn document(&mut self, event: &VerifiedEvent) -> Result<(), CliError> {
        let fields = event.event();
        if !self.seen.insert(event.id()) {
            return Ok(());
        }
        let Ok(Body::Dispatch(dispatch)) = Body::read(event.version(), fields) else {
            self.closed += 1;
            return Ok(());
        };
        if self.documents.len() == DOCUMENTS_MAX {
            return Err(CliError::Words(format!("the file holds more than {DOCUMENTS_MAX} documents")));
        }
        let (manifest, number) = (&dispatch.manifest, self.documents.len());
        let folder = self.out.map(|out| out.join(event.id().to_string()));
        let mut attachments = Vec::new();
        let openings = openings(event.version(), fields);
        for (n, (attachment, opening)) in manifest.attachments.iter().zip(openings).enumerate() {
            // A name from outside chooses no folder, and two may be the same.
            let name = Path::new(&attachment.name).file_name().unwrap_or_default().to_string_lossy();
            attachments.push(
                json!({ "name": attachment.name, "length": attachment.file.length, "state": "missing" }),
            );
            if let Some(folder) = &folder {
                let to = folder.join(format!("{}-{name}", n + 1));
                let blob = opening.enclosure.blob;
                let wanted = Wanted { of: (number, n), opening, to };
                self.wanted.entry(blob.hash).or_insert((blob, Vec::new())).1.push(wanted);
            }
        }
        if let Some(folder) = &folder {
            put_document(folder, event, &dispatch)?;
        }
        let to: Vec<Value> = fields.to.iter().map(|to| self.name(&to.office)).collect();
        self.documents.push(json!({
            "document": manifest.document,
            "event": event.id(),
            "from": self.name(&fields.office),
            "to": to,
            "archive": fields.archive.map(|archive| self.name(&archive)),
            "subject": manifest.subject,
            "number": dispatch.number(),
            "issued_on": dispatch.issued.as_ref().map(|issued| issued.on),
            "folder": folder,
            "attachments": attachments,
        }));
        Ok(())
    }

    /// Where the sealed bytes of an attachment are gathered until they are whole.
    fn part(&self, blob: &BlobHash) -> Option<PathBuf> {
        Some(self.out?.join(format!("{blob}.part")))
    }

    fn chunk(&mut self, blob: &BlobRef, index: u32, bytes: &[u8]) -> Result<(), CliError> {
        // What no document here names, or names otherwise, is passed over.
        let named = self.wanted.get(&blob.hash).is_some_and(|(named, _)| named == blob);
        let Some(part) = self.part(&blob.hash).filter(|_| named) else { return Ok(()) };
        if blob.chunk_length(index) != Some(bytes.len()) {
            return Ok(());
        }
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&part)
            .map_err(failed("create", &part))?;
        let at = u64::from(index) * u64::from(CHUNK_BYTES);
        let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes));
        written.map_err(failed("write", &part))
    }

    /// Opens each attachment that is here with the key in its document; what comes out must be the file that the document names.
    fn put_attachments(&mut self) -> Result<(), CliError> {
        for (hash, (_, wanted)) in std::mem::take(&mut self.wanted) {
            let Some(part) = self.part(&hash).filter(|part| part.exists()) else { continue };
            for Wanted { of: (document, n), opening, to } in wanted {
                let identity = &opening.enclosure.identity;
                let sealed = || File::open(&part).map(BufReader::new).map_err(failed("read", &part));
                let holds = holds_file(identity, sealed()?, &opening.file).map_err(failed("read", &part))?;
                let row = &mut self.documents[document]["attachments"][n];
                if !holds {
                    row["state"] = json!("unreadable");
                    continue;
                }
                let mut opened =
                    open_file(identity, sealed()?).map_err(|error| CliError::Words(with_causes(&error)))?;
                write_whole(&to, |file| io::copy(&mut opened, file).map_err(failed("write", &to)))?;
                row["state"] = json!("here");
                row["file"] = json!(to);
            }
            fs::remove_file(&part).map_err(failed("remove", &part))?;
        }
        Ok(())
    }
}

/// What proves the document for good: the event as it was received, and what persons have signed.
fn put_document(folder: &Path, event: &VerifiedEvent, dispatch: &Dispatch) -> Result<(), CliError> {
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let put = |name: String, bytes: &[u8]| {
        let path = folder.join(name);
        write_whole(&path, |file| {
            file.write_all(bytes).map_err(failed("write", &path))?;
            Ok(bytes.len() as u64)
        })
        .map(drop)
    };
    put("event.cose".to_owned(), event.bytes())?;
    put("manifest.cbor".to_owned(), &dispatch.manifest.encode())?;
    for (n, signature) in dispatch.signatures.iter().enumerate() {
        put(format!("signature-{}.p7s", n + 1), signature)?;
    }
    Ok(())
}
