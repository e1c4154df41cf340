//! The document of REST, made of the handlers and the messages themselves, and Swagger UI for it.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use mesoscope_access::credentials::COOKIE;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{Api, error, routes};

const PATH: &str = "/api/openapi.json";
/// In the document, those of everyone who is let in, and why a request may be refused before it
/// reaches its handler.
const SCHEMES: [&str; 5] = ["token", "password", "session", "certificate", "agent_token"];
const REFUSALS: [(&str, &str); 3] = [
    ("401", "Nothing was shown, or it opens nothing here"),
    (
        "403",
        "The role is not enough, or a page of another origin asked",
    ),
    (
        "429",
        "Too many failed sign-ins; Retry-After says how many seconds to wait",
    ),
];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Mesoscope",
        description = "What the aggregator tells and takes by HTTP. Errors are \
            `{\"error\": \"...\", \"hint\": \"...\"}` with the matching status; beside those below, 405 \
            is another method of a path, 413 a body that is too large, and 421 a name under which a \
            loopback aggregator is not known. Credentials are asked for only where a sign-in is \
            configured. The messages of the map are the protobuf messages of gRPC.",
    ),
    tags(
        (name = "map", description = "Views of the map and what is known of a node"),
        (name = "query", description = "Search, values over time, figures"),
        (name = "filters", description = "Searches with a name"),
        (name = "agents", description = "Agents and other reporters"),
        (name = "containers", description = "What people do to containers"),
        (name = "access", description = "Signing in, API tokens, the audit"),
        (name = "aggregator", description = "The aggregator itself"),
    ),
    components(schemas(error::Body)),
)]
struct Head;

static TEXT: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let mut guarded = routes::guarded().into_openapi();
    guard(&mut guarded, &SCHEMES[..4]);
    let mut reporting = routes::reporting().into_openapi();
    guard(&mut reporting, &SCHEMES[3..]);
    let mut document = <Head as utoipa::OpenApi>::openapi();
    for part in [guarded, reporting, routes::open().into_openapi()] {
        for (path, item) in part.paths.paths {
            let known = document.paths.paths.entry(path).or_default();
            known.merge_operations(item);
        }
        let components = document.components.get_or_insert_default();
        components
            .schemas
            .extend(part.components.unwrap_or_default().schemas);
    }
    for operation in operations(&mut document) {
        explain_errors(operation);
    }
    let components = document.components.get_or_insert_default();
    for (name, scheme) in SCHEMES.into_iter().zip(schemes()) {
        components.add_security_scheme(name, scheme);
    }
    document
}

/// Says what opens it, and how who is not let in is answered.
fn guard(document: &mut OpenApi, schemes: &[&str]) {
    for operation in operations(document) {
        let requirements = schemes.iter().map(|scheme| requirement(scheme));
        operation.security = Some(requirements.collect());
        let responses = &mut operation.responses.responses;
        for (status, description) in REFUSALS {
            let refusal = ResponseBuilder::new().description(description).build();
            responses
                .entry(status.to_owned())
                .or_insert(RefOr::T(refusal));
        }
    }
}

fn requirement(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new::<_, _, &str>(scheme, [])
}

fn schemes() -> [SecurityScheme; 5] {
    let http = |scheme, description: &str| {
        let mut http = Http::new(scheme);
        http.description = Some(description.to_owned());
        SecurityScheme::Http(http)
    };
    let cookie = ApiKeyValue::with_description(COOKIE, "A session, begun by POST /api/v1/session");
    [
        http(
            HttpAuthScheme::Bearer,
            "An API token, or one of a token file",
        ),
        http(
            HttpAuthScheme::Basic,
            "Name and password; a token may stand in place of the password",
        ),
        SecurityScheme::ApiKey(ApiKey::Cookie(cookie)),
        SecurityScheme::MutualTls {
            description: Some(
                "A certificate of --tls-client-ca: opens the map, and reports".to_owned(),
            ),
            deprecated: None,
            extensions: None,
        },
        http(
            HttpAuthScheme::Bearer,
            "A token of --agent-token-file: for those who report",
        ),
    ]
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    let items = document.paths.paths.values_mut();
    items.flat_map(|item: &mut PathItem| {
        let methods = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        methods.into_iter().flatten()
    })
}

/// All errors have one body.
fn explain_errors(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
        {
            let body = Content::new(Some(Ref::from_schema_name("Error")));
            let json = "application/json".to_owned();
            response.content.insert(json, body.into());
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "aggregator", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(super) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// Swagger UI at `/api/docs/`, from this binary alone.
pub(super) fn page() -> Router<Api> {
    let config = Config::from(PATH)
        // Else the page sends the document to a validator elsewhere.
        .validator_url("none")
        .try_it_out_enabled(false);
    SwaggerUi::new("/api/docs").config(config).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Paths that a router serves. Axum tells them only in its debug output.
    fn served(router: &Router<Api>) -> BTreeSet<String> {
        let text = format!("{router:?}");
        let quoted = text.split('"').skip(1).step_by(2);
        let paths = quoted.filter(|text| text.starts_with('/'));
        paths.map(str::to_owned).collect()
    }

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        // Where nothing is served, axum's own fallback is.
        let none = served(&Router::new());
        let (guarded, _) = routes::guarded().split_for_parts();
        let (reporting, _) = routes::reporting().split_for_parts();
        let (open, _) = routes::open().split_for_parts();
        let all = [guarded, reporting, open];
        let served: BTreeSet<_> = all.iter().flat_map(served).collect();
        let served = &served - &none;
        assert!(served.contains("/api/containers/{id}/{verb}"), "{served:?}");
        let documented: BTreeSet<_> = document().paths.paths.into_keys().collect();
        assert_eq!(served, documented);
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_says_what_it_takes_and_gives() {
        let mut document = document();
        let mut names = BTreeSet::new();
        for operation in operations(&mut document) {
            let name = operation.operation_id.clone().expect("a name");
            assert!(operation.summary.is_some(), "{name}");
            assert!(operation.tags.is_some(), "{name}");
            let responses = &operation.responses.responses;
            assert!(
                responses.keys().any(|status| status < &"4".to_owned()),
                "{name}"
            );
            assert!(names.insert(name.clone()), "{name} is there twice");
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_parameter_of_a_path_is_explained() {
        let document = serde_json::to_value(document()).expect("JSON");
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 50, "{references:?}");
        for reference in references {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for (path, item) in document["paths"].as_object().expect("paths") {
            for operation in item.as_object().expect("operations").values() {
                let explained: BTreeSet<_> = operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().expect("a name"))
                    .collect();
                let named: BTreeSet<_> = path
                    .split('/')
                    .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                    .collect();
                assert_eq!(explained, named, "{path}");
            }
        }
    }

    fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                references.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| collect(value, references));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }
}
