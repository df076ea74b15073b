//! Who of an office may send what (*gửi đúng thẩm quyền*; criterion S1 of the exchange). A draft binds nobody; whoever approves,
//! signs, numbers or sends a document must be entitled to its type and to all of its recipients.

use super::{Decided, Desk, Work, WorkRefusal};
use crate::body::Deed;
use crate::document::DocumentType;
use crate::exchange::Records;
use crate::handling::{Actor, Beyond, PersonRow, Role};
use crate::id::OfficeId;

/// In which roles documents that were drafted elsewhere are sent.
pub const SENDING_ROLES: [Role; 1] = [Role::Clerk];
/// Most people that a refusal names.
const NAMED_MAX: usize = 8;

/// Why somebody does not send a document of this type to these offices; the refusal names who of `people` would in one of
/// these roles. Who is not among `people` is not limited.
pub fn beyond_authority(
    people: &[PersonRow],
    name: &str,
    wanted: &[Role],
    document_type: DocumentType,
    to: &[OfficeId],
) -> Option<WorkRefusal> {
    let person = people.iter().find(|person| person.name == name)?;
    let beyond = person.beyond(document_type, to)?;
    let may = |person: &&PersonRow| {
        person.roles.iter().any(|role| wanted.contains(role)) && person.beyond(document_type, to).is_none()
    };
    let who = people.iter().filter(may).map(|person| person.name.clone()).take(NAMED_MAX).collect();
    Some(match beyond {
        Beyond::Type(document_type) => WorkRefusal::TypeNotYours { document_type, who },
        Beyond::Recipient(office) => WorkRefusal::RecipientNotYours { office, who },
    })
}

/// Why something is not for this role, or not for whoever has it no more.
pub(in crate::exchange) fn beyond_role<R: Records>(
    records: &R,
    by: &Actor,
    wanted: &'static [Role],
) -> Result<Option<WorkRefusal>, R::Error> {
    let Actor { role, name } = by;
    if !wanted.contains(role) {
        return Ok(Some(WorkRefusal::Role { role: *role, wanted }));
    }
    let person = records.person(name)?.filter(|person| !person.roles.contains(role));
    Ok(person.map(|person| WorkRefusal::NotInRole { name: person.name, role: *role }))
}

impl<R: Records> Desk<'_, R> {
    /// Why this work is not for whoever asks, as far as people are recorded: the role may have been taken away, and a
    /// document be beyond this person's authority.
    pub(super) fn beyond_authority(&self, work: &Work) -> Result<Option<WorkRefusal>, R::Error> {
        let (document, paper) = match work {
            // What the list of people says is recorded whole, whatever it says about whoever changed it.
            Work::SetPerson { .. } | Work::RemovePerson { .. } => return Ok(None),
            Work::Approve { document }
            | Work::Sign { document, .. }
            | Work::Issue { document, .. }
            | Work::Send { document } => (Some(document), None),
            // Where paper goes, nobody here can tell.
            Work::IssuePaper { paper, .. } => (None, Some(paper.document_type)),
            _ => (None, None),
        };
        let Some(person) = self.records.person(&self.by.name)? else { return Ok(None) };
        if !person.roles.contains(&self.by.role) {
            let (name, role) = (person.name, self.by.role);
            return Ok(Some(WorkRefusal::NotInRole { name, role }));
        }
        if !person.is_limited() {
            return Ok(None);
        }
        let (document_type, to) = match (document, paper) {
            (Some(document), _) => {
                let Some(row) = self.records.drafted(document)? else { return Ok(None) };
                // What has been sent is refused for that.
                let Some(manifest) = row.manifest else { return Ok(None) };
                (manifest.document_type, self.offices(&row.to))
            }
            (None, Some(document_type)) => (document_type, Vec::new()),
            (None, None) => return Ok(None),
        };
        let people = self.records.people()?;
        Ok(beyond_authority(&people, &self.by.name, work.roles(), document_type, &to))
    }

    /// Why a document that was drafted elsewhere is not for whoever sends it here.
    pub(super) fn beyond_sending(
        &self,
        document_type: DocumentType,
        to: &[OfficeId],
    ) -> Result<Option<WorkRefusal>, R::Error> {
        if let Some(refusal) = beyond_role(self.records, self.by, &SENDING_ROLES)? {
            return Ok(Some(refusal));
        }
        let name = &self.by.name;
        let Some(person) = self.records.person(name)? else { return Ok(None) };
        Ok(match person.is_limited() {
            true => beyond_authority(&self.records.people()?, name, &SENDING_ROLES, document_type, to),
            false => None,
        })
    }

    /// Records what the list of people says; nothing when that is known.
    pub(super) fn set_person(&self, person: &PersonRow) -> Result<Decided, R::Error> {
        let known = self.records.person(&person.name)?.as_ref() == Some(person);
        let deed = Deed::PersonSet { person: person.clone() };
        Ok(Ok(if known { Vec::new() } else { vec![self.kept(deed)] }))
    }

    pub(super) fn remove_person(&self, name: &str) -> Result<Decided, R::Error> {
        let here = self.records.person(name)?.is_some_and(|person| !person.roles.is_empty());
        let deed = Deed::PersonRemoved { name: name.to_owned() };
        Ok(Ok(if here { vec![self.kept(deed)] } else { Vec::new() }))
    }
}
