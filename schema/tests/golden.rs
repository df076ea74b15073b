//! Every byte format ever written stays readable, and is still written in the same way.
//!
//! Add files, never edit one: a changed golden file is a broken promise to every store and courier file out there. To
//! write a file that is missing, once: `TRAM_WRITE_GOLDEN=1 cargo test -p schema --test golden`.

mod fixture;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ed25519_dalek::Signer as _;
use fixture::*;
use schema::blob::{BlobLimits, BlobReply, BlobRequest, encode_blob_message, parse_blob_message};
use schema::body::{Body, ErasedContent, Status};
use schema::courier::{CourierReader, CourierWriter, Record};
use schema::directory::{DirectoryDelta, DirectorySnapshot, open_directory, sign_directory};
use schema::event::{Event, Kind, Proof, RecordedEvent, UnverifiedEvent, Urgency, seal};
use schema::id::{EventId, hex};
use schema::pack::{Message, Notice, PackItem};
use schema::time::Millis;
use schema::trust::{DetachedSignature, Preparation};
use sha2::{Digest, Sha256};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The bytes of a golden file; `written` is what this version writes, and must be the same.
fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    if !path.exists() && std::env::var_os("TRAM_WRITE_GOLDEN").is_some() {
        let lines: Vec<String> = written.chunks(40).map(hex).collect();
        fs::write(&path, lines.join("\n") + "\n").expect("the golden folder can be written");
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read golden file `{}`: {error}; for a new format write it with \
             `TRAM_WRITE_GOLDEN=1 cargo test -p schema --test golden`",
            path.display()
        )
    });
    let bytes = unhex(&text);
    assert_eq!(hex(written), hex(&bytes), "`{name}` is written differently now: stores would not agree");
    bytes
}

fn messages() -> Vec<(&'static str, Message)> {
    let event = |kind| {
        let sealed = seal(fixture::event(kind), &key()).expect("a sound event");
        PackItem::new(0, sealed.bytes())
    };
    let again = PackItem {
        attempt: 3,
        only: vec![RECIPIENT],
        stamps: vec![stamp_of(EventId::new([0x98; 32]))],
        ..event(schema::event::Kind::Head)
    };
    let items = vec![event(schema::event::Kind::Dispatch), again];
    let notices = vec![
        Notice { id: Some(EventId::new([5; 32])), reason: "vượt hạn mức".to_owned() },
        Notice { id: None, reason: "not an event".to_owned() },
    ];
    vec![
        ("message-pack", Message::Pack(items.clone())),
        ("message-notices", Message::Notices(notices)),
        ("message-forward", Message::Forward { to: region("p02"), path: vec![region("p01")], items }),
    ]
}

fn records() -> Vec<Record> {
    let Some((_, Message::Pack(items))) = messages().into_iter().next() else {
        unreachable!("the first message is a pack")
    };
    let chunk = Record::Chunk { blob: blob(0x77), index: 1, bytes: b"%PDF-1.7".to_vec().into() };
    vec![Record::Pack(items), chunk]
}

fn requests() -> Vec<(&'static str, BlobRequest)> {
    vec![
        ("blob-request-offer", BlobRequest::Offer { blob: blob(0x77), urgency: Urgency::Express }),
        (
            "blob-request-store",
            BlobRequest::Store { blob: blob(0x77), index: 1, bytes: b"%PDF-1.7".to_vec().into() },
        ),
        ("blob-request-fetch", BlobRequest::Fetch { blob: blob(0x77), index: 1, sender: SENDER }),
        ("blob-request-release", BlobRequest::Release { blobs: vec![blob(0x77)] }),
        ("blob-request-limits", BlobRequest::Limits),
        ("blob-request-kept", BlobRequest::Kept { after: Some(blob(0x77)) }),
    ]
}

fn replies() -> Vec<(&'static str, BlobReply)> {
    vec![
        ("blob-reply-missing", BlobReply::Missing { chunks: vec![0, 1, 500] }),
        ("blob-reply-stored", BlobReply::Stored),
        ("blob-reply-chunk", BlobReply::Chunk { bytes: b"%PDF-1.7".to_vec().into() }),
        ("blob-reply-absent", BlobReply::Absent),
        ("blob-reply-refused", BlobReply::Refused { reason: "the chunk has another length".to_owned() }),
        ("blob-reply-released", BlobReply::Released),
        ("blob-reply-kept", BlobReply::Kept { blobs: vec![blob(0x77)] }),
        (
            "blob-reply-limits",
            BlobReply::Limits {
                limits: BlobLimits {
                    blob_bytes_max: 1 << 31,
                    office_bytes_max: 1 << 32,
                    office_bytes_used: 7,
                    office_fingerprint: 0x7777,
                },
            },
        ),
    ]
}

#[test]
fn event_of_every_kind_has_these_bytes_for_ever() {
    for kind in every_kind() {
        let sealed = seal(event(kind), &key()).expect("a sound event");
        let bytes = golden(&format!("event-{}", kind_name(kind)), sealed.bytes());
        let read = UnverifiedEvent::parse(&bytes).expect("a golden event");
        assert_eq!(*read.claims(), event(kind));
        let verified = verifier().verify(read, &Proof::default()).expect("its office signed it");
        assert_eq!((verified.id(), verified.version()), (sealed.id(), 1));
        let body = Body::read(1, verified.event()).expect("a golden body");
        let interpreted = bodies().into_iter().find(|known| known.kind() == Some(kind));
        assert_eq!(body, interpreted.unwrap_or(Body::Unsupported));
    }
}

/// Of the two bodies of a status, the one that travels.
#[test]
fn status_of_a_document_has_these_bytes_for_ever() {
    let body = registered();
    let to = event(Kind::Receipt).to;
    let fields = Event { to, body: body.encode().expect("a body"), ..event(Kind::Status) };
    let sealed = seal(fields, &key()).expect("a sound event");
    let bytes = golden("event-status-of-a-document", sealed.bytes());
    let read = UnverifiedEvent::parse(&bytes).expect("a golden event");
    let verified = verifier().verify(read, &Proof::default()).expect("its office signed it");
    assert_eq!(Body::read(1, verified.event()), Ok(body));
}

/// Of the bodies of a status, the other one that travels.
#[test]
fn status_of_erased_content_has_these_bytes_for_ever() {
    let body = Body::Status(Status::Erased(ErasedContent { entries: vec![place(3), place(4)] }));
    let to = event(Kind::Receipt).to;
    let fields = Event { to, body: body.encode().expect("a body"), ..event(Kind::Status) };
    let sealed = seal(fields, &key()).expect("a sound event");
    let bytes = golden("event-status-of-erased-content", sealed.bytes());
    let read = UnverifiedEvent::parse(&bytes).expect("a golden event");
    let verified = verifier().verify(read, &Proof::default()).expect("its office signed it");
    assert_eq!(Body::read(1, verified.event()), Ok(body));
}

/// An independent writer of the same frame gives the same bytes and the same id: RFC 9052 is what is implemented.
#[test]
fn event_is_cose_sign1_of_its_deterministic_fields() {
    for kind in every_kind() {
        let sealed = seal(event(kind), &key()).expect("a sound event");
        let payload = payload(&event(kind));
        assert_eq!(sealed.bytes(), signed("tram/event/v1", &payload, &key()));
        let protected = protected("tram/event/v1", key().verifying_key().as_bytes());
        let digest: [u8; 32] = Sha256::digest(to_be_signed("tram/event/v1", &protected, &payload)).into();
        assert_eq!(sealed.id().as_bytes(), &digest);
    }
}

/// Kept and forwarded as it is, shown as unsupported, never applied.
#[test]
fn event_of_a_later_version_is_kept_and_not_interpreted() {
    let bytes = golden("event-version-2", &version_2());
    let read = UnverifiedEvent::parse(&bytes).expect("a later version");
    let verified = verifier().verify(read, &Proof::default()).expect("its office signed it");
    assert_eq!(verified.version(), 2);
    assert_eq!(verified.bytes(), bytes);
    assert_eq!(Body::read(verified.version(), verified.event()), Ok(Body::Unsupported));
    let recorded = RecordedEvent::read(&bytes).expect("it was stored");
    assert_eq!((recorded.version, recorded.id), (2, verified.id()));
}

#[test]
fn message_of_every_kind_has_these_bytes() {
    for (name, message) in messages() {
        let bytes = golden(name, &message.encode());
        assert_eq!(Message::parse(&bytes), Ok(message));
    }
}

#[test]
fn courier_file_has_these_bytes() {
    let mut writer = CourierWriter::new(Vec::new()).expect("memory");
    records().iter().for_each(|record| writer.add(record).expect("memory"));
    let bytes = golden("courier-file", &writer.finish().expect("memory"));
    let read: Result<Vec<Record>, _> =
        CourierReader::new(bytes.as_slice()).expect("a courier file").collect();
    assert_eq!(read.expect("it is whole"), records());
}

#[test]
fn blob_messages_have_these_bytes() {
    for (name, request) in requests() {
        let bytes = golden(name, &encode_blob_message(&request));
        assert_eq!(parse_blob_message::<BlobRequest>(&bytes).expect("a request"), request);
    }
    for (name, reply) in replies() {
        let bytes = golden(name, &encode_blob_message(&reply));
        assert_eq!(parse_blob_message::<BlobReply>(&bytes).expect("a reply"), reply);
    }
}

#[test]
fn directory_has_these_bytes() {
    let bytes = golden("directory-snapshot", &snapshot().encode().expect("a sound snapshot"));
    assert_eq!(DirectorySnapshot::decode(&bytes).expect("a snapshot"), snapshot());
    let bytes = golden("directory-delta", &delta().encode().expect("a sound delta"));
    assert_eq!(DirectoryDelta::decode(&bytes).expect("a delta"), delta());
    let bytes =
        golden("directory-signed", &sign_directory(&snapshot(), &root_key()).expect("a sound snapshot"));
    let root = root_key().verifying_key().to_bytes();
    assert_eq!(open_directory(&bytes, &root).expect("the root signed it").snapshot(), snapshot());
}

/// A request to sign may wait for its answer while the program is replaced, and a signature is read for decades.
#[test]
fn officers_signature_has_these_bytes_for_ever() {
    const MANIFEST: &[u8] = "Công văn số 12/UBND-VP ngày 20/02/2026".as_bytes();
    const SIGNED_AT: Millis = Millis(1_771_545_600_000);
    let officer = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let certificate = fs::read_to_string(folder().join("officer-certificate.hex")).expect("a golden");
    let preparation = Preparation::new(MANIFEST, &unhex(&certificate), SIGNED_AT).expect("an officer's");

    let written = golden("document-preparation", &preparation.encode());
    let read = Preparation::decode(&written).expect("a golden preparation");
    assert_eq!((&read, read.covers(MANIFEST)), (&preparation, true));

    let answer = officer.sign(read.to_be_signed()).to_bytes();
    let bytes = golden("document-signature", &read.finish(&answer, &[]).expect("the officer's own answer"));
    let signature = DetachedSignature::parse(&bytes).expect("a golden signature");
    assert_eq!((signature.claimed_at(), signature.covers(MANIFEST)), (SIGNED_AT, true));
    assert!(signature.is_made_by(preparation.certificate().key()));
}

/// A golden that no test reads protects nothing.
#[test]
fn no_golden_file_is_left_over() {
    let mut known: BTreeSet<String> =
        every_kind().into_iter().map(|kind| format!("event-{}", kind_name(kind))).collect();
    known.extend(messages().into_iter().map(|(name, _)| name.to_owned()));
    known.extend(requests().into_iter().map(|(name, _)| name.to_owned()));
    known.extend(replies().into_iter().map(|(name, _)| name.to_owned()));
    let others = [
        "event-status-of-a-document",
        "event-status-of-erased-content",
        "event-version-2",
        "courier-file",
        "directory-snapshot",
        "directory-delta",
        "directory-signed",
        "officer-certificate",
        "document-preparation",
        "document-signature",
    ];
    known.extend(others.map(str::to_owned));
    for entry in fs::read_dir(folder()).expect("the golden folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let stem = name.strip_suffix(".hex").unwrap_or(&name);
        assert!(known.contains(stem), "golden file `{name}` is read by no test");
    }
}
