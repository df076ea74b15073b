//! What is done with bytes from outside, one function per parser. The real fuzzer and the short run of every test share
//! them, so that both look at the same code.
//!
//! None may panic, and each checks more than that: what is accepted says the same again when it is written.

#[allow(clippy::duplicate_mod, reason = "the short run of the fuzzers has it as well")]
#[path = "../tests/certified/mod.rs"]
mod certified;

use std::sync::LazyLock;

use schema::blob::{BlobReply, BlobRequest, encode_blob_message, parse_blob_message};
use schema::body::Body;
use schema::courier::{CourierReader, Record};
use schema::directory::{Directory, DirectoryBuilder, DirectoryDelta, DirectorySnapshot, open_directory};
use schema::event::{Event, Kind, Proof, RecordedEvent, UnverifiedEvent, Urgency, Verifier};
use schema::id::{EventId, Incarnation, OfficeId, Seq};
use schema::inbound;
use schema::pack::Message;
use schema::registry::{decode_items, encode_items};
use schema::time::Millis;
use schema::trust::{
    Certificate, DetachedSignature, Language, Preparation, RevocationList, SignerView, SigningTime, Verdict,
    cms::CmsError, profile::role_of,
};

/// A parser of outside bytes: its name and what is done with them.
pub type Target = (&'static str, fn(&[u8]));

/// Every parser of outside bytes.
pub const TARGETS: [Target; 12] = [
    ("event", event),
    ("body", body),
    ("message", message),
    ("courier", courier),
    ("blob_message", blob_message),
    ("signed_directory", signed_directory),
    ("directory", directory),
    ("certificate", certificate),
    ("revocation_list", revocation_list),
    ("registry", registry),
    ("document_signature", document_signature),
    ("preparation", preparation),
];

/// A registry that knows nobody: what passes it is a bug.
static NOBODY: LazyLock<Verifier> = LazyLock::new(|| {
    let directory = DirectoryBuilder::new().build(1, Millis(0)).expect("an empty directory is sound");
    certified::verifier(&directory, &[])
});

/// An event as it comes from a relay.
pub fn event(bytes: &[u8]) {
    let Ok(parsed) = UnverifiedEvent::parse(bytes) else { return };
    assert_eq!(parsed.bytes(), bytes, "the bytes are kept as received");
    let recorded = RecordedEvent::read(bytes).expect("what is parsed can be stored and read again");
    assert_eq!((recorded.id, &recorded.event), (parsed.id(), parsed.claims()));
    read_body(recorded.version, parsed.claims());
    assert!(NOBODY.verify(parsed, &Proof::default()).is_err(), "nobody signed this");
}

/// A body: the first byte says of which kind, the rest is it.
pub fn body(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    let event = Event {
        office: OfficeId::new([1; 16]),
        incarnation: Incarnation::new(7, 0),
        seq: Seq(2),
        prev: EventId::new([2; 32]),
        claimed_at: Millis(0),
        kind: Kind::from_number(u16::from(*kind)),
        urgency: Urgency::Normal,
        to: Vec::new(),
        seen: Vec::new(),
        blobs: Vec::new(),
        body: body.to_vec(),
        sealed: None,
        archive: None,
        content: None,
    };
    read_body(1, &event);
}

fn read_body(version: u8, event: &Event) {
    if let Ok(body) = Body::read(version, event)
        && let Some(again) = body.encode()
    {
        assert_eq!(again, event.body, "a body has one encoding");
    }
}

/// A NATS message.
pub fn message(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    assert_eq!(Message::parse(&message.encode()).as_ref(), Ok(&message));
    let opened = inbound::open(&NOBODY, bytes).expect("it was parsed before");
    assert!(opened.events.is_empty(), "nobody signed these");
}

/// A courier file.
pub fn courier(bytes: &[u8]) {
    let Ok(reader) = CourierReader::new(bytes) else { return };
    let mut size = 0;
    for record in reader {
        let Ok(record) = record else { return };
        size += match &record {
            Record::Pack(items) => items.iter().map(|item| item.event.len()).sum(),
            Record::Chunk { bytes, .. } => bytes.len(),
            Record::End { .. } => unreachable!("the end is not a record"),
        };
        assert!(size <= bytes.len(), "more came out than went in");
    }
}

/// A request or a reply about attachments.
pub fn blob_message(bytes: &[u8]) {
    if let Ok(request) = parse_blob_message::<BlobRequest>(bytes) {
        let again = encode_blob_message(&request);
        assert_eq!(parse_blob_message::<BlobRequest>(&again).ok(), Some(request));
    }
    if let Ok(reply) = parse_blob_message::<BlobReply>(bytes) {
        let again = encode_blob_message(&reply);
        assert_eq!(parse_blob_message::<BlobReply>(&again).ok(), Some(reply));
    }
}

/// A directory file as an installation finds it.
pub fn signed_directory(bytes: &[u8]) {
    // The base point: a sound key whose secret is 1, which no installation uses.
    const ROOT: [u8; 32] = {
        let mut key = [0x66; 32];
        key[0] = 0x58;
        key
    };
    assert!(open_directory(bytes, &ROOT).is_err(), "that root signed nothing");
}

/// A directory or a change of one, after its signature was verified.
pub fn directory(bytes: &[u8]) {
    if let Ok(snapshot) = DirectorySnapshot::decode(bytes) {
        assert_eq!(snapshot.encode().expect("it was read"), bytes, "a snapshot has one encoding");
        if let Ok(directory) = Directory::new(snapshot.clone()) {
            assert_eq!(directory.snapshot(), snapshot);
        }
    }
    if let Ok(delta) = DirectoryDelta::decode(bytes) {
        assert_eq!(delta.encode().expect("it was read"), bytes, "a delta has one encoding");
    }
}

/// A registry file as it comes from whoever carries it.
pub fn registry(bytes: &[u8]) {
    let Ok(items) = decode_items(bytes) else { return };
    assert_eq!(decode_items(&encode_items(&items)).as_ref(), Ok(&items));
    let (next, outcomes) = NOBODY.registry().with(items);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()), "nobody signed these");
    assert_eq!(next.fingerprint(), NOBODY.registry().fingerprint());
}

/// A certificate as it comes with a signature.
pub fn certificate(bytes: &[u8]) {
    let Ok(certificate) = Certificate::parse(bytes) else { return };
    assert_eq!(certificate.as_der(), bytes, "the bytes are kept as received");
    // Must neither fall over nor say something endless.
    let told = format!("{} {:?} {:?}", certificate.subject(), role_of(&certificate), certificate.validity());
    assert!(told.len() < 32 * bytes.len(), "{} bytes are told about {}", told.len(), bytes.len());
    let _ = certificate.is_signed_by(&certificate);
}

/// A revocation list as it comes from an authority.
pub fn revocation_list(bytes: &[u8]) {
    let Ok(list) = RevocationList::parse(bytes) else { return };
    assert!(list.window().this_update < list.window().next_update);
    assert!(list.entries().len() * 10 < bytes.len(), "more entries than bytes");
}

/// An officer's signature as it comes with a document.
pub fn document_signature(bytes: &[u8]) {
    let Ok(signature) = DetachedSignature::parse(bytes) else { return };
    assert_eq!(signature.as_der(), bytes, "the bytes are kept as received");
    assert!(signature.authorities().count() < 4);
    assert!(!signature.covers(bytes), "it names its own digest");
    if let Ok(certificate) = Certificate::parse(signature.signer_certificate()) {
        let _ = signature.is_made_by(certificate.key());
    }
    // Must neither fall over nor say something endless.
    let time = SigningTime::proven(Millis(1));
    let verdict = Verdict::on_refused(&CmsError::NotSignedData, &time, Millis(1));
    let view = SignerView::new(&signature, &verdict, &time);
    for language in [Language::Vietnamese, Language::English] {
        let told: usize = view.lines(language).iter().map(|(label, text)| label.len() + text.len()).sum();
        assert!(told < 1024 + 8 * bytes.len(), "{told} bytes are told about {}", bytes.len());
    }
}

/// A request to sign as it was written down before a restart.
pub fn preparation(bytes: &[u8]) {
    let Ok(preparation) = Preparation::decode(bytes) else { return };
    assert_eq!(preparation.encode(), bytes, "a preparation has one encoding");
    assert!(preparation.finish(&[], &[]).is_err(), "nobody signed this");
}
