//! When a station tries again.

mod station;

use node::Node;
use node::step::{Delivery, Effect, Input, Publication, PublishOutcome, Ticket};
use node::store::Store;
use schema::body::Dispatch;
use schema::document::{DocumentType, Manifest, Signer};
use schema::event::UnverifiedEvent;
use schema::exchange::Command;
use schema::id::{DocumentId, EventId, RegionId};
use schema::inbound::Opened;
use schema::pack::{Message, Notice};
use schema::time::Millis;
use station::{RECIPIENT, SENDER, key, office_id, registry};

/// 2025-06-10T00:00:00Z.
const DAY: Millis = Millis(1_749_513_600_000);

fn relay() -> RegionId {
    "p01".parse().expect("a region")
}

fn published(effects: &[Effect]) -> (Publication, EventId) {
    let publish = effects.iter().find_map(|effect| match effect {
        Effect::Publish { publication, message, .. } => Some((*publication, message)),
        _ => None,
    });
    let (publication, message) = publish.expect("something was published");
    let Ok(Message::Pack(items)) = Message::parse(message) else { panic!("not a pack") };
    (publication, UnverifiedEvent::parse(&items[0].event).expect("an event").id())
}

#[test]
fn what_a_relay_refuses_is_tried_again_soon_and_then_ever_more_seldom() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("tram.db")).expect("a store");
    let registry = registry("nats://127.0.0.1:1");
    let mut node = Node::open(store, key(SENDER), registry, office_id(SENDER), [1; 32], DAY).expect("a node");
    let (document, signer) = (DocumentId::new([7; 16]), Signer::head("Chủ tịch", "Vàng A Sáng"));
    let letter = DocumentType::OfficialLetter;
    let manifest = Manifest::new(document, office_id(SENDER), letter, "V/v thay khóa ký", signer);
    let command = Command::Dispatch {
        by: None,
        to: vec![office_id(RECIPIENT)],
        dispatch: Box::new(Dispatch::unsigned(manifest)),
        reference_only: true,
    };
    let inputs = vec![Input::Connected(relay()), Input::Command { ticket: Ticket(1), command }];
    let mut now = DAY;
    let mut sent = published(&node.step(inputs, now).expect("a step"));
    let mut waits = Vec::new();
    for delivery in 0..8 {
        let stored = Input::Published { publication: sent.0, outcome: PublishOutcome::Stored };
        node.step(vec![stored], now).expect("a step");
        let patient = node.wakeup().expect("it waits for a receipt").since(now);
        assert!(patient > 40 * Millis::SECOND, "{patient} ms");
        let notice = Notice { id: Some(sent.1), reason: "no certificate is held for this key".to_owned() };
        let opened = Opened { notices: vec![notice], ..Opened::default() };
        let refused = Input::Delivered { relay: relay(), delivery: Delivery(delivery), opened };
        node.step(vec![refused], now).expect("a step");
        let again = node.wakeup().expect("it is tried again");
        waits.push(again.since(now));
        now = again;
        sent = published(&node.step(vec![Input::Tick], now).expect("a step"));
    }
    assert!(waits[0] <= 5 * Millis::SECOND, "{waits:?}");
    assert!(
        waits.windows(2).all(|pair| pair[1] > pair[0]),
        "a relay that always refuses is asked less and less: {waits:?}"
    );
}
