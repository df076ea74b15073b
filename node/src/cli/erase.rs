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
    #[arg(required = true)]
    documents: Vec<DocumentId>,
    /// Their sender, id or code; needed only where two offices have chosen one id.
    #[arg(long)]
    from: Option<String>,
    /// The last day on which they had to be kept (thời hạn bảo quản), as 2025-06-30; it is over.
    #[arg(long, required_unless_present = "ordered")]
    kept_until: Option<Day>,
    /// Whoever may do so has ordered it before that.
    #[arg(long, conflicts_with = "kept_until")]
    ordered: bool,
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
    let EraseArgs { documents, from, kept_until, ordered, decision, reason, dry_run } = args;
    let mut rows = Vec::new();
    for document in documents {
        let mut asked = json!({
            "work": "erase",
            "document": document,
            "ordered": ordered,
            "decision": decision,
            "reason": reason,
            "dry_run": dry_run,
        });
        if let Some(from) = from {
            asked["from"] = json!(from);
        }
        if let Some(kept_until) = kept_until {
            asked["kept_until"] = json!(kept_until);
        }
        rows.push(match client.post("/work", &asked) {
            Ok(_) => json!({ "document": document, "erased": !dry_run, "allowed": true }),
            Err(CliError::Refused { code, message, .. }) if documents.len() > 1 => {
                json!({ "document": document, "erased": false, "allowed": false, "error": code, "message": message })
            }
            Err(error) => return Err(error),
        });
    }
    Ok(json!({ "dry_run": dry_run, "documents": rows }))
}
