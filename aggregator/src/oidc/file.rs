//! The file that names the provider, in TOML, and says which groups have which roles.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use mesoscope_access::Role;
use serde::Deserialize;

use super::CALLBACK;
use super::claims::Mapping;
use crate::outward::Target;

/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Characters of the name on the button.
const NAME_CHARS_MAX: usize = 40;
/// Groups that may be named.
const GROUPS_MAX: usize = 1_000;

/// Why the provider can't be used. Never holds its secret.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// A file can't be read.
    #[error("can't read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not the TOML that it should be.
    #[error("{path}:{line}: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// What it says makes no sense.
    #[error("{path}: {message}", path = path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// A provider, and what its people may do.
#[derive(Clone)]
pub struct Options {
    /// What the page calls it.
    pub name: String,
    /// The issuer, as it stands in ID tokens.
    pub issuer: String,
    pub(super) client_id: String,
    pub(super) client_secret: Option<String>,
    /// Where the browser comes back to.
    pub(super) redirect_url: String,
    pub(super) scopes: Vec<String>,
    pub(super) ca: Option<PathBuf>,
    pub(super) mapping: Mapping,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} ({})", self.name, self.issuer)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    issuer: String,
    client_id: String,
    client_secret_file: Option<PathBuf>,
    redirect_url: String,
    #[serde(default = "scopes")]
    scopes: Vec<String>,
    #[serde(default = "roles_claim")]
    roles_claim: String,
    #[serde(default = "name_claim")]
    name_claim: String,
    ca_file: Option<PathBuf>,
    default_role: Option<Role>,
    #[serde(default)]
    roles: BTreeMap<String, Role>,
}

fn scopes() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn roles_claim() -> String {
    "groups".to_owned()
}

fn name_claim() -> String {
    "preferred_username".to_owned()
}

/// Reads the file, and the secret that it names. Paths in it are relative to its folder.
///
/// # Errors
/// [`OidcError`], naming the file.
pub fn load(path: &Path) -> Result<Options, OidcError> {
    let text = read(path)?;
    let written: Written = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        OidcError::Syntax {
            path: path.to_owned(),
            line: before.unwrap_or_default().matches('\n').count() + 1,
            message: error.message().to_owned(),
        }
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let secret = match &written.client_secret_file {
        None => None,
        Some(file) => Some(read(&folder.join(file))?.trim().to_owned()),
    };
    let ca = written.ca_file.as_ref().map(|file| folder.join(file));
    options(written, secret, ca).map_err(|message| OidcError::Value {
        path: path.to_owned(),
        message,
    })
}

fn options(
    written: Written,
    client_secret: Option<String>,
    ca: Option<PathBuf>,
) -> Result<Options, String> {
    let issuer = written.issuer;
    Target::new(&issuer, ca.as_deref(), false).map_err(|error| format!("issuer: {error}"))?;
    if issuer.contains(['?', '#']) {
        return Err("issuer: an issuer has no query and no fragment".to_owned());
    }
    let redirect_url = written.redirect_url;
    Target::new(&redirect_url, ca.as_deref(), false)
        .map_err(|error| format!("redirect_url: {error}"))?;
    let redirect: Uri = redirect_url
        .parse()
        .map_err(|error| format!("redirect_url: {error}"))?;
    if redirect.path() != CALLBACK || redirect.query().is_some() || redirect_url.contains('#') {
        return Err(format!(
            "redirect_url: it is this aggregator's own address with the path {CALLBACK}"
        ));
    }
    if written.client_id.is_empty() {
        return Err("client_id: it is empty".to_owned());
    }
    if client_secret.as_ref().is_some_and(String::is_empty) {
        return Err("client_secret_file: it is empty".to_owned());
    }
    if written.roles.is_empty() && written.default_role.is_none() {
        return Err(
            "nobody could sign in: name the groups that have a role in [roles] (ops = \"operator\"), or \
             a default_role"
                .to_owned(),
        );
    }
    if written.roles.len() > GROUPS_MAX {
        return Err(format!("roles: at most {GROUPS_MAX} groups"));
    }
    let is_scope = |scope: &String| {
        !scope.is_empty()
            && scope
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"')
    };
    if !written.scopes.iter().all(is_scope) {
        return Err("scopes: one name each, without spaces".to_owned());
    }
    let host = issuer.parse::<Uri>().ok();
    let host = host.as_ref().and_then(Uri::host).unwrap_or("a provider");
    let name = written.name.unwrap_or_else(|| host.to_owned());
    let name_fits = !name.trim().is_empty()
        && name.chars().count() <= NAME_CHARS_MAX
        && !name.chars().any(char::is_control);
    if !name_fits {
        return Err(format!("name: 1 to {NAME_CHARS_MAX} letters"));
    }
    Ok(Options {
        name,
        client_id: written.client_id,
        client_secret,
        scopes: written.scopes,
        ca,
        mapping: Mapping {
            roles_claim: written.roles_claim,
            name_claim: written.name_claim,
            roles: written.roles,
            default_role: written.default_role,
        },
        issuer,
        redirect_url,
    })
}

fn read(path: &Path) -> Result<String, OidcError> {
    let failed = |source| OidcError::Read {
        path: path.to_owned(),
        source,
    };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(io::Error::other("it is larger than 1 MiB")));
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "issuer = \"https://sso.example/realms/x\"\nclient_id = \"map\"\n\
        redirect_url = \"https://map.example/api/v1/session/oidc/callback\"\n";

    fn loaded(text: &str) -> Result<Options, String> {
        let folder = tempfile::tempdir().expect("scratch folder");
        let path = folder.path().join("oidc.toml");
        fs::write(&path, text).expect("write");
        fs::write(folder.path().join("secret"), "the secret\n").expect("write");
        fs::write(folder.path().join("empty"), "\n").expect("write");
        load(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let text = format!("{GOOD}client_secret_file = \"secret\"\n[roles]\nops = \"operator\"\n");
        let options = loaded(&text).expect("good");
        assert_eq!(options.name, "sso.example");
        assert_eq!(options.client_secret.as_deref(), Some("the secret"));
        assert_eq!(options.mapping.roles_claim, "groups");
        assert_eq!(options.mapping.roles["ops"], Role::Operator);
        assert!(!format!("{options:?}").contains("the secret"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_says_where() {
        let with = |more: &str| format!("{GOOD}default_role = \"viewer\"\n{more}");
        assert!(loaded(&with("")).is_ok());
        let sso = "https://sso.example/realms/x";
        for (text, part) in [
            (GOOD.to_owned(), "nobody could sign in"),
            (with("nonsense = 1\n"), ":5: unknown field"),
            (with("name = \" \"\n"), "name: 1 to 40"),
            (with("scopes = [\"a b\"]\n"), "scopes"),
            (with("client_secret_file = \"nowhere\"\n"), "nowhere"),
            (
                with("client_secret_file = \"empty\"\n"),
                "client_secret_file",
            ),
            (with("ca_file = \"nowhere\"\n"), "nowhere"),
            (with("[roles]\nops = \"root\"\n"), "unknown variant"),
            (with("").replace(sso, "http://sso.example"), "issuer: "),
            (with("").replace(sso, "sso"), "issuer: "),
            (
                with("").replace(sso, "https://sso.example/?a=1"),
                "issuer: ",
            ),
            (
                with("").replace("https://map", "http://map"),
                "redirect_url: ",
            ),
            (with("").replace("/callback", "/back"), "redirect_url: "),
            (
                with("").replace("/callback", "/callback?a=1"),
                "redirect_url: ",
            ),
            (with("").replace("\"map\"", "\"\""), "client_id: "),
        ] {
            let error = loaded(&text).expect_err(&text);
            assert!(error.contains(part), "{error}");
            assert!(part == "nowhere" || error.contains("oidc.toml"), "{error}");
        }
    }
}
