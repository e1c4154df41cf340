//! `search`: the nodes that a search means.

use mesoscope_proto::v1::{FoundNode, SearchRequest};

use crate::arguments::{Search, Server};
use crate::connect::{Failure, connect};
use crate::output::Output;
use crate::text::printable;

/// Nodes asked for at once.
const PAGE: usize = 1_000;

/// Prints the nodes.
pub async fn run(server: &Server, options: &Search, mut output: Output) -> Result<(), Failure> {
    let mut client = connect(server).await?;
    let mut request = SearchRequest {
        searches: options.searches.clone(),
        view: options
            .view
            .map(|view| view.name().to_owned())
            .unwrap_or_default(),
        kernel_threads: options.kernel_threads,
        ..SearchRequest::default()
    };
    let mut nodes = Vec::new();
    while nodes.len() < options.count {
        let wanted = (options.count - nodes.len()).min(PAGE);
        request.limit = u32::try_from(wanted).unwrap_or(u32::MAX);
        let answer = client.search(request.clone()).await;
        let answer = answer.map_err(|status| Failure::of(&status, server))?;
        let answer = answer.into_inner();
        nodes.extend(answer.nodes);
        request.cursor = answer.cursor;
        if request.cursor.is_empty() {
            break;
        }
    }
    let is_cut = nodes.len() > options.count || !request.cursor.is_empty();
    nodes.truncate(options.count);
    if options.json {
        for node in &nodes {
            output.json(node)?;
        }
        return Ok(());
    }
    if nodes.is_empty() {
        output.line("nothing matches")?;
        return Ok(());
    }
    output.table(
        &["VIEW", "LABEL", "", "MATCHED", "ID"],
        nodes.iter().map(row).collect(),
    )?;
    if is_cut {
        output.line(&format!(
            "there may be more: --count {} shows up to so many",
            options.count * 10
        ))?;
    }
    Ok(())
}

fn row(node: &FoundNode) -> Vec<String> {
    let matched = node.field.as_ref();
    let matched = matched.map(|field| format!("{}: {}", field.label, field.value));
    vec![
        node.view.clone(),
        printable(&node.label),
        printable(&node.label_minor),
        printable(&matched.unwrap_or_default()),
        printable(&node.id),
    ]
}
