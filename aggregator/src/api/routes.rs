//! Every route. A handler names its own path, so that none can be served without being in the
//! document.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Api, audit, bulk, control, debug, exec, figures, files, filters, graph, labels, metrics, oidc,
    openapi, overview, past, plugins, reports, rest, search, series, session, terminal, tier2,
    tokens, websocket,
};

/// For who is let in.
pub(super) fn guarded() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(rest::topology))
        .routes(routes!(rest::node))
        .routes(routes!(plugins::press))
        .routes(routes!(rest::children))
        .routes(routes!(rest::connections))
        .routes(routes!(overview::views))
        .routes(routes!(debug::report))
        .routes(routes!(rest::agents))
        .routes(routes!(tier2::switch))
        .routes(routes!(past::reach))
        .routes(routes!(search::search))
        .routes(routes!(search::complete))
        .routes(routes!(filters::list, filters::create))
        .routes(routes!(filters::one, filters::change, filters::remove))
        .routes(routes!(series::of_agent))
        .routes(routes!(series::of_node))
        .routes(routes!(figures::topology))
        .routes(routes!(figures::latest))
        .routes(routes!(figures::stats))
        .routes(routes!(rest::status))
        .routes(routes!(rest::render_time))
        .routes(routes!(session::whoami, session::end))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
        .routes(routes!(websocket::open))
        .routes(routes!(control::remove))
        .routes(routes!(control::inspect))
        .routes(routes!(control::logs))
        .routes(routes!(terminal::exec, exec::run))
        .routes(routes!(terminal::attach))
        .routes(routes!(bulk::act))
        .routes(routes!(labels::show, labels::set))
        .routes(routes!(files::list))
        .routes(routes!(files::read, files::write))
        .routes(routes!(control::act))
        .routes(routes!(graph::health))
        .routes(routes!(graph::fields))
        .routes(routes!(graph::data))
        .routes(routes!(metrics::scrape))
}

/// For reporters, with what agents show.
pub(super) fn reporting() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(reports::register))
        .routes(routes!(reports::heartbeat))
        .routes(routes!(reports::config))
        .routes(routes!(reports::report))
}

/// For everyone: probes have no credentials; who signs in has none yet, and does it at the page.
pub(super) fn open() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(rest::health))
        .routes(routes!(rest::ping))
        .routes(routes!(session::begin))
        .routes(routes!(oidc::ways))
        .routes(routes!(oidc::begin))
        .routes(routes!(oidc::callback))
        .routes(routes!(openapi::serve))
}
