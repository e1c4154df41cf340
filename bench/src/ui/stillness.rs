//! How many nodes move when 1 % of them change.

use crate::ingest::{Fleet, Node, Size};
use crate::latency::now;
use crate::stack::Stack;
use anyhow::{Context, Result, ensure};
use mesoscope_proto::v1::{Change, Container, ContainerState, WatchTopologyRequest, change};
use std::collections::HashMap;
use std::time::Duration;

/// Pixels at zoom 1 that nobody notices.
const STILL_PX: f32 = 10.0;
/// Until the layout has come to rest.
const REST: Duration = Duration::from_secs(8);

/// Replaces 1 % of the containers by others, and counts which of the rest moved.
pub async fn moved_percent(stack: &Stack, fleet: &Fleet, size: Size) -> Result<f64> {
    let before = places(stack).await?;
    let replaced = (size.nodes * size.containers).div_ceil(100);
    // All on the first host: the fleet lets only its agent speak beside the ordinary.
    let node = Node { number: 0, size };
    let gone = replaced.min(size.containers);
    let mut changes: Vec<Change> = (0..gone).map(|index| removed(node, index)).collect();
    let fresh = size.containers..size.containers + replaced;
    changes.extend(fresh.map(|index| node.container(index, "fresh", now())));
    fleet.mark(changes).await?;
    tokio::time::sleep(REST).await;
    let after = places(stack).await?;
    let stayed: Vec<_> = before
        .iter()
        .filter_map(|(id, from)| Some((from, after.get(id)?)))
        .collect();
    ensure!(!stayed.is_empty(), "no container is left");
    let moved = stayed
        .iter()
        .filter(|(from, to)| (from.0 - to.0).hypot(from.1 - to.1) > STILL_PX)
        .count();
    #[expect(clippy::cast_precision_loss, reason = "some thousand nodes")]
    Ok(moved as f64 / stayed.len() as f64 * 100.0)
}

fn removed(node: Node, index: u32) -> Change {
    Change {
        change: Some(change::Change::Container(Container {
            id: node.container_id(index),
            state: ContainerState::Removed.into(),
            finished_unix_ns: now(),
            ..Default::default()
        })),
    }
}

async fn places(stack: &Stack) -> Result<HashMap<String, (f32, f32)>> {
    let request = WatchTopologyRequest {
        view: "containers".to_owned(),
        ..Default::default()
    };
    let client = stack.observe().await?;
    let mut stream = client
        .max_decoding_message_size(1 << 30)
        .watch_topology(request)
        .await?
        .into_inner();
    let whole = stream.message().await?.context("the view has a picture")?;
    Ok(whole
        .nodes
        .into_iter()
        .filter(|node| node.kind == "container" && node.state == "running")
        .map(|node| (node.id, (node.x, node.y)))
        .collect())
}
