//! A deployment: the registrar's folder, from which relays and offices are set up.
//!
//! ```text
//! <deployment>/root.key             signs the directory (PKCS#8 PEM, owner only, under a passphrase); keep it off line
//! <deployment>/root.pub             its public half, 64 hexadecimal digits
//! <deployment>/trust-anchors        SHA-256 of each root certificate that is believed, one in a line
//! <deployment>/registry.cbor        root certificates, the newest signed directory, authorities, certificates, lists
//! <deployment>/relays/<region>/     relay.toml, registry.cbor, relay.nk, stamp.key, data/
//! <deployment>/offices/<office>/    bundle.toml, node.key, node.pub, login.nk, sealing.age, announcement.cbor, registry.cbor: for
//!                                   `tram-node init --bundle`
//! ```
//!
//! The registry is the only state: who is enrolled where follows from the directory in it, and whose key counts from the
//! certificates, which a certificate authority ([`crate::ca`]) issues for the keys that lie here. Keys are made once and
//! found again, so every command can be repeated after an interruption.
//!
//! Keys are put under a passphrase when one is given: one for the root key, another for the keys of offices, because
//! that one is handed over with the bundle.

mod folders;
pub mod papers;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ed25519_dalek::SigningKey;
use node::config::{ANCHORS_MAX, Bundle, parse_anchors, parse_root_key, read_bounded, read_items};
use node::keyring::{self, Unlock};
use node::sealing::{Sealing, SealingKeys, founding_announcement};
use node::words::with_causes;
use schema::directory::{Directory, DirectoryBuilder, Enrolment, Region, sign_directory};
use schema::event::EVENT_BYTES_MAX;
use schema::id::{OfficeId, RegionId, hex};
use schema::registry::{Item, ItemId, ItemKind, Registry, Roots, Taken, encode_items};
use schema::text::fold;
use schema::time::Millis;
use schema::trust::CertificateHash;

pub use folders::install_relay_keys;
use folders::{advised, key_at, login_at, make_private_folder, relay_config, replace, subfolders};

/// Longest part of an office's name in the name of its folder, in characters.
const FOLDER_NAME_CHARS_MAX: usize = 40;
/// How much of the id follows it: enough to tell ten thousand offices of one name apart.
const FOLDER_ID_CHARS: usize = 8;
const ROOT_PUBLIC: &str = "root.pub";
const ANCHORS: &str = "trust-anchors";
const REGISTRY: &str = "registry.cbor";
const NODE_PUBLIC: &str = "node.pub";

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
    anchors: Vec<CertificateHash>,
    /// Root certificates that are not in the registry yet.
    new_anchors: Vec<Item>,
    office_keys: Unlock,
    published: Option<Registry>,
    next: DirectoryBuilder,
}

impl Deployment {
    /// Opens a deployment, or starts one with a new root key and the carried country in which no office is enrolled.
    /// With a passphrase file in `unlock` the root key is under that passphrase afterwards, also when it lay unencrypted
    /// before. The root certificates (DER) are believed from the next publication on, beside those that are already.
    ///
    /// # Errors
    /// When the folder cannot be used, the root key is not opened, no root certificate is believed, or the registry does
    /// not hold under what is pinned.
    pub fn open_or_create(folder: &Path, unlock: &Unlock, root_certificates: &[Vec<u8>]) -> Result<Self> {
        make_private_folder(folder)?;
        let expected = match folder.join(ROOT_PUBLIC).exists() {
            true => vec![read_root_key(folder)?],
            false => Vec::new(),
        };
        let mut anchors = read_anchors(folder)?;
        let mut new_anchors = Vec::new();
        for certificate in root_certificates {
            let hash = CertificateHash::of(certificate);
            if !anchors.contains(&hash) {
                anchors.push(hash);
            }
            new_anchors.push(Item::new(ItemKind::Anchor, certificate.clone())?);
        }
        ensure!(
            !anchors.is_empty(),
            "no root certificate is believed yet: name the file of the root's certificate (`--root-certificate ca.pem`)"
        );
        ensure!(anchors.len() <= ANCHORS_MAX, "at most {ANCHORS_MAX} root certificates are believed at once");
        let root =
            key_at(&folder.join("root.key"), &expected, unlock).map_err(advised("--root-passphrase-file"))?;
        let public = hex(root.verifying_key().as_bytes());
        replace(&folder.join(ROOT_PUBLIC), format!("{public}\n").as_bytes())?;
        let roots = Roots { directory_key: *root.verifying_key().as_bytes(), anchors: anchors.clone() };
        let path = folder.join(REGISTRY);
        let published = match path.exists() {
            true => Some(open_registry(&path, roots, new_anchors.clone())?),
            false => None,
        };
        let next = match &published {
            Some(registry) => DirectoryBuilder::from(&**registry.directory()),
            None => DirectoryBuilder::country().context("failed to assemble the carried country")?,
        };
        let (folder, office_keys) = (folder.to_owned(), Unlock::default());
        Ok(Self { folder, root, anchors, new_anchors, office_keys, published, next })
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

    /// What stations and relays of this deployment pin.
    pub fn roots(&self) -> Roots {
        Roots { directory_key: *self.root.verifying_key().as_bytes(), anchors: self.anchors.clone() }
    }

    /// What is published, when something was.
    pub fn registry(&self) -> Option<&Registry> {
        self.published.as_ref()
    }

    /// The newest directory, when one was published.
    pub fn directory(&self) -> Option<&Arc<Directory>> {
        self.published.as_ref().map(Registry::directory)
    }

    /// The folder of a relay.
    pub fn relay_folder(&self, region: &RegionId) -> PathBuf {
        self.folder.join("relays").join(region.as_str())
    }

    /// The folder of an office.
    pub fn office_folder(&self, office: &OfficeId, name: &str) -> PathBuf {
        office_folder(&self.folder, office, name)
    }

    /// Adds a region, or changes it: makes its relay's folder with its keys and configuration.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn add_region(&mut self, region: &NewRegion) -> Result<PathBuf> {
        let folder = self.relay_folder(&region.id);
        make_private_folder(&folder)?;
        let login = login_at(&folder.join("relay.nk"))?;
        let stamp_key = relay::keyring::stamp_key(&folder.join("stamp.key"))?;
        replace(&folder.join("relay.toml"), relay_config(region, &self.roots()).as_bytes())?;
        install_relay_keys(&folder)?;
        self.next.region(Region {
            id: region.id.clone(),
            name: region.name.clone(),
            url: region.url.clone(),
            login: Some(login.public().to_owned()),
            stamp_key: Some(stamp_key.verifying_key().to_bytes()),
        });
        Ok(folder)
    }

    /// Enrols an office: makes its bundle with its keys, and enters login and mailbox into the next directory. `relays`
    /// are the regions that keep its mailbox, the preferred one first. The signing key still has to be certified.
    ///
    /// # Errors
    /// When no relay is named, the office is not in the directory, or the folder cannot be written.
    pub fn enrol(&mut self, office: &OfficeId, name: &str, relays: &[RegionId]) -> Result<PathBuf> {
        ensure!(!relays.is_empty(), "`{name}` needs at least one relay that keeps its mailbox; name it");
        let folder = self.office_folder(office, name);
        make_private_folder(&folder)?;
        let login = login_at(&folder.join("login.nk"))?;
        let Roots { directory_key, anchors } = self.roots();
        let bundle = Bundle { office: *office, root_key: directory_key, trust_anchors: anchors };
        replace(&folder.join(Bundle::FILE), bundle.render().as_bytes())?;
        // A key file that was exchanged is noticed: it is not the one that was entered here before.
        let public = folder.join(NODE_PUBLIC);
        let expected = if public.exists() { vec![read_public(&public)?] } else { Vec::new() };
        let key = key_at(&folder.join("node.key"), &expected, &self.office_keys);
        let key = key.map_err(advised("--passphrase-file"))?;
        replace(&public, format!("{}\n", hex(key.verifying_key().as_bytes())).as_bytes())?;
        let announcement = folder.join(Bundle::ANNOUNCEMENT);
        if !announcement.exists() {
            let sealing = SealingKeys::generate()?;
            replace(&folder.join(Bundle::SEALING), &sealing.sealed_for(&key)?)?;
            let founding = founding_announcement(&key, *office, sealing.key(), node::runtime::now())?;
            replace(&announcement, founding.bytes())?;
        }
        let enrolment = Enrolment { login: Some(login.public().to_owned()), relays: relays.to_vec() };
        self.next.enrol(office, enrolment).with_context(|| format!("failed to enrol `{name}`"))?;
        Ok(folder)
    }

    /// Signs what was changed as the next version of the directory and hands the registry out to every folder of the
    /// deployment.
    ///
    /// # Errors
    /// When the entries contradict each other, or a file cannot be written. The earlier version stays valid then.
    pub fn publish(&mut self, now: Millis) -> Result<&Registry> {
        let earlier = self.directory().map(|earlier| (earlier.version() + 1, earlier.issued_at()));
        let (version, earlier) = earlier.unwrap_or((1, Millis(0)));
        let directory = self
            .next
            .clone()
            .build(version, now.max(earlier))
            .context("the changes do not make a sound directory")?;
        let bytes =
            sign_directory(&directory.snapshot(), &self.root).context("failed to sign the directory")?;
        self.take_in(vec![Item::new(ItemKind::Directory, bytes)?])?;
        self.published.as_ref().context("nothing was published")
    }

    /// Takes certificates and lists into the registry and hands it out to every folder of the deployment; says how many
    /// are new. What is not accepted is left out and told, the rest is taken in.
    ///
    /// # Errors
    /// When nothing was published yet, or a file cannot be written.
    pub fn add(&mut self, items: Vec<Item>) -> Result<Added> {
        ensure!(
            self.published.is_some(),
            "`{}` has no directory yet; run `tram country` first",
            self.folder.display()
        );
        self.take_in(items)
    }

    fn take_in(&mut self, items: Vec<Item>) -> Result<Added> {
        let (next, outcomes) = match &self.published {
            Some(registry) => registry.with(items),
            None => Registry::open(self.roots(), [self.new_anchors.clone(), items].concat())?,
        };
        let (next, founded) = next.with(self.foundings(&next)?);
        // An office whose key is not certified yet says nothing that counts.
        let founded = founded.into_iter().filter(|(_, outcome)| outcome.is_ok());
        let mut added = Added::default();
        for (id, outcome) in outcomes.into_iter().chain(founded) {
            match outcome {
                Ok(Taken::New) => added.new += 1,
                Ok(Taken::Known) => added.known += 1,
                Ok(Taken::Older) => added.older += 1,
                Err(error) => added.refused.push((id, with_causes(&error))),
            }
        }
        let contested: BTreeSet<_> = next.contested().collect();
        let before: BTreeSet<_> = self.published.iter().flat_map(Registry::contested).collect();
        let told = self.published.as_ref().map_or(0, |before| before.contradictions().len());
        added.contradicting =
            next.contradictions().iter().skip(told).map(|found| found.authority.clone()).collect();
        added.contested = contested.difference(&before).map(|(office, _)| *office).collect();
        let bytes = encode_items(next.all_items());
        let anchors: String = self.anchors.iter().map(|anchor| format!("{anchor}\n")).collect();
        replace(&self.folder.join(ANCHORS), anchors.as_bytes())?;
        for folder in subfolders(&self.folder.join("relays"))? {
            replace(&folder.join(REGISTRY), &bytes)?;
        }
        for folder in subfolders(&self.folder.join("offices"))? {
            self.renew_bundle(&folder)?;
            replace(&folder.join(REGISTRY), &bytes)?;
        }
        // Last: until it is there, repeating the command repeats the copies.
        replace(&self.folder.join(REGISTRY), &bytes)?;
        self.published = Some(next);
        Ok(added)
    }

    /// What offices that were enrolled here say about their sealing keys, and the registry does not hold yet.
    fn foundings(&self, registry: &Registry) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for folder in subfolders(&self.folder.join("offices"))? {
            let path = folder.join(Bundle::ANNOUNCEMENT);
            if path.exists() {
                let item = Item::new(ItemKind::Announcement, read_bounded(&path, EVENT_BYTES_MAX as u64)?)?;
                items.extend((registry.item(&item.id()).is_none()).then_some(item));
            }
        }
        Ok(items)
    }

    /// A bundle that was not handed over yet pins the root certificates that are believed today.
    fn renew_bundle(&self, folder: &Path) -> Result<()> {
        if !folder.join(Bundle::FILE).exists() {
            return Ok(());
        }
        let mut bundle = Bundle::read(folder)?;
        if bundle.trust_anchors != self.anchors {
            bundle.trust_anchors.clone_from(&self.anchors);
            replace(&folder.join(Bundle::FILE), bundle.render().as_bytes())?;
        }
        Ok(())
    }
}

/// What became of items that were to go into the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// How many are new.
    pub new: usize,
    /// How many were there before.
    pub known: usize,
    /// How many directories and lists are older than what is there.
    pub older: usize,
    /// What is not accepted, and why.
    pub refused: Vec<(ItemId, String)>,
    /// Offices with a second key that nobody announced, new with this.
    pub contested: Vec<OfficeId>,
    /// Authorities whose lists contradict each other, once for each such list, new with this.
    pub contradicting: Vec<String>,
}

/// The folder of an office in a deployment: its name without diacritics and the beginning of its id.
fn office_folder(deployment: &Path, office: &OfficeId, name: &str) -> PathBuf {
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
    deployment.join("offices").join(name)
}

/// The public half of the key that was made for an office when it was enrolled.
///
/// # Errors
/// When the deployment has none: the office was enrolled elsewhere, or made its key itself.
pub fn office_key(deployment: &Path, office: &OfficeId, name: &str) -> Result<[u8; 32]> {
    let path = office_folder(deployment, office, name).join(NODE_PUBLIC);
    ensure!(
        path.exists(),
        "the deployment holds no key of `{name}`: run `tram enrol` first, or name the key (`--csr`, `--public-key`)"
    );
    read_public(&path)
}

/// Reads the registry of a deployment under what the deployment pins.
///
/// # Errors
/// When it cannot be read, or does not hold.
pub fn read_registry(deployment: &Path) -> Result<Registry> {
    let roots = Roots { directory_key: read_root_key(deployment)?, anchors: read_anchors(deployment)? };
    open_registry(&deployment.join(REGISTRY), roots, Vec::new())
}

fn open_registry(path: &Path, roots: Roots, more: Vec<Item>) -> Result<Registry> {
    let mut items = read_items(path)?;
    items.extend(more);
    let (registry, outcomes) = Registry::open(roots, items)
        .with_context(|| format!("the registry `{}` is not accepted", path.display()))?;
    for (id, outcome) in outcomes {
        if let Err(error) = outcome {
            let error = with_causes(&error);
            tracing::warn!(item = %id, error, "an item of the registry is not accepted; it was left out");
        }
    }
    Ok(registry)
}

/// Reads the public root key of a deployment.
///
/// # Errors
/// When there is none.
pub fn read_root_key(deployment: &Path) -> Result<[u8; 32]> {
    let path = deployment.join(ROOT_PUBLIC);
    ensure!(path.exists(), "`{}` is not a deployment; `tram country` makes one", deployment.display());
    read_public(&path)
}

fn read_anchors(deployment: &Path) -> Result<Vec<CertificateHash>> {
    let path = deployment.join(ANCHORS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = read_bounded(&path, keyring::KEY_FILE_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    parse_anchors(&lines).map_err(|found| anyhow!("`{}` cannot be used: {found}", path.display()))
}

fn read_public(path: &Path) -> Result<[u8; 32]> {
    let bytes = read_bounded(path, keyring::KEY_FILE_BYTES_MAX)?;
    match parse_root_key(&String::from_utf8_lossy(&bytes)) {
        Ok(key) => Ok(key),
        Err(found) => bail!("`{}` does not hold a public key: {found}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::rehearsal::Rehearsal;
    use crate::ca::{Cost, Passphrase};
    use jiff::civil::date;
    use node::keyring::{Login, Protection};
    use schema::event::key_id;
    use schema::registry::KeyStanding;

    const NOW: Millis = Millis(1_767_225_600_000);

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

    fn authorities(folder: &Path) -> Rehearsal {
        let passphrase = Passphrase::new("một hai ba bốn năm").expect("a passphrase");
        Rehearsal::found(&folder.join("authorities"), passphrase, Cost::FOR_TESTS, NOW).expect("founded")
    }

    fn open(folder: &Path, authorities: &Rehearsal) -> Deployment {
        let root = authorities.root_certificate().expect("a root");
        Deployment::open_or_create(&folder.join("deployment"), &Unlock::default(), &[root]).expect("opened")
    }

    fn commune() -> (OfficeId, String) {
        let country = DirectoryBuilder::country().expect("tables").build(1, NOW).expect("sound");
        let office = country.resolve("02875", date(2025, 6, 27)).expect("a commune");
        (office.id, office.name_at(date(2025, 6, 27)).expect("a name").to_owned())
    }

    #[test]
    fn repeated_enrolment_keeps_the_keys_and_publishes_the_next_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut authorities = authorities(folder.path());
        let (office, name) = commune();
        let relays: [RegionId; 1] = ["lao-cai".parse().expect("a region")];
        let mut keys = Vec::new();
        for round in 1..=2_u64 {
            let mut deployment = open(folder.path(), &authorities);
            deployment.add_region(&region("lao-cai", 4222)).expect("added");
            let bundle = deployment.enrol(&office, &name, &relays).expect("enrolled");
            let version = deployment.publish(NOW).expect("published").directory().version();
            assert_eq!(version, round);
            let key = keyring::read_signing_key(&bundle.join("node.key")).expect("a key").verifying_key();
            let made = office_key(deployment.folder(), &office, &name).expect("its public half");
            assert_eq!(made, key.to_bytes());
            if round == 1 {
                assert!(
                    deployment.registry().expect("published").keys(&office).is_empty(),
                    "certified by nobody"
                );
                let directory = Arc::clone(deployment.directory().expect("published"));
                authorities.certify(&directory, &office, date(2025, 6, 27), &made, NOW).expect("certified");
                let added = deployment.add(authorities.papers().expect("papers")).expect("added");
                // With its certificate counts what it has said about its sealing key.
                assert_eq!((added.new, added.refused.len()), (5, 0), "{added:?}");
            }

            // What the station and its relay are handed says the same, under what they pin.
            let read = Bundle::read(&bundle).expect("a bundle");
            let roots = Roots { directory_key: read.root_key, anchors: read.trust_anchors };
            for copy in [bundle.join(REGISTRY), deployment.relay_folder(&relays[0]).join(REGISTRY)] {
                let registry = open_registry(&copy, roots.clone(), Vec::new()).expect("signed");
                let enrolled = registry.directory().office(&read.office).expect("enrolled");
                let login = Login::read(&bundle.join("login.nk")).expect("a login");
                assert_eq!(enrolled.login.as_deref(), Some(login.public()));
                assert_eq!(enrolled.relays, relays);
                let certified = registry.known_key(&office, key_id(&made)).expect("certified");
                assert_eq!(certified.standing(), KeyStanding::First);
                let stamped = registry.directory().region(&relays[0]).expect("the region").stamp_key;
                let stamp_key = deployment.relay_folder(&relays[0]).join("data/stamp.key");
                let stamp_key = relay::keyring::stamp_key(&stamp_key).expect("a key");
                assert_eq!(stamped, Some(stamp_key.verifying_key().to_bytes()));
            }
            keys.push(made);
        }
        assert_eq!(keys[0], keys[1]);
    }

    #[test]
    fn second_root_is_believed_besides_and_reaches_the_bundles_that_wait() {
        let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (old, new) = (authorities(one.path()), authorities(two.path()));
        let mut deployment = open(one.path(), &old);
        deployment.add_region(&region("lao-cai", 4222)).expect("added");
        let (office, name) = commune();
        let bundle =
            deployment.enrol(&office, &name, &["lao-cai".parse().expect("a region")]).expect("enrolled");
        deployment.publish(NOW).expect("published");
        let foreign = deployment.add(new.papers().expect("papers")).expect("looked at");
        assert_eq!(
            (foreign.new, foreign.refused.len()),
            (0, 1),
            "a list of a root that nobody pins: {foreign:?}"
        );

        let mut deployment = open(one.path(), &new);
        deployment.publish(NOW).expect("published");
        assert_eq!(deployment.roots().anchors.len(), 2);
        assert_eq!(Bundle::read(&bundle).expect("a bundle").trust_anchors, deployment.roots().anchors);
        let added = deployment.add(new.papers().expect("papers")).expect("looked at");
        assert_eq!((added.new, added.refused.len()), (1, 0), "{added:?}");
        read_registry(deployment.folder()).expect("both roots hold");
    }

    #[test]
    fn deployment_without_a_root_certificate_is_not_begun() {
        let folder = tempfile::tempdir().expect("a folder");
        let error =
            Deployment::open_or_create(folder.path(), &Unlock::default(), &[]).err().expect("refused");
        assert!(error.to_string().contains("--root-certificate"), "{error:#}");
    }

    fn passphrase(folder: &Path, name: &str, words: &str) -> Unlock {
        let path = folder.join(name);
        keyring::replace_private(&path, words.as_bytes()).expect("written");
        Unlock { passphrase_file: Some(path), ..Unlock::default() }
    }

    fn enrol_one(deployment: &mut Deployment) -> Result<PathBuf> {
        deployment.add_region(&region("lao-cai", 4222))?;
        let bundle = deployment.enrol(&commune().0, "Xã", &["lao-cai".parse()?])?;
        deployment.publish(NOW)?;
        Ok(bundle)
    }

    #[test]
    fn keys_are_put_under_passphrases_and_found_again_only_with_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let root_words = passphrase(folder.path(), "root-words", "gốc đa giữa sân đình");
        let office_words = passphrase(folder.path(), "office-words", "bến nước ở cuối làng");
        let authorities = authorities(folder.path());
        // Both keys lie unencrypted at first, as an earlier version left them.
        let mut plainly = open(folder.path(), &authorities);
        let at = plainly.folder().to_owned();
        let bundle = enrol_one(&mut plainly).expect("enrolled");
        let (root, office) = (at.join("root.key"), bundle.join("node.key"));
        let plain = keyring::read_signing_key(&office).expect("read");

        let mut again = Deployment::open_or_create(&at, &root_words, &[]).expect("opened");
        assert_eq!(again.roots(), plainly.roots(), "another root key");
        again.unlock_offices(office_words.clone());
        enrol_one(&mut again).expect("enrolled");
        for key in [&root, &office] {
            assert!(Protection::of_file(key).expect("a key").is_protected(), "{}", key.display());
        }
        let opened = keyring::open_signing_key(&office, &[], &office_words).expect("opened");
        assert_eq!(opened.key.to_bytes(), plain.to_bytes(), "another key");

        let refused = |unlock: &Unlock| Deployment::open_or_create(&at, unlock, &[]).err().expect("refused");
        let shut = format!("{:#}", refused(&Unlock::default()));
        assert!(shut.contains("none was given") && shut.contains("--root-passphrase-file"), "{shut}");
        assert!(refused(&office_words).to_string().contains("does not open"), "one passphrase opens both");
        let mut shut = Deployment::open_or_create(&at, &root_words, &[]).expect("opened");
        let error = enrol_one(&mut shut).expect_err("an office's key without its passphrase");
        let error = format!("{error:#}");
        assert!(error.contains("none was given") && error.contains("`--passphrase-file`"), "{error}");
    }

    #[test]
    fn keys_that_were_exchanged_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let authorities = authorities(folder.path());
        let mut deployment = open(folder.path(), &authorities);
        let bundle = enrol_one(&mut deployment).expect("enrolled");
        let exchange = |path: &Path| {
            std::fs::remove_file(path).expect("removed");
            keyring::write_signing_key(path, &SigningKey::from_bytes(&[5; 32])).expect("written");
        };
        exchange(&bundle.join("node.key"));
        let error = format!("{:#}", enrol_one(&mut deployment).expect_err("refused"));
        assert!(error.contains("expected"), "{error}");
        exchange(&deployment.folder().join("root.key"));
        let error = Deployment::open_or_create(deployment.folder(), &Unlock::default(), &[]);
        let error = format!("{:#}", error.err().expect("refused"));
        assert!(error.contains("expected"), "{error}");
    }

    #[test]
    fn relay_reads_the_configuration_it_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let authorities = authorities(folder.path());
        let mut deployment = open(folder.path(), &authorities);
        let folder = deployment.add_region(&region("p01", 4300)).expect("added");
        deployment.publish(NOW).expect("published");
        let config = relay::config::Config::load(&folder.join("relay.toml")).expect("its settings");
        assert_eq!(config.region.as_str(), "p01");
        assert_eq!(config.roots(), deployment.roots());
        relay::registry::load(&config).expect("its registry");
        let seed = |path: &str| std::fs::read(folder.join(path)).expect("a seed");
        assert_eq!(seed("relay.nk"), seed("data/relay.nk"));
        assert_eq!(seed("stamp.key"), seed("data/stamp.key"));
    }

    #[test]
    fn registry_of_another_deployment_is_refused() {
        let (mine, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (here, there) = (authorities(mine.path()), authorities(other.path()));
        let mut deployment = open(mine.path(), &here);
        deployment.publish(NOW).expect("published");
        let other = open(other.path(), &there);
        open_registry(&deployment.folder().join(REGISTRY), other.roots(), Vec::new())
            .expect_err("a foreign signature");
    }
}
