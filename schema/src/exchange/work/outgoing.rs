//! A document on its way out, in the order of the law: drafted, approved, signed by a person, numbered, sealed and sent. Each
//! step out of turn is refused with the reason.

use minicbor::bytes::ByteVec;

use super::{Decided, Desk, WorkRefusal};
use crate::body::{Body, Deed, Dispatch, DocumentFact, Issue, SIGNATURES_MAX};
use crate::document::{AmendKind, Code, Manifest};
use crate::event::{Kind, RECIPIENTS_MAX};
use crate::exchange::decide::decide_dispatch;
use crate::exchange::{Draft, Records, Refusal};
use crate::handling::{
    BookId, BusinessKind, CaseRow, Direction, DraftStage, DraftedRow, Fact, Recipients, Side, Standing,
};
use crate::id::{BusinessId, DocumentId, OfficeId};

/// What a PDF calls itself (RFC 8118).
const PDF: &str = "application/pdf";

impl<R: Records> Desk<'_, R> {
    pub(super) fn draft(&self, manifest: &Manifest, to: &Recipients) -> Result<Decided, R::Error> {
        let document = manifest.document;
        if self.records.knows_outgoing(&document)? {
            return Ok(Err(WorkRefusal::AlreadySent));
        }
        match self.records.drafted(&document)?.map(|known| known.stage) {
            None | Some(DraftStage::Drafted | DraftStage::Approved) => {}
            Some(DraftStage::Signed | DraftStage::Issued) => return Ok(Err(WorkRefusal::ContentFixed)),
            Some(DraftStage::Sent) => return Ok(Err(WorkRefusal::AlreadySent)),
            Some(DraftStage::Discarded) => return Ok(Err(WorkRefusal::AlreadyDiscarded)),
        }
        if manifest.issuer != self.exchange.me() {
            return Ok(Err(WorkRefusal::OtherIssuer));
        }
        if let Err(refusal) = self.may_issue(manifest) {
            return Ok(Err(refusal));
        }
        let (manifest, to) = (Box::new(manifest.clone()), to.clone());
        Ok(Ok(vec![self.kept(Deed::Drafted { manifest, to })]))
    }

    /// The office sends what it is entitled to (*gửi đúng thẩm quyền*).
    fn may_issue(&self, manifest: &Manifest) -> Result<(), WorkRefusal> {
        let document_type = manifest.document_type;
        match self.context.rules.may_issue(document_type) {
            true => Ok(()),
            false => Err(WorkRefusal::TypeNotAllowed { document_type }),
        }
    }

    fn drafted(&self, document: &DocumentId) -> Result<Result<DraftedRow, WorkRefusal>, R::Error> {
        let Some(row) = self.records.drafted(document)? else {
            return Ok(Err(WorkRefusal::NoDraft { document: *document }));
        };
        Ok(match row.stage {
            DraftStage::Sent => Err(WorkRefusal::AlreadySent),
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
    ) -> Result<Decided, R::Error> {
        let row = match self.drafted(&document)? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(self.issued(&row, book, unit).map(|issue| vec![self.kept(Deed::Issued { document, issue })]))
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
        let book = match named {
            Some(named) => rules.book(Direction::Outgoing, Some(named)),
            None => rules.outgoing_book(manifest.document_type),
        };
        let book = book.ok_or(WorkRefusal::UnknownBook)?;
        let line = self.next_entry(Direction::Outgoing, Some(&book.id))?;
        let notation = book.notation(manifest.document_type, manifest.copy, unit);
        let code = notation.and_then(|notation| Code::new(line.to_string(), notation).ok());
        let code = code.ok_or_else(|| WorkRefusal::NoSymbol { book: book.id.clone() })?;
        Ok(Issue { code, on: self.today, line: Some(line) })
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
        let to = match row.to {
            Recipients::Listed(to) => to,
            Recipients::All => {
                let enrolled = self.context.directory.offices().filter(|office| office.is_enrolled());
                enrolled.map(|office| office.id).filter(|id| *id != self.exchange.me()).collect()
            }
        };
        let amends = manifest.amends.clone();
        let dispatch = Dispatch { manifest, issued: Some(issue), signatures: row.signatures };
        let mut drafts = match decide_dispatch(self.exchange, self.records, self.context, &to, &dispatch)? {
            Ok(drafts) => drafts,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(amends) = amends.filter(|amends| amends.how == AmendKind::Update) {
            drafts.extend(self.recall_from_removed(amends.document, document, &amends.reason, &to)?);
        }
        Ok(Ok(drafts))
    }

    /// Whoever had the earlier document and does not get the updated one is to cancel it.
    fn recall_from_removed(
        &self,
        earlier: DocumentId,
        by: DocumentId,
        reason: &str,
        to: &[OfficeId],
    ) -> Result<Vec<Draft>, R::Error> {
        let mut removed = self.records.recipients(&earlier)?;
        removed.retain(|office| !to.contains(office));
        let business = BusinessId::new(*by.as_bytes());
        let fact = Fact::Asked { business, kind: BusinessKind::Recall, reason: reason.to_owned() };
        let told = Body::BusinessRequest(DocumentFact { document: earlier, fact, by: Some(self.by.clone()) });
        let drafts = removed.chunks(RECIPIENTS_MAX);
        Ok(drafts.map(|to| self.exchange.draft(to.to_vec(), Kind::BusinessRequest, &told)).collect())
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
                counts && !case.progress.asked().contains_key(&amends)
            };
            if other != document && known.as_ref().is_some_and(in_the_way) {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }
}
