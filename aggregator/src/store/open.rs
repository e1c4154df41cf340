//! From the folder to what it keeps.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::error::StoreError;
use super::file::{Contents, SettingsFile};
use super::filters::Filters;
use super::settings::Settings;

/// Reads the settings and filters of `folder`. Without one, or where it can't be written to, they
/// live in memory from then on; the log says so.
///
/// # Errors
/// When the file is another program's, damaged, of a newer format or in use.
pub fn open(folder: Option<&Path>) -> Result<(Settings, Filters), StoreError> {
    let (file, contents) = match folder {
        None => {
            tracing::info!(
                "no --data-dir: what operators set is forgotten when the aggregator ends"
            );
            (None, Contents::default())
        }
        Some(folder) => read(folder)?,
    };
    let file = Arc::new(Mutex::new(file));
    let settings = Settings::with(file.clone(), contents.agents);
    Ok((settings, Filters::with(file, contents.filters)))
}

fn read(folder: &Path) -> Result<(Option<SettingsFile>, Contents), StoreError> {
    match SettingsFile::open(folder) {
        Ok((file, contents)) => {
            tracing::info!(
                file = %file.path().display(),
                agents = contents.agents.len(),
                filters = contents.filters.len(),
                "settings are kept"
            );
            Ok((Some(file), contents))
        }
        Err(error @ StoreError::Unwritable { .. }) => {
            let contents = SettingsFile::read_only(folder).unwrap_or_else(|unreadable| {
                tracing::warn!(%unreadable, "begins without the settings of before");
                Contents::default()
            });
            tracing::warn!(%error, "what operators set is forgotten when the aggregator ends");
            Ok((None, contents))
        }
        Err(error) => Err(error),
    }
}
