//! Two offices whose documents go by courier file, and their people.

use serde_json::Value;

use super::{LETTER, Office};
use crate::station::{RECIPIENT, SENDER};

/// Somebody of an office, and what the command line calls them.
pub const CLERK: &str = "lo-thi-mai";
pub const LEADER: &str = "vang-a-sang";
pub const OFFICER: &str = "giang-a-pao";

/// A running station with a clerk, a leader and an officer.
pub fn opened(n: u8) -> Office {
    let mut office = Office::enrolled(n);
    for (name, role) in [("Lò Thị Mai", "clerk"), ("Vàng A Sáng", "leader"), ("Giàng A Páo", "officer")]
    {
        office.text(&["person", "add", name, "--role", role]);
    }
    office.start();
    office
}

/// A sender and a recipient without a network.
pub struct Pair {
    pub sender: Office,
    pub recipient: Office,
    carried: u32,
}

impl Pair {
    pub fn open() -> Self {
        Self { sender: opened(SENDER), recipient: opened(RECIPIENT), carried: 0 }
    }

    pub fn carry(&mut self, there: bool) {
        self.carried += 1;
        let (from, to) = match there {
            true => (&self.sender, &self.recipient),
            false => (&self.recipient, &self.sender),
        };
        let file = from.path(&format!("{}.courier", self.carried));
        from.text(&["courier", "export", "--out", &file]);
        to.text(&["courier", "import", &file]);
    }

    /// Everything that the recipient says about itself and its keys comes to the sender.
    pub fn tell(&self, name: &str) {
        let file = self.recipient.path(name);
        self.recipient.text(&["registry", "export", "--out", &file]);
        let taken = self.sender.json(&["registry", "import", &file]);
        assert!(taken["new"].as_u64() >= Some(1), "{taken}");
    }

    pub fn send(&self, subject: &str) -> String {
        let paper = self.sender.path("công văn.pdf");
        std::fs::write(&paper, "%PDF-1.7 nội dung").expect("written");
        let mut arguments = vec!["send", "--reference-only", "--to", "H02.18", "--subject", subject];
        arguments.extend(LETTER);
        arguments.push(&paper);
        let sent = self.sender.json(&arguments);
        sent["document"].as_str().expect("an id").to_owned()
    }

    pub fn at_sender(&self, document: &str) -> Value {
        self.sender.json(&["show", document])["recipients"][0].clone()
    }
}

/// The refusal's code of a command that is refused.
pub fn refused(office: &Office, arguments: &[&str]) -> String {
    let mut all = vec!["--json"];
    all.extend(arguments);
    let output = office.ask(&all);
    assert!(!output.status.success(), "{arguments:?} was done");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    answer["error"].as_str().expect("a code").to_owned()
}

/// The command that registers a letter on paper.
pub fn paper(subject: &str) -> [&str; 14] {
    let letter = ["--author", "Điện lực Bắc Hà", "--number", "12/ĐL", "--issued-on", "2025-06-05"];
    let [a, b, c, d, e, f] = letter;
    ["register", "paper", a, b, c, d, e, f, "--type", "công văn", "--subject", subject, "--as", CLERK]
}
