//! The people of an office, and by what the station knows them.
//!
//! `people.json` in the data folder holds names, roles, what each may send, and the hash of each person's token; the token itself
//! lies in a file that only its owner can read (`people/<key>.token`), to be moved to that person's own account. Whoever asks with
//! it acts as that person, and every act is recorded with the name and the role.
//!
//! What the file says about people, however it came to say so, is recorded in the station's chain before anybody acts by it: when
//! the station starts, when the command line has changed it, and when a person asks. What somebody may send is decided by what
//! is recorded.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use schema::document::DocumentType;
use schema::exchange::{Command, Work};
use schema::handling::{ACTOR_CHARS_MAX, Actor, PERSON_RECIPIENTS_MAX, PersonRow, Role};
use schema::id::{OfficeId, hex};
use schema::text;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{ConfigError, DataFolder, read_bounded};
use crate::keyring::{self, KeyringError};

/// Most people of an office.
pub const PEOPLE_MAX: usize = 1_000;
/// Largest `people.json`, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest key of a person, in characters.
const KEY_CHARS_MAX: usize = 64;
/// Who has changed the list when it was not the command line.
const BY_HAND: &str = "people.json";

/// Why the list of people cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ConfigError),
    /// The file is not a list of people.
    #[error("`{}` is no list of people: {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] KeyringError),
    /// The folder of the tokens cannot be made, a token not be removed, or the list not be locked.
    #[error("failed to change `{}`", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The name is empty, too long, or not plain.
    #[error(
        "`{name}` is no name of a person: 1 to {ACTOR_CHARS_MAX} plain characters, at least one of them a letter or digit"
    )]
    Name {
        /// The name, shortened.
        name: String,
    },
    /// Too many recipients.
    #[error("a person is limited to at most {PERSON_RECIPIENTS_MAX} recipients")]
    TooManyRecipients,
    /// The list would be longer than it may be read again.
    #[error(
        "the list of people would be larger than {FILE_BYTES_MAX} bytes: limit fewer people to fewer recipients"
    )]
    TooLarge,
    /// Somebody else changes the list.
    #[error("`{name}` is no administrator of this office: only an administrator changes the list of people")]
    NotAdministrator {
        /// Who.
        name: String,
    },
    /// The token is nobody's.
    #[error("the token is nobody's of this office; see `tram-node person list`")]
    Nobody,
    /// Somebody has no role.
    #[error("a person has at least one role")]
    NoRole,
    /// Somebody of this name is there.
    #[error("`{key}` is there already; give a name that tells the two apart")]
    Known {
        /// The key.
        key: String,
    },
    /// Nobody of this name is there.
    #[error("there is nobody `{key}`; see `tram-node person list`")]
    Unknown {
        /// The key.
        key: String,
    },
    /// Too many.
    #[error("at most {PEOPLE_MAX} people are possible")]
    TooMany,
}

/// Somebody of the office.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// How the command line names this person: the name in lower case, without marks.
    pub key: String,
    /// The full name.
    pub name: String,
    /// What this person may do.
    pub roles: Vec<Role>,
    /// The types of documents that this person may approve, sign, number and send; all when there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub types: BTreeSet<DocumentType>,
    /// The recipients of such documents; all when there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub recipients: BTreeSet<OfficeId>,
    /// Who said so last; none when a hand has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<Changed>,
    /// Works here no more; kept until somebody of this name is added again, because the chain is told who has removed whom.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    /// SHA-256 of the token, in hexadecimal digits.
    token_sha256: String,
}

/// Who has changed what the list says about somebody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changed {
    by: String,
    /// SHA-256 of what was said then: what a hand has changed since is not put down to somebody who did not do it.
    sha256: String,
}

impl Changed {
    fn new(row: &PersonRow, by: &str) -> Self {
        let said = minicbor::to_vec(row).unwrap_or_default();
        Self { by: by.to_owned(), sha256: hex(&Sha256::digest(said)) }
    }
}

/// What somebody may approve, sign, number and send (*thẩm quyền*); everything when there is nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Types of documents.
    pub types: BTreeSet<DocumentType>,
    /// Recipients.
    pub recipients: BTreeSet<OfficeId>,
}

impl Limits {
    fn check(&self) -> Result<(), PeopleError> {
        match self.recipients.len() > PERSON_RECIPIENTS_MAX {
            true => Err(PeopleError::TooManyRecipients),
            false => Ok(()),
        }
    }
}

impl Person {
    /// This person in the first role that fits.
    pub fn acting_as(&self, wanted: &[Role]) -> Actor {
        let fitting = self.roles.iter().find(|role| wanted.contains(role));
        let role = *fitting.or(self.roles.first()).unwrap_or(&Role::Auditor);
        Actor { name: self.name.clone(), role }
    }

    /// This person as the chain is told.
    pub(crate) fn row(&self) -> PersonRow {
        if self.removed {
            return PersonRow::removed(self.name.clone());
        }
        PersonRow {
            name: self.name.clone(),
            roles: self.roles.iter().copied().collect(),
            types: self.types.clone(),
            recipients: self.recipients.clone(),
        }
    }

    /// Whether this person sees what documents say.
    pub fn reads_content(&self) -> bool {
        self.roles.iter().any(|role| role.reads_content())
    }

    /// Whether this person changes anything.
    pub fn acts(&self) -> bool {
        self.roles.iter().any(|role| *role != Role::Auditor)
    }
}

/// The people of an office.
#[derive(Clone, Debug)]
pub struct People {
    folder: PathBuf,
    people: Vec<Person>,
    /// Of the file that was read.
    sha256: [u8; 32],
}

impl People {
    /// Reads the list of a data folder; nobody when there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or is no list of people.
    pub fn read(folder: &DataFolder) -> Result<Self, PeopleError> {
        let path = folder.path().join("people.json");
        let bytes = match path.try_exists() {
            Ok(false) => b"[]".to_vec(),
            _ => read_bounded(&path, FILE_BYTES_MAX)?,
        };
        let format = |found: String| PeopleError::Format { path: path.clone(), found };
        let people: Vec<Person> =
            serde_json::from_slice(&bytes).map_err(|error| format(error.to_string()))?;
        let mut names: Vec<&str> =
            people.iter().filter(|person| !person.removed).map(|person| person.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format(format!(
                "`{}` stands in it twice",
                twice[0].chars().take(80).collect::<String>()
            )));
        }
        // What a hand has written must be what the chain takes, or nothing could be recorded any more.
        for person in people.iter().filter(|person| !person.removed) {
            let sound = text::require_plain(&person.name, ACTOR_CHARS_MAX).is_ok()
                && !person.name.trim().is_empty()
                && !person.roles.is_empty()
                && person.recipients.len() <= PERSON_RECIPIENTS_MAX;
            if !sound {
                let who: String = person.name.chars().take(80).collect();
                return Err(format(format!("`{who}` has no plain name, no role, or too many recipients")));
            }
        }
        Ok(Self { folder: folder.path().to_owned(), people, sha256: Sha256::digest(&bytes).into() })
    }

    /// Keeps other commands from changing the list until the file is dropped, even by a crash; waits for one that does. Taken
    /// before the list is read.
    ///
    /// # Errors
    /// When the file beside the list cannot be made or locked.
    pub fn lock(folder: &DataFolder) -> Result<File, PeopleError> {
        let path = folder.path().join("people.lock");
        let lock = || -> io::Result<File> {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| PeopleError::Folder { path: path.clone(), source })
    }

    /// All of them, by key.
    pub fn all(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(|person| !person.removed)
    }

    /// Names what the file said: another hash, another list.
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Whose token has this hash.
    pub fn of_token(&self, token_hash: &[u8; 32]) -> Option<&Person> {
        let digits = hex(token_hash);
        self.all().find(|person| person.token_sha256 == digits)
    }

    /// The name of the administrator who has this token: who changes the list.
    ///
    /// # Errors
    /// When it is nobody's, or somebody else's.
    pub fn administrator(&self, token: &str) -> Result<String, PeopleError> {
        let person = self.of_token(&Sha256::digest(token.as_bytes()).into()).ok_or(PeopleError::Nobody)?;
        match person.roles.contains(&Role::Administrator) {
            true => Ok(person.name.clone()),
            false => Err(PeopleError::NotAdministrator { name: person.name.clone() }),
        }
    }

    /// What the list says and the chain does not yet.
    pub fn unrecorded(&self, recorded: &[PersonRow]) -> Vec<Command> {
        let by = |person: Option<&Person>| {
            let changed = person.and_then(|person| {
                let changed = person.changed.as_ref()?;
                (Changed::new(&person.row(), &changed.by) == *changed).then(|| changed.by.clone())
            });
            Actor { name: changed.unwrap_or_else(|| BY_HAND.to_owned()), role: Role::Administrator }
        };
        let set = self.all().filter_map(|person| {
            let (row, by) = (person.row(), by(Some(person)));
            let known = recorded.contains(&row);
            (!known).then_some(Command::Work { by, work: Work::SetPerson { person: row } })
        });
        let gone = recorded
            .iter()
            .filter(|known| !known.roles.is_empty() && !self.all().any(|person| person.name == known.name));
        let removed = gone.map(|known| {
            let tombstone = self.people.iter().find(|person| person.name == known.name);
            let by = by(tombstone);
            Command::Work { by, work: Work::RemovePerson { name: known.name.clone() } }
        });
        set.chain(removed).collect()
    }

    /// Adds somebody and writes the file with the token, which is the answer.
    ///
    /// # Errors
    /// When the name, the roles or the limits are not acceptable, or a file cannot be written.
    pub fn add(
        &mut self,
        name: &str,
        roles: &[Role],
        limits: Limits,
        by: &str,
    ) -> Result<(Person, PathBuf), PeopleError> {
        let refused = || PeopleError::Name { name: name.chars().take(80).collect() };
        text::require_plain(name, ACTOR_CHARS_MAX).map_err(|_| refused())?;
        let key = key_of(name);
        if key.is_empty() {
            return Err(refused());
        }
        let mut roles = roles.to_vec();
        roles.sort_unstable();
        roles.dedup();
        if roles.is_empty() {
            return Err(PeopleError::NoRole);
        }
        limits.check()?;
        if self.all().count() >= PEOPLE_MAX {
            return Err(PeopleError::TooMany);
        }
        if self.people.len() >= PEOPLE_MAX {
            self.people.retain(|person| !person.removed);
        }
        let at = match self.people.binary_search_by(|person| person.key.cmp(&key)) {
            Ok(at) if self.people[at].removed => {
                self.people.remove(at);
                at
            }
            Ok(_) => return Err(PeopleError::Known { key }),
            Err(at) => at,
        };
        let token = hex(&keyring::random_bytes::<32>()?);
        let tokens = self.folder.join("people");
        std::fs::create_dir_all(&tokens)
            .map_err(|source| PeopleError::Folder { path: tokens.clone(), source })?;
        let file = token_file(&self.folder, &key);
        keyring::replace_private(&file, format!("{token}\n").as_bytes())?;
        let token_sha256 = hex(&Sha256::digest(token.as_bytes()));
        let name = name.trim().to_owned();
        let Limits { types, recipients } = limits;
        let mut person =
            Person { key, name, roles, types, recipients, changed: None, removed: false, token_sha256 };
        person.changed = Some(Changed::new(&person.row(), by));
        self.people.insert(at, person.clone());
        self.write()?;
        Ok((person, file))
    }

    /// Removes somebody: the token opens nothing any more. What was done stays recorded under the name.
    ///
    /// # Errors
    /// When nobody has this key, or a file cannot be changed.
    pub fn remove(&mut self, key: &str, by: &str) -> Result<Person, PeopleError> {
        let person = self.change(key, by, |person| {
            person.removed = true;
            person.token_sha256.clear();
        })?;
        let file = token_file(&self.folder, key);
        match std::fs::remove_file(&file) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(PeopleError::Folder { path: file, source })
            }
            _ => Ok(person),
        }
    }

    /// Limits what somebody may approve, sign, number and send; what is empty does not limit.
    ///
    /// # Errors
    /// When nobody has this key, there are too many recipients, or the file cannot be changed.
    pub fn limit(&mut self, key: &str, limits: Limits, by: &str) -> Result<Person, PeopleError> {
        limits.check()?;
        self.change(key, by, |person| {
            person.types = limits.types;
            person.recipients = limits.recipients;
        })
    }

    fn change(
        &mut self,
        key: &str,
        by: &str,
        change: impl FnOnce(&mut Person),
    ) -> Result<Person, PeopleError> {
        let found = self.people.iter_mut().find(|person| person.key == key && !person.removed);
        let person = found.ok_or_else(|| PeopleError::Unknown { key: key.to_owned() })?;
        change(person);
        person.changed = Some(Changed::new(&person.row(), by));
        let person = person.clone();
        self.write()?;
        Ok(person)
    }

    fn write(&self) -> Result<(), PeopleError> {
        let path = self.folder.join("people.json");
        let json = serde_json::to_vec_pretty(&self.people)
            .map_err(|error| PeopleError::Format { path: path.clone(), found: error.to_string() })?;
        if json.len() as u64 > FILE_BYTES_MAX {
            return Err(PeopleError::TooLarge);
        }
        Ok(keyring::replace_private(&path, &json)?)
    }
}

/// How the command line names somebody: the name in lower case, without marks, with `-` for what is no letter or digit.
pub fn key_of(name: &str) -> String {
    let folded = text::fold(name);
    let words = folded.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let key = words.collect::<Vec<_>>().join("-");
    key.chars().take(KEY_CHARS_MAX).collect()
}

/// Where the token of somebody is written first.
pub fn token_file(folder: &Path, key: &str) -> PathBuf {
    folder.join("people").join(format!("{key}.token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: &str = "Quản trị";

    #[test]
    fn somebody_is_known_by_the_token_until_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataFolder::new(folder.path());
        let mut people = People::read(&data).expect("nobody yet");
        assert_eq!(people.all().count(), 0);
        let (mai, file) =
            people.add("Lò Thị Mai", &[Role::Clerk, Role::Clerk], Limits::default(), BY).expect("added");
        assert_eq!((mai.key.as_str(), &mai.roles[..]), ("lo-thi-mai", &[Role::Clerk][..]));
        let token = std::fs::read_to_string(&file).expect("a token");
        let hash = Sha256::digest(token.trim().as_bytes()).into();
        let mut again = People::read(&data).expect("readable");
        assert_eq!(again.of_token(&hash), Some(&mai));
        assert!(matches!(
            again.add("LÒ THI MAI", &[Role::Leader], Limits::default(), BY),
            Err(PeopleError::Known { .. })
        ));
        again.remove("lo-thi-mai", BY).expect("removed");
        assert_eq!(People::read(&data).expect("readable").of_token(&hash), None);
        assert!(!file.exists(), "the token is gone");
        assert!(matches!(again.remove("lo-thi-mai", BY), Err(PeopleError::Unknown { .. })));
    }

    #[test]
    fn list_that_a_hand_has_spoilt_is_refused_and_names_whom() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataFolder::new(folder.path());
        let mut people = People::read(&data).expect("nobody yet");
        people.add("Lò Thị Mai", &[Role::Clerk], Limits::default(), "Quản trị").expect("added");
        let path = folder.path().join("people.json");
        let sound = std::fs::read_to_string(&path).expect("a list");
        let one: serde_json::Value = serde_json::from_str(&sound).expect("JSON");
        let found = |list: serde_json::Value| {
            std::fs::write(&path, list.to_string()).expect("written");
            People::read(&data).map_or_else(|error| error.to_string(), |_| "taken".to_owned())
        };
        let changed = |key: &str, value: serde_json::Value| {
            let mut list = one.clone();
            list[0][key] = value;
            list
        };
        assert_eq!(found(one.clone()), "taken");
        assert!(found(changed("roles", serde_json::json!([]))).contains("`Lò Thị Mai`"));
        assert!(found(changed("name", "a\u{202e}b".into())).contains("no plain name"));
        let twice = serde_json::json!([one[0], one[0]]);
        assert!(found(twice).contains("stands in it twice"));
    }

    #[test]
    fn list_that_several_change_at_once_loses_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataFolder::new(folder.path());
        std::thread::scope(|threads| {
            for clerk in 0..4 {
                let data = &data;
                threads.spawn(move || {
                    for n in 0..8 {
                        let _lock = People::lock(data).expect("locked");
                        let mut people = People::read(data).expect("a list");
                        let name = format!("Lò Thị {clerk} {n}");
                        people.add(&name, &[Role::Clerk], Limits::default(), BY).expect("added");
                    }
                });
            }
        });
        assert_eq!(People::read(&data).expect("a list").all().count(), 32);
    }

    #[test]
    fn name_and_role_are_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut people = People::read(&DataFolder::new(folder.path())).expect("nobody yet");
        for name in ["", "  ", "…", "a\u{202e}b", &"a".repeat(256)] {
            assert!(
                matches!(
                    people.add(name, &[Role::Clerk], Limits::default(), BY),
                    Err(PeopleError::Name { .. })
                ),
                "{name}"
            );
        }
        assert!(matches!(people.add("Mai", &[], Limits::default(), BY), Err(PeopleError::NoRole)));
        assert!(matches!(people.remove("../node", BY), Err(PeopleError::Unknown { .. })));
    }

    #[test]
    fn somebody_acts_in_the_role_that_fits() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut people = People::read(&DataFolder::new(folder.path())).expect("nobody yet");
        let (both, _) =
            people.add("Mai", &[Role::Leader, Role::Clerk], Limits::default(), BY).expect("added");
        assert_eq!(both.acting_as(&[Role::Leader]).role, Role::Leader);
        assert_eq!(both.acting_as(&[Role::Officer]).role, Role::Clerk);
        let (administrator, _) =
            people.add("Páo", &[Role::Administrator], Limits::default(), BY).expect("added");
        assert!(!administrator.reads_content() && administrator.acts());
        let (auditor, _) = people.add("Sáng", &[Role::Auditor], Limits::default(), BY).expect("added");
        assert!(auditor.reads_content() && !auditor.acts());
    }

    fn told(command: &Command) -> (&str, &Work) {
        match command {
            Command::Work { by, work } if by.role == Role::Administrator => (&by.name, work),
            other => unreachable!("{other:?}"),
        }
    }

    /// L3: whatever changes the list, a hand included, is told to the chain: who, by whom, and no byte of a token.
    #[test]
    fn whatever_changes_the_list_is_told_to_the_chain() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataFolder::new(folder.path());
        let mut people = People::read(&data).expect("nobody yet");
        let limits = Limits { types: BTreeSet::from([DocumentType::Report]), ..Limits::default() };
        let (mai, file) = people.add("Lò Thị Mai", &[Role::Clerk], limits, BY).expect("added");
        people.add("Vàng A Sáng", &[Role::Leader], Limits::default(), BY).expect("added");
        let tell = || People::read(&data).expect("readable");
        let new = tell().unrecorded(&[]);
        assert_eq!(new.len(), 2);
        assert_eq!(told(&new[0]), (BY, &Work::SetPerson { person: mai.row() }));
        let token = std::fs::read_to_string(file).expect("a token");
        assert!(
            !format!("{new:?}").contains(token.trim()) && !format!("{new:?}").contains(&mai.token_sha256)
        );

        let recorded = [mai.row(), tell().all().last().expect("two people").row()];
        assert!(tell().unrecorded(&recorded).is_empty());
        let before = *tell().sha256();
        people.limit("lo-thi-mai", Limits::default(), "Giàng A Páo").expect("changed");
        assert_ne!(*tell().sha256(), before);
        let lifted = PersonRow { types: BTreeSet::new(), ..mai.row() };
        assert_eq!(
            told(&tell().unrecorded(&recorded)[0]),
            ("Giàng A Páo", &Work::SetPerson { person: lifted })
        );

        people.remove("lo-thi-mai", "Giàng A Páo").expect("removed");
        let gone = Work::RemovePerson { name: "Lò Thị Mai".to_owned() };
        assert_eq!(told(&tell().unrecorded(&recorded)[0]), ("Giàng A Páo", &gone));
        assert!(tell().unrecorded(&recorded[1..]).is_empty());
        people.add("Lò Thị Mai", &[Role::Officer], Limits::default(), BY).expect("back again");
        assert_eq!(told(&tell().unrecorded(&recorded)[0]).0, BY);
        // What a hand has changed is nobody's word.
        let file = folder.path().join("people.json");
        let by_hand = std::fs::read_to_string(&file).expect("a list").replace("\"leader\"", "\"auditor\"");
        std::fs::write(&file, by_hand).expect("written");
        assert_eq!(told(&tell().unrecorded(&recorded[1..])[1]).0, BY_HAND);
        std::fs::write(file, "[]").expect("written");
        let by_hand = tell().unrecorded(&recorded);
        assert_eq!((by_hand.len(), told(&by_hand[0])), (2, (BY_HAND, &gone)));
    }

    #[test]
    fn only_an_administrator_changes_the_list() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut people = People::read(&DataFolder::new(folder.path())).expect("nobody yet");
        let mut token_of = |name: &str, role| {
            let (_, file) = people.add(name, &[role], Limits::default(), BY).expect("added");
            std::fs::read_to_string(file).expect("a token").trim().to_owned()
        };
        let (clerk, administrator) = (token_of("Mai", Role::Clerk), token_of("Páo", Role::Administrator));
        assert_eq!(people.administrator(&administrator).ok().as_deref(), Some("Páo"));
        assert!(matches!(people.administrator(&clerk), Err(PeopleError::NotAdministrator { .. })));
        assert!(matches!(people.administrator("x"), Err(PeopleError::Nobody)));
        let many = (0..=PERSON_RECIPIENTS_MAX as u64).map(|n| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_le_bytes());
            OfficeId::new(id)
        });
        let limits = Limits { recipients: many.collect(), ..Limits::default() };
        assert!(matches!(people.limit("mai", limits, BY), Err(PeopleError::TooManyRecipients)));
    }
}
