//! Erasing the content of documents that nobody has to keep any more, on the command line.

use clap::Args;
use schema::id::DocumentId;
use schema::time::Day;
use serde_json::{Value, json};

use super::client::{CliError, Client};

/// Which documents, and on what ground.
#[derive(Args)]
pub(super) struct EraseArgs {
    /// The documents' ids.
    #[arg(required_unless_present = "kept_years")]
    documents: Vec<DocumentId>,
    /// Their sender, id or code; needed only where two offices have chosen one id.
    #[arg(long)]
    from: Option<String>,
    /// The last day on which they had to be kept (thời hạn bảo quản), as 2025-06-30; it is over.
    #[arg(long, required_unless_present_any = ["ordered", "kept_years"])]
    kept_until: Option<Day>,
    /// Whoever may do so has ordered it before that.
    #[arg(long, conflicts_with = "kept_until")]
    ordered: bool,
    /// All documents that are kept for so many years, counted from the end of the one in which something was recorded about them last,
    /// and whose time is over. What is still open stays.
    #[arg(long, conflicts_with_all = ["documents", "from", "kept_until", "ordered"])]
    kept_years: Option<u8>,
    /// The decision that allows it: its number, its date, and whose it is.
    #[arg(long)]
    decision: String,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Each document by itself: what is refused keeps no other one from being erased.
pub(super) fn erase(client: &Client, args: &EraseArgs) -> Result<Value, CliError> {
    let mut rows = Vec::new();
    match args.kept_years {
        None => {
            for document in &args.documents {
                let asked = args.asking(&json!(document), &json!(args.from), &json!(args.kept_until));
                rows.push(one(client, &asked, args.documents.len() > 1)?);
            }
        }
        Some(years) => {
            for direction in ["incoming", "outgoing"] {
                let mut after = 0;
                loop {
                    let path = format!("/erasable?direction={direction}&years={years}&after={after}");
                    let page = client.get(&path)?;
                    for row in page["rows"].as_array().into_iter().flatten() {
                        // Of what was sent from here, this office is the issuer, and nobody sent it to itself.
                        let from = if direction == "incoming" { &row["issuer"] } else { &Value::Null };
                        let asked = args.asking(&row["document"], from, &row["kept_until"]);
                        rows.push(one(client, &asked, true)?);
                    }
                    match page["next"].as_u64() {
                        Some(next) => after = next,
                        None => break,
                    }
                }
            }
        }
    }
    Ok(json!({ "dry_run": args.dry_run, "documents": rows }))
}

impl EraseArgs {
    fn asking(&self, document: &Value, from: &Value, kept_until: &Value) -> Value {
        json!({
            "work": "erase",
            "document": document,
            "from": from,
            "kept_until": kept_until,
            "ordered": self.ordered,
            "decision": self.decision,
            "reason": self.reason,
            "dry_run": self.dry_run,
        })
    }
}

/// What became of one document; a refusal among several is a line of the answer.
fn one(client: &Client, asked: &Value, among_others: bool) -> Result<Value, CliError> {
    let document = &asked["document"];
    match client.post("/work", asked) {
        Ok(_) => {
            let erased = asked["dry_run"] == Value::Bool(false);
            Ok(json!({ "document": document, "erased": erased, "allowed": true }))
        }
        Err(CliError::Refused { code, message, .. }) if among_others => Ok(json!({
            "document": document, "erased": false, "allowed": false, "error": code, "message": message,
        })),
        Err(error) => Err(error),
    }
}
