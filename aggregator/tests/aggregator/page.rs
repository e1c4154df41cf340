//! A WebSocket client that keeps the view as the page does.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mesoscope_proto::v1::{Edge, Incomplete, Node, TopologyDiff};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::binary::{Aggregator, PATIENCE};

/// The page's state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    pub name: String,
    pub nodes: BTreeMap<String, Node>,
    pub edges: BTreeMap<String, Edge>,
    pub incomplete: Vec<Incomplete>,
}

impl View {
    pub fn apply(&mut self, diff: TopologyDiff) {
        if diff.reset {
            *self = Self {
                name: diff.view.clone(),
                ..Self::default()
            };
        }
        assert_eq!(self.name, diff.view, "a difference of another view");
        for id in &diff.nodes_removed {
            self.nodes.remove(id);
        }
        for id in &diff.edges_removed {
            self.edges.remove(id);
        }
        self.nodes
            .extend(diff.nodes.into_iter().map(|node| (node.id.clone(), node)));
        self.edges
            .extend(diff.edges.into_iter().map(|edge| (edge.id.clone(), edge)));
        for figures in &diff.node_figures {
            if let Some(node) = self.nodes.get_mut(&figures.id) {
                figures.apply_to(node);
            }
        }
        for figures in &diff.edge_figures {
            if let Some(edge) = self.edges.get_mut(&figures.id) {
                figures.apply_to(edge);
            }
        }
        for place in &diff.places {
            if let Some(node) = self.nodes.get_mut(&place.id) {
                (node.x, node.y) = (place.x, place.y);
            }
        }
        if diff.incomplete_changed {
            self.incomplete = diff.incomplete;
        }
    }

    pub fn of(diff: TopologyDiff) -> Self {
        let mut view = Self::default();
        view.apply(diff);
        view
    }
}

pub struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub view: View,
    sequence: u64,
    pub messages: usize,
}

impl Page {
    pub async fn open(aggregator: &Aggregator, query: &str) -> Self {
        let mut page = Self::try_open(aggregator, query, &[])
            .await
            .expect("an upgrade");
        let first = page.receive().await;
        assert!(first.reset, "the first message is the whole view");
        page
    }

    pub async fn try_open(
        aggregator: &Aggregator,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let url = format!("ws://{}/api/v1/ws?{query}", aggregator.http);
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("a name");
            request
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Self {
            socket,
            view: View::default(),
            sequence: 0,
            messages: 0,
        })
    }

    pub async fn say(&mut self, text: &str) {
        self.socket
            .send(Message::text(text))
            .await
            .expect("it listens");
    }

    /// The next text.
    pub async fn text(&mut self) -> String {
        self.text_within(PATIENCE).await.expect("a message in time")
    }

    async fn text_within(&mut self, patience: Duration) -> Option<String> {
        loop {
            let next = tokio::time::timeout(patience, self.socket.next())
                .await
                .ok()?;
            match next.expect("the connection lives").expect("a message") {
                Message::Text(text) => return Some(text.to_string()),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// The next difference, taken into the view.
    pub async fn receive(&mut self) -> TopologyDiff {
        let text = self.text().await;
        self.take(&text)
    }

    fn take(&mut self, text: &str) -> TopologyDiff {
        let diff: TopologyDiff =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if !diff.reset {
            assert_eq!(diff.sequence, self.sequence + 1, "no gap");
        }
        self.sequence = diff.sequence;
        self.messages += 1;
        self.view.apply(diff.clone());
        diff
    }

    /// Takes in differences until the view is as wanted.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&View) -> bool) {
        while !wanted(&self.view) {
            let Some(text) = self.text_within(PATIENCE).await else {
                panic!("never: {what}; the view is {:#?}", self.view);
            };
            self.take(&text);
        }
    }

    /// The next control or end of the connection.
    pub async fn ended(&mut self) -> bool {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await {
                Ok(None | Some(Ok(Message::Close(_)) | Err(_))) => return true,
                Ok(Some(Ok(_))) => {}
                Err(_) => return false,
            }
        }
    }
}
