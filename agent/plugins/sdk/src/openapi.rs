//! The interface of plugins as an OpenAPI document, from the messages themselves; clients and servers in
//! other languages are generated from it.

use utoipa::OpenApi;

use crate::messages::{
    ControlAnswer, ControlRequest, Description, Label, Metadatum, Node, NodeFacts, NodeKind,
    Problem, Report, ReportRequest, Sample, Table,
};

/// Who the plugin is.
#[utoipa::path(get, path = "/v1/describe", operation_id = "describe", tag = "plugin",
    responses((status = 200, description = "Who it is", body = Description)))]
#[expect(dead_code, reason = "for the document; `server` answers")]
fn describe() {}

/// What the plugin knows of the nodes that the agent tells it of.
#[utoipa::path(post, path = "/v1/report", operation_id = "report", tag = "plugin",
    request_body = ReportRequest,
    responses(
        (status = 200, description = "All that it knows", body = Report),
        (status = 400, description = "The request is malformed", body = Problem),
        (status = 500, description = "It can't tell now", body = Problem),
    ))]
#[expect(dead_code, reason = "for the document; `server` answers")]
fn report() {}

/// Carries out a control that the plugin offered in its last report.
#[utoipa::path(post, path = "/v1/control", operation_id = "control", tag = "plugin",
    request_body = ControlRequest,
    responses(
        (status = 200, description = "It is done", body = ControlAnswer),
        (status = 400, description = "The request is malformed", body = Problem),
        (status = 500, description = "It is not done", body = Problem),
    ))]
#[expect(dead_code, reason = "for the document; `server` answers")]
fn control() {}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mesoscope plugin",
        version = "1",
        description = "What a plugin of the Mesoscope agent answers, as HTTP over a unix socket.",
    ),
    paths(describe, report, control),
    components(schemas(
        ControlAnswer, ControlRequest, Description, Label, Metadatum, Node, NodeFacts, NodeKind,
        Problem, Report, ReportRequest, Sample, Table,
    )),
    tags((name = "plugin", description = "The whole interface of a plugin")),
)]
struct Document;

/// The document, as `docs/plugin-api.json` has it.
///
/// # Errors
/// When it is no JSON, which its tests rule out.
pub fn document() -> Result<String, serde_json::Error> {
    Document::openapi().to_pretty_json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_document_is_that_of_the_messages() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/plugin-api.json");
        let checked_in = std::fs::read_to_string(path).expect("checked in");
        assert_eq!(
            checked_in.trim(),
            document().expect("JSON"),
            "run `cargo xtask tidy --fix`"
        );
    }
}
