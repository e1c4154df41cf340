//! A reader of the page's WebSocket, and when it learned what.

use super::now;
use anyhow::{Context, Result};
use futures::StreamExt;
use mesoscope_proto::v1::{Edge, Node, TopologyDiff};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

/// First time (Unix nanoseconds) that a frame showed each thing; keys are pids where not said.
#[derive(Default)]
pub struct Shown {
    /// The process.
    pub appeared: HashMap<u32, u64>,
    /// The process as ended, or gone.
    pub ended: HashMap<u32, u64>,
    connected: HashMap<u32, u64>,
    closed: HashMap<u32, u64>,
    /// By the server's pid: the time at which the first, second, ... connection from outside showed.
    pub inbound: HashMap<u32, Vec<u64>>,
    /// By container id.
    pub containers: HashMap<String, u64>,
    edges: HashMap<String, Edge>,
}

/// The pid in "process;HOST;PID;START".
fn pid(id: &str) -> Option<u32> {
    let mut parts = id.split(';');
    (parts.next() == Some("process")).then_some(())?;
    parts.nth(1)?.parse().ok()
}

impl Shown {
    /// The times of one kind of act: "connect", "close" or "exit".
    pub fn of(&self, kind: &str) -> &HashMap<u32, u64> {
        match kind {
            "connect" => &self.connected,
            "close" => &self.closed,
            _ => &self.ended,
        }
    }

    fn take_in(&mut self, diff: &TopologyDiff, time: u64) {
        for node in &diff.nodes {
            self.node(node, time);
        }
        for pid in diff.nodes_removed.iter().filter_map(|id| pid(id)) {
            self.ended.entry(pid).or_insert(time);
        }
        for edge in &diff.edges {
            self.edge(edge.clone(), time);
        }
        for figures in &diff.edge_figures {
            if let Some(mut edge) = self.edges.get(&figures.id).cloned() {
                figures.apply_to(&mut edge);
                self.edge(edge, time);
            }
        }
    }

    fn node(&mut self, node: &Node, time: u64) {
        if let Some(pid) = pid(&node.id) {
            self.appeared.entry(pid).or_insert(time);
            if node.state == "exited" {
                self.ended.entry(pid).or_insert(time);
            }
        }
        if let Some(id) = node.id.strip_prefix("container;") {
            // "container;ID" or "container;HOST;ID".
            let id = id.rsplit(';').next().unwrap_or(id);
            self.containers.entry(id.to_owned()).or_insert(time);
        }
    }

    fn edge(&mut self, edge: Edge, time: u64) {
        if let Some(source) = pid(&edge.source) {
            self.connected.entry(source).or_insert(time);
            if edge.connections_open == 0 {
                self.closed.entry(source).or_insert(time);
            }
        } else if let Some(target) = pid(&edge.target) {
            let before = self.edges.get(&edge.id);
            let before = before.map_or(0, |before| before.connections_total);
            let times = self.inbound.entry(target).or_default();
            times.extend((before..edge.connections_total).map(|_| time));
        }
        self.edges.insert(edge.id.clone(), edge);
    }
}

/// An open page.
pub struct Page {
    shown: Arc<Mutex<Shown>>,
    task: JoinHandle<()>,
}

impl Page {
    /// Opens it; the whole view has arrived when this returns.
    pub async fn open(url: &str) -> Result<Self> {
        let (mut socket, _) = tokio_tungstenite::connect_async(url)
            .await
            .with_context(|| format!("opening {url}"))?;
        let shown = Arc::new(Mutex::new(Shown::default()));
        let into = shown.clone();
        let (tell, first) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut tell = Some(tell);
            while let Some(Ok(message)) = socket.next().await {
                let time = now();
                let Message::Text(text) = message else {
                    continue;
                };
                match serde_json::from_str::<TopologyDiff>(&text) {
                    Ok(diff) => into
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .take_in(&diff, time),
                    Err(error) => eprintln!("a frame is no TopologyDiff: {error}"),
                }
                if let Some(tell) = tell.take() {
                    let _ = tell.send(());
                }
            }
        });
        tokio::time::timeout(Duration::from_secs(10), first)
            .await
            .context("no frame within 10 s")??;
        Ok(Self { shown, task })
    }

    /// Looks at what has been shown so far.
    pub fn look<R>(&self, with: impl FnOnce(&Shown) -> R) -> R {
        with(&self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until `done`, or until `limit` has passed.
    pub async fn settle(&self, limit: Duration, done: impl Fn(&Shown) -> bool) {
        let begun = Instant::now();
        while !self.look(&done) && begun.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(source: &str, open: u32, total: u64) -> Edge {
        Edge {
            id: format!("{source}>t"),
            source: source.into(),
            target: "process;h;9;1".into(),
            connections_open: open,
            connections_total: total,
            ..Edge::default()
        }
    }

    #[test]
    fn each_inbound_connection_has_the_time_of_its_frame() {
        let mut shown = Shown::default();
        shown.edge(edge("pseudo;internet", 1, 1), 10);
        shown.edge(edge("pseudo;internet", 3, 3), 20);
        assert_eq!(shown.inbound[&9], [10, 20, 20]);
    }

    #[test]
    fn a_close_is_the_first_frame_without_an_open_connection() {
        let mut shown = Shown::default();
        for (open, time) in [(1, 10), (0, 20), (0, 30)] {
            shown.edge(edge("process;h;7;1", open, 1), time);
        }
        assert_eq!((shown.of("connect")[&7], shown.of("close")[&7]), (10, 20));
    }

    #[test]
    fn only_process_nodes_have_a_pid() {
        assert_eq!(pid("process;h;42;7"), Some(42));
        assert_eq!(pid("container;42;42;42"), None);
        assert_eq!(pid("process;h"), None);
    }
}
