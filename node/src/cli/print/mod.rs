//! What is printed around a document, as pages for any browser.

mod appearance;
mod page;
mod slip;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use schema::handling::BookId;
use schema::id::DocumentId;
use schema::time::Day;
use serde_json::{Value, json};

use super::client::{CliError, Client};
use super::send::write_new;
use super::{Output, percent, show};
use crate::words::Lang;

pub(super) use page::{Page, Paper};

#[derive(Subcommand)]
pub(super) enum PrintCommand {
    /// The stamp ĐẾN and the slip for handling a registered document (Decree 30/2020 appendix IV), as its events say.
    Slip(SlipArgs),
    /// The signatures on a document as the law has them shown: who, in what capacity, when by whose word, what each is worth.
    ///
    /// Nothing is drawn into a PDF: the page shows the texts and where they belong.
    Signatures {
        /// The document's id.
        document: DocumentId,
        #[command(flatten)]
        to: To,
    },
}

#[derive(Args)]
pub(super) struct SlipArgs {
    /// The document's id.
    #[arg(required_unless_present = "number", conflicts_with = "number")]
    document: Option<DocumentId>,
    /// Its sender, id or code; needed only where two offices have chosen one id.
    #[arg(long, requires = "document")]
    from: Option<String>,
    /// Its arrival number in place of its id: what came on paper has no other name.
    #[arg(long)]
    number: Option<u32>,
    /// In which register; `den` when left out.
    #[arg(long, requires = "number")]
    book: Option<BookId>,
    /// In which year; this one when left out.
    #[arg(long, requires = "number")]
    year: Option<i16>,
    #[command(flatten)]
    to: To,
}

/// Where the page goes.
#[derive(Args)]
pub(super) struct To {
    /// The file; never overwritten. Standard output when left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl SlipArgs {
    fn path(&self) -> String {
        match (self.document, self.number) {
            (Some(document), _) => {
                let from = self.from.as_deref().map(|from| format!("?from={}", percent(from)));
                format!("/documents/{document}/slip{}", from.unwrap_or_default())
            }
            (None, number) => {
                let book = self.book.as_ref().map_or("den".to_owned(), BookId::to_string);
                let year = self.year.unwrap_or_else(|| Day::in_vietnam(crate::runtime::now()).0.year());
                format!("/registers/incoming/{book}/{year}/{}/slip", number.unwrap_or_default())
            }
        }
    }
}

pub(super) fn print(client: &Client, command: PrintCommand, output: &Output) -> Result<(), CliError> {
    match command {
        PrintCommand::Slip(args) => {
            let answer = client.get(&args.path())?;
            printed(&answer, slip::page, args.to.out, output)
        }
        PrintCommand::Signatures { document, to } => {
            let answer = client.get(&format!("/documents/{document}/appearance"))?;
            printed(&answer, appearance::page, to.out, output)
        }
    }
}

fn printed(
    answer: &Value,
    page: fn(&Value, Lang) -> String,
    out: Option<PathBuf>,
    output: &Output,
) -> Result<(), CliError> {
    let Some(out) = out else { return output.show(answer, page) };
    write_new(&out, page(answer, output.lang).as_bytes())?;
    output.show(&json!({ "file": out }), show::page_written)
}
