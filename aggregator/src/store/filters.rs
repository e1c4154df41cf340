//! Saved filters: searches with a name, each somebody's own or shared with all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use mesoscope_access::{How, Identity};
use mesoscope_topology::search::Search;
use rand::Rng;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::StoreError;
use super::file::{FILTERS, SettingsFile};

/// Saved filters at most, of everyone.
pub const FILTERS_MAX: usize = 10_000;
/// Of one person, and shared ones, at most.
pub const FILTERS_PER_OWNER_MAX: usize = 200;
/// Bytes of a name.
pub const NAME_BYTES_MAX: usize = 64;

/// Whose a filter is. Names are told apart by how one signs in with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// How they sign in.
    pub how: How,
    /// With what name.
    pub name: String,
}

impl Owner {
    /// Whose filters a request means.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        Self {
            how: identity.how,
            name: identity.name.clone(),
        }
    }
}

/// A search with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SavedFilter)]
pub struct Filter {
    /// Given at its making; never used again.
    pub id: String,
    /// Unique among the shared ones, or among those of its owner.
    pub name: String,
    /// In the language of the search.
    pub search: String,
    /// Everyone sees it, and operators change it; else only its owner does both.
    pub shared: bool,
    /// Who made it.
    pub owner: Owner,
    /// When it was made or last changed.
    pub changed_unix_ms: u64,
}

impl Filter {
    fn is_beside(&self, other: &Self) -> bool {
        self.shared == other.shared && (self.shared || self.owner == other.owner)
    }
}

/// What a filter is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its search.
    pub search: String,
    /// For everyone.
    pub shared: bool,
}

/// A filter that was not saved; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A name that can't be.
    #[error(
        "a filter's name has 1 to {NAME_BYTES_MAX} bytes, no control characters and no space around it"
    )]
    Name,
    /// No search.
    #[error("the search can't be read: {0}")]
    Search(#[from] mesoscope_topology::search::SyntaxError),
    /// Another one has the name.
    #[error("there is a filter {0:?} already")]
    Taken(String),
    /// There is none, or it is somebody else's own.
    #[error("there is no filter {0:?}")]
    Unknown(String),
    /// The bound on one owner's.
    #[error("there are {FILTERS_PER_OWNER_MAX} of these filters already, the most that are kept")]
    TooMany,
    /// The bound on all.
    #[error("there are {FILTERS_MAX} filters already, the most that are kept")]
    TooManyInAll,
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The saved filters. Changes block for the disk.
#[derive(Debug)]
pub struct Filters {
    filters: RwLock<BTreeMap<String, Filter>>,
    /// Held by a change from its reading to its writing; `None`: in memory only.
    file: Arc<Mutex<Option<SettingsFile>>>,
}

impl Filters {
    pub(super) fn with(
        file: Arc<Mutex<Option<SettingsFile>>>,
        entries: Vec<(String, Filter)>,
    ) -> Self {
        Self {
            filters: RwLock::new(entries.into_iter().collect()),
            file,
        }
    }

    /// The shared filters and those of `owner` by id, that come after `after`.
    #[must_use]
    pub fn visible(&self, owner: &Owner, after: Option<&str>) -> Vec<Filter> {
        let filters = self.filters.read().unwrap_or_else(PoisonError::into_inner);
        filters
            .values()
            .filter(|filter| filter.shared || filter.owner == *owner)
            .filter(|filter| after.is_none_or(|after| *filter.id > *after))
            .cloned()
            .collect()
    }

    /// One that `owner` may see.
    ///
    /// # Errors
    /// [`FilterError::Unknown`]
    pub fn get(&self, owner: &Owner, id: &str) -> Result<Filter, FilterError> {
        let filters = self.filters.read().unwrap_or_else(PoisonError::into_inner);
        let found = filters.get(id);
        let visible = found.filter(|filter| filter.shared || filter.owner == *owner);
        visible.cloned().ok_or_else(|| unknown(id))
    }

    /// Saves a new one.
    ///
    /// # Errors
    /// When it makes no sense, its name is taken, a bound is reached, or it can't be written.
    pub fn create(&self, owner: Owner, wanted: Wanted, now_ms: u64) -> Result<Filter, FilterError> {
        let id = format!("{:016x}", rand::rng().random::<u64>());
        self.put(id, owner, wanted, now_ms)
    }

    /// Puts another one in the place of `before`, with its id and owner.
    ///
    /// # Errors
    /// As of [`Self::create`]; and when it is no longer there.
    pub fn replace(
        &self,
        before: &Filter,
        wanted: Wanted,
        now_ms: u64,
    ) -> Result<Filter, FilterError> {
        self.put(before.id.clone(), before.owner.clone(), wanted, now_ms)
    }

    fn put(
        &self,
        id: String,
        owner: Owner,
        wanted: Wanted,
        now_ms: u64,
    ) -> Result<Filter, FilterError> {
        let Wanted {
            name,
            search,
            shared,
        } = wanted;
        if name.is_empty()
            || name.len() > NAME_BYTES_MAX
            || name.trim() != name
            || name.chars().any(char::is_control)
        {
            return Err(FilterError::Name);
        }
        search.parse::<Search>()?;
        let filter = Filter {
            id,
            name,
            search,
            shared,
            owner,
            changed_unix_ms: now_ms,
        };
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let filters = self.filters.read().unwrap_or_else(PoisonError::into_inner);
            let others = || filters.values().filter(|other| other.id != filter.id);
            let mut beside = others().filter(|other| other.is_beside(&filter));
            if beside.clone().any(|other| other.name == filter.name) {
                return Err(FilterError::Taken(filter.name));
            }
            if beside.nth(FILTERS_PER_OWNER_MAX - 1).is_some() {
                return Err(FilterError::TooMany);
            }
            if others().count() >= FILTERS_MAX {
                return Err(FilterError::TooManyInAll);
            }
        }
        if let Some(file) = &mut *file {
            file.write(FILTERS, &[(&*filter.id, Some(&filter))])?;
        }
        let mut filters = self.filters.write().unwrap_or_else(PoisonError::into_inner);
        filters.insert(filter.id.clone(), filter.clone());
        Ok(filter)
    }

    /// Removes one.
    ///
    /// # Errors
    /// When it is not there any more, or that can't be written.
    pub fn remove(&self, id: &str) -> Result<(), FilterError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let filters = self.filters.read().unwrap_or_else(PoisonError::into_inner);
            if !filters.contains_key(id) {
                return Err(unknown(id));
            }
        }
        if let Some(file) = &mut *file {
            file.write::<Filter>(FILTERS, &[(id, None)])?;
        }
        let mut filters = self.filters.write().unwrap_or_else(PoisonError::into_inner);
        filters.remove(id);
        Ok(())
    }

    /// Filters kept.
    #[must_use]
    pub fn count(&self) -> usize {
        let filters = self.filters.read().unwrap_or_else(PoisonError::into_inner);
        filters.len()
    }
}

fn unknown(id: &str) -> FilterError {
    FilterError::Unknown(id.chars().take(64).collect())
}

#[cfg(test)]
#[path = "filters_tests.rs"]
mod tests;
