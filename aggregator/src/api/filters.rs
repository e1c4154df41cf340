//! Saved filters: `/api/v1/filters`. Everyone keeps their own; shared ones are changed by operators,
//! and that is audited.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use mesoscope_access::{How, Identity, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Api, parameters, query};
use crate::store::{Filter, FilterError, Filters, Owner, Wanted};

const HINT: &str = "{\"name\": \"busy shop\", \"search\": \"labels:team=shop cpu > 50%\", \
                    \"shared\": false}; docs/search.md tells what a search is";

/// What a filter is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = FilterToSave)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// 1 to 64 bytes; unique among the shared ones, or among one's own.
    name: String,
    search: String,
    /// For everyone (false); needs the role operator.
    #[serde(default)]
    shared: bool,
}

/// Filters by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SavedFilters)]
pub(super) struct List {
    filters: Vec<Filter>,
    /// To go on with; null at the end.
    cursor: Option<String>,
    /// Whether they survive a restart.
    kept: bool,
}

/// The shared filters and one's own.
#[utoipa::path(get, path = "/api/v1/filters", tag = "filters", operation_id = "list_filters",
    params(parameters::Page),
    responses(
        (status = 200, description = "Filters", body = List),
        (status = 400, description = "A parameter that makes no sense"),
    ))]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<List>, ApiError> {
    let (limit, after) = query::page(&pairs)?;
    let mut filters = api.filters.visible(&Owner::of(&identity), after.as_deref());
    let more = filters.len() > limit;
    filters.truncate(limit);
    let cursor = filters.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(List {
        filters,
        cursor,
        kept: api.settings.are_kept(),
    }))
}

/// One filter.
#[utoipa::path(get, path = "/api/v1/filters/{id}", tag = "filters", operation_id = "get_filter",
    params(("id" = String, Path, description = "The filter's id")),
    responses(
        (status = 200, description = "The filter", body = Filter),
        (status = 404, description = "There is no such filter, or it is somebody else's own"),
    ))]
pub(super) async fn one(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Json<Filter>, ApiError> {
    let found = api.filters.get(&Owner::of(&identity), &id);
    found.map(Json).map_err(|error| refusal(&error))
}

/// Saves a filter.
///
/// A shared one needs the role operator.
#[utoipa::path(post, path = "/api/v1/filters", tag = "filters", operation_id = "save_filter",
    request_body = Asked,
    responses(
        (status = 201, description = "The filter", body = Filter),
        (status = 400, description = "Not JSON, or a name or search that makes no sense"),
        (status = 409, description = "There is one of this name"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
        (status = 507, description = "Too many filters, or no room on the disk"),
    ))]
pub(super) async fn create(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<(StatusCode, Json<Filter>), ApiError> {
    let wanted = wanted(body)?;
    may_save(&identity, wanted.shared)?;
    let owner = Owner::of(&identity);
    let now_ms = api.core.now_ms();
    let done = Done {
        action: "filter.create",
        target: wanted.name.clone(),
        search: Some(wanted.search.clone()),
        shared: wanted.shared,
    };
    let saving = move |filters: &Filters| filters.create(owner, wanted, now_ms);
    let filter = api.save(&identity, done, saving).await?;
    Ok((StatusCode::CREATED, Json(filter)))
}

/// Puts another filter in the place of this one.
///
/// Where either is shared, it needs the role operator.
#[utoipa::path(put, path = "/api/v1/filters/{id}", tag = "filters", operation_id = "change_filter",
    params(("id" = String, Path, description = "The filter's id")),
    request_body = Asked,
    responses(
        (status = 200, description = "The filter", body = Filter),
        (status = 400, description = "Not JSON, or a name or search that makes no sense"),
        (status = 404, description = "There is no such filter, or it is somebody else's own"),
        (status = 409, description = "There is another one of this name"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
        (status = 507, description = "Too many filters, or no room on the disk"),
    ))]
pub(super) async fn change(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Json<Filter>, ApiError> {
    let wanted = wanted(body)?;
    let owner = Owner::of(&identity);
    let before = api.filters.get(&owner, &id);
    let before = before.map_err(|error| refusal(&error))?;
    may_save(&identity, wanted.shared || before.shared)?;
    let now_ms = api.core.now_ms();
    let done = Done {
        action: "filter.change",
        target: before.name.clone(),
        search: Some(wanted.search.clone()),
        shared: wanted.shared || before.shared,
    };
    let saving = move |filters: &Filters| {
        // It may have been changed or removed meanwhile.
        let mut before = filters.get(&owner, &before.id)?;
        if before.shared && !wanted.shared {
            // Who takes it back for themselves has it.
            before.owner = owner;
        }
        filters.replace(&before, wanted, now_ms)
    };
    api.save(&identity, done, saving).await.map(Json)
}

/// Removes a filter.
///
/// A shared one needs the role operator.
#[utoipa::path(delete, path = "/api/v1/filters/{id}", tag = "filters", operation_id = "remove_filter",
    params(("id" = String, Path, description = "The filter's id")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such filter, or it is somebody else's own"),
        (status = 507, description = "No room on the disk"),
    ))]
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let before = api.filters.get(&Owner::of(&identity), &id);
    let before = before.map_err(|error| refusal(&error))?;
    may_save(&identity, before.shared)?;
    let done = Done {
        action: "filter.remove",
        target: before.name,
        search: None,
        shared: before.shared,
    };
    api.save(&identity, done, move |filters| filters.remove(&before.id))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wanted(body: Result<Json<Asked>, JsonRejection>) -> Result<Wanted, ApiError> {
    let Json(asked) =
        body.map_err(|error| ApiError::new(error.status(), error.body_text(), HINT))?;
    let Asked {
        name,
        search,
        shared,
    } = asked;
    Ok(Wanted {
        name,
        search,
        shared,
    })
}

/// Who is nobody in particular has nothing of their own.
fn may_save(identity: &Identity, shared: bool) -> Result<(), ApiError> {
    if identity.how == How::Open {
        let hint =
            "others reach this aggregator without a sign-in: configure one (docs/security.md)";
        let error = "filters are saved for who has signed in";
        return Err(ApiError::new(StatusCode::FORBIDDEN, error, hint));
    }
    if shared {
        identity.require(Role::Operator)?;
    }
    Ok(())
}

/// What the audit says of it.
struct Done {
    action: &'static str,
    target: String,
    search: Option<String>,
    shared: bool,
}

impl Api {
    /// Changes the filters; what concerns everyone is audited.
    async fn save<T: Send + 'static>(
        &self,
        identity: &Identity,
        done: Done,
        change: impl FnOnce(&Filters) -> Result<T, FilterError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let filters = self.filters.clone();
        let changing = async move {
            // It writes to the disk.
            let changed = tokio::task::spawn_blocking(move || change(&filters)).await;
            let changed = changed.map_err(|panicked| {
                let hint = "the aggregator's log says more; report this";
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
            })?;
            changed.map_err(|error| refusal(&error))
        };
        if !done.shared {
            return changing.await;
        }
        let entry = identity
            .entry(done.action, &done.target)
            .with_parameters(serde_json::json!({ "search": done.search }));
        self.audited(entry, changing).await
    }
}

fn refusal(error: &FilterError) -> ApiError {
    let (status, hint) = match error {
        FilterError::Name | FilterError::Search(_) => (StatusCode::BAD_REQUEST, HINT),
        FilterError::Unknown(_) => (StatusCode::NOT_FOUND, "GET /api/v1/filters lists them"),
        FilterError::Taken(_) => (
            StatusCode::CONFLICT,
            "choose another name, or change that one with PUT",
        ),
        FilterError::TooMany | FilterError::TooManyInAll => {
            (StatusCode::INSUFFICIENT_STORAGE, "remove some first")
        }
        FilterError::Store(error) => {
            tracing::warn!(%error, "a filter was not saved");
            (
                StatusCode::INSUFFICIENT_STORAGE,
                "nothing was changed; make room for --data-dir or repair it, and try again",
            )
        }
    };
    ApiError::new(status, error, hint)
}
