//! The document of REST and its page, from the binary alone.

use super::binary::{self, Aggregator};

#[tokio::test]
async fn the_document_and_its_page_are_served_without_anything_from_elsewhere() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let data = format!("--data-dir={}", scratch.path().display());
    let aggregator = Aggregator::start(&["--require-sign-in", &data]);
    let document = aggregator.json("/api/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let map = &document["paths"]["/api/topology"]["get"];
    assert_eq!(
        map["responses"]["400"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Error"
    );
    assert_eq!(map["security"][0]["token"], serde_json::json!([]));
    assert_eq!(
        document["paths"]["/health"]["get"]["security"],
        serde_json::Value::Null
    );

    let page = aggregator.get("/api/docs/").await;
    assert_eq!(page.status, 200, "{page:?}");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'"));
    assert!(
        !page.body.contains("http://") && !page.body.contains("https://"),
        "{}",
        page.body
    );
    let start = aggregator.get("/api/docs/swagger-initializer.js").await;
    assert_eq!(start.status, 200);
    assert!(start.body.contains("/api/openapi.json"), "{}", start.body);
    assert!(
        start.body.contains("\"validatorUrl\": \"none\""),
        "{}",
        start.body
    );
    for file in [
        "swagger-ui.css",
        "swagger-ui-bundle.js",
        "swagger-ui-standalone-preset.js",
    ] {
        let path = format!("/api/docs/{file}");
        assert_eq!(aggregator.get(&path).await.status, 200, "{path}");
    }
    assert_eq!(aggregator.get("/api/docs/nothing").await.status, 404);
}

#[test]
fn what_is_checked_in_is_what_the_binary_says() {
    let output = binary::run(&["--print-openapi"], &[]);
    assert!(output.status.success());
    let checked_in = include_str!("../../../docs/openapi.json");
    assert!(
        String::from_utf8_lossy(&output.stdout) == checked_in,
        "docs/openapi.json is stale: run `cargo xtask tidy --fix`"
    );
}
