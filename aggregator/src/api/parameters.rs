//! Parameters of requests, for the document. The parsers beside the handlers have the last word.

use mesoscope_topology::ViewKind;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{RefOr, Required};

use super::query;

/// A view by name.
pub(super) enum View {}
/// A view with its options.
pub(super) enum ViewWithOptions {}
/// The part of a list.
pub(super) enum Page {}

/// A moment.
pub(super) enum At {}

impl IntoParams for At {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "As it was then, Unix milliseconds (as it is now); GET /api/v1/history says how \
                           far back that goes";
        let moment = of(Type::Integer).minimum(Some(0));
        vec![query("at", moment, description)]
    }
}

impl IntoParams for View {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![query("view", views(), "The view")]
    }
}

impl IntoParams for ViewWithOptions {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let switch = |name, description| query(name, of(Type::Boolean), description);
        let names = |name, description| {
            let several = ArrayBuilder::new()
                .items(of(Type::String))
                .max_items(Some(query::NAMES_MAX));
            query(name, several, description)
        };
        vec![
            query("view", views(), "The view; processes without it"),
            switch(
                "unconnected",
                "Nodes without any connection (true; in processes and processes-by-name false)",
            ),
            switch("ended", "What has ended and is kept for a while (true)"),
            switch("kernel_threads", "Kernel threads (false)"),
            switch("system", "Containers of the platform (false)"),
            switch(
                "uncontained",
                "What runs outside of containers, in views of containers (true)",
            ),
            names(
                "host",
                "Only nodes of these hosts: names or agent ids; may be repeated",
            ),
            names(
                "namespace",
                "Only containers of pods in these namespaces, and what is in them; may be repeated",
            ),
            names(
                "network",
                "Only containers in one of these networks, and what is in them; may be repeated",
            ),
            names(
                "label",
                "Only containers with all of these labels (KEY=VALUE, or KEY), and what is in them; \
                 may be repeated",
            ),
        ]
    }
}

impl IntoParams for Page {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = of(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(query::LIMIT_MAX))
            .default(Some(query::LIMIT_DEFAULT.into()));
        vec![
            query("limit", limit, "Entries in one answer"),
            query("cursor", of(Type::String), "From the answer before"),
        ]
    }
}

fn views() -> ObjectBuilder {
    let names = ViewKind::ALL.iter().map(|kind| kind.name());
    of(Type::String).enum_values(Some(names))
}

fn of(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

fn query(name: &str, schema: impl Into<RefOr<Schema>>, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}
