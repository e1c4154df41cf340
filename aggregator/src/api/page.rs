//! The page, embedded at build time.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "$MESOSCOPE_PAGE"]
struct Page;

/// Everything that is no route: a file of the page, or 404.
pub(super) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some(file) = Page::get(path) else {
        let error = format!("there is nothing at {}", uri.path());
        return ApiError::not_found(error, "docs/api.md lists the paths; the page is at /")
            .into_response();
    };
    if method != Method::GET && method != Method::HEAD {
        let error = format!("{} does not take {method}", uri.path());
        let refused = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, error, "GET or HEAD");
        return refused.into_response();
    }
    answer(path, file, &headers)
}

fn answer(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let digest = mesoscope_service::token::hex(&file.metadata.sha256_hash());
    let etag = format!("\"{}\"", &digest[..32]);
    // The build puts a digest into the names under assets/: they never change.
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let caching = [
        (header::ETAG, etag),
        (header::CACHE_CONTROL, cache.to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = [(header::CONTENT_TYPE, file.metadata.mimetype().to_owned())];
    (caching, kind, file.data).into_response()
}
