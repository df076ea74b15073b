//! Making a station's data folder.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use schema::id::{OfficeId, hex};
use serde_json::{Value, json};

use crate::cli::client::CliError;
use crate::config::{Bundle, Config, ConfigError, DataFolder, parse_root_key};
use crate::keyring::{self, KeyringError, Login, replace_private};
use crate::words::with_causes;

/// What `init` is given.
pub(super) struct InitRequest {
    pub(super) bundle: Option<PathBuf>,
    pub(super) office: Option<OfficeId>,
    pub(super) root_key: Option<String>,
    pub(super) directory: Option<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
}

/// Makes the folder. Keys that are not given are made here, and their public halves are what the registrar
/// enrols.
pub(super) fn init(folder: &DataFolder, request: InitRequest) -> Result<Value, CliError> {
    if folder.config().exists() {
        let words =
            format!("`{}` is a station's folder already; nothing was changed", folder.path().display());
        return Err(CliError::Words(words));
    }
    let InitRequest { bundle, office, root_key, directory, listen } = request;
    let source = match &bundle {
        Some(bundle) => Bundle::read(bundle).map_err(|error| config(&error))?,
        None => {
            let missing =
                |flag: &str| CliError::Words(format!("`init` needs `--bundle`, or `{flag}` among others"));
            let root = root_key.ok_or_else(|| missing("--root-key"))?;
            let root_key =
                parse_root_key(&root).map_err(|found| CliError::Words(format!("--root-key: {found}")))?;
            Bundle { office: office.ok_or_else(|| missing("--office"))?, root_key }
        }
    };
    fs::create_dir_all(folder.path()).map_err(|source| file("create", folder.path(), source))?;
    // Others have no business in a folder with keys.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700))
        .map_err(|source| file("protect", folder.path(), source))?;
    let mut settings = Config::usual(folder, source.office, source.root_key);
    if let Some(listen) = listen {
        settings.api.listen = listen;
    }
    let in_bundle = |name: &str| bundle.as_ref().map(|bundle| bundle.join(name)).filter(|path| path.exists());
    let key = match in_bundle("node.key") {
        Some(path) => keyring::read_signing_key(&path).map_err(|error| cabinet(&error))?,
        // An `init` that was broken off has made it already.
        None if settings.signing_key.exists() => {
            keyring::read_signing_key(&settings.signing_key).map_err(|error| cabinet(&error))?
        }
        None => keyring::generate_signing_key().map_err(|error| cabinet(&error))?,
    };
    let login = match in_bundle("login.nk") {
        Some(path) => Login::read(&path).map_err(|error| cabinet(&error))?,
        None if settings.login.exists() => Login::read(&settings.login).map_err(|error| cabinet(&error))?,
        None => Login::generate().map_err(|error| cabinet(&error))?,
    };
    if let Some(path) = directory.or_else(|| in_bundle("directory.cbor")) {
        let bytes = fs::read(&path).map_err(|source| file("read", &path, source))?;
        replace_private(&settings.directory, &bytes).map_err(|error| cabinet(&error))?;
    }
    let mut listed = false;
    if settings.directory.exists() {
        let directory = settings.load_directory().map_err(|error| config(&error))?;
        let checked = settings.check_keys(&directory, &key, &login);
        let brought = in_bundle("node.key").is_some();
        match checked {
            Ok(()) => listed = true,
            // Fresh keys cannot be listed yet.
            Err(ConfigError::KeyNotListed { .. }) if !brought => {}
            Err(error) => return Err(config(&error)),
        }
    }
    if !settings.signing_key.exists() {
        keyring::write_signing_key(&settings.signing_key, &key).map_err(|error| cabinet(&error))?;
    }
    if !settings.login.exists() {
        login.write(&settings.login).map_err(|error| cabinet(&error))?;
    }
    // Last, because a folder with settings counts as made.
    replace_private(&folder.config(), settings.render(folder).as_bytes()).map_err(|error| cabinet(&error))?;
    Ok(json!({
        "data": folder.path(),
        "office": settings.office,
        "signing_key": hex(key.verifying_key().as_bytes()),
        "login": login.public(),
        "listen": settings.api.listen,
        "enrolled": listed,
    }))
}

fn config(error: &ConfigError) -> CliError {
    CliError::Words(with_causes(error))
}

fn cabinet(error: &KeyringError) -> CliError {
    CliError::Words(with_causes(error))
}

fn file(attempted: &'static str, path: &Path, source: io::Error) -> CliError {
    CliError::File { attempted, path: path.to_owned(), source }
}
