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

/// How many percent of the others moved.
pub struct Moved {
    /// When 1 % of the containers, on as many hosts as there are, were replaced by others.
    pub everywhere: f64,
    /// When as many came to one host, which then needs the room of its neighbours.
    pub on_one_host: f64,
}

/// Replaces 1 % of the containers by others, and counts which of the rest moved; twice.
pub async fn moved_percent(stack: &Stack, fleet: &Fleet, size: Size) -> Result<Moved> {
    let replaced = (size.nodes * size.containers).div_ceil(100);
    let hosts = size.nodes.min(replaced);
    let before = places(stack).await?;
    for host in 0..hosts {
        // The last hosts take what is left over.
        let count = replaced / hosts + u32::from(host < replaced % hosts);
        // The first host is for the second time.
        let node = Node {
            number: size.nodes - 1 - host,
            size,
        };
        replace(fleet, node, count).await?;
    }
    let everywhere = moved(&before, &places_at_rest(stack).await?)?;
    let before = places(stack).await?;
    replace(fleet, Node { number: 0, size }, replaced).await?;
    let on_one_host = moved(&before, &places_at_rest(stack).await?)?;
    Ok(Moved {
        everywhere,
        on_one_host,
    })
}

/// Takes as many containers from a host as it has, up to `count`, and gives it `count` others.
async fn replace(fleet: &Fleet, node: Node, count: u32) -> Result<()> {
    let size = node.size;
    let gone = count.min(size.containers);
    let mut changes: Vec<Change> = (0..gone).map(|index| removed(node, index)).collect();
    let fresh = size.containers..size.containers + count;
    changes.extend(fresh.map(|index| node.container(index, "fresh", now())));
    fleet.mark_at(node.number, changes).await
}

fn moved(before: &Places, after: &Places) -> Result<f64> {
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

type Places = HashMap<String, (f32, f32)>;

async fn places_at_rest(stack: &Stack) -> Result<Places> {
    tokio::time::sleep(REST).await;
    places(stack).await
}

async fn places(stack: &Stack) -> Result<Places> {
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
