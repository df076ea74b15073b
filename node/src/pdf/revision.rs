//! What was added behind a signature: the file compared with what the signer saw, object by object.
//!
//! An incremental update (ISO 32000-1 section 7.5.6) adds objects and replaces old ones; what was signed stays in the file, byte for byte, and
//! need not be shown any more. So only what adding a further signature takes is let through, and everything else counts as a
//! change:
//!
//! - the catalogue may get a store of validation data (`/DSS`), another description of the file for machines (`/Metadata`), names of
//!   extensions and a version; the form may get further signature fields;
//! - a page may get annotations, at the end of its list, that are such fields;
//! - a signature field that was there empty may be filled;
//! - producer and date of the file's information may be others;
//! - new objects may be anything, because nothing that was signed refers to them: unless the signed revision names an object
//!   that it does not hold, and the update supplies it (the *hide* kind of shadow attack).

use std::collections::{BTreeMap, BTreeSet};

use lopdf::{Dictionary, Document, Object, ObjectId};

use super::OBJECTS_MAX;
use super::file::is_signature;

/// What was added, where it is nothing that can change what was signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// Further signatures or signature fields.
    pub signatures: bool,
    /// One of them is shown on a page: it may lie over what was signed.
    pub visible: bool,
}

/// The first thing that was found to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An object that was signed is another one now.
    Overridden(ObjectId),
    /// An object that was signed is gone.
    Removed(ObjectId),
    /// An object that the signed revision names, but did not hold, is there now.
    Supplied(ObjectId),
    /// The root of the file is another object, or its parts cannot be compared.
    Structure,
}

/// Compares what was signed with what the file is now.
///
/// # Errors
/// The first [`Change`] that is more than a further signature.
pub fn additions(signed: &Document, now: &Document) -> Result<Additions, Change> {
    if signed.objects.len().max(now.objects.len()) > OBJECTS_MAX {
        return Err(Change::Structure);
    }
    let mut named = BTreeMap::new();
    signed.objects.values().for_each(|object| count_references(object, &mut named));
    signed.trailer.iter().for_each(|(_, object)| count_references(object, &mut named));
    let comparison = Comparison::new(signed, now, &named).ok_or(Change::Structure)?;
    let mut found = Additions::default();
    for (id, before) in &signed.objects {
        match now.objects.get(id) {
            None => return Err(Change::Removed(*id)),
            Some(after) if after == before => {}
            Some(after) => {
                let more = comparison.allowed(*id, before, after).ok_or(Change::Overridden(*id))?;
                found.signatures |= more.signatures;
                found.visible |= more.visible;
            }
        }
    }
    let supplied = named.keys().find(|id| !signed.objects.contains_key(id) && now.objects.contains_key(id));
    match supplied {
        Some(id) => Err(Change::Supplied(*id)),
        None => Ok(found),
    }
}

/// How often an object is referred to.
type References = BTreeMap<ObjectId, usize>;

/// The references in an object. Nothing here recurses.
fn count_references(object: &Object, into: &mut References) {
    let mut open = vec![object];
    while let Some(object) = open.pop() {
        match object {
            Object::Reference(id) => *into.entry(*id).or_default() += 1,
            Object::Array(items) => open.extend(items),
            Object::Dictionary(dictionary) => open.extend(dictionary.iter().map(|(_, value)| value)),
            Object::Stream(stream) => open.extend(stream.dict.iter().map(|(_, value)| value)),
            Object::Null
            | Object::Boolean(_)
            | Object::Integer(_)
            | Object::Real(_)
            | Object::Name(_)
            | Object::String(..) => {}
        }
    }
}

/// Where the parts are that may grow.
struct Comparison<'a> {
    signed: &'a Document,
    now: &'a Document,
    catalogue: ObjectId,
    information: Option<ObjectId>,
    form: Option<ObjectId>,
    validation: Option<ObjectId>,
    /// The description for machines, where nothing else refers to it.
    metadata: Option<ObjectId>,
    /// Lists of annotations and fields that are objects of their own.
    lists: BTreeSet<ObjectId>,
}

impl<'a> Comparison<'a> {
    fn new(signed: &'a Document, now: &'a Document, named: &References) -> Option<Self> {
        let reference = |of: &Document, key: &[u8]| of.trailer.get(key).and_then(Object::as_reference).ok();
        let catalogue = reference(signed, b"Root")?;
        if reference(now, b"Root") != Some(catalogue) {
            return None;
        }
        let root = signed.get_dictionary(catalogue).ok()?;
        let below =
            |dictionary: &Dictionary, key: &[u8]| dictionary.get(key).and_then(Object::as_reference).ok();
        let form = below(root, b"AcroForm");
        let form_dictionary = root.get_deref(b"AcroForm", signed).and_then(Object::as_dict).ok();
        let pages = signed.objects.values().filter_map(|object| object.as_dict().ok());
        let annotations =
            pages.filter(|page| page.has_type(b"Page")).filter_map(|page| below(page, b"Annots"));
        let lists = annotations.chain(form_dictionary.and_then(|form| below(form, b"Fields"))).collect();
        Some(Self {
            signed,
            now,
            catalogue,
            information: reference(signed, b"Info").filter(|info| reference(now, b"Info") == Some(*info)),
            form,
            validation: below(root, b"DSS"),
            metadata: below(root, b"Metadata").filter(|id| named.get(id) == Some(&1)),
            lists,
        })
    }

    /// What was added to an object that differs; none when it is more than may be.
    fn allowed(&self, id: ObjectId, before: &Object, after: &Object) -> Option<Additions> {
        if let (Object::Array(before), Object::Array(after)) = (before, after) {
            return if self.lists.contains(&id) { self.grown(before, after) } else { None };
        }
        if let (Object::Stream(before), Object::Stream(after)) = (before, after) {
            let is_description = before.dict.has_type(b"Metadata") && after.dict.has_type(b"Metadata");
            return (Some(id) == self.metadata && is_description).then(Additions::default);
        }
        let (Object::Dictionary(before), Object::Dictionary(after)) = (before, after) else { return None };
        if id == self.catalogue {
            return self.catalogue(before, after);
        }
        if Some(id) == self.form {
            return self.form(before, after);
        }
        if Some(id) == self.information {
            return same_but(before, after, &[b"ModDate", b"Producer"]).then(Additions::default);
        }
        if Some(id) == self.validation {
            const KEYS: [&[u8]; 5] = [b"Type", b"VRI", b"Certs", b"OCSPs", b"CRLs"];
            let only =
                |dictionary: &Dictionary| dictionary.iter().all(|(key, _)| KEYS.contains(&key.as_slice()));
            return (only(before) && only(after)).then(Additions::default);
        }
        if before.has_type(b"Page") && same_but(before, after, &[b"Annots"]) {
            return self.list(before, after, b"Annots");
        }
        // A field that waited for its signature.
        let is_empty_field = is_field(before) && !before.has(b"V");
        if is_empty_field && same_but(before, after, &[b"V", b"AP"]) && self.holds_signature(after) {
            return Some(Additions { signatures: true, visible: is_visible(after) });
        }
        None
    }

    fn catalogue(&self, before: &Dictionary, after: &Dictionary) -> Option<Additions> {
        if !same_but(before, after, &[b"DSS", b"Extensions", b"AcroForm", b"Metadata", b"Version"]) {
            return None;
        }
        let is_name = |version: &Object| version.as_name().is_ok();
        if !after.get(b"Version").map_or(true, is_name) {
            return None;
        }
        // The store is looked at where it is an object of its own.
        if before.has(b"DSS") && before.get(b"DSS").ok() != after.get(b"DSS").ok() {
            return None;
        }
        match (before.get(b"AcroForm"), after.get(b"AcroForm")) {
            (Ok(Object::Dictionary(before)), Ok(Object::Dictionary(after))) => self.form(before, after),
            (Ok(before), Ok(after)) if before == after => Some(Additions::default()),
            _ => None,
        }
    }

    fn form(&self, before: &Dictionary, after: &Dictionary) -> Option<Additions> {
        if same_but(before, after, &[b"Fields", b"SigFlags"]) {
            self.list(before, after, b"Fields")
        } else {
            None
        }
    }

    /// A list under a key, in place or as an object of its own; that one is compared by itself.
    fn list(&self, before: &Dictionary, after: &Dictionary, key: &[u8]) -> Option<Additions> {
        match (before.get(key), after.get(key)) {
            (Ok(Object::Array(before)), Ok(Object::Array(after))) => self.grown(before, after),
            (Ok(before), Ok(after)) if before == after => Some(Additions::default()),
            (Err(_), Ok(after)) => {
                let after = self.now.dereference(after).ok()?.1.as_array().ok()?;
                self.grown(&[], after)
            }
            (Err(_), Err(_)) => Some(Additions::default()),
            _ => None,
        }
    }

    /// Nothing but new signature fields behind what was there.
    fn grown(&self, before: &[Object], after: &[Object]) -> Option<Additions> {
        let more = after.strip_prefix(before)?;
        let mut found = Additions::default();
        for field in more {
            let id = field.as_reference().ok()?;
            let field = self.now.get_dictionary(id).ok()?;
            let acts = [b"A".as_slice(), b"AA", b"Kids", b"Parent"].iter().any(|key| field.has(key));
            let is_annotation = field.has_type(b"Annot") || !field.has(b"Type");
            if self.signed.objects.contains_key(&id) || acts || !is_field(field) || !is_annotation {
                return None;
            }
            if field.has(b"V") && !self.holds_signature(field) {
                return None;
            }
            found.signatures = true;
            found.visible |= is_visible(field);
        }
        Some(found)
    }

    fn holds_signature(&self, field: &Dictionary) -> bool {
        let value = field.get(b"V").and_then(Object::as_reference);
        let is_new = value.as_ref().is_ok_and(|id| !self.signed.objects.contains_key(id));
        is_new && value.and_then(|id| self.now.get_dictionary(id)).is_ok_and(is_signature)
    }
}

fn is_field(dictionary: &Dictionary) -> bool {
    let is = |key: &[u8], expected: &[u8]| {
        dictionary.get(key).and_then(Object::as_name).is_ok_and(|name| name == expected)
    };
    is(b"FT", b"Sig") && (is(b"Subtype", b"Widget") || !dictionary.has(b"Subtype"))
}

/// ISO 32000-1 section 12.7.4.5: a field without an area is not shown.
fn is_visible(field: &Dictionary) -> bool {
    let Ok(corners) = field.get(b"Rect").and_then(Object::as_array) else { return field.has(b"Rect") };
    let corners: Vec<f32> = corners.iter().filter_map(|corner| corner.as_float().ok()).collect();
    match corners[..] {
        [left, bottom, right, top] => left != right && bottom != top,
        _ => true,
    }
}

/// Whether two dictionaries differ under these keys only.
fn same_but(before: &Dictionary, after: &Dictionary, keys: &[&[u8]]) -> bool {
    let free = |key: &[u8]| keys.contains(&key);
    let kept = before.iter().all(|(key, value)| free(key) || after.get(key).ok() == Some(value));
    kept && after.iter().all(|(key, _)| free(key) || before.has(key))
}

#[cfg(test)]
mod tests {
    use lopdf::{Stream, dictionary};

    use super::*;

    const CATALOGUE: ObjectId = (1, 0);
    const PAGE: ObjectId = (2, 0);
    const SAID: ObjectId = (3, 0);
    const FORM: ObjectId = (4, 0);
    const FIELD: ObjectId = (5, 0);
    const SIGNATURE: ObjectId = (6, 0);
    const INFORMATION: ObjectId = (7, 0);
    const WAITING: ObjectId = (8, 0);
    const METADATA: ObjectId = (9, 0);
    const TEXT: ObjectId = (10, 0);
    const MORE: ObjectId = (20, 0);
    const VALUE: ObjectId = (21, 0);

    fn refer(ids: &[ObjectId]) -> Object {
        Object::Array(ids.iter().map(|id| Object::Reference(*id)).collect())
    }

    fn stream(dictionary: Dictionary, content: &[u8]) -> Object {
        Stream::new(dictionary, content.to_vec()).into()
    }

    fn signature() -> Dictionary {
        dictionary! { "Type" => "Sig", "ByteRange" => vec![0.into(), 1.into(), 2.into(), 3.into()] }
    }

    fn field(value: Option<ObjectId>) -> Dictionary {
        let corners: Vec<Object> = vec![0.into(), 0.into(), 9.into(), 9.into()];
        let mut field =
            dictionary! { "FT" => "Sig", "Type" => "Annot", "Subtype" => "Widget", "Rect" => corners };
        if let Some(value) = value {
            field.set("V", value);
        }
        field
    }

    /// A page with one signature, a field that waits for another, and a text field.
    fn signed() -> Document {
        let mut document = Document::new();
        let text = dictionary! { "FT" => "Tx", "Subtype" => "Widget", "V" => Object::string_literal("100") };
        let fields = || refer(&[FIELD, WAITING, TEXT]);
        let objects: [(ObjectId, Object); 10] = [
            (
                CATALOGUE,
                dictionary! { "Type" => "Catalog", "AcroForm" => FORM, "Metadata" => METADATA }.into(),
            ),
            (PAGE, dictionary! { "Type" => "Page", "Contents" => SAID, "Annots" => fields() }.into()),
            (SAID, stream(Dictionary::new(), b"100")),
            (FORM, dictionary! { "Fields" => fields(), "SigFlags" => 3 }.into()),
            (FIELD, field(Some(SIGNATURE)).into()),
            (SIGNATURE, signature().into()),
            (INFORMATION, dictionary! { "Title" => "x", "Producer" => "y" }.into()),
            (WAITING, field(None).into()),
            (METADATA, stream(dictionary! { "Type" => "Metadata" }, b"<x/>")),
            (TEXT, text.into()),
        ];
        document.objects.extend(objects);
        document.trailer = dictionary! { "Root" => CATALOGUE, "Info" => INFORMATION };
        document
    }

    fn with(change: impl FnOnce(&mut Document)) -> Result<Additions, Change> {
        let mut now = signed();
        change(&mut now);
        additions(&signed(), &now)
    }

    fn set(document: &mut Document, id: ObjectId, key: &str, value: impl Into<Object>) {
        document.get_dictionary_mut(id).expect("a dictionary").set(key, value);
    }

    /// A further signature in a field of its own, as signing programs add it.
    fn sign(document: &mut Document, field: Dictionary) {
        document.objects.insert(MORE, field.into());
        document.objects.insert(VALUE, signature().into());
        set(document, FORM, "Fields", refer(&[FIELD, WAITING, TEXT, MORE]));
        set(document, PAGE, "Annots", refer(&[FIELD, WAITING, TEXT, MORE]));
    }

    #[test]
    fn further_signatures_and_what_nobody_sees_are_let_through() {
        assert_eq!(with(|_| ()), Ok(Additions::default()));
        let visible = Ok(Additions { signatures: true, visible: true });
        assert_eq!(with(|now| sign(now, field(Some(VALUE)))), visible);
        let mut hidden = field(Some(VALUE));
        hidden.set("Rect", vec![0.into(), 0.into(), 0.into(), 0.into()]);
        assert_eq!(with(|now| sign(now, hidden)), Ok(Additions { signatures: true, visible: false }));
        let filled = with(|now| {
            now.objects.insert(VALUE, signature().into());
            set(now, WAITING, "V", VALUE);
        });
        assert_eq!(filled, visible);
        let harmless: [fn(&mut Document); 4] = [
            |now| set(now, INFORMATION, "Producer", "z"),
            |now| set(now, CATALOGUE, "DSS", MORE),
            |now| drop(now.objects.insert(MORE, Object::Integer(1))),
            |now| drop(now.objects.insert(METADATA, stream(dictionary! { "Type" => "Metadata" }, b"<y/>"))),
        ];
        for change in harmless {
            assert_eq!(with(change), Ok(Additions::default()));
        }
    }

    #[test]
    fn later_field_that_is_more_than_a_signature_is_found() {
        for (key, value) in [
            ("AA", Object::Dictionary(Dictionary::new())),
            ("A", Object::Dictionary(Dictionary::new())),
            ("Kids", refer(&[SAID])),
            ("Parent", FIELD.into()),
            ("FT", "Tx".into()),
            ("Subtype", "FreeText".into()),
            ("V", SIGNATURE.into()),
            ("V", SAID.into()),
        ] {
            let mut field = field(Some(VALUE));
            field.set(key, value);
            let found = with(|now| sign(now, field));
            assert!(matches!(found, Err(Change::Overridden(_))), "{key}: {found:?}");
        }
    }

    #[test]
    fn whatever_else_changes_is_found() {
        type Case = (&'static str, fn(&mut Document), Change);
        let cases: [Case; 14] = [
            (
                "words",
                |now| drop(now.objects.insert(SAID, stream(Dictionary::new(), b"900"))),
                Change::Overridden(SAID),
            ),
            ("gone", |now| drop(now.objects.remove(&SAID)), Change::Removed(SAID)),
            ("contents", |now| set(now, PAGE, "Contents", MORE), Change::Overridden(PAGE)),
            ("size", |now| set(now, PAGE, "MediaBox", refer(&[])), Change::Overridden(PAGE)),
            (
                "order",
                |now| set(now, PAGE, "Annots", refer(&[WAITING, FIELD, TEXT])),
                Change::Overridden(PAGE),
            ),
            ("fewer", |now| set(now, FORM, "Fields", refer(&[FIELD])), Change::Overridden(FORM)),
            (
                "old",
                |now| set(now, PAGE, "Annots", refer(&[FIELD, WAITING, TEXT, FIELD])),
                Change::Overridden(PAGE),
            ),
            ("filled", |now| set(now, TEXT, "V", Object::string_literal("900")), Change::Overridden(TEXT)),
            ("looks", |now| set(now, FIELD, "AP", Dictionary::new()), Change::Overridden(FIELD)),
            ("form", |now| set(now, FORM, "NeedAppearances", true), Change::Overridden(FORM)),
            ("action", |now| set(now, CATALOGUE, "OpenAction", MORE), Change::Overridden(CATALOGUE)),
            ("title", |now| set(now, INFORMATION, "Title", "z"), Change::Overridden(INFORMATION)),
            ("signature", |now| set(now, SIGNATURE, "Name", "z"), Change::Overridden(SIGNATURE)),
            ("root", |now| now.trailer.set("Root", MORE), Change::Structure),
        ];
        for (what, change, expected) in cases {
            assert_eq!(with(change), Err(expected), "{what}");
        }
    }

    #[test]
    fn one_object_in_two_places_is_no_disguise() {
        // The words of the page are also the file's description for machines.
        let mut before = signed();
        set(&mut before, PAGE, "Contents", METADATA);
        let mut now = before.clone();
        now.objects.insert(METADATA, stream(dictionary! { "Type" => "Metadata" }, b"900"));
        assert_eq!(additions(&before, &now), Err(Change::Overridden(METADATA)));
        // The page names an object that comes later.
        let mut before = signed();
        set(&mut before, PAGE, "Contents", refer(&[SAID, MORE]));
        let mut now = before.clone();
        now.objects.insert(MORE, stream(Dictionary::new(), b"900"));
        assert_eq!(additions(&before, &now), Err(Change::Supplied(MORE)));
    }
}
