//! A deployment: the registrar's folder, from which relays and offices are set up.
//!
//! ```text
//! <deployment>/root.key             signs the directory (PKCS#8 PEM, owner only, under a passphrase); keep it off line
//! <deployment>/root.pub             its public half, 64 hexadecimal digits
//! <deployment>/directory.cbor       the newest signed directory
//! <deployment>/relays/<region>/     relay.toml, directory.cbor, relay.nk, data/
//! <deployment>/offices/<office>/    bundle.toml, node.key, login.nk, directory.cbor: for `tram-node init --bundle`
//! ```
//!
//! The signed directory is the only state: who is enrolled where follows from it. Keys are made once and found again,
//! so every command can be repeated after an interruption.
//!
//! Keys are put under a passphrase when one is given: one for the root key, another for the keys of offices, because
//! that one is handed over with the bundle.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use ed25519_dalek::SigningKey;
use node::config::{Bundle, read_bounded};
use node::keyring::{self, KeyringError, Login, Unlock, change};
use schema::directory::{
    Directory, DirectoryBuilder, Enrolment, KeyValidity, OfficeKey, Region, SNAPSHOT_BYTES_MAX,
    open_directory, sign_directory,
};
use schema::id::{OfficeId, RegionId, hex};
use schema::text::fold;
use schema::time::Millis;

/// A key is valid from this long before its enrolment: the clock of an office's first day may be behind.
const KEY_VALID_BEFORE_MS: u64 = Millis::DAY;
/// Longest part of an office's name in the name of its folder, in characters.
const FOLDER_NAME_CHARS_MAX: usize = 40;
/// How much of the id follows it: enough to tell ten thousand offices of one name apart.
const FOLDER_ID_CHARS: usize = 8;

/// A region that joins, and where its relay will listen.
#[derive(Clone, Debug)]
pub struct NewRegion {
    /// Its token.
    pub id: RegionId,
    /// Its name for people.
    pub name: String,
    /// How offices and peers reach its NATS server.
    pub url: String,
    /// Where that server listens.
    pub listen: SocketAddr,
    /// The loopback port of that server's monitoring.
    pub monitor_port: u16,
    /// Where the relay answers `/status`; loopback.
    pub status: SocketAddr,
}

/// A deployment's folder, opened for change.
pub struct Deployment {
    folder: PathBuf,
    root: SigningKey,
    office_keys: Unlock,
    published: Option<Directory>,
    next: DirectoryBuilder,
}

impl Deployment {
    /// Opens a deployment, or starts one with a new root key and the carried country in which no office is enrolled.
    /// A new root key lies unencrypted.
    ///
    /// # Errors
    /// When the folder cannot be used, its root key is protected, or its directory was not signed by its root key.
    pub fn open_or_create(folder: &Path) -> Result<Self> {
        Self::open_or_create_unlocked(folder, &Unlock::default())
    }

    /// Opens a deployment whose root key is protected, or starts one. With a passphrase file in `unlock` the root key
    /// is under that passphrase afterwards, also when it lay unencrypted before.
    ///
    /// # Errors
    /// When the folder cannot be used, the root key is not opened, or the directory was not signed by it.
    pub fn open_or_create_unlocked(folder: &Path, unlock: &Unlock) -> Result<Self> {
        make_private_folder(folder)?;
        let expected = match folder.join("root.pub").exists() {
            true => vec![read_root_key(folder)?],
            false => Vec::new(),
        };
        let root =
            key_at(&folder.join("root.key"), &expected, unlock).map_err(advised("--root-passphrase-file"))?;
        let public = hex(root.verifying_key().as_bytes());
        replace(&folder.join("root.pub"), format!("{public}\n").as_bytes())?;
        let path = folder.join("directory.cbor");
        let published =
            if path.exists() { Some(read_directory(&path, root.verifying_key().as_bytes())?) } else { None };
        let next = match &published {
            Some(directory) => DirectoryBuilder::from(directory),
            None => DirectoryBuilder::country().context("failed to assemble the carried country")?,
        };
        Ok(Self { folder: folder.to_owned(), root, office_keys: Unlock::default(), published, next })
    }

    /// Says where the passphrase of offices' keys is. With a passphrase file, keys that are enrolled from now on lie
    /// under that passphrase.
    pub fn unlock_offices(&mut self, unlock: Unlock) {
        self.office_keys = unlock;
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The public half of the root key.
    pub fn root_key(&self) -> [u8; 32] {
        *self.root.verifying_key().as_bytes()
    }

    /// The newest directory, when one was published.
    pub fn directory(&self) -> Option<&Directory> {
        self.published.as_ref()
    }

    /// The folder of a relay.
    pub fn relay_folder(&self, region: &RegionId) -> PathBuf {
        self.folder.join("relays").join(region.as_str())
    }

    /// The folder of an office: its name without diacritics and the beginning of its id.
    pub fn office_folder(&self, office: &OfficeId, name: &str) -> PathBuf {
        let mut words = String::new();
        for c in fold(name).chars().take(FOLDER_NAME_CHARS_MAX) {
            match c {
                'a'..='z' | '0'..='9' => words.push(c),
                _ if !words.ends_with('-') => words.push('-'),
                _ => {}
            }
        }
        let id = office.to_string();
        let name = format!("{}-{}", words.trim_matches('-'), &id[..FOLDER_ID_CHARS]);
        self.folder.join("offices").join(name)
    }

    /// Adds a region, or changes it: makes its relay's folder with login and configuration.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn add_region(&mut self, region: &NewRegion) -> Result<PathBuf> {
        let folder = self.relay_folder(&region.id);
        make_private_folder(&folder)?;
        let login = login_at(&folder.join("relay.nk"))?;
        let text = relay_config(region, &self.root_key());
        replace(&folder.join("relay.toml"), text.as_bytes())?;
        install_relay_login(&folder)?;
        self.next.region(Region {
            id: region.id.clone(),
            name: region.name.clone(),
            url: region.url.clone(),
            login: Some(login.public().to_owned()),
        });
        Ok(folder)
    }

    /// Enrols an office: makes its bundle with its keys, and enters them into the next directory. `relays`
    /// are the regions that keep its mailbox, the preferred one first.
    ///
    /// # Errors
    /// When no relay is named, the office is not in the directory, or the folder cannot be written.
    pub fn enrol(
        &mut self,
        office: &OfficeId,
        name: &str,
        relays: &[RegionId],
        now: Millis,
    ) -> Result<PathBuf> {
        ensure!(!relays.is_empty(), "`{name}` needs at least one relay that keeps its mailbox; name it");
        let folder = self.office_folder(office, name);
        make_private_folder(&folder)?;
        let login = login_at(&folder.join("login.nk"))?;
        let bundle = Bundle { office: *office, root_key: self.root_key() };
        replace(&folder.join(Bundle::FILE), bundle.render().as_bytes())?;
        let known = self.published.as_ref().and_then(|directory| directory.office(office));
        let expected: Vec<[u8; 32]> =
            known.map(|office| office.keys.iter().map(|listed| listed.key).collect()).unwrap_or_default();
        let key = key_at(&folder.join("node.key"), &expected, &self.office_keys);
        let key = key.map_err(advised("--passphrase-file"))?;
        let key = *key.verifying_key().as_bytes();
        let validity = known
            .and_then(|office| office.keys.iter().find(|known| known.key == key))
            .map_or(KeyValidity::since(Millis(now.0.saturating_sub(KEY_VALID_BEFORE_MS))), |known| {
                known.validity
            });
        let enrolment = Enrolment {
            keys: vec![OfficeKey { key, validity }],
            login: Some(login.public().to_owned()),
            relays: relays.to_vec(),
        };
        self.next.enrol(office, enrolment).with_context(|| format!("failed to enrol `{name}`"))?;
        Ok(folder)
    }

    /// Signs what was changed as the next version and copies it into every folder of the deployment.
    ///
    /// # Errors
    /// When the entries contradict each other, or a file cannot be written. The earlier version stays valid then.
    pub fn publish(&mut self, now: Millis) -> Result<&Directory> {
        let (version, earlier) =
            self.published.as_ref().map_or((1, Millis(0)), |d| (d.version() + 1, d.issued_at()));
        let directory = self
            .next
            .clone()
            .build(version, now.max(earlier))
            .context("the changes do not make a sound directory")?;
        let bytes =
            sign_directory(&directory.snapshot(), &self.root).context("failed to sign the directory")?;
        for group in ["relays", "offices"] {
            for folder in subfolders(&self.folder.join(group))? {
                replace(&folder.join("directory.cbor"), &bytes)?;
            }
        }
        // Last: until it is there, repeating the command repeats the copies.
        replace(&self.folder.join("directory.cbor"), &bytes)?;
        Ok(self.published.insert(directory))
    }
}

/// Puts a relay's login where the relay looks for it, also after its disk was lost.
///
/// # Errors
/// When it cannot be copied.
pub fn install_relay_login(relay_folder: &Path) -> Result<()> {
    let data = relay_folder.join("data");
    make_private_folder(&data)?;
    let seed = read_bounded(&relay_folder.join("relay.nk"), keyring::KEY_FILE_BYTES_MAX)?;
    Ok(keyring::replace_private(&data.join("relay.nk"), &seed)?)
}

/// Reads a signed directory.
///
/// # Errors
/// When it cannot be read or was not signed by this root key.
pub fn read_directory(path: &Path, root_key: &[u8; 32]) -> Result<Directory> {
    let bytes = read_bounded(path, SNAPSHOT_BYTES_MAX as u64 + 1024)?;
    open_directory(&bytes, root_key)
        .with_context(|| format!("directory `{}` is not accepted", path.display()))
}

/// Reads the public root key of a deployment.
///
/// # Errors
/// When there is none.
pub fn read_root_key(deployment: &Path) -> Result<[u8; 32]> {
    let path = deployment.join("root.pub");
    let bytes = read_bounded(&path, keyring::KEY_FILE_BYTES_MAX).with_context(|| {
        format!("`{}` is not a deployment; `tram country` makes one", deployment.display())
    })?;
    match node::config::parse_root_key(&String::from_utf8_lossy(&bytes)) {
        Ok(key) => Ok(key),
        Err(found) => bail!("`{}` does not hold a root key: {found}", path.display()),
    }
}

/// The signing key in this file; a new one when there is none. With a passphrase file it is protected afterwards.
fn key_at(path: &Path, expected: &[[u8; 32]], unlock: &Unlock) -> Result<SigningKey, KeyringError> {
    let protect_with = match unlock.passphrase_file {
        Some(_) => Some(unlock.new_passphrase(path)?.0),
        None => None,
    };
    if path.exists() {
        let opened = keyring::open_signing_key(path, expected, unlock)?;
        if let (Some(passphrase), false) = (&protect_with, opened.protection.is_protected()) {
            change::protect(path, passphrase, expected, &mut |_| {})?;
        }
        return Ok(opened.key);
    }
    let key = keyring::generate_signing_key()?;
    match &protect_with {
        Some(passphrase) => keyring::write_protected_key(path, &key, passphrase)?,
        None => keyring::write_signing_key(path, &key)?,
    }
    Ok(key)
}

/// Says what to do about a key that nobody gave a passphrase for.
fn advised(flag: &str) -> impl FnOnce(KeyringError) -> anyhow::Error {
    move |error| match error {
        KeyringError::Locked { .. } => anyhow::Error::new(error)
            .context(format!("name the file with its passphrase (`{flag}`), or run this at a terminal")),
        error => error.into(),
    }
}

fn login_at(path: &Path) -> Result<Login> {
    if path.exists() {
        return Ok(Login::read(path)?);
    }
    let login = Login::generate()?;
    login.write(path)?;
    Ok(login)
}

fn relay_config(region: &NewRegion, root_key: &[u8; 32]) -> String {
    let NewRegion { id, listen, monitor_port, status, .. } = region;
    let root_key = hex(root_key);
    format!(
        "# Settings of the relay of region `{id}`. An unknown key is an error.\n\
         region = \"{id}\"\n\
         # Everything in here is a cache: it may be lost at any moment. The login is put back from `relay.nk`.\n\
         data_dir = \"data\"\n\
         directory = \"directory.cbor\"\n\
         # Public key that signs the directory.\n\
         root_key = \"{root_key}\"\n\
         # Where its NATS server listens for offices and peers; monitoring and status stay on this machine.\n\
         listen = \"{listen}\"\n\
         monitor_port = {monitor_port}\n\
         status = \"{status}\"\n"
    )
}

fn make_private_folder(folder: &Path) -> Result<()> {
    let attempted = || format!("failed to make the folder `{}`", folder.display());
    let is_new = !folder.exists();
    fs::create_dir_all(folder).with_context(attempted)?;
    if is_new {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).with_context(attempted)?;
    }
    Ok(())
}

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let attempted = || format!("failed to list `{}`", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(attempted),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(attempted)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whole or not at all: a station that starts at this moment must not read half a file.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = path.with_extension("new");
    let written = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    written.with_context(|| format!("failed to write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use node::keyring::Protection;

    fn region(id: &str, port: u16) -> NewRegion {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        NewRegion {
            id: id.parse().expect("a region"),
            name: format!("Vùng {id}"),
            url: format!("nats://127.0.0.1:{port}"),
            listen: at(port),
            monitor_port: port + 1,
            status: at(port + 2),
        }
    }

    #[test]
    fn repeated_enrolment_keeps_the_keys_and_publishes_the_next_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Millis(1_750_986_903_250);
        let mut keys = Vec::new();
        for round in 1..=2_u64 {
            let mut deployment = Deployment::open_or_create(folder.path()).expect("opened");
            deployment.add_region(&region("lao-cai", 4222)).expect("added");
            let country = DirectoryBuilder::country().expect("tables").build(1, now).expect("sound");
            let office = country.resolve("02875", date(2025, 6, 27)).expect("a commune");
            let name = office.name_at(date(2025, 6, 27)).expect("a name");
            let relays = ["lao-cai".parse().expect("a region")];
            let bundle = deployment.enrol(&office.id, name, &relays, now).expect("enrolled");
            let version = deployment.publish(now).expect("published").version();
            assert_eq!(version, round);

            let read = Bundle::read(&bundle).expect("a bundle");
            let directory = read_directory(&bundle.join("directory.cbor"), &read.root_key).expect("signed");
            let key = keyring::read_signing_key(&bundle.join("node.key")).expect("a key");
            let login = Login::read(&bundle.join("login.nk")).expect("a login");
            let enrolled = directory.office(&read.office).expect("enrolled");
            assert_eq!(enrolled.keys[0].key, *key.verifying_key().as_bytes());
            assert_eq!(enrolled.login.as_deref(), Some(login.public()));
            assert_eq!(enrolled.relays, relays);
            keys.push((key.to_bytes(), enrolled.keys.clone()));
        }
        assert_eq!(keys[0], keys[1]);
    }

    fn passphrase(folder: &Path, name: &str, words: &str) -> Unlock {
        let path = folder.join(name);
        keyring::replace_private(&path, words.as_bytes()).expect("written");
        Unlock { passphrase_file: Some(path), ..Unlock::default() }
    }

    fn enrol_one(deployment: &mut Deployment) -> Result<PathBuf> {
        let now = Millis(1_750_986_903_250);
        deployment.add_region(&region("lao-cai", 4222))?;
        let country = DirectoryBuilder::country()?.build(1, now)?;
        let office = country.resolve("02875", date(2025, 6, 27))?.id;
        let bundle = deployment.enrol(&office, "Xã", &["lao-cai".parse()?], now)?;
        deployment.publish(now)?;
        Ok(bundle)
    }

    #[test]
    fn keys_are_put_under_passphrases_and_found_again_only_with_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let root_words = passphrase(folder.path(), "root-words", "gốc đa giữa sân đình");
        let office_words = passphrase(folder.path(), "office-words", "bến nước ở cuối làng");
        let at = folder.path().join("deployment");
        // Both keys lie unencrypted at first, as an earlier version left them.
        let mut open = Deployment::open_or_create(&at).expect("made");
        let bundle = enrol_one(&mut open).expect("enrolled");
        let (root, office) = (at.join("root.key"), bundle.join("node.key"));
        let plain = keyring::read_signing_key(&office).expect("read");

        let mut again = Deployment::open_or_create_unlocked(&at, &root_words).expect("opened");
        assert_eq!(again.root_key(), open.root_key(), "another root key");
        again.unlock_offices(office_words.clone());
        enrol_one(&mut again).expect("enrolled");
        for key in [&root, &office] {
            assert!(Protection::of_file(key).expect("a key").is_protected(), "{}", key.display());
        }
        let opened = keyring::open_signing_key(&office, &[], &office_words).expect("opened");
        assert_eq!(opened.key.to_bytes(), plain.to_bytes(), "another key");

        let refused =
            |unlock: &Unlock| Deployment::open_or_create_unlocked(&at, unlock).err().expect("refused");
        let shut = format!("{:#}", refused(&Unlock::default()));
        assert!(shut.contains("none was given") && shut.contains("--root-passphrase-file"), "{shut}");
        assert!(refused(&office_words).to_string().contains("does not open"), "one passphrase opens both");
        let mut shut = Deployment::open_or_create_unlocked(&at, &root_words).expect("opened");
        let error = enrol_one(&mut shut).expect_err("an office's key without its passphrase");
        let error = format!("{error:#}");
        assert!(error.contains("none was given") && error.contains("`--passphrase-file`"), "{error}");
    }

    #[test]
    fn root_key_that_was_exchanged_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(Deployment::open_or_create(folder.path()).expect("made"));
        let root = folder.path().join("root.key");
        fs::remove_file(&root).expect("removed");
        keyring::write_signing_key(&root, &SigningKey::from_bytes(&[5; 32])).expect("written");
        let error = Deployment::open_or_create(folder.path()).err().expect("refused").to_string();
        assert!(error.contains("expected"), "{error}");
    }

    #[test]
    fn relay_reads_the_configuration_it_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut deployment = Deployment::open_or_create(folder.path()).expect("opened");
        let relay = deployment.add_region(&region("p01", 4300)).expect("added");
        let text = fs::read_to_string(relay.join("relay.toml")).expect("written");
        let table: toml::Table = text.parse().expect("TOML");
        assert_eq!(table["region"].as_str(), Some("p01"));
        assert_eq!(table["root_key"].as_str(), Some(hex(&deployment.root_key()).as_str()));
        let seed = |path: &str| fs::read(relay.join(path)).expect("a seed");
        assert_eq!(seed("relay.nk"), seed("data/relay.nk"));
    }

    #[test]
    fn directory_of_another_root_is_refused() {
        let (mine, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let mut deployment = Deployment::open_or_create(mine.path()).expect("opened");
        deployment.publish(Millis(1)).expect("published");
        let other = Deployment::open_or_create(other.path()).expect("opened");
        read_directory(&mine.path().join("directory.cbor"), &other.root_key())
            .expect_err("a foreign signature");
    }
}
