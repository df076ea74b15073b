//! What one program says must be words in another: nobody but this package sees both.

use node::words::{Lang, RELAY_REASON, word};
use relay::admission::Reason;

#[test]
fn every_reason_that_a_relay_tells_an_office_has_words_at_its_station() {
    // Told to peers only, or to nobody: evidence is kept, not refused.
    let untold = [Reason::WrongDoor, Reason::Loop, Reason::Fork];
    let told = Reason::ALL.into_iter().filter(|reason| !untold.contains(reason)).map(Reason::as_str);
    for code in told.chain(["no-room", "unreachable"]) {
        for lang in [Lang::Vi, Lang::En] {
            assert_ne!(word(RELAY_REASON, code, lang), code, "the clerk would read a code word");
        }
    }
}
