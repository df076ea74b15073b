//! What a document changes of the earlier one that it updates or replaces.

use schema::body::Dispatch;
use schema::document::{AmendKind, Manifest};
use schema::id::{DocumentId, OfficeId};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Reader, dispatch_of};
use crate::store::StoreError;

/// What every document has of its own.
const NEVER_COMPARED: [&str; 3] = ["document", "issuer", "amends"];

/// The earlier document that one updates or replaces, and what becomes otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct AmendsView {
    /// The earlier one.
    pub document: DocumentId,
    /// What becomes of it.
    pub how: AmendKind,
    /// Why.
    pub why: String,
    /// What is different, field by field; none where the earlier one is not here.
    pub differences: Option<Vec<DifferenceView>>,
}

/// A field that is different. Of a list, only what was taken out and what was put in.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DifferenceView {
    /// The field, as the document names it.
    pub field: String,
    /// What the earlier one says, under the name of the field; of a list, what the later one does not have.
    pub before: Vec<Value>,
    /// What the later one says; of a list, what the earlier one does not have.
    pub after: Vec<Value>,
}

/// Everything that a document says, by field.
fn fields(dispatch: &Dispatch) -> Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(&dispatch.manifest) else { return Map::new() };
    fields.retain(|field, _| !NEVER_COMPARED.contains(&field.as_str()));
    let issued_on = dispatch.issued.as_ref().map(|issued| issued.on);
    fields.insert("number".to_owned(), dispatch.number().into());
    fields.insert("issued_on".to_owned(), serde_json::to_value(issued_on).unwrap_or_default());
    fields
}

/// What `later` says otherwise than `earlier`.
fn differences(earlier: &Dispatch, later: &Dispatch) -> Vec<DifferenceView> {
    let (before, after) = (fields(earlier), fields(later));
    let different = |(field, now): (&String, &Value)| {
        let then = before.get(field)?;
        // Under its name, so that codes get their words as they do everywhere else.
        let named = |value: &Value| Value::Object(Map::from_iter([(field.clone(), value.clone())]));
        let shown = |value: &Value| match value.is_null() {
            true => Vec::new(),
            false => vec![named(value)],
        };
        let (then, now) = match (then, now) {
            (Value::Array(then), Value::Array(now)) => {
                let lacks = |all: &[Value], value: &&Value| !all.contains(*value);
                let removed = then.iter().filter(|value| lacks(now, value)).map(named).collect();
                (removed, now.iter().filter(|value| lacks(then, value)).map(named).collect())
            }
            (then, now) if then == now => return None,
            (then, now) => (shown(then), shown(now)),
        };
        let order_only = then.is_empty() && now.is_empty();
        (!order_only).then(|| DifferenceView { field: field.clone(), before: then, after: now })
    };
    after.iter().filter_map(different).collect()
}

impl Reader {
    /// What this document changes of the one that it amends; none for one that stands by itself.
    pub(super) fn amended(
        &self,
        from: &OfficeId,
        dispatch: &Dispatch,
    ) -> Result<Option<AmendsView>, StoreError> {
        let Manifest { amends: Some(amends), .. } = &dispatch.manifest else { return Ok(None) };
        let earlier = match self.incoming_dispatch(from, &amends.document)? {
            Some(earlier) => Some(earlier),
            // Only its own sender amends a document.
            None => self.outgoing_dispatch(&amends.document)?.filter(|sent| sent.manifest.issuer == *from),
        };
        Ok(Some(AmendsView {
            document: amends.document,
            how: amends.how,
            why: amends.reason.clone(),
            differences: earlier.map(|earlier| differences(&earlier, dispatch)),
        }))
    }

    /// A document that this office has sent.
    pub(super) fn outgoing_dispatch(&self, document: &DocumentId) -> Result<Option<Dispatch>, StoreError> {
        let Some(position) = self.sent_first_at(document)? else { return Ok(None) };
        Ok(dispatch_of(&self.event_at(position)?.0))
    }
}

#[cfg(test)]
mod tests {
    use schema::blob::FileRef;
    use schema::body::Issue;
    use schema::document::{Attachment, DocumentType, Signer};
    use schema::event::Urgency;
    use schema::id::FileHash;
    use serde_json::json;

    use super::*;

    fn attachment(n: u8) -> Attachment {
        let file = FileRef { hash: FileHash::new([n; 32]), length: u64::from(n) };
        Attachment { name: format!("phu-luc-{n}.pdf"), media_type: "application/pdf".to_owned(), file }
    }

    fn letter(n: u8) -> Manifest {
        let (document, issuer) = (DocumentId::new([n; 16]), OfficeId::new([9; 16]));
        let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
        let letter = Manifest::new(document, issuer, DocumentType::OfficialLetter, "V/v báo cáo", signer);
        let lines = vec!["Như trên".to_owned(), "Lưu: VT".to_owned()];
        Manifest { attachments: vec![attachment(1), attachment(2)], recipient_lines: lines, ..letter }
    }

    /// G4: each field that is different, and of lists what was added and removed.
    #[test]
    fn g4_difference_names_every_field_that_is_different() {
        let earlier = Dispatch::unsigned(letter(1));
        assert_eq!(differences(&earlier, &Dispatch::unsigned(letter(2))), []);
        let mut later = letter(2);
        later.subject = "V/v báo cáo quý II".to_owned();
        later.pages = 3;
        later.urgency = Urgency::Express;
        later.document_type = DocumentType::Report;
        later.signer = Signer::head("Phó Chủ tịch", "Lò Thị Mai");
        later.place = Some("Bắc Hà".to_owned());
        later.due = "2025-07-01".parse().ok();
        later.attachments = vec![attachment(2), attachment(3)];
        later.recipient_lines = vec!["Lưu: VT".to_owned()];
        let on = "2025-06-20".parse().expect("a day");
        let issued = Some(Issue::given("15/BC-UBND".parse().expect("a code"), on));
        let later = Dispatch { issued, ..Dispatch::unsigned(later) };
        let found = differences(&earlier, &later);
        let names: Vec<&str> = found.iter().map(|difference| difference.field.as_str()).collect();
        let all = [
            "attachments",
            "document_type",
            "due",
            "issued_on",
            "number",
            "pages",
            "place",
            "recipient_lines",
            "signer",
            "subject",
            "urgency",
        ];
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, all);
        let of = |field: &str| {
            let found = found.iter().find(|difference| difference.field == field).expect("it is different");
            (json!(found.before), json!(found.after))
        };
        assert_eq!(of("pages"), (json!([{ "pages": 1 }]), json!([{ "pages": 3 }])));
        assert_eq!(of("place"), (json!([]), json!([{ "place": "Bắc Hà" }])));
        assert_eq!(of("recipient_lines"), (json!([{ "recipient_lines": "Như trên" }]), json!([])));
        let (removed, added) = of("attachments");
        assert_eq!(
            (&removed[0]["attachments"]["name"], removed[1].is_null()),
            (&json!("phu-luc-1.pdf"), true)
        );
        assert_eq!((&added[0]["attachments"]["name"], added[1].is_null()), (&json!("phu-luc-3.pdf"), true));
        // One whose bytes are others is another one, whatever it is called.
        let mut swapped = letter(2);
        swapped.attachments[0].file.hash = FileHash::new([7; 32]);
        assert_eq!(differences(&earlier, &Dispatch::unsigned(swapped)).len(), 1);
    }
}
