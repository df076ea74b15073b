//! Making a station's data folder.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use schema::event::EVENT_BYTES_MAX;
use schema::handling::{Direction, Role};
use schema::id::hex;
use schema::registry::REGISTRY_BYTES_MAX;
use serde_json::{Value, json};

use crate::cli::InitArgs;
use crate::cli::client::CliError;
use crate::cli::unlock::refused;
use crate::config::{
    Bundle, Config, ConfigError, DataFolder, guess_issuer, parse_anchors, parse_root_key, read_bounded,
};
use crate::keyring::{self, KeyringError, Login, OpenedKey, Protection, Unlock, change, replace_private};
use crate::sealing::{SEALING_KEYS_BYTES_MAX, SealingKeys};
use crate::words::{KEY, Lang, with_causes, word};

/// Makes the folder. Keys that are not given are made here, and their public halves are what the registrar
/// enrols. The signing key is put under the passphrase that was given, or that opened it in the bundle.
pub(super) fn init(folder: &DataFolder, args: InitArgs, lang: Lang) -> Result<Value, CliError> {
    if folder.config().exists() {
        let words =
            format!("`{}` is a station's folder already; nothing was changed", folder.path().display());
        return Err(CliError::Words(words));
    }
    let InitArgs {
        bundle,
        office,
        root_key,
        trust_anchors,
        registry,
        machine_roles,
        listen,
        unattended,
        ask_passphrase,
        allow_unencrypted,
        unlock,
    } = args;
    let source = match &bundle {
        Some(bundle) => Bundle::read(bundle).map_err(|error| config(&error))?,
        None => {
            let missing =
                |flag: &str| CliError::Words(format!("`init` needs `--bundle`, or `{flag}` among others"));
            let root = root_key.ok_or_else(|| missing("--root-key"))?;
            let root_key =
                parse_root_key(&root).map_err(|found| CliError::Words(format!("--root-key: {found}")))?;
            let office = office.ok_or_else(|| missing("--office"))?;
            if trust_anchors.is_empty() {
                return Err(missing("--trust-anchor"));
            }
            let anchors = parse_anchors(&trust_anchors);
            let trust_anchors =
                anchors.map_err(|found| CliError::Words(format!("--trust-anchor: {found}")))?;
            Bundle { office, root_key, trust_anchors }
        }
    };
    let cabinet = |error: KeyringError| refused(&error, lang);
    let named = unlock.named().cloned();
    let unlock = unlock.places(lang);
    // Before anything is made: a passphrase that cannot be used is said at once.
    let given = match unlock.given().map_err(cabinet)? {
        Some((passphrase, from)) => {
            let long = passphrase.require_long();
            long.map_err(|defect| cabinet(KeyringError::Passphrase { from, defect }))?;
            Some(passphrase)
        }
        None => None,
    };
    fs::create_dir_all(folder.path()).map_err(|source| file("create", folder.path(), source))?;
    // Others have no business in a folder with keys.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700))
        .map_err(|source| file("protect", folder.path(), source))?;
    let mut settings = Config::usual(folder, &source);
    if let Some(listen) = listen {
        settings.api.listen = listen;
    }
    if !machine_roles.is_empty() {
        settings.api.machine_roles = machine_roles.into_iter().map(Role::from).collect();
    }
    let in_bundle = |name: &str| bundle.as_ref().map(|bundle| bundle.join(name)).filter(|path| path.exists());
    if let Some(path) = registry.or_else(|| in_bundle("registry.cbor")) {
        let bytes = read_bounded(&path, REGISTRY_BYTES_MAX as u64).map_err(|error| config(&error))?;
        replace_private(&settings.registry, &bytes).map_err(cabinet)?;
    }
    let registry = match settings.registry.exists() {
        true => Some(settings.load_registry().map_err(|error| config(&error))?),
        false => None,
    };
    let brought = in_bundle("node.key");
    let opened = match &brought {
        Some(path) => {
            let expected = settings.expected_keys(registry.as_deref());
            Some(keyring::open_signing_key(path, &expected, &unlock).map_err(cabinet)?)
        }
        // An `init` that was broken off has made it already.
        None if settings.signing_key.exists() => {
            Some(keyring::open_signing_key(&settings.signing_key, &[], &unlock).map_err(cabinet)?)
        }
        None => None,
    };
    let (key, was_plain, opened_by) = match opened {
        Some(OpenedKey { key, protection, passphrase }) => (key, !protection.is_protected(), passphrase),
        None => (keyring::generate_signing_key().map_err(cabinet)?, false, None),
    };
    let login = match in_bundle("login.nk") {
        Some(path) => Login::read(&path).map_err(cabinet)?,
        None if settings.login.exists() => Login::read(&settings.login).map_err(cabinet)?,
        None => Login::generate().map_err(cabinet)?,
    };
    let public_key = key.verifying_key().to_bytes();
    let mut certified = false;
    if let Some(registry) = &registry {
        match settings.check_keys(registry, &public_key, &login) {
            Ok(()) => certified = true,
            // Fresh keys cannot be known yet.
            Err(ConfigError::KeyNotCertified { .. } | ConfigError::LoginNotListed { .. })
                if brought.is_none() => {}
            Err(error) => return Err(config(&error)),
        }
    }
    let asked = match (&opened_by, &given, ask_passphrase) {
        (None, None, true) => {
            let unlock = Unlock { terminal: Some(lang), ..Unlock::default() };
            Some(unlock.new_passphrase(&settings.signing_key).map_err(cabinet)?.0)
        }
        _ => None,
    };
    let passphrase = given.or(opened_by).or(asked);
    let place = &settings.signing_key;
    match (&passphrase, place.exists()) {
        (Some(passphrase), false) => {
            keyring::write_protected_key(place, &key, passphrase).map_err(cabinet)?;
        }
        (None, false) => keyring::write_signing_key(place, &key).map_err(cabinet)?,
        (Some(passphrase), true) if was_plain => {
            change::protect(place, passphrase, &[public_key], &mut |_| {}).map_err(cabinet)?;
        }
        (_, true) => {}
    }
    if !settings.login.exists() {
        login.write(&settings.login).map_err(cabinet)?;
    }
    // Where an `init` was broken off, and from then on, what the station has made of them is newer.
    let sealing_keys = settings.sealing_keys();
    if let Some(brought) = in_bundle(Bundle::SEALING).filter(|_| !sealing_keys.exists()) {
        let bytes = read_bounded(&brought, SEALING_KEYS_BYTES_MAX).map_err(|error| config(&error))?;
        let keys = SealingKeys::unsealed(&bytes, &key, &brought).and_then(|keys| keys.write(&sealing_keys));
        keys.map_err(|error| CliError::Words(with_causes(&error)))?;
    }
    if let Some(brought) = in_bundle(Bundle::ANNOUNCEMENT).filter(|_| !folder.founding().exists()) {
        let bytes = read_bounded(&brought, EVENT_BYTES_MAX as u64).map_err(|error| config(&error))?;
        replace_private(&folder.founding(), &bytes).map_err(cabinet)?;
    }
    settings.public_key = Some(public_key);
    settings.allow_unencrypted = allow_unencrypted;
    if unattended {
        let absolute =
            |path: PathBuf| std::path::absolute(&path).map_err(|source| file("find", &path, source));
        settings.passphrase_file = named.map(absolute).transpose()?;
    }
    let name =
        registry.as_ref().and_then(|registry| registry.directory().office(&settings.office)?.names.last());
    if let Some(issuer) = name.and_then(|name| guess_issuer(&name.text)) {
        let outgoing = settings.rules.books.iter_mut().filter(|book| book.direction == Direction::Outgoing);
        outgoing.for_each(|book| book.issuer = Some(issuer.to_owned()));
    }
    // Last, because a folder with settings counts as made.
    replace_private(&folder.config(), settings.render(folder).as_bytes()).map_err(cabinet)?;
    let protection = Protection::of_file(place).map_err(cabinet)?;
    Ok(json!({
        "data": folder.path(),
        "office": settings.office,
        "signing_key": hex(&public_key),
        "protection": protection,
        "state": protection.word(),
        "state_text": word(KEY, protection.word(), lang),
        "unencrypted_copy": brought.filter(|_| was_plain),
        "passphrase_file": settings.passphrase_file,
        "login": login.public(),
        "listen": settings.api.listen,
        "enrolled": certified,
    }))
}

fn config(error: &ConfigError) -> CliError {
    CliError::Words(with_causes(error))
}

fn file(attempted: &'static str, path: &Path, source: io::Error) -> CliError {
    CliError::File { attempted, path: path.to_owned(), source }
}
