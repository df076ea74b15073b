//! The people of an office, and by what the station knows them.
//!
//! `people.json` in the data folder holds names, roles and the hash of each person's token; the token itself lies in a file that
//! only its owner can read (`people/<key>.token`), to be moved to that person's own account. Whoever asks with it acts as that
//! person, and every act is recorded with the name and the role.

use std::io;
use std::path::{Path, PathBuf};

use schema::handling::{ACTOR_CHARS_MAX, Actor, Role};
use schema::id::hex;
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
    /// The folder of the tokens cannot be made, or a token not be removed.
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
    /// SHA-256 of the token, in hexadecimal digits.
    token_sha256: String,
}

impl Person {
    /// This person in the first role that fits.
    pub fn acting_as(&self, wanted: &[Role]) -> Actor {
        let fitting = self.roles.iter().find(|role| wanted.contains(role));
        let role = *fitting.or(self.roles.first()).unwrap_or(&Role::Auditor);
        Actor { name: self.name.clone(), role }
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
}

impl People {
    /// Reads the list of a data folder; nobody when there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or is no list of people.
    pub fn read(folder: &DataFolder) -> Result<Self, PeopleError> {
        let path = folder.path().join("people.json");
        let people = match path.try_exists() {
            Ok(false) => Vec::new(),
            _ => {
                let bytes = read_bounded(&path, FILE_BYTES_MAX)?;
                serde_json::from_slice(&bytes)
                    .map_err(|error| PeopleError::Format { path, found: error.to_string() })?
            }
        };
        Ok(Self { folder: folder.path().to_owned(), people })
    }

    /// All of them, by key.
    pub fn all(&self) -> &[Person] {
        &self.people
    }

    /// Whose token has this hash.
    pub fn of_token(&self, token_hash: &[u8; 32]) -> Option<&Person> {
        let digits = hex(token_hash);
        self.people.iter().find(|person| person.token_sha256 == digits)
    }

    /// Adds somebody and writes the file with the token, which is the answer.
    ///
    /// # Errors
    /// When the name or the roles are not acceptable, or a file cannot be written.
    pub fn add(&mut self, name: &str, roles: &[Role]) -> Result<(Person, PathBuf), PeopleError> {
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
        if self.people.len() >= PEOPLE_MAX {
            return Err(PeopleError::TooMany);
        }
        let Err(at) = self.people.binary_search_by(|person| person.key.cmp(&key)) else {
            return Err(PeopleError::Known { key });
        };
        let token = hex(&keyring::random_bytes::<32>()?);
        let tokens = self.folder.join("people");
        std::fs::create_dir_all(&tokens)
            .map_err(|source| PeopleError::Folder { path: tokens.clone(), source })?;
        let file = token_file(&self.folder, &key);
        keyring::replace_private(&file, format!("{token}\n").as_bytes())?;
        let token_sha256 = hex(&Sha256::digest(token.as_bytes()));
        let person = Person { key, name: name.trim().to_owned(), roles, token_sha256 };
        self.people.insert(at, person.clone());
        self.write()?;
        Ok((person, file))
    }

    /// Removes somebody: the token opens nothing any more. What was done stays recorded under the name.
    ///
    /// # Errors
    /// When nobody has this key, or a file cannot be changed.
    pub fn remove(&mut self, key: &str) -> Result<Person, PeopleError> {
        let found = self.people.iter().position(|person| person.key == key);
        let at = found.ok_or_else(|| PeopleError::Unknown { key: key.to_owned() })?;
        let person = self.people.remove(at);
        self.write()?;
        let file = token_file(&self.folder, key);
        match std::fs::remove_file(&file) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(PeopleError::Folder { path: file, source })
            }
            _ => Ok(person),
        }
    }

    fn write(&self) -> Result<(), PeopleError> {
        let path = self.folder.join("people.json");
        let json = serde_json::to_vec_pretty(&self.people)
            .map_err(|error| PeopleError::Format { path: path.clone(), found: error.to_string() })?;
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

    #[test]
    fn somebody_is_known_by_the_token_until_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataFolder::new(folder.path());
        let mut people = People::read(&data).expect("nobody yet");
        assert!(people.all().is_empty());
        let (mai, file) = people.add("Lò Thị Mai", &[Role::Clerk, Role::Clerk]).expect("added");
        assert_eq!((mai.key.as_str(), &mai.roles[..]), ("lo-thi-mai", &[Role::Clerk][..]));
        let token = std::fs::read_to_string(&file).expect("a token");
        let hash = Sha256::digest(token.trim().as_bytes()).into();
        let mut again = People::read(&data).expect("readable");
        assert_eq!(again.of_token(&hash), Some(&mai));
        assert!(matches!(again.add("LÒ THI MAI", &[Role::Leader]), Err(PeopleError::Known { .. })));
        again.remove("lo-thi-mai").expect("removed");
        assert_eq!(People::read(&data).expect("readable").of_token(&hash), None);
        assert!(!file.exists(), "the token is gone");
        assert!(matches!(again.remove("lo-thi-mai"), Err(PeopleError::Unknown { .. })));
    }

    #[test]
    fn name_and_role_are_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut people = People::read(&DataFolder::new(folder.path())).expect("nobody yet");
        for name in ["", "  ", "…", "a\u{202e}b", &"a".repeat(256)] {
            assert!(matches!(people.add(name, &[Role::Clerk]), Err(PeopleError::Name { .. })), "{name}");
        }
        assert!(matches!(people.add("Mai", &[]), Err(PeopleError::NoRole)));
        assert!(matches!(people.remove("../node"), Err(PeopleError::Unknown { .. })));
    }

    #[test]
    fn somebody_acts_in_the_role_that_fits() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut people = People::read(&DataFolder::new(folder.path())).expect("nobody yet");
        let (both, _) = people.add("Mai", &[Role::Leader, Role::Clerk]).expect("added");
        assert_eq!(both.acting_as(&[Role::Leader]).role, Role::Leader);
        assert_eq!(both.acting_as(&[Role::Officer]).role, Role::Clerk);
        let (administrator, _) = people.add("Páo", &[Role::Administrator]).expect("added");
        assert!(!administrator.reads_content() && administrator.acts());
        let (auditor, _) = people.add("Sáng", &[Role::Auditor]).expect("added");
        assert!(auditor.reads_content() && !auditor.acts());
    }
}
