//! What people sign in with, from its files, and the token of the first admin.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use mesoscope_access::book::{LIFE_MS_MAX, TokenBook, TokensError, Wanted};
use mesoscope_access::{Gate, Role};
use tokio_util::sync::CancellationToken;

use crate::api::SignIn;
use crate::config::{Config, Security};
use crate::oidc::Provider;

/// The file with the first admin's token.
const FIRST_TOKEN_FILE: &str = "initial-admin-token";

/// Opens the tokens. Where everyone has to sign in and nobody could as admin, one more token is
/// made, and its text written to a file that only this user reads.
///
/// # Errors
/// When the file of the tokens is not ours, damaged or in use, or the first token can't be kept.
pub fn open(config: &Config, security: &Security) -> anyhow::Result<SignIn> {
    let tokens = match &config.data_dir {
        None => TokenBook::without_folder(),
        Some(folder) => match TokenBook::open(folder) {
            Err(error @ TokensError::Unwritable { .. }) => {
                tracing::warn!(%error, "API tokens open nothing, and none can be made");
                TokenBook::without_folder()
            }
            opened => opened?,
        },
    };
    let gate = Gate::new(tokens, security.users.clone());
    let required = config.require_sign_in || gate.users.is_some();
    let sign_in = SignIn::new(
        gate,
        security.readers.clone(),
        security.reader_role,
        required,
        security.posture,
    );
    let sign_in = match security.provider.clone().map(Provider::new).transpose()? {
        Some(provider) => sign_in.with_provider(provider),
        None => sign_in,
    };
    if let Some(folder) = config.data_dir.as_deref().filter(|_| sign_in.is_required()) {
        let by_provider = sign_in.provider().is_some_and(Provider::has_admin);
        first_admin(&sign_in.gate, by_provider, folder)?;
    }
    Ok(sign_in)
}

fn first_admin(gate: &Gate, by_provider: bool, folder: &Path) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now_ms = u64::try_from(now.as_millis())?;
    let is_admin = |role: Role, lives: bool| lives && role == Role::Admin;
    let tokens = gate.tokens.list();
    let known = tokens
        .iter()
        .any(|token| is_admin(token.role, token.lives(now_ms)));
    if known || by_provider || gate.users.as_ref().is_some_and(|users| users.have_admin()) {
        return Ok(());
    }
    let wanted = Wanted {
        name: "initial admin",
        role: Role::Admin,
        created_by: "the aggregator",
        lives_ms: LIFE_MS_MAX,
    };
    let (token, text) = match gate.tokens.create(wanted, now_ms) {
        Ok(made) => made,
        // Without a folder there are no API tokens, and the warning was given.
        Err(TokensError::NoFolder) => return Ok(()),
        Err(error) => return Err(error).context("no token for a first admin"),
    };
    let path = folder.join(FIRST_TOKEN_FILE);
    if let Err(error) = write_secret(&path, &text) {
        // Nobody knows it: the next start makes another.
        gate.tokens.revoke(&token.id)?;
        return Err(error).with_context(|| format!("can't write {}", path.display()));
    }
    tracing::warn!(file = %path.display(), "no admin can sign in: a token was made for one");
    Ok(())
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

/// Reads the users again every `period` until the drain.
///
/// # Errors
/// None; a file that can't be used is warned of, and the users of before stay.
pub async fn follow(
    sign_in: Arc<SignIn>,
    period: Duration,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    while drain
        .run_until_cancelled(tokio::time::sleep(period))
        .await
        .is_some()
    {
        match sign_in.gate.users.as_ref().map(|users| users.reload()) {
            Some(Ok(true)) => tracing::info!("users changed"),
            Some(Err(error)) => tracing::warn!(%error, "users changed and can't be used"),
            Some(Ok(false)) | None => {}
        }
    }
    Ok(())
}
