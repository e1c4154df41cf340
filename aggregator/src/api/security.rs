//! What every HTTP request passes: the host rule, the same-origin rule with the origins that are
//! configured beside the own one, and headers on the way out.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mesoscope_service::listen::Posture;

use super::Api;
use super::error::ApiError;

/// The page loads nothing from elsewhere. Styles are made by its components, hence inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' \
     'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; \
     worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors ";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

const CORS_HEADERS: [(HeaderName, &str); 4] = [
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        "GET, HEAD, POST, PUT, PATCH, DELETE",
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "authorization, content-type",
    ),
    (header::ACCESS_CONTROL_MAX_AGE, "600"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "cross-origin",
    ),
];

/// Who may show the page within theirs.
#[derive(Debug, Clone)]
pub struct Frames {
    policy: HeaderValue,
    nobody: bool,
}

impl Frames {
    /// Pages of these origins; nobody where there are none.
    ///
    /// # Errors
    /// When one is no text for a header.
    pub fn new(ancestors: &[String]) -> Result<Self, header::InvalidHeaderValue> {
        let nobody = ancestors.is_empty();
        let allowed = if nobody {
            "'none'".to_owned()
        } else {
            ancestors.join(" ")
        };
        Ok(Self {
            policy: HeaderValue::from_str(&format!("{CONTENT_SECURITY_POLICY}{allowed}"))?,
            nobody,
        })
    }
}

/// The middleware.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let origin = allowed_origin(&api.cors_origins, request.headers());
    let preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match check(&api, &request, origin.is_some()) {
        Ok(()) if preflight && origin.is_some() => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => next.run(request).await,
        Err((reason, refused)) => {
            api.metrics
                .refused_requests
                .with_label_values(&[reason])
                .inc();
            refused.into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, api.frames.policy.clone());
    if api.frames.nobody {
        // For browsers that don't know the policy; it can't name origins.
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    if !api.cors_origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // No cookies: such a page shows a token.
        for (name, value) in CORS_HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if api.tls {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The origin of the request, where it is one that is configured.
fn allowed_origin(allowed: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let found = allowed
        .iter()
        .any(|one| one.as_bytes() == origin.as_bytes());
    found.then(|| origin.clone())
}

fn check(
    api: &Api,
    request: &Request,
    origin_allowed: bool,
) -> Result<(), (&'static str, ApiError)> {
    let host = host(request);
    // Without credentials, the name is all that tells a page elsewhere, whose name was made to
    // resolve to this machine, from our own (DNS rebinding).
    let by_name_only = api.posture == Posture::Loopback && !api.sign_in.is_required();
    if by_name_only
        && !host
            .as_deref()
            .is_none_or(|host| is_local(host, &api.hosts_allowed))
    {
        let error = format!(
            "this aggregator is not known as {:?}",
            host.unwrap_or_default()
        );
        let hint = "use localhost or the address, or name it with --allow-host";
        return Err((
            "host",
            ApiError::new(StatusCode::MISDIRECTED_REQUEST, error, hint),
        ));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let upgrades = request.headers().contains_key(header::UPGRADE);
    if reads && !upgrades || origin_allowed {
        return Ok(());
    }
    if is_same_origin(request.headers(), host.as_deref()) {
        return Ok(());
    }
    let hint = "open the page from this aggregator's own address; programs send no Origin";
    let error = "the request comes from a page of another origin";
    Err(("origin", ApiError::new(StatusCode::FORBIDDEN, error, hint)))
}

/// The name and port that the request is for.
pub(super) fn host(request: &Request) -> Option<String> {
    let header = request.headers().get(header::HOST);
    let header = header.and_then(|value| value.to_str().ok());
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    header.or(authority).map(str::to_lowercase)
}

fn is_local(host: &str, allowed: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || bare == "localhost"
        || bare.ends_with(".localhost")
        || allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(bare))
}

/// Whether no page of another origin made it. Browsers name the origin of every WebSocket and of every request that changes something;
/// programs send none.
pub(super) fn is_same_origin(headers: &HeaderMap, host: Option<&str>) -> bool {
    let cross_site = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none");
    let Some(origin) = headers.get(header::ORIGIN) else {
        return !cross_site;
    };
    let origin = origin.to_str().unwrap_or_default().to_lowercase();
    let authority = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    authority.is_some() && authority == host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        pairs.collect()
    }

    #[test]
    fn only_the_own_origin_passes() {
        let host = Some("localhost:4040");
        assert!(is_same_origin(&headers(&[]), host));
        assert!(is_same_origin(
            &headers(&[("origin", "http://localhost:4040")]),
            host
        ));
        assert!(is_same_origin(
            &headers(&[("origin", "HTTP://LOCALHOST:4040")]),
            host
        ));
        for bad in [
            "http://localhost:4041",
            "http://evil.example",
            "null",
            "",
            "localhost:4040",
        ] {
            assert!(!is_same_origin(&headers(&[("origin", bad)]), host), "{bad}");
        }
        assert!(!is_same_origin(
            &headers(&[("sec-fetch-site", "cross-site")]),
            host
        ));
        assert!(!is_same_origin(&headers(&[("origin", "http://a")]), None));
    }

    #[test]
    fn only_configured_origins_are_allowed() {
        let allowed = ["https://grafana.example".to_owned()];
        let asked = |origin| allowed_origin(&allowed, &headers(&[("origin", origin)]));
        assert!(asked("https://grafana.example").is_some());
        for bad in [
            "https://grafana.example.evil",
            "http://grafana.example",
            "null",
            "",
        ] {
            assert!(asked(bad).is_none(), "{bad}");
        }
        assert!(allowed_origin(&allowed, &headers(&[])).is_none());
    }

    #[test]
    fn names_made_to_resolve_to_loopback_are_not_local() {
        let allowed = ["map.example.org".to_owned()];
        for good in [
            "localhost",
            "localhost:4040",
            "127.0.0.1:4040",
            "[::1]:4040",
            "a.localhost",
            "map.example.org:443",
        ] {
            assert!(is_local(good, &allowed), "{good}");
        }
        for bad in [
            "evil.example:4040",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_local(bad, &allowed), "{bad}");
        }
    }
}
