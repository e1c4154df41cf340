//! Someone who looks at a view of the fleet, and when a change of the first node shows there.

use super::node::{Node, Size};
use crate::latency::{Series, now};
use crate::stack::Stack;
use anyhow::Result;
use mesoscope_proto::v1::{Change, ViewOptions, WatchTopologyRequest};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Marks are processes with these pids.
const MARK_PID: u32 = 3_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Hosts,
    Containers,
    ProcessesOfOneHost,
}

impl View {
    fn name(self) -> &'static str {
        match self {
            Self::Hosts => "all hosts",
            Self::Containers => "all containers",
            Self::ProcessesOfOneHost => "processes of one host",
        }
    }

    fn request(self, size: Size) -> WatchTopologyRequest {
        let first = Node { number: 0, size };
        let (view, hosts) = match self {
            Self::Hosts => ("hosts", Vec::new()),
            Self::Containers => ("containers", Vec::new()),
            Self::ProcessesOfOneHost => ("processes", vec![first.name()]),
        };
        WatchTopologyRequest {
            view: view.to_owned(),
            options: Some(ViewOptions {
                unconnected: Some(true),
                hosts,
                ..ViewOptions::default()
            }),
            at_unix_ms: 0,
        }
    }
}

/// When each mark was sent, and when it was first seen; Unix nanoseconds.
#[derive(Default)]
struct Marks {
    sent: HashMap<u32, u64>,
    seen: HashMap<u32, u64>,
}

/// A consumer of a view.
pub struct Watch {
    view: View,
    marks: Arc<Mutex<Marks>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// One of each; their first, whole picture has arrived when this returns.
    pub async fn all(stack: &Stack, size: Size) -> Result<Vec<Self>> {
        let mut watches = Vec::new();
        for view in [View::Hosts, View::Containers, View::ProcessesOfOneHost] {
            watches.push(Self::open(stack, size, view).await?);
        }
        Ok(watches)
    }

    async fn open(stack: &Stack, size: Size, view: View) -> Result<Self> {
        let client = stack.observe().await?;
        let mut stream = client
            .max_decoding_message_size(1 << 30)
            .watch_topology(view.request(size))
            .await?
            .into_inner();
        stream.message().await?;
        let marks = Arc::new(Mutex::new(Marks::default()));
        let into = marks.clone();
        let task = tokio::spawn(async move {
            while let Ok(Some(diff)) = stream.message().await {
                let time = now();
                let found = diff
                    .nodes
                    .iter()
                    .filter_map(|node| mark_of(&node.label).or_else(|| mark_of(&node.label_minor)));
                let mut marks = into.lock().unwrap_or_else(PoisonError::into_inner);
                for mark in found {
                    marks.seen.entry(mark).or_insert(time);
                }
            }
        });
        Ok(Self { view, marks, task })
    }

    /// A mark is about to be sent.
    pub fn expect(&self, mark: u32) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.sent.insert(mark, now());
    }

    /// The change that shows as this mark.
    pub fn mark(&self, node: Node, mark: u32, now: u64) -> Vec<Change> {
        let name = format!("mark-{mark}");
        vec![match self.view {
            View::Hosts => node.host(&name),
            View::Containers => node.container(0, &name, now),
            View::ProcessesOfOneHost => node.start(MARK_PID + mark, &name, now),
        }]
    }

    /// Waits for the last marks: the view's name, and how long each took.
    pub async fn finish(self, limit: Duration) -> Result<(String, Series)> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            {
                let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
                if marks.sent.keys().all(|mark| marks.seen.contains_key(mark)) {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut series = Series::new()?;
        for (mark, sent) in &marks.sent {
            series.add(*sent, marks.seen.get(mark).copied())?;
        }
        Ok((self.view.name().to_owned(), series))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The number in "mark-7" or "mark-7-0", wherever it stands.
fn mark_of(label: &str) -> Option<u32> {
    let (_, after) = label.split_once("mark-")?;
    let digits = after
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(after.len());
    after[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::mark_of;

    #[test]
    fn a_mark_is_found_where_it_stands() {
        assert_eq!(mark_of("mark-7"), Some(7));
        assert_eq!(mark_of("mark-12-0"), Some(12));
        assert_eq!(mark_of("Linux mark-3"), Some(3));
        assert_eq!(mark_of("worker-3"), None);
        assert_eq!(mark_of("mark-"), None);
    }
}
