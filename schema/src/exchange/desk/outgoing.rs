//! A document on its way out, in the order of the law: drafted, approved, signed by a person, numbered, sealed and sent. Each
//! step out of turn is refused with the reason.

use minicbor::bytes::ByteVec;

use super::{Decided, Desk, WorkRefusal};
use crate::body::{Deed, Dispatch, Issue, SIGNATURES_MAX};
use crate::document::Manifest;
use crate::exchange::decide::{check_dispatch, decide_dispatch, enclosed};
use crate::exchange::{Draft, Records, Refusal};
use crate::handling::{BookId, CaseRow, Direction, DraftStage, DraftedRow, Recipients, Side, Standing};
use crate::id::{BusinessId, DocumentId, OfficeId};

/// What a PDF calls itself (RFC 8118).
const PDF: &str = "application/pdf";

impl<R: Records> Desk<'_, R> {
    pub(super) fn draft(
        &self,
        manifest: &Manifest,
        to: &Recipients,
    ) -> Result<Result<Vec<Draft>, Refusal>, R::Error> {
        let document = manifest.document;
        let known = self.records.drafted(&document)?;
        let refused = match known.as_ref().map(|known| known.stage) {
            _ if self.records.knows_outgoing(&document)? => Some(WorkRefusal::AlreadySent),
            None | Some(DraftStage::Drafted | DraftStage::Approved) => None,
            Some(DraftStage::Signed | DraftStage::Issued) => Some(WorkRefusal::ContentFixed),
            Some(DraftStage::Sent) => Some(WorkRefusal::AlreadySent),
            Some(DraftStage::Discarded) => Some(WorkRefusal::AlreadyDiscarded),
        };
        if let Some(refusal) = refused {
            return Ok(Err(refusal.into()));
        }
        // Whoever has had no answer and asks again takes no approval away.
        if known.is_some_and(|known| known.manifest.as_ref() == Some(manifest) && known.to == *to) {
            return Ok(Ok(Vec::new()));
        }
        if manifest.issuer != self.exchange.me() {
            return Ok(Err(WorkRefusal::OtherIssuer.into()));
        }
        // What would make sending impossible is said before anybody signs it.
        let dispatch = Dispatch::unsigned(manifest.clone());
        let sendable = check_dispatch(self.exchange, self.context, &self.offices(to), &dispatch)
            .and_then(|()| enclosed(&dispatch, self.context.enclosures));
        if let Err(refusal) = sendable {
            return Ok(Err(refusal));
        }
        if let Some(amends) = &manifest.amends
            && self.records.recipients(&amends.document)?.is_empty()
        {
            return Ok(Err(WorkRefusal::NotSent { document: amends.document }.into()));
        }
        let (manifest, to) = (Box::new(manifest.clone()), to.clone());
        Ok(Ok(vec![self.kept(Deed::Drafted { manifest, to })]))
    }

    /// To whom a draft goes as of now.
    pub(super) fn offices(&self, to: &Recipients) -> Vec<OfficeId> {
        match to {
            Recipients::Listed(to) => to.clone(),
            Recipients::All => {
                let enrolled = self.context.directory.offices().filter(|office| office.is_enrolled());
                let me = self.exchange.me();
                let allowed = |id: &OfficeId| *id != me && self.context.rules.may_send_to(id);
                enrolled.map(|office| office.id).filter(allowed).collect()
            }
        }
    }

    fn drafted(&self, document: &DocumentId) -> Result<Result<DraftedRow, WorkRefusal>, R::Error> {
        let Some(row) = self.records.drafted(document)? else {
            return Ok(Err(WorkRefusal::NoDraft { document: *document }));
        };
        // Another program may have sent it through the other door.
        if row.stage == DraftStage::Sent || self.records.knows_outgoing(document)? {
            return Ok(Err(WorkRefusal::AlreadySent));
        }
        Ok(match row.stage {
            DraftStage::Discarded => Err(WorkRefusal::AlreadyDiscarded),
            _ => Ok(row),
        })
    }

    pub(super) fn approve(&self, document: DocumentId) -> Result<Decided, R::Error> {
        Ok(self.drafted(&document)?.and_then(|row| match row.stage {
            DraftStage::Drafted => Ok(vec![self.kept(Deed::Approved { document })]),
            _ => Err(WorkRefusal::AlreadyApproved),
        }))
    }

    pub(super) fn sign(&self, document: DocumentId, signature: &ByteVec) -> Result<Decided, R::Error> {
        Ok(self.drafted(&document)?.and_then(|row| match row.stage {
            DraftStage::Drafted => Err(WorkRefusal::NotApproved),
            DraftStage::Issued => Err(WorkRefusal::AlreadyIssued),
            _ if row.signatures.contains(signature) => Err(WorkRefusal::AlreadySigned),
            _ if row.signatures.len() >= SIGNATURES_MAX => Err(WorkRefusal::TooManySignatures),
            _ => Ok(vec![self.kept(Deed::Signed { document, signature: signature.clone() })]),
        }))
    }

    /// Number, symbol and date, and the line in the register, all at once.
    pub(super) fn issue(
        &self,
        document: DocumentId,
        book: Option<&BookId>,
        unit: Option<&str>,
    ) -> Result<Result<Vec<Draft>, Refusal>, R::Error> {
        let row = match self.drafted(&document)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let issue = match self.issued(&row, book, unit) {
            Ok(issue) => issue,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let Some(manifest) = row.manifest else { return Ok(Err(WorkRefusal::AlreadySent.into())) };
        let dispatch = dispatch_of(manifest, issue.clone(), row.signatures);
        // A number is not used for what could not be sent.
        let to = self.offices(&row.to);
        let sent = decide_dispatch(self.exchange, self.records, self.context, None, &to, &dispatch)?;
        Ok(sent.map(|_| vec![self.kept(Deed::Issued { document, issue })]))
    }

    fn issued(
        &self,
        row: &DraftedRow,
        named: Option<&BookId>,
        unit: Option<&str>,
    ) -> Result<Issue, WorkRefusal> {
        let manifest = row.manifest.as_ref().ok_or(WorkRefusal::AlreadySent)?;
        match row.stage {
            DraftStage::Issued => return Err(WorkRefusal::AlreadyIssued),
            DraftStage::Drafted => return Err(WorkRefusal::NotApproved),
            // Only what the office certifies as a copy needs no person's signature.
            DraftStage::Approved if manifest.copy.is_none() => return Err(WorkRefusal::NotSigned),
            _ => {}
        }
        if manifest.attachments.first().is_none_or(|main| main.media_type != PDF) {
            return Err(WorkRefusal::NoMainFile);
        }
        let rules = self.context.rules;
        let book = rules.outgoing_book(manifest.document_type, named);
        let book = book.ok_or(WorkRefusal::UnknownBook)?;
        let line = self.next_entry(Direction::Outgoing, Some(&book.id))?;
        self.numbered(book, line, manifest.document_type, manifest.copy, unit)
    }

    /// Seals a numbered document and queues it for its recipients.
    pub(super) fn send(&self, document: DocumentId) -> Result<Result<Vec<Draft>, Refusal>, R::Error> {
        let row = match self.drafted(&document)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let (Some(manifest), Some(issue)) = (row.manifest, row.issued) else {
            let refusal = match row.stage {
                DraftStage::Drafted => WorkRefusal::NotApproved,
                DraftStage::Approved => WorkRefusal::NotSigned,
                _ => WorkRefusal::NotIssued,
            };
            return Ok(Err(refusal.into()));
        };
        let to = self.offices(&row.to);
        let dispatch = dispatch_of(manifest, issue, row.signatures);
        decide_dispatch(self.exchange, self.records, self.context, Some(self.by), &to, &dispatch)
    }

    pub(super) fn discard(&self, document: DocumentId, reason: &str) -> Result<Decided, R::Error> {
        let row = self.drafted(&document)?;
        Ok(row.map(|_| vec![self.kept(Deed::Discarded { document, reason: reason.to_owned() })]))
    }

    /// Another document of the same office with this number, symbol and year that was accepted here and still counts. What
    /// updates or replaces that one may have its number.
    pub(super) fn same_number(
        &self,
        from: OfficeId,
        document: DocumentId,
        code_key: Option<u64>,
    ) -> Result<Option<DocumentId>, R::Error> {
        let Some(code_key) = code_key else { return Ok(None) };
        let amends = BusinessId::new(*document.as_bytes());
        for other in self.records.registered_with_code(&from, code_key)? {
            let known = self.records.case(&from, &other, Side::Recipient)?;
            let in_the_way = |case: &CaseRow| {
                let counts = matches!(case.progress.standing(), Standing::Current | Standing::AskedBack);
                counts && !case.progress.knows_question(amends)
            };
            if other != document && known.as_ref().is_some_and(in_the_way) {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }
}

fn dispatch_of(manifest: Manifest, issue: Issue, signatures: Vec<ByteVec>) -> Dispatch {
    Dispatch { issued: Some(issue), signatures, ..Dispatch::unsigned(manifest) }
}
