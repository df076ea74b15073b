//! Opens a message from outside: every event in it is verified, or refused by name, one by one.

use crate::body::Body;
use crate::event::{EventError, Kind, Proof, UnverifiedEvent, VerifiedEvent, Verifier};
use crate::id::{EventId, OfficeId, RegionId};
use crate::pack::{Message, MessageError, Notice, PackItem};
use crate::words::Bilingual;

/// What a message held.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// The region it is for, and the relays it has passed, when it is on its way to another region.
    pub forward: Option<(RegionId, Vec<RegionId>)>,
    /// Events whose signature holds.
    pub events: Vec<Arrival>,
    /// Items that are no event, or whose signature does not hold.
    pub refused: Vec<Refused>,
    /// A relay's own words.
    pub notices: Vec<Notice>,
}

/// An event that came in, and what its envelope says about it. The envelope is unsigned.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// How often its sender has sent it before.
    pub attempt: u32,
    /// Deliver to these of its recipients only; empty means all.
    pub only: Vec<OfficeId>,
    /// When it was there, as relays have signed.
    pub proof: Proof,
    /// The event.
    pub event: VerifiedEvent,
}

/// An item that is not accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Its id, if it could be read.
    pub id: Option<EventId>,
    /// Its bytes, as received; none of what says that it is secret.
    pub bytes: Vec<u8>,
    /// It says that it is a state secret: nothing of it may stay on this machine.
    pub is_secret: bool,
    /// Why, and what to do.
    pub reason: Bilingual,
    /// Whether a newer registry than that of the verifier may say otherwise: the key may have been certified just now.
    pub may_be_lack_of_news: bool,
}

impl Opened {
    /// Whether something in it says that it is a state secret.
    pub fn has_secret(&self) -> bool {
        self.refused.iter().any(|refused| refused.is_secret)
    }

    /// Whether something was refused that a newer registry may accept.
    pub fn may_lack_news(&self) -> bool {
        self.refused.iter().any(|refused| refused.may_be_lack_of_news)
    }
}

/// Takes an event apart. One that gives back others is as secret as what is in it: it would be kept as a whole.
fn parse(bytes: &[u8]) -> Result<UnverifiedEvent, EventError> {
    let event = UnverifiedEvent::parse(bytes)?;
    if event.claims().kind == Kind::Returned
        && let Ok(Body::Returned(returned)) = event.body()
        && returned
            .events
            .iter()
            .any(|inner| matches!(UnverifiedEvent::parse(inner), Err(EventError::Secret)))
    {
        return Err(EventError::Secret);
    }
    Ok(event)
}

/// Opens a message. Costs one signature check per event, and one per stamp that is not known yet; needs nothing but the verifier, so it may run on any
/// thread.
///
/// # Errors
/// When the message itself cannot be read.
pub fn open(verifier: &Verifier, message: &[u8]) -> Result<Opened, MessageError> {
    let mut opened = Opened::default();
    let items = match Message::parse(message)? {
        Message::Pack(items) => items,
        Message::Forward { to, path, items } => {
            opened.forward = Some((to, path));
            items
        }
        Message::Notices(notices) => {
            opened.notices = notices;
            Vec::new()
        }
    };
    for PackItem { attempt, event, only, stamps } in items {
        match parse(&event) {
            Ok(unverified) => {
                let id = unverified.id();
                let proof = verifier.proof(&id, stamps);
                match verifier.verify(unverified, &proof) {
                    Ok(event) => opened.events.push(Arrival { attempt, only, proof, event }),
                    Err(error) => {
                        let may_be_lack_of_news = error.may_be_lack_of_news();
                        let reason = Bilingual::new(|language| error.text(language));
                        let bytes = event.into();
                        let (id, is_secret) = (Some(id), false);
                        opened.refused.push(Refused { id, bytes, is_secret, reason, may_be_lack_of_news });
                    }
                }
            }
            Err(error) => {
                let reason = Bilingual::new(|language| error.text(language));
                let is_secret = error == EventError::Secret;
                let bytes = if is_secret { Vec::new() } else { event.into() };
                let may_be_lack_of_news = false;
                opened.refused.push(Refused { id: None, bytes, is_secret, reason, may_be_lack_of_news });
            }
        }
    }
    Ok(opened)
}
