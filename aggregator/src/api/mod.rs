//! The edges: HTTP (REST, WebSocket, metrics, the page) and gRPC for consumers.
//!
//! | file | what it does |
//! |---|---|
//! | `routes.rs` | every route, and with it its place in the document |
//! | `openapi.rs`, `parameters.rs` | the document of REST, and its page |
//! | `rest.rs` | topology, node details, agents, health |
//! | `reports.rs` | reporters, and what they report |
//! | `figures.rs` | the map in parts, the latest of an agent, figures |
//! | `debug.rs` | all that the map has, as one file |
//! | `overview.rs` | how much each view has, and what their options choose from |
//! | `filters.rs` | saved filters |
//! | `past.rs` | the map as it was |
//! | `search.rs` | search, and suggestions for a half-typed one |
//! | `series.rs` | values over time |
//! | `tier2.rs` | switching tier 2; agents and nodes with what is set for them |
//! | `graph.rs` | a view for Grafana |
//! | `control.rs` | what people do to containers, and their logs |
//! | `files.rs` | files of containers |
//! | `labels.rs` | labels that people give to nodes |
//! | `bulk.rs` | one action on many containers |
//! | `plugins.rs` | controls of plugins |
//! | `exec.rs` | commands in containers |
//! | `terminal.rs` | terminals in containers, live |
//! | `websocket.rs` | a view, live |
//! | `observe.rs` | the same for gRPC, and the event stream |
//! | `metrics.rs` | `/metrics` |
//! | `page.rs` | the page, embedded |
//! | `access.rs` | who a request comes from |
//! | `answers.rs` | what several operations may answer, for the document |
//! | `audit.rs` | what is done is recorded before |
//! | `session.rs` | signing in and out |
//! | `oidc.rs` | signing in by a provider |
//! | `tokens.rs` | API tokens |
//! | `security.rs` | headers, same-origin rule, host rule |
//! | `query.rs` | view and options in a query string |
//! | `error.rs` | errors as JSON |

mod access;
mod answers;
mod audit;
mod bulk;
mod control;
mod debug;
mod error;
mod exec;
mod figures;
mod files;
mod filters;
mod graph;
mod labels;
mod metrics;
mod observe;
mod oidc;
mod openapi;
mod overview;
mod page;
mod parameters;
mod past;
mod plugins;
mod query;
mod reports;
mod rest;
mod routes;
mod search;
mod security;
mod series;
mod session;
mod terminal;
mod tier2;
mod tokens;
mod websocket;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use mesoscope_access::Audit;
use mesoscope_service::access::Access;
use mesoscope_service::listen::{Fill, Posture};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use crate::archive::Archive;
use crate::config::LabelFilter;
use crate::control::Control;
use crate::core::Core;
use crate::ingest::Registry;
use crate::labels::Labels;
use crate::links::LinkTemplate;
use crate::metrics::Metrics;
use crate::remote_write::RemoteWrite;
use crate::series::Recorder;
use crate::store::{Filters, Settings};
use crate::views::Views;
use crate::webhooks::Webhooks;

pub use access::SignIn;
pub use debug::Dumps;
pub use observe::ObserveService;
pub use openapi::document;
pub use overview::Overviews;
pub use search::Searches;
pub use security::Frames;

/// Largest body of a request.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What the handlers work on.
#[derive(Debug, Clone)]
pub struct Api {
    /// The topology.
    pub core: Arc<Core>,
    /// The views.
    pub views: Arc<Views>,
    /// The agents' streams.
    pub registry: Arc<Registry>,
    /// What was told over time.
    pub series: Arc<Recorder>,
    /// The map as it was.
    pub archive: Arc<Archive>,
    /// What operators set.
    pub settings: Arc<Settings>,
    /// Reports of the whole map that are being made.
    pub dumps: Dumps,
    /// How much each view has.
    pub overviews: Arc<Overviews>,
    /// Filters of views by label.
    pub label_filters: Arc<[LabelFilter]>,
    /// Where else nodes may be looked at.
    pub links: Arc<[LinkTemplate]>,
    /// Saved filters.
    pub filters: Arc<Filters>,
    /// Labels that people gave to nodes.
    pub labels: Arc<Labels>,
    /// The agents' streams for control.
    pub control: Arc<Control>,
    /// How long a terminal may stand idle.
    pub terminal_idle: std::time::Duration,
    /// Who is told of what happens.
    pub webhooks: Arc<Webhooks>,
    /// Where values are written to, if anywhere.
    pub remote_write: Option<Arc<RemoteWrite>>,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// The listening address under the listen rule.
    pub posture: Posture,
    /// Both ports speak TLS.
    pub tls: bool,
    /// What opens the routes of reporters.
    pub reporters: Access,
    /// Reports that are taken in.
    pub reports: Arc<Semaphore>,
    /// Who may read and control.
    pub sign_in: Arc<SignIn>,
    /// Pages that may show ours within them.
    pub frames: Frames,
    /// Pages of other origins that may ask.
    pub cors_origins: Arc<[String]>,
    /// Readers of the audit.
    pub audit_readers: Arc<Semaphore>,
    /// What was done, by whom.
    pub audit: Arc<Audit>,
    /// Further names under which browsers reach a loopback aggregator.
    pub hosts_allowed: Arc<[String]>,
    /// Searches under way.
    pub searches: Arc<Searches>,
    /// Connections of both ports, by name.
    pub connections: Arc<[(&'static str, Fill)]>,
    /// Ends what lives long.
    pub drain: CancellationToken,
}

impl Api {
    /// How many reports may be taken in at the same time.
    #[must_use]
    pub fn report_turns() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(reports::REPORTS_MAX))
    }
}

/// The HTTP side.
pub fn router(api: Api) -> Router {
    let (guarded, _) = routes::guarded().split_for_parts();
    let guarded = guarded
        .method_not_allowed_fallback(rest::wrong_method)
        .layer(middleware::from_fn_with_state(
            api.clone(),
            access::identify,
        ));
    let (reporting, _) = routes::reporting().split_for_parts();
    let reporting = reporting
        .method_not_allowed_fallback(rest::wrong_method)
        .layer(middleware::from_fn_with_state(
            api.clone(),
            reports::identify,
        ));
    let (open, _) = routes::open().split_for_parts();
    let open = open.merge(openapi::page()).fallback(page::serve);
    let uncompressed = NotForContentType::new("application/octet-stream");
    open.merge(guarded)
        .merge(reporting)
        .layer(middleware::from_fn_with_state(api.clone(), security::guard))
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(uncompressed)))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}
