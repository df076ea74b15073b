//! What attachments are by their own bytes, beside what their names say.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use schema::blob::{Enclosure, FileRef};
use schema::id::FileHash;
use serde_json::{Value, json};

use super::SharedApi;
use crate::content::Contents;
use crate::sealing::open_file;
use crate::sniff::Kind;
use crate::store::{AttachmentState, AttachmentView};
use crate::words::{FILE_WARNING, Lang, word};

/// Most files whose kind is remembered; all are forgotten when there are more.
const KINDS_MAX: usize = 4_096;

/// What was found out since the station started: a file is looked at once.
#[derive(Default)]
pub(super) struct Kinds(Mutex<BTreeMap<FileHash, Kind>>);

impl Kinds {
    fn known(&self, file: &FileHash) -> Option<Kind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(file).copied()
    }

    /// The kind of a file that is here. It is opened, and its hash is not looked at: whoever fetches it does that.
    fn of(&self, contents: &Contents, enclosure: &Enclosure, file: &FileRef) -> io::Result<Kind> {
        if let Some(known) = self.known(&file.hash) {
            return Ok(known);
        }
        let sealed = contents.whole(&enclosure.blob).map_err(io::Error::other)?;
        let opened = open_file(&enclosure.identity, sealed).map_err(io::Error::other)?;
        let kind = Kind::of(&mut opened.take(file.length))?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KINDS_MAX {
            known.clear();
        }
        known.insert(file.hash, kind);
        Ok(kind)
    }
}

/// What is told of a file of this name.
fn told(kind: &Kind, name: &str, lang: Lang) -> Value {
    let warnings = kind.warnings(name).into_iter();
    let warnings =
        warnings.map(|warning| json!({ "code": warning, "text": word(FILE_WARNING, warning.code(), lang) }));
    json!({ "media_type": kind.media_type, "warnings": warnings.collect::<Vec<_>>() })
}

/// What a file is that was sealed just now, or before.
pub(super) async fn of_file(
    api: &SharedApi,
    (enclosure, file): (Enclosure, FileRef),
    name: Option<String>,
    lang: Lang,
) -> Value {
    let looking = Arc::clone(api);
    let looked = tokio::task::spawn_blocking(move || looking.kinds.of(&looking.contents, &enclosure, &file));
    match looked.await {
        Ok(Ok(kind)) => told(&kind, &name.unwrap_or_default(), lang),
        // It is kept all the same; whoever opens the document is told then.
        Ok(Err(_)) | Err(_) => Value::Null,
    }
}

/// What the attachments of a document are, in their order; null for one that is not here, or cannot be read.
pub(super) async fn of_attachments(
    api: &SharedApi,
    attachments: &[AttachmentView],
    lang: Lang,
) -> Vec<Value> {
    let (looking, wanted) = (Arc::clone(api), attachments.to_vec());
    let looked = tokio::task::spawn_blocking(move || {
        let kinds = wanted.iter().map(|view| {
            if view.state != AttachmentState::Here {
                return Value::Null;
            }
            let (enclosure, file) = (&view.opening.enclosure, &view.attachment.file);
            match looking.kinds.of(&looking.contents, enclosure, file) {
                Ok(kind) => told(&kind, &view.attachment.name, lang),
                Err(error) => {
                    tracing::error!(file = %file.hash, %error, "an attachment could not be looked at");
                    Value::Null
                }
            }
        });
        kinds.collect::<Vec<_>>()
    });
    looked.await.unwrap_or_default()
}
