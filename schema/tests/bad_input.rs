//! Bad input, by name: each is refused with its own words, before anything is stored, and never with a panic.

mod fixture;

use fixture::*;
use minicbor::bytes::ByteVec;
use proptest::prelude::*;
use schema::blob::{
    BLOB_MESSAGE_BYTES_MAX, BLOBS_MAX, BlobReply, BlobRequest, CHUNK_BYTES, MISSING_MAX, encode_blob_message,
    parse_blob_message,
};
use schema::body::{
    Ask, Body, BodyError, Dispatch, ENTRIES_MAX, EntryStamp, HELD_MAX, Heads, RECEIPT_STAMPS_MAX, Receipt,
    Returned, SIGNATURES_MAX,
};
use schema::courier::{CourierError, CourierReader, MAGIC, Record};
use schema::directory::{
    DELTA_BYTES_MAX, DirectoryDelta, DirectorySnapshot, SNAPSHOT_BYTES_MAX, SignedDirectoryError,
    SnapshotError, open_directory, sign_directory,
};
use schema::document::{
    Attachment, MANIFEST_BYTES_MAX, Manifest, PAGES_MAX, RECIPIENT_LINES_MAX, REFERENCES_MAX,
    SIGNER_CHARS_MAX,
};
use schema::event::Urgency;
use schema::event::{
    CLAIMED_AT_MAX, EVENT_BYTES_MAX, Event, EventError, Kind, NUMBER_MAX, Proof, RECIPIENTS_MAX, SEEN_MAX,
    UnverifiedEvent, Verifier, VerifyError, key_id, seal,
};
use schema::id::{Counter, EventId, Incarnation, OfficeId, Seq};
use schema::inbound;
use schema::pack::{
    MESSAGE_BYTES_MAX, Message, MessageError, PACK_BYTES_MAX, PACK_EVENTS_MAX, PATH_MAX, PackItem, packs,
};
use schema::stamp::STAMPS_MAX;
use schema::text::TextError;
use schema::time::Millis;
use schema::trust::cms::SIGNATURE_BYTES_MAX;

const V1: &str = "tram/event/v1";

fn sealed() -> Vec<u8> {
    seal(event(Kind::Dispatch), &key()).expect("a sound event").bytes().to_vec()
}

/// What a station says to a soundly signed event with this payload.
fn refusal(payload: &[u8]) -> String {
    match UnverifiedEvent::parse(&signed(V1, payload, &key())) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn refusal_of(change: impl FnOnce(&mut Event)) -> String {
    let mut fields = event(Kind::Dispatch);
    change(&mut fields);
    let by_parsing = refusal(&payload(&fields));
    // The same rules bind whoever writes.
    let by_sealing = seal(fields, &key()).map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
    assert!(by_parsing == by_sealing || by_parsing.contains("one map of definite length"), "{by_sealing}");
    by_parsing
}

fn rule(rule: &str) -> String {
    format!("the event breaks a rule: {rule}")
}

const SHAPE: &str = "one map of definite length with ascending labels, within the limits of each field";
const FRAME: &str =
    "the frame is not in deterministic encoding (RFC 8949 section 4.2), or carries unprotected headers";

/// I1: a degree of secrecy is refused by itself, whatever else is wrong, and nothing of it is kept.
#[test]
fn i1_event_that_says_it_is_secret_is_refused_by_name() {
    let with = |label: u8, value: u8, version: &str| {
        let mut payload = payload(&event(Kind::Dispatch));
        payload[0] += 1;
        payload.extend([label, value]);
        signed(version, &payload, &key())
    };
    for (version, degree) in [(V1, 1), (V1, 3), (V1, 0x17), (V1, 0xf6), ("tram/event/v2", 2)] {
        let bytes = with(12, degree, version);
        assert_eq!(UnverifiedEvent::parse(&bytes).err(), Some(EventError::Secret), "{version} {degree}");
        let message = Message::Pack(vec![PackItem::new(0, &bytes), PackItem::new(0, &sealed())]).encode();
        let opened = inbound::open(&verifier(), &message).expect("a pack");
        assert_eq!((opened.events.len(), opened.refused.len(), opened.has_secret()), (1, 1, true));
        assert!(opened.refused[0].is_secret && opened.refused[0].bytes.is_empty());
    }
    // However badly it is formed otherwise, and also inside of what gives it back.
    let mut sloppy = payload(&event(Kind::Dispatch));
    sloppy.splice(..1, [0xbf]);
    sloppy.extend([12, 1, 0xff]);
    let sloppy = signed(V1, &sloppy, &key());
    assert_eq!(UnverifiedEvent::parse(&sloppy).err(), Some(EventError::Secret));
    let mut fields = event(Kind::Returned);
    let ask = Ask { incarnation: Incarnation::FIRST, from: Counter(1), to: Counter(1), whole: false };
    let returned = Returned { ask, through: Counter(1), events: vec![with(12, 1, V1).into()] };
    fields.body = Body::Returned(returned).encode().expect("a body");
    let returned = signed(V1, &payload(&fields), &key());
    let message = Message::Pack(vec![PackItem::new(0, &returned)]).encode();
    assert!(inbound::open(&verifier(), &message).expect("a pack").has_secret());
    // *Thường* is said by saying nothing.
    assert_eq!(UnverifiedEvent::parse(&with(12, 0, V1)).err(), Some(EventError::NotDeterministic));
    assert!(UnverifiedEvent::parse(&with(12, 0, "tram/event/v2")).is_ok());
    assert_eq!(UnverifiedEvent::parse(&with(15, 1, V1)).err(), Some(EventError::NotDeterministic));
}

mod event_frames {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        UnverifiedEvent::parse(bytes).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    }

    #[test]
    fn the_sound_event_is_accepted() {
        assert_eq!(refusal(&sealed()), "accepted");
    }

    #[test]
    fn garbage_is_not_a_frame() {
        for bytes in [&b""[..], b"\x00", b"hello", &[0xff; 300], &[0xd2], &[0xd2, 0x84], &[0xd2, 0x85]] {
            assert!(refusal(bytes).starts_with("not a COSE_Sign1 frame"), "{bytes:x?}");
        }
    }

    #[test]
    fn oversize_is_refused_by_its_length_alone() {
        let bytes = vec![0xd2; EVENT_BYTES_MAX + 1];
        assert_eq!(UnverifiedEvent::parse(&bytes).err(), Some(EventError::TooLarge { found: 65_537 }));
        let mut fields = event(Kind::Unknown(99));
        fields.body = vec![0; EVENT_BYTES_MAX];
        assert!(matches!(seal(fields, &key()), Err(EventError::TooLarge { .. })));
    }

    #[test]
    fn length_that_promises_more_than_there_is_costs_nothing() {
        // tag 18, array of 4, a byte string of 2^63 - 1 bytes
        let bytes = [0xd2, 0x84, 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(
            refusal(&bytes),
            "not a COSE_Sign1 frame with EdDSA, content type and key id: end of input bytes"
        );
    }

    #[test]
    fn unprotected_header_is_refused() {
        let sound = sealed();
        let protected = protected(V1, key().verifying_key().as_bytes());
        let at = 2 + 2 + protected.len();
        assert_eq!(sound[at], 0xa0, "the empty unprotected map");
        let mut bytes = sound[..at].to_vec();
        bytes.extend_from_slice(&[0xa1, 0x04, 0x41, 0x00]);
        bytes.extend_from_slice(&sound[at + 1..]);
        assert!(refusal(&bytes).ends_with("the unprotected header is not empty"));
    }

    #[test]
    fn bytes_after_the_frame_are_refused() {
        let mut bytes = sealed();
        bytes.push(0);
        assert_eq!(refusal(&bytes), FRAME);
    }

    #[test]
    fn long_way_of_writing_a_length_is_refused() {
        let sound = sealed();
        // The array of four, once with its number in the next byte, once of indefinite length.
        let mut long = vec![0xd2, 0x98, 0x04];
        long.extend_from_slice(&sound[2..]);
        assert_eq!(refusal(&long), FRAME);
        let mut endless = vec![0xd2, 0x9f];
        endless.extend_from_slice(&sound[2..]);
        endless.push(0xff);
        assert!(refusal(&endless).ends_with("not an array of four"));
        let mut long_tag = vec![0xd8, 18];
        long_tag.extend_from_slice(&sound[1..]);
        assert_eq!(refusal(&long_tag), FRAME);
    }

    #[test]
    fn other_algorithm_tag_or_header_is_refused() {
        let protected = protected(V1, key().verifying_key().as_bytes());
        let payload = payload(&event(Kind::Dispatch));
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut protected = protected.clone();
            change(&mut protected);
            refusal(&frame(&protected, &payload, &[0; 64]))
        };
        assert_eq!(with(&|_| {}), "accepted");
        assert!(with(&|p| p[2] = 0x26).ends_with("the algorithm is not EdDSA"), "ES256");
        assert!(with(&|p| p[0] = 0xa2).ends_with("the protected header has not three entries"));
        assert!(with(&|p| p[3] = 0x05).ends_with("no content type of at most 32 bytes"));
        assert_eq!(with(&|p| p.push(0)), FRAME, "bytes after the protected header");
        let mut tag = sealed();
        tag[0] = 0xd1;
        assert!(refusal(&tag).ends_with("the tag is not 18"));
    }

    #[test]
    fn other_content_type_is_named() {
        let payload = payload(&event(Kind::Dispatch));
        for name in [
            "tram/directory/v1",
            "tram/event/v",
            "tram/event/v01",
            "tram/event/v0",
            "tram/event/v+1",
            "tram/event/v256",
            "text/plain",
        ] {
            let found = refusal(&signed(name, &payload, &key()));
            assert_eq!(found, format!("the content type is `{name}`, expected `tram/event/v1`"));
        }
    }
}

mod event_fields {
    use super::*;

    #[test]
    fn payload_that_is_no_event_is_refused() {
        assert!(refusal(b"").starts_with("the payload is not an event"));
        assert!(refusal(b"\xa0").starts_with("the payload is not an event"));
        assert!(refusal(b"\x80").starts_with("the payload is not an event"));
        let mut missing = payload(&event(Kind::Dispatch));
        missing[0] -= 1;
        assert_eq!(refusal(&missing), rule(SHAPE), "eleven entries, ten announced");
    }

    #[test]
    fn number_written_the_long_way_is_refused() {
        let sound = payload(&event(Kind::Dispatch));
        // label 3, seq 18
        let at = sound.windows(2).position(|pair| pair == [3, 18]).expect("the seq");
        let mut long = sound[..=at].to_vec();
        long.extend_from_slice(&[0x18, 18]);
        long.extend_from_slice(&sound[at + 2..]);
        assert_eq!(refusal(&long), "the payload is not the deterministic encoding of its fields");
    }

    #[test]
    fn map_or_list_of_unknown_length_is_refused() {
        let mut map = payload(&event(Kind::Dispatch));
        map[0] = 0xbf;
        map.push(0xff);
        assert_eq!(refusal(&map), rule(SHAPE));
        let sound = payload(&event(Kind::Dispatch));
        let at = sound.windows(2).position(|pair| pair == [8, 0x81]).expect("one recipient") + 1;
        let end = at + 1 + 1 + 17 + 3;
        let mut list = sound[..at].to_vec();
        list.push(0x9f);
        list.extend_from_slice(&sound[at + 1..end]);
        list.push(0xff);
        list.extend_from_slice(&sound[end..]);
        assert_eq!(refusal(&list), rule(SHAPE));
    }

    #[test]
    fn field_twice_or_out_of_order_is_refused_in_every_version() {
        let mut twice = payload(&event(Kind::Dispatch));
        twice[0] += 1;
        twice.extend_from_slice(&[0x0b, 0x41, 0x00]);
        assert_eq!(refusal(&twice), rule(SHAPE));
        let later = UnverifiedEvent::parse(&signed("tram/event/v2", &twice, &key()));
        assert_eq!(later.err().map(|error| error.to_string()), Some(rule(SHAPE)));
        let mut lower = payload(&event(Kind::Dispatch));
        lower[0] += 1;
        lower.extend_from_slice(&[0x00, 0x00]);
        assert_eq!(refusal(&lower), rule(SHAPE));
    }

    #[test]
    fn field_this_version_does_not_know_is_refused_in_this_version_and_kept_in_a_later_one() {
        let mut unknown = payload(&event(Kind::Dispatch));
        unknown[0] += 1;
        unknown.extend_from_slice(&[0x0c, 0x00]);
        assert_eq!(refusal(&unknown), "the payload is not the deterministic encoding of its fields");
        let later = signed("tram/event/v2", &unknown, &key());
        let verified =
            verifier().verify(UnverifiedEvent::parse(&later).expect("a later version"), &Proof::default());
        assert_eq!(verified.expect("soundly signed").bytes(), later);
    }

    #[test]
    fn bytes_after_the_payload_are_refused_in_every_version() {
        let mut trailing = payload(&event(Kind::Dispatch));
        trailing.push(0);
        assert_eq!(refusal(&trailing), rule(SHAPE));
        let later = UnverifiedEvent::parse(&signed("tram/event/v2", &trailing, &key()));
        assert_eq!(later.err().map(|error| error.to_string()), Some(rule(SHAPE)));
    }

    /// A count of 2^32 elements in nine bytes: refused by the count, not by running out of memory.
    #[test]
    fn count_bombs_are_refused_by_the_count() {
        for label in [8u8, 9, 10] {
            let mut bomb = vec![0xa1, label];
            bomb.extend_from_slice(&[0x9a, 0xff, 0xff, 0xff, 0xff]);
            assert_eq!(refusal(&bomb), rule(SHAPE), "field {label}");
        }
        let map = [0xba, 0xff, 0xff, 0xff, 0xff];
        assert!(refusal(&map).starts_with("the payload is not an event"), "{}", refusal(&map));
    }

    #[test]
    fn deep_nesting_is_walked_without_the_stack() {
        for deep in [vec![0x81; 60_000], vec![0x9f; 60_000], vec![0xc1; 60_000], vec![0xa1; 60_000]] {
            let mut bytes = vec![0xa1, 0x0c];
            bytes.extend_from_slice(&deep);
            assert_ne!(refusal(&bytes), "accepted");
            let later = UnverifiedEvent::parse(&signed("tram/event/v2", &bytes, &key()));
            assert!(later.is_err());
        }
    }

    #[test]
    fn lists_over_their_limits_are_refused() {
        let office = |n: usize| OfficeId::new((1_000 + n as u128).to_be_bytes());
        let to = |n| schema::event::Addressee { office: office(n), counter: Counter(1) };
        assert_eq!(refusal_of(|e| e.to = (0..RECIPIENTS_MAX).map(to).collect()), "accepted");
        assert_eq!(refusal_of(|e| e.to = (0..=RECIPIENTS_MAX).map(to).collect()), rule(SHAPE));
        assert_eq!(refusal_of(|e| e.seen = vec![e.seen[0].clone(); SEEN_MAX]), "accepted");
        assert_eq!(refusal_of(|e| e.seen = vec![e.seen[0].clone(); SEEN_MAX + 1]), rule(SHAPE));
        let blobs = |count: usize| (0..count).map(|n| blob(n.to_le_bytes()[0])).collect::<Vec<_>>();
        assert_eq!(refusal_of(|e| e.blobs = blobs(BLOBS_MAX)), "accepted");
        assert_eq!(refusal_of(|e| e.blobs = blobs(BLOBS_MAX + 1)), rule(SHAPE));
    }

    #[test]
    fn rules_of_the_fields_are_named() {
        assert_eq!(refusal_of(|e| e.seq = Seq(0)), rule("seq starts at 1"));
        assert_eq!(
            refusal_of(|e| e.prev = EventId::NONE),
            rule("only the first event of an incarnation may have no predecessor")
        );
        assert_eq!(
            refusal_of(|e| (e.incarnation, e.seq) = (Incarnation::FIRST, Seq(1))),
            rule("the first event of incarnation 0 has no predecessor")
        );
        assert_eq!(refusal_of(|e| e.to[0].counter = Counter(0)), rule("counters start at 1"));
        assert_eq!(refusal_of(|e| e.to[0].office = e.office), rule("an office does not send to itself"));
        assert_eq!(refusal_of(|e| e.to.push(e.to[0])), rule("recipients are sorted and distinct"));
        let long = "x".repeat(129);
        assert_eq!(
            refusal_of(|e| e.seen[0].origin = long),
            rule("at most 8 seen checkpoints with origins of at most 128 bytes")
        );
        for length in [0, u64::MAX] {
            assert_eq!(
                refusal_of(|e| e.blobs[0].length = length),
                rule("sealed attachments have 1 byte to 2 GiB and what sealing adds")
            );
        }
        assert_eq!(refusal_of(|e| e.blobs[1] = e.blobs[0]), rule("each attachment is named once"));
    }

    /// Beyond them a store with signed 64-bit numbers or a JSON reader would see another number.
    #[test]
    fn numbers_that_not_every_reader_holds_are_refused() {
        assert_eq!(refusal_of(|e| e.seq = Seq(NUMBER_MAX)), "accepted");
        let words = rule("seq and counters are below 2^53");
        assert_eq!(refusal_of(|e| e.seq = Seq(NUMBER_MAX + 1)), words);
        assert_eq!(refusal_of(|e| e.to[0].counter = Counter(u64::MAX)), words);
        assert_eq!(refusal_of(|e| e.claimed_at = CLAIMED_AT_MAX), "accepted");
        let words = rule("the claimed time is before the year 9999");
        assert_eq!(refusal_of(|e| e.claimed_at = CLAIMED_AT_MAX.plus(1)), words);
        assert_eq!(refusal_of(|e| e.claimed_at = Millis(u64::MAX)), words);
    }

    #[test]
    fn text_that_is_no_utf_8_is_refused() {
        let mut bytes = payload(&event(Kind::Dispatch));
        let at = bytes.windows(4).position(|part| part == b"p01.").expect("the origin");
        bytes[at] = 0xff;
        assert!(refusal(&bytes).starts_with("the payload is not an event"), "{}", refusal(&bytes));
    }
}

mod event_keys {
    use super::*;

    fn judge(bytes: &[u8], verifier: &Verifier) -> Option<VerifyError> {
        verifier.verify(UnverifiedEvent::parse(bytes).expect("an event"), &Proof::default()).err()
    }

    #[test]
    fn changed_signature_is_refused() {
        let mut bytes = sealed();
        *bytes.last_mut().expect("bytes") ^= 1;
        let id = UnverifiedEvent::parse(&bytes).expect("an event").id();
        let key = key_id(key().verifying_key().as_bytes());
        let expected = VerifyError::Signature { id, office: SENDER, key };
        assert_eq!(judge(&bytes, &verifier()), Some(expected));
    }

    #[test]
    fn signature_made_for_another_kind_of_object_does_not_fit() {
        let payload = payload(&event(Kind::Dispatch));
        let protected = protected(V1, key().verifying_key().as_bytes());
        let message = to_be_signed("tram/directory/v1", &protected, &payload);
        let signature = ed25519_dalek::Signer::sign(&key(), &message).to_bytes();
        let bytes = frame(&protected, &payload, &signature);
        assert!(matches!(judge(&bytes, &verifier()), Some(VerifyError::Signature { .. })));
    }

    #[test]
    fn office_that_is_not_listed_is_named() {
        let mut fields = event(Kind::Dispatch);
        fields.office = STRANGER;
        let bytes = signed(V1, &payload(&fields), &key());
        assert_eq!(
            judge(&bytes, &verifier()),
            Some(VerifyError::UnknownOffice { office: STRANGER, directory: 7 })
        );
    }

    #[test]
    fn event_of_one_office_with_the_key_of_another_is_refused() {
        let bytes = signed(V1, &payload(&event(Kind::Dispatch)), &other_key());
        let key = key_id(other_key().verifying_key().as_bytes());
        let expected = VerifyError::UnknownKey { office: SENDER, key };
        assert_eq!(judge(&bytes, &verifier()), Some(expected));
    }

    /// The memory of what was verified must not vouch for what was not.
    #[test]
    fn memory_vouches_for_the_same_bytes_only() {
        let verifier = verifier().with_memory(std::sync::Arc::default());
        let sound = sealed();
        assert_eq!(judge(&sound, &verifier), None);
        assert_eq!(judge(&sound, &verifier), None);
        let mut changed = sound.clone();
        *changed.last_mut().expect("bytes") ^= 1;
        assert!(matches!(judge(&changed, &verifier), Some(VerifyError::Signature { .. })));
        let mut fields = event(Kind::Dispatch);
        fields.claimed_at = fields.claimed_at.plus(1);
        let mut other = signed(V1, &payload(&fields), &key());
        let length = other.len();
        other[length - 64..].copy_from_slice(&sound[sound.len() - 64..]);
        assert!(matches!(judge(&other, &verifier), Some(VerifyError::Signature { .. })));
    }
}

mod bodies {
    use super::*;

    fn read(kind: Kind, body: Vec<u8>) -> Result<Body, BodyError> {
        Body::read(1, &Event { body, ..event(kind) })
    }

    fn dispatch_with(change: impl FnOnce(&mut Dispatch)) -> Result<Body, BodyError> {
        let mut body = dispatch();
        change(&mut body);
        read(Kind::Dispatch, Body::Dispatch(body).encode().expect("a dispatch"))
    }

    #[test]
    fn body_is_exactly_its_kind() {
        for body in fixture::bodies() {
            let kind = body.kind().expect("a known kind");
            let bytes = body.encode().expect("a known kind");
            assert_eq!(read(kind, bytes.clone()), Ok(body));
            let mut trailing = bytes.clone();
            trailing.push(0);
            assert_eq!(read(kind, trailing), Err(BodyError::NotDeterministic { kind }));
            let mut more = bytes;
            more[0] += 1;
            more.extend_from_slice(&[0x17, 0x00]);
            let found = read(kind, more);
            // A status says first which of two it is, in a pair: a third element is none.
            match kind {
                Kind::Status => assert!(matches!(found, Err(BodyError::Malformed { .. })), "{found:?}"),
                _ => assert_eq!(found, Err(BodyError::NotDeterministic { kind }), "an unknown field"),
            }
            assert!(matches!(read(kind, b"\xff".to_vec()), Err(BodyError::Malformed { .. })));
            assert!(matches!(read(kind, Vec::new()), Err(BodyError::Malformed { .. })));
            assert!(matches!(read(kind, vec![0x81; 60_000]), Err(BodyError::Malformed { .. })));
        }
    }

    #[test]
    fn decomposed_text_is_refused() {
        let decomposed = "Hoa\u{300} Bi\u{300}nh";
        let expected = BodyError::Text(TextError::NotNfc { text: decomposed.to_owned() });
        assert_eq!(dispatch_with(|d| d.manifest.subject = decomposed.into()), Err(expected.clone()));
        assert_eq!(dispatch_with(|d| d.manifest.signer.name = decomposed.into()), Err(expected.clone()));
        assert_eq!(dispatch_with(|d| d.manifest.place = Some(decomposed.into())), Err(expected.clone()));
        assert_eq!(
            dispatch_with(|d| d.manifest.recipient_lines[1] = decomposed.into()),
            Err(expected.clone())
        );
        assert_eq!(dispatch_with(|d| d.manifest.attachments[0].name = decomposed.into()), Err(expected));
    }

    /// Otherwise an office could send on what persons signed for another one, as if it were its own.
    #[test]
    fn manifest_of_another_office_is_refused() {
        let found = dispatch_with(|d| d.manifest.issuer = STRANGER);
        let rule = "the issuing authority is the office that sends";
        assert_eq!(found, Err(BodyError::Rule { kind: Kind::Dispatch, rule }));
    }

    #[test]
    fn document_says_who_signs_it_how_long_it_is_and_how_urgent() {
        let refused = |rule| Err(BodyError::Rule { kind: Kind::Dispatch, rule });
        let nobody = "a document names its signer and the signer's title";
        assert_eq!(dispatch_with(|d| d.manifest.signer.name = " ".into()), refused(nobody));
        assert_eq!(dispatch_with(|d| d.manifest.signer.position = String::new()), refused(nobody));
        let pages = "a document has 1 to 9,999 pages";
        for wrong in [0, PAGES_MAX + 1, u16::MAX] {
            assert_eq!(dispatch_with(|d| d.manifest.pages = wrong), refused(pages));
        }
        let lists = "at most 64 lines of recipients and 32 references";
        let line = "Như trên".to_owned();
        assert_eq!(
            dispatch_with(|d| d.manifest.recipient_lines = vec![line.clone(); RECIPIENT_LINES_MAX + 1]),
            refused(lists)
        );
        let reference = dispatch().manifest.responds_to.remove(0);
        let many = vec![reference; REFERENCES_MAX + 1];
        assert_eq!(dispatch_with(|d| d.manifest.responds_to = many), refused(lists));
        let rule = "a place or a line of recipients says something";
        assert_eq!(dispatch_with(|d| d.manifest.recipient_lines[0] = "  ".into()), refused(rule));
        // Otherwise a relay would hurry on what nobody has called urgent, or leave an express document behind.
        let rule = "the event is as urgent as the document says";
        assert_eq!(dispatch_with(|d| d.manifest.urgency = Urgency::Urgent), refused(rule));
    }

    #[test]
    fn frozen_manifest_is_read_exactly() {
        let manifest = dispatch().manifest;
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest.clone()));
        let kind = Kind::Dispatch;
        assert_eq!(Manifest::decode(&[&bytes[..], &[0]].concat()), Err(BodyError::NotDeterministic { kind }));
        assert!(matches!(Manifest::decode(b""), Err(BodyError::Malformed { .. })));
        let rule = "a manifest has at most 48 KiB";
        assert_eq!(Manifest::decode(&vec![0; MANIFEST_BYTES_MAX + 1]), Err(BodyError::Rule { kind, rule }));
        let nameless = Manifest { subject: " ".to_owned(), ..manifest };
        let rule = "an abstract is required";
        assert_eq!(Manifest::decode(&nameless.encode()), Err(BodyError::Rule { kind, rule }));
    }

    #[test]
    fn control_characters_and_turned_text_are_refused() {
        for (text, code) in [
            ("dòng\nmới", 0x0a),
            ("chuông\u{7}", 0x07),
            ("\u{0}", 0x00),
            ("h\u{85}i", 0x85),
            ("hóa đơn \u{202e}fdp.exe", 0x202e),
            ("a\u{2066}b", 0x2066),
        ] {
            let text = format!("x{text}");
            let escaped = text.escape_default().to_string();
            let expected = BodyError::Text(TextError::Control { text: escaped, code });
            assert_eq!(dispatch_with(|d| d.manifest.subject = text.clone()), Err(expected.clone()));
            assert_eq!(
                dispatch_with(|d| d.manifest.attachments[0].name = text.clone()),
                Err(expected.clone())
            );
            assert_eq!(dispatch_with(|d| d.manifest.attachments[0].media_type = text), Err(expected));
        }
    }

    #[test]
    fn attachment_name_is_a_name_and_no_path() {
        let rule = |rule| Err(BodyError::Rule { kind: Kind::Dispatch, rule });
        for name in ["../../etc/passwd", "a/b.pdf", "C:\\a.pdf", "C:a.pdf", "", ".", ".."] {
            let found = dispatch_with(|d| d.manifest.attachments[1].name = name.into());
            assert_eq!(found, rule("a file name that every system takes, without a path"), "{name}");
        }
        assert!(dispatch_with(|d| d.manifest.attachments[1].name = "…giấy mời (2).pdf".into()).is_ok());
    }

    #[test]
    fn texts_and_lists_over_their_limits_are_refused() {
        let too_long = |found: Result<Body, BodyError>| {
            assert!(matches!(found, Err(BodyError::Text(TextError::TooLong { .. }))), "{found:?}");
        };
        too_long(dispatch_with(|d| d.manifest.subject = "đ".repeat(2_001)));
        too_long(dispatch_with(|d| d.manifest.signer.position = "đ".repeat(SIGNER_CHARS_MAX + 1)));
        too_long(dispatch_with(|d| d.manifest.attachments[0].name = "đ".repeat(256)));
        assert!(dispatch_with(|d| d.manifest.subject = "đ".repeat(2_000)).is_ok());
        let rule = |kind, rule| Err(BodyError::Rule { kind, rule });
        assert_eq!(
            dispatch_with(|d| d.manifest.subject = " \u{a0}".into()),
            rule(Kind::Dispatch, "an abstract is required")
        );
        assert_eq!(
            dispatch_with(|d| drop(d.manifest.attachments.pop())),
            rule(Kind::Dispatch, "every attachment is enclosed, and the event names what is enclosed")
        );
        assert_eq!(
            dispatch_with(|d| d.enclosures.reverse()),
            rule(Kind::Dispatch, "every attachment is enclosed, and the event names what is enclosed")
        );
        let attachment = |n| Attachment { name: "a".into(), media_type: "b".into(), file: file(n) };
        assert_eq!(
            dispatch_with(|d| d.manifest.attachments = (0..).map(attachment).take(BLOBS_MAX + 1).collect()),
            rule(Kind::Dispatch, "at most 50 attachments")
        );
        assert_eq!(
            dispatch_with(|d| d.signatures = vec![vec![0].into(); SIGNATURES_MAX + 1]),
            rule(Kind::Dispatch, "at most 8 signatures")
        );
        for bytes in [Vec::new(), vec![0; SIGNATURE_BYTES_MAX + 1]] {
            assert_eq!(
                dispatch_with(|d| d.signatures = vec![bytes.clone().into()]),
                rule(Kind::Dispatch, "a signature has 1 byte to 16 KiB")
            );
        }
        let receipt = |entries: usize, held: usize| {
            let heads = Heads { held: vec![place(1); held], ..Heads::default() };
            let body = Receipt { entries: vec![place(2); entries], heads, stamps: Vec::new() };
            read(Kind::Receipt, Body::Receipt(body).encode().expect("a receipt"))
        };
        assert!(receipt(ENTRIES_MAX, HELD_MAX).is_ok());
        assert_eq!(receipt(ENTRIES_MAX + 1, 0), rule(Kind::Receipt, "1 to 512 entries"));
        assert_eq!(receipt(0, 0), rule(Kind::Receipt, "1 to 512 entries"));
        assert_eq!(receipt(1, HELD_MAX + 1), rule(Kind::Receipt, "one recipient, at most 128 places"));
        let stamped = |stamped: &[u16], entries: usize| {
            let stamp = |entry: &u16| EntryStamp { entry: *entry, stamp: stamp_of(EventId::new([7; 32])) };
            let stamps = stamped.iter().map(stamp).collect();
            let body = Receipt { entries: vec![place(2); entries], heads: Heads::default(), stamps };
            read(Kind::Receipt, Body::Receipt(body).encode().expect("a receipt"))
        };
        let all: Vec<u16> = (0..).take(RECEIPT_STAMPS_MAX).collect();
        assert!(stamped(&all, RECEIPT_STAMPS_MAX).is_ok());
        let wrong = rule(Kind::Receipt, "at most 64 stamps, in the order of the entries");
        let more: Vec<u16> = (0..).take(RECEIPT_STAMPS_MAX + 1).collect();
        for (of, entries) in [(&more[..], 512), (&[1, 0], 2), (&[0, 0], 2), (&[2], 2)] {
            assert_eq!(stamped(of, entries), wrong, "{of:?}");
        }
    }

    /// What a station makes of as many documents as it can get at once is small enough to be an event.
    #[test]
    fn largest_receipt_with_stamps_fits_into_an_event() {
        let ids: Vec<EventId> = (0..16).map(|n| EventId::new([n; 32])).collect();
        let stamp = schema::stamp::stamp(&region(&"p".repeat(32)), Millis(1 << 50), &ids, &stamp_key());
        let stamps =
            (0..).take(RECEIPT_STAMPS_MAX).map(|entry| EntryStamp { entry, stamp: stamp[15].clone() });
        let place = schema::body::Place { counter: Counter(1 << 52), ..place(2) };
        let full = vec![place; HELD_MAX];
        let heads = Heads { held: full.clone(), ..Heads::default() };
        let body = Receipt { entries: full[..RECEIPT_STAMPS_MAX].to_vec(), heads, stamps: stamps.collect() };
        let body = Body::Receipt(body).encode().expect("a receipt");
        let sealed = seal(Event { body, ..event(Kind::Receipt) }, &key()).expect("it fits");
        assert!(sealed.bytes().len() < EVENT_BYTES_MAX / 2, "{} bytes", sealed.bytes().len());
    }

    #[test]
    fn body_about_one_correspondent_goes_to_one() {
        for body in fixture::bodies() {
            let kind = body.kind().expect("a known kind");
            if !matches!(kind, Kind::Receipt | Kind::Head | Kind::Restored) {
                continue;
            }
            let mut fields = event(kind);
            fields.to.push(schema::event::Addressee { office: STRANGER, counter: Counter(1) });
            assert!(matches!(Body::read(1, &fields), Err(BodyError::Rule { .. })), "{kind:?}");
        }
    }

    /// A region becomes part of a subject: `*` would be heard by everybody.
    #[test]
    fn region_that_is_a_wildcard_is_refused() {
        let sound = event(Kind::Status).body;
        let at = sound.windows(3).position(|part| part == b"p01").expect("the region");
        for token in [b"*01", b"p.1", b"p>1", b"P01"] {
            let mut body = sound.clone();
            body[at..at + 3].copy_from_slice(token);
            let found = read(Kind::Status, body);
            assert!(matches!(&found, Err(BodyError::Malformed { .. })), "{found:?}");
        }
    }

    #[test]
    fn incarnation_does_not_follow_itself() {
        let mut fields = event(Kind::Restored);
        fields.incarnation = Incarnation::new(1, 0);
        let rule = "a new incarnation is higher than the one it follows";
        assert_eq!(Body::read(1, &fields), Err(BodyError::Rule { kind: Kind::Restored, rule }));
    }
}

mod messages {
    use super::*;

    fn pack(items: Vec<PackItem>) -> Vec<u8> {
        Message::Pack(items).encode()
    }

    fn malformed(bytes: &[u8]) -> String {
        match Message::parse(bytes) {
            Err(MessageError::Malformed(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn oversize_is_refused_by_its_length_alone() {
        let bytes = vec![0x83; MESSAGE_BYTES_MAX + 1];
        assert_eq!(Message::parse(&bytes), Err(MessageError::TooLarge { found: bytes.len() }));
    }

    #[test]
    fn later_format_is_named() {
        assert_eq!(Message::parse(&[0x83, 2, 0, 0x80]), Err(MessageError::Format { found: 2 }));
        assert_eq!(malformed(&[0x83, 1, 9, 0x80]), "no message is of kind 9");
        assert_eq!(malformed(&[0x84, 1, 0, 0x80, 0x80]), "no message is of kind 0");
    }

    #[test]
    fn bytes_after_the_message_are_refused() {
        let mut bytes = pack(vec![PackItem::new(0, b"x")]);
        bytes.push(0);
        assert_eq!(malformed(&bytes), "bytes after the message");
    }

    #[test]
    fn counts_over_the_limits_are_refused() {
        let item = PackItem::new(0, b"x");
        assert!(Message::parse(&pack(vec![item.clone(); PACK_EVENTS_MAX])).is_ok());
        assert_eq!(malformed(&pack(vec![item.clone(); PACK_EVENTS_MAX + 1])), "decode error: too many items");
        let refused = "decode error: too many recipients or stamps of one item";
        let only = PackItem { only: vec![RECIPIENT; RECIPIENTS_MAX + 1], ..item.clone() };
        assert_eq!(malformed(&pack(vec![only])), refused);
        let stamps = vec![stamp_of(EventId::new([1; 32])); STAMPS_MAX + 1];
        assert_eq!(malformed(&pack(vec![PackItem { stamps, ..item }])), refused);
        let path = vec![region("p01"); PATH_MAX + 1];
        let forward = Message::Forward { to: region("p02"), path, items: Vec::new() };
        assert_eq!(malformed(&forward.encode()), "decode error: too many items");
        for bomb in [
            &[0x83, 1, 0, 0x9a, 0xff, 0xff, 0xff, 0xff][..],
            &[0x83, 1, 1, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x83, 1, 0, 0x9f],
        ] {
            assert_eq!(malformed(bomb), "decode error: too many items");
        }
    }

    #[test]
    fn region_that_is_a_wildcard_is_refused() {
        let bytes = [0x85, 1, 2, 0x61, b'*', 0x80, 0x80];
        assert_eq!(malformed(&bytes), "decode error: not a region");
    }

    /// One bad apple does not spoil the pack.
    #[test]
    fn broken_item_blocks_no_other() {
        let mut forged = sealed();
        *forged.last_mut().expect("bytes") ^= 1;
        let items = vec![PackItem::new(0, b"junk"), PackItem::new(4, &sealed()), PackItem::new(0, &forged)];
        let opened = inbound::open(&verifier(), &pack(items)).expect("a message");
        assert_eq!(opened.events.len(), 1);
        assert_eq!((opened.events[0].attempt, opened.events[0].event.bytes()), (4, sealed().as_slice()));
        let refused: Vec<_> = opened.refused.iter().map(|r| (r.id.is_some(), r.bytes.clone())).collect();
        assert_eq!(refused, [(false, b"junk".to_vec()), (true, forged)]);
        assert!(opened.refused[0].reason.english.starts_with("Not a COSE_Sign1 frame"));
        assert!(opened.refused[1].reason.english.contains("does not verify under key"));
    }

    /// The fullest pack there can be, with the longest lists of recipients, is still one message.
    #[test]
    fn every_pack_is_a_message() {
        let item = PackItem { only: vec![RECIPIENT; RECIPIENTS_MAX], ..PackItem::new(u32::MAX, &[7; 4_000]) };
        let packs = packs(vec![item; 3 * PACK_EVENTS_MAX]);
        assert!(packs.len() > 3, "the lists take room too");
        for items in packs {
            let path = vec![region(&"p".repeat(32)); PATH_MAX];
            let bytes = Message::Forward { to: region(&"q".repeat(32)), path, items }.encode();
            assert!(bytes.len() <= MESSAGE_BYTES_MAX && bytes.len() <= PACK_BYTES_MAX + 1_024);
            assert!(Message::parse(&bytes).is_ok());
        }
    }
}

mod attachments {
    use super::*;

    #[test]
    fn oversize_trailing_and_garbage_are_refused() {
        let error =
            |bytes: &[u8]| parse_blob_message::<BlobRequest>(bytes).map(drop).map_err(|e| e.to_string());
        let big = vec![0x82; BLOB_MESSAGE_BYTES_MAX + 1];
        assert_eq!(error(&big), Err("decode error: larger than a chunk and its envelope".to_owned()));
        let mut bytes = encode_blob_message(&BlobRequest::Offer { blob: blob(1), urgency: Urgency::Normal });
        bytes.push(0);
        assert!(error(&bytes).is_err_and(|words| words.contains("bytes after the message")));
        assert!(error(b"").is_err());
        assert!(error(&[0x82, 0x18, 99, 0x80]).is_err());
    }

    #[test]
    fn list_of_missing_chunks_is_bounded() {
        let missing = |count: usize| {
            let bytes = encode_blob_message(&BlobReply::Missing { chunks: vec![7; count] });
            parse_blob_message::<BlobReply>(&bytes).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(missing(MISSING_MAX), Ok(()));
        assert_eq!(missing(MISSING_MAX + 1), Err("decode error: more than 256 chunk numbers".to_owned()));
    }
}

mod courier_files {
    use super::*;

    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for record in records {
            bytes.extend_from_slice(&u32::try_from(record.len()).expect("small").to_be_bytes());
            bytes.extend_from_slice(record);
        }
        bytes
    }

    fn encoded(record: &Record) -> Vec<u8> {
        minicbor::to_vec(record).expect("memory")
    }

    fn damage(records: &[Vec<u8>]) -> String {
        let mut reader = CourierReader::new(std::io::Cursor::new(file(records))).expect("a courier file");
        loop {
            match reader.next() {
                Some(Ok(_)) => {}
                Some(Err(CourierError::Record { record, found })) => return format!("{record}: {found}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn other_file_is_named() {
        for bytes in [&b""[..], b"tram-courier/2\n", b"PK\x03\x04 and so on and on"] {
            assert!(matches!(CourierReader::new(bytes), Err(CourierError::Magic)));
        }
    }

    #[test]
    fn record_over_the_limits_is_damage() {
        let items = Record::Pack(vec![PackItem::new(0, b"x"); PACK_EVENTS_MAX + 1]);
        assert_eq!(damage(&[encoded(&items)]), "0: more than 64 events in a pack");
        let only = PackItem { only: vec![RECIPIENT; RECIPIENTS_MAX + 1], ..PackItem::new(0, b"x") };
        assert_eq!(damage(&[encoded(&Record::Pack(vec![only]))]), "0: more than 64 recipients of one item");
        let bytes = ByteVec::from(vec![0; CHUNK_BYTES as usize + 1]);
        let chunk = Record::Chunk { blob: blob(1), index: 0, bytes };
        assert_eq!(damage(&[encoded(&chunk)]), "0: a chunk of more than 64 KiB");
        let good = encoded(&Record::Pack(vec![PackItem::new(0, b"x")]));
        let mut trailing = good.clone();
        trailing.push(0);
        assert_eq!(damage(&[good.clone(), trailing]), "1: bytes after the record");
        let miscounted = encoded(&Record::End { records: 9 });
        assert_eq!(damage(&[good, miscounted]), "1: an end mark for 9 records");
    }

    #[test]
    fn nothing_is_read_after_the_damage() {
        let good = encoded(&Record::Pack(vec![PackItem::new(0, b"x")]));
        let bytes = file(&[vec![0xff], good]);
        let mut reader = CourierReader::new(bytes.as_slice()).expect("a courier file");
        assert!(matches!(reader.next(), Some(Err(_))));
        assert!(reader.next().is_none());
    }
}

mod directories {
    use super::*;

    fn root() -> [u8; 32] {
        root_key().verifying_key().to_bytes()
    }

    fn file() -> Vec<u8> {
        sign_directory(&snapshot(), &root_key()).expect("a sound snapshot")
    }

    #[test]
    fn directory_of_another_root_is_refused() {
        let forged = sign_directory(&snapshot(), &other_key()).expect("a sound snapshot");
        assert!(matches!(open_directory(&forged, &root()), Err(SignedDirectoryError::Signature)));
        let mut changed = file();
        *changed.last_mut().expect("bytes") ^= 1;
        assert!(matches!(open_directory(&changed, &root()), Err(SignedDirectoryError::Signature)));
    }

    #[test]
    fn event_is_not_taken_for_a_directory() {
        let found = open_directory(&sealed(), &root());
        assert!(
            matches!(found, Err(SignedDirectoryError::ContentType { found }) if found == "tram/event/v1")
        );
    }

    #[test]
    fn weak_root_key_opens_nothing() {
        let mut weak = [0; 32];
        weak[0] = 1;
        assert!(open_directory(&file(), &weak).is_err());
        assert!(matches!(
            open_directory(&file(), &[0xff; 32]),
            Err(SignedDirectoryError::RootKey | SignedDirectoryError::Signature)
        ));
    }

    #[test]
    fn oversize_is_refused_by_its_length_alone() {
        let found = open_directory(&vec![0; SNAPSHOT_BYTES_MAX + 257], &root());
        assert!(matches!(found, Err(SignedDirectoryError::TooLarge { .. })));
        let found = DirectoryDelta::decode(&vec![0; DELTA_BYTES_MAX + 1]);
        assert!(matches!(found, Err(SnapshotError::TooLarge { .. })));
    }

    #[test]
    fn region_that_is_a_wildcard_is_refused() {
        let mut bytes = snapshot().encode().expect("a sound snapshot");
        let named: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..at + 4] == *b"\x63p01").collect();
        assert!(!named.is_empty());
        named.into_iter().for_each(|at| bytes[at + 1] = b'*');
        assert!(matches!(DirectorySnapshot::decode(&bytes), Err(SnapshotError::Cbor { .. })));
    }

    #[test]
    fn count_bomb_is_refused_by_the_count() {
        let bomb = [0xa4, 0, 1, 1, 7, 2, 0, 3, 0x9a, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(DirectorySnapshot::decode(&bomb), Err(SnapshotError::Cbor { .. })));
    }
}

proptest! {
    /// Whatever is changed in a sealed event, nobody takes it for the event that was signed.
    #[test]
    fn any_changed_byte_is_refused(kind in 1u16..=11, at: prop::sample::Index, change in 1u8..) {
        let mut bytes = seal(event(Kind::from_number(kind)), &key()).expect("a sound event").bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        if let Ok(parsed) = UnverifiedEvent::parse(&bytes) {
            prop_assert_eq!(parsed.bytes(), bytes.as_slice());
            prop_assert!(verifier().verify(parsed, &Proof::default()).is_err(), "byte {} changed and accepted", at);
        }
    }

    #[test]
    fn any_cut_event_is_refused(at: prop::sample::Index) {
        let sound = sealed();
        prop_assert!(UnverifiedEvent::parse(&sound[..at.index(sound.len())]).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0u16..12) {
        let _ = UnverifiedEvent::parse(&bytes);
        let _ = UnverifiedEvent::parse(&signed(V1, &bytes, &key()));
        let _ = UnverifiedEvent::parse(&signed("tram/event/v2", &bytes, &key()));
        let _ = Message::parse(&bytes);
        let _ = parse_blob_message::<BlobRequest>(&bytes);
        let _ = parse_blob_message::<BlobReply>(&bytes);
        let _ = DirectorySnapshot::decode(&bytes);
        let _ = DirectoryDelta::decode(&bytes);
        let _ = Body::read(1, &Event { body: bytes, ..event(Kind::from_number(kind)) });
    }

    /// What was proven is exactly what comes back: bytes, fields and id.
    #[test]
    fn sealed_event_survives_the_wire(
        seq in 2..=NUMBER_MAX, incarnation: u32, at in 0..=CLAIMED_AT_MAX.0, kind: u16,
        body in prop::collection::vec(any::<u8>(), 0..500),
        to in prop::collection::btree_map(any::<[u8; 16]>(), 1..=NUMBER_MAX, 0..=RECIPIENTS_MAX),
    ) {
        let mut fields = event(Kind::from_number(kind));
        (fields.seq, fields.incarnation, fields.claimed_at) = (Seq(seq), Incarnation::new(incarnation, 0), Millis(at));
        fields.body = body;
        fields.to = to
            .into_iter()
            .map(|(office, counter)| schema::event::Addressee { office: OfficeId::new(office), counter: Counter(counter) })
            .filter(|to| to.office != SENDER)
            .collect();
        let sealed = seal(fields.clone(), &key()).expect("sound fields");
        let verified = verifier().verify(UnverifiedEvent::parse(sealed.bytes()).expect("an event"), &Proof::default());
        let verified = verified.expect("soundly signed");
        prop_assert_eq!(verified.event(), &fields);
        prop_assert_eq!((verified.bytes(), verified.id()), (sealed.bytes(), sealed.id()));
    }
}
