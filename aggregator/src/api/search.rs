//! Search in the whole map, and what may be meant by a half-typed search.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use mesoscope_proto::v1;
use mesoscope_topology::ViewKind;
use mesoscope_topology::search::{Completion, Found, Search, Stride};
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::error::ApiError;
use super::past::Map;
use super::{Api, parameters, query};

/// Searches at once; further ones wait, and are refused after [`PATIENCE`].
const CONCURRENT_MAX: usize = 2;
const PATIENCE: Duration = Duration::from_secs(2);
/// Nodes looked at under one lock: agents wait that long.
const NODES_PER_LOCK: usize = 500;
/// Nodes looked at for one page of an answer; the cursor goes on from there.
const NODES_PER_PAGE: usize = 50_000;
/// Nodes looked at per view for suggestions.
const NODES_PER_COMPLETION: usize = 10_000;
/// Searches that a node must match at once: those pinned on the page, and the one in its box.
const SEARCHES_MAX: usize = 9;
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 5_000;
const SUGGESTIONS_MAX: usize = 20;
/// Characters into what is typed; there are never so many.
const AT_MAX: usize = 1_000_000;

const HINT: &str = "q=SEARCH (docs/search.md; may be repeated), view=VIEW (docs/api.md), limit=1..5000, cursor=..., \
                    kernel_threads=true|false, at=UNIX-MILLISECONDS";
const COMPLETE_HINT: &str = "q=TEXT, at=CHARACTER, view=VIEW (docs/api.md)";

/// Keeps searches from taking all of the machine.
#[derive(Debug)]
pub struct Searches(Semaphore);

impl Default for Searches {
    fn default() -> Self {
        Self(Semaphore::new(CONCURRENT_MAX))
    }
}

impl Searches {
    /// Searches under way, and how many may be.
    pub(super) fn fill(&self) -> (usize, usize) {
        let free = self.0.available_permits();
        (CONCURRENT_MAX.saturating_sub(free), CONCURRENT_MAX)
    }

    /// Runs a search off the async threads.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = tokio::time::timeout(PATIENCE, self.0.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let error = format!("{CONCURRENT_MAX} searches are under way already");
            let hint = "try again in a few seconds";
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error, hint));
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|panicked| {
            let hint = "the aggregator's log says more; report this";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
        })
    }
}

/// A place in a search: what to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    view: ViewKind,
    position: u32,
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let (view, position) = text.split_once('.')?;
        Some(Self {
            view: view.parse().ok()?,
            position: position.parse().ok()?,
        })
    }
}

#[derive(Debug)]
struct Asked {
    search: Search,
    views: Vec<ViewKind>,
    from: Cursor,
    limit: usize,
    kernel_threads: bool,
}

/// What a search means.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundNodes)]
pub(super) struct Answer {
    nodes: Vec<FoundNode>,
    /// To go on with; null at the end. A page may hold fewer nodes than asked for before the end.
    cursor: Option<String>,
}

/// A node that is meant.
#[derive(Debug, Serialize, ToSchema)]
struct FoundNode {
    view: &'static str,
    id: String,
    label: String,
    label_minor: String,
    /// The first one that matched; null where the absence of something was asked for.
    field: Option<mesoscope_proto::v1::Field>,
}

impl From<Found> for FoundNode {
    fn from(found: Found) -> Self {
        Self {
            view: found.view.name(),
            id: found.id,
            label: found.label,
            label_minor: found.label_minor,
            field: found.field,
        }
    }
}

/// What may be meant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Completed {
    /// The characters that a suggestion takes the place of.
    from: usize,
    to: usize,
    suggestions: Vec<Suggested>,
}

/// One of the things that may be meant.
#[derive(Debug, Serialize, ToSchema)]
struct Suggested {
    text: String,
    /// "key" or "value".
    kind: &'static str,
    label: String,
    nodes: u32,
}

/// The nodes that a search means.
#[utoipa::path(get, path = "/api/v1/search", tag = "query",
    params(
        ("q" = Vec<String>, Query, max_items = 9,
            description = "The search, in its language; may be repeated, and then all must match"),
        parameters::View,
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 5_000, description = "Nodes in one answer (100)"),
        ("cursor" = Option<String>, Query, description = "From the answer before"),
        ("kernel_threads" = Option<bool>, Query, description = "These too (false)"),
        parameters::At,
    ),
    responses(
        (status = 200, description = "Nodes", body = Answer),
        (status = 400, description = "The search or a parameter can't be read"),
        (status = 404, description = "The history does not go back to that moment"),
        (status = 503, description = "Two others are under way"),
    ))]
pub(super) async fn search(
    State(api): State<Api>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Answer>, ApiError> {
    let (at_ms, pairs) = query::moment(pairs)?;
    let asked = asked(&pairs)?;
    let map = api.map(at_ms).await?;
    let answer = api.searches.run(move || find(&map, &asked)).await?;
    Ok(Json(answer))
}

/// Keys, and values of a key, that the map has for the word that ends at a character of a search.
#[utoipa::path(get, path = "/api/v1/search/complete", tag = "query",
    operation_id = "complete_search",
    params(
        ("q" = Option<String>, Query, description = "What is typed so far"),
        ("at" = Option<u64>, Query, maximum = 1_000_000, description = "A character of it (its end)"),
        parameters::View,
    ),
    responses(
        (status = 200, description = "At most 20 suggestions", body = Completed),
        (status = 400, description = "A parameter that makes no sense"),
        (status = 503, description = "Two others are under way"),
    ))]
pub(super) async fn complete(
    State(api): State<Api>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Completed>, ApiError> {
    let (mut text, mut at, mut view) = ("", usize::MAX, None);
    for (key, value) in &pairs {
        match key.as_str() {
            "q" => text = value,
            "at" => at = number(key, value, 0..=AT_MAX, COMPLETE_HINT)?,
            "view" => view = Some(query::kind_of(value)?),
            _ => return Err(unknown(key, COMPLETE_HINT)),
        }
    }
    let completion = Completion::new(text, at);
    let (from, to) = completion.range();
    let suggestions = if completion.is_wanted() {
        let searches = api.searches.clone();
        searches.run(move || api.complete(completion, view)).await?
    } else {
        Vec::new()
    };
    Ok(Json(Completed {
        from,
        to,
        suggestions,
    }))
}

/// The same over gRPC.
pub(super) async fn over_grpc(
    api: Api,
    request: v1::SearchRequest,
) -> Result<v1::SearchResponse, ApiError> {
    let at_ms = (request.at_unix_ms != 0).then_some(request.at_unix_ms);
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut pair = |key: &str, value: String| pairs.push((key.to_owned(), value));
    for search in request.searches {
        pair("q", search);
    }
    if !request.view.is_empty() {
        pair("view", request.view);
    }
    if request.limit != 0 {
        pair("limit", request.limit.to_string());
    }
    if !request.cursor.is_empty() {
        pair("cursor", request.cursor);
    }
    pair("kernel_threads", request.kernel_threads.to_string());
    let asked = asked(&pairs)?;
    let map = api.map(at_ms).await?;
    let answer = api.searches.run(move || find(&map, &asked)).await?;
    let nodes = answer.nodes.into_iter().map(|node| v1::FoundNode {
        view: node.view.to_owned(),
        id: node.id,
        label: node.label,
        label_minor: node.label_minor,
        field: node.field,
    });
    Ok(v1::SearchResponse {
        nodes: nodes.collect(),
        cursor: answer.cursor.unwrap_or_default(),
    })
}

fn find(map: &Map, asked: &Asked) -> Answer {
    let mut found = Vec::new();
    let mut looked_at = 0;
    let mut cursor = Some(asked.from);
    while let Some(from) = cursor {
        // One node can be in several groups, so that a step may find a few more than it was to.
        if found.len() >= asked.limit || looked_at >= NODES_PER_PAGE {
            break;
        }
        let stride = Stride {
            nodes: NODES_PER_LOCK,
            found: asked.limit - found.len(),
            kernel_threads: asked.kernel_threads,
        };
        looked_at += NODES_PER_LOCK;
        let next = map.read(from.view, |topology, now_ms| {
            topology.search(
                from.view,
                &asked.search,
                from.position,
                stride,
                now_ms,
                &mut found,
            )
        });
        cursor = match next {
            Some(position) => Some(Cursor { position, ..from }),
            None => asked.view_after(from.view),
        };
    }
    let text = |cursor: Cursor| format!("{}.{}", cursor.view, cursor.position);
    Answer {
        nodes: found.into_iter().map(FoundNode::from).collect(),
        cursor: cursor.map(text),
    }
}

impl Api {
    fn complete(&self, mut completion: Completion, view: Option<ViewKind>) -> Vec<Suggested> {
        let stride = Stride {
            nodes: NODES_PER_LOCK,
            found: 0,
            kernel_threads: false,
        };
        for view in view.map_or_else(|| ViewKind::PLAIN.to_vec(), |view| vec![view]) {
            let (mut position, mut looked_at) = (Some(0), 0);
            while let Some(after) = position.filter(|_| looked_at < NODES_PER_COMPLETION) {
                looked_at += NODES_PER_LOCK;
                let now_ms = self.core.now_ms();
                let topology = self.core.read();
                position = topology.complete(view, &mut completion, after, stride, now_ms);
            }
        }
        let best = completion.best(SUGGESTIONS_MAX).into_iter();
        best.map(|suggestion| Suggested {
            kind: if suggestion.key { "key" } else { "value" },
            text: suggestion.text,
            label: suggestion.label,
            nodes: suggestion.nodes,
        })
        .collect()
    }
}

impl Asked {
    /// Where a search goes on when a view is over.
    fn view_after(&self, view: ViewKind) -> Option<Cursor> {
        let mut rest = self.views.iter().skip_while(|kind| **kind != view);
        rest.nth(1).map(|view| Cursor {
            view: *view,
            position: 0,
        })
    }
}

fn parsed(text: &str) -> Result<Search, ApiError> {
    text.parse().map_err(|error| {
        let error = format!("{text}: {error}");
        ApiError::bad_request(error, "docs/search.md explains the language")
    })
}

fn asked(pairs: &[(String, String)]) -> Result<Asked, ApiError> {
    let (mut searches, mut view, mut cursor) = (Vec::new(), None, None);
    let (mut limit, mut kernel_threads) = (LIMIT_DEFAULT, false);
    for (key, value) in pairs {
        match key.as_str() {
            "q" if searches.len() >= SEARCHES_MAX => {
                let error = format!("at most {SEARCHES_MAX} searches are combined");
                return Err(ApiError::bad_request(error, HINT));
            }
            "q" => searches.push(parsed(value)?),
            "view" => view = Some(query::kind_of(value)?),
            "limit" => limit = number(key, value, 1..=LIMIT_MAX, HINT)?,
            "kernel_threads" => kernel_threads = query::switch(key, value)?,
            "cursor" => {
                let parsed = Cursor::parse(value).ok_or_else(|| {
                    let error = format!("{value:?} is no cursor");
                    ApiError::bad_request(error, "take it from the answer before, or leave it out")
                })?;
                cursor = Some(parsed);
            }
            _ => return Err(unknown(key, HINT)),
        }
    }
    if searches.is_empty() {
        return Err(ApiError::bad_request("q is missing", HINT));
    }
    let search = Search::all(searches);
    let views: Vec<_> = match view {
        Some(view) => vec![view],
        // The fewest first.
        // The groups hold nothing that their members have not.
        None => ViewKind::PLAIN.into_iter().rev().collect(),
    };
    let from = cursor.unwrap_or(Cursor {
        view: views[0],
        position: 0,
    });
    if !views.contains(&from.view) {
        let error = format!("the cursor is of the view {}", from.view);
        return Err(ApiError::bad_request(
            error,
            "ask with the view that it came from",
        ));
    }
    Ok(Asked {
        search,
        views,
        from,
        limit,
        kernel_threads,
    })
}

fn number(
    key: &str,
    value: &str,
    range: std::ops::RangeInclusive<usize>,
    hint: &str,
) -> Result<usize, ApiError> {
    let parsed = value.parse().ok().filter(|number| range.contains(number));
    parsed.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        ApiError::bad_request(
            format!("{key} is from {least} to {most}, not {value:?}"),
            hint,
        )
    })
}

fn unknown(key: &str, hint: &str) -> ApiError {
    ApiError::bad_request(format!("unknown parameter {key:?}"), hint)
}
