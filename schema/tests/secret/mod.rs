//! An event that says that it is a state secret, as no program of ours writes one.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of this module")]

use minicbor::data::Tag;
use minicbor::{Decoder, Encoder};

/// The event with a degree of secrecy (label 12) added to its fields. Its signature does not hold any more: whoever sees
/// the degree looks no further.
pub fn marked_secret(event: &[u8]) -> Vec<u8> {
    let mut frame = Decoder::new(event);
    frame.tag().and_then(|_| frame.array()).expect("COSE_Sign1");
    let protected = frame.bytes().expect("protected headers");
    frame.map().expect("no other headers");
    let mut payload = frame.bytes().expect("the fields").to_vec();
    let signature = frame.bytes().expect("a signature");
    payload[0] += 1;
    payload.extend([12, 2]);
    let mut out = Encoder::new(Vec::new());
    let frame = out.tag(Tag::new(18)).and_then(|out| out.array(4)).and_then(|out| out.bytes(protected));
    let frame = frame.and_then(|out| out.map(0)).and_then(|out| out.bytes(&payload));
    frame.and_then(|out| out.bytes(signature)).expect("a vector takes everything");
    out.into_writer()
}
