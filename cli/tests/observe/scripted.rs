//! An `Observe` server that says what a test wants said: the real aggregator can't be made to send a
//! certain event, to refuse, or to break a stream at a certain moment.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::Stream;
use mesoscope_proto::v1::observe_server::{Observe, ObserveServer};
use mesoscope_proto::v1::{
    EventBatch, GetNodeRequest, ListAgentsRequest, ListAgentsResponse, NodeDetails,
    QuerySeriesRequest, QuerySeriesResponse, SearchRequest, SearchResponse, StreamEventsRequest,
    TopologyDiff, WatchTopologyRequest,
};
use tonic::{Request, Response, Status};

/// What the server says, and what it was asked.
#[derive(Default)]
pub struct Script {
    pub events: Vec<EventBatch>,
    pub diffs: Vec<TopologyDiff>,
    pub agents: ListAgentsResponse,
    pub node: Option<NodeDetails>,
    /// One answer for each request, in their order.
    pub found: Mutex<VecDeque<SearchResponse>>,
    pub series: Mutex<VecDeque<QuerySeriesResponse>>,
    /// The bearer token that it wants.
    pub token: Option<&'static str>,
    /// End each stream after its messages instead of holding it open.
    pub end_streams: bool,
    pub asked: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Scripted(Arc<Script>);

type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

impl Scripted {
    fn admit<M: std::fmt::Debug>(&self, request: &Request<M>) -> Result<(), Status> {
        let asked = format!("{:?}", request.get_ref());
        self.0.asked.lock().expect("not poisoned").push(asked);
        let shown = request.metadata().get("authorization");
        match self.0.token {
            Some(token) if shown.is_none_or(|value| value != &format!("Bearer {token}")) => {
                Err(Status::unauthenticated("a token is needed"))
            }
            _ => Ok(()),
        }
    }

    fn stream<M: Clone + Send + 'static>(&self, messages: &[M]) -> Response<Messages<M>> {
        use futures::StreamExt;
        let messages: Vec<_> = messages.iter().cloned().map(Ok).collect();
        let messages = futures::stream::iter(messages);
        if self.0.end_streams {
            Response::new(Box::pin(messages))
        } else {
            Response::new(Box::pin(messages.chain(futures::stream::pending())))
        }
    }
}

#[tonic::async_trait]
impl Observe for Scripted {
    type WatchTopologyStream = Messages<TopologyDiff>;
    type StreamEventsStream = Messages<EventBatch>;

    async fn watch_topology(
        &self,
        request: Request<WatchTopologyRequest>,
    ) -> Result<Response<Self::WatchTopologyStream>, Status> {
        self.admit(&request)?;
        Ok(self.stream(&self.0.diffs))
    }

    async fn stream_events(
        &self,
        request: Request<StreamEventsRequest>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        self.admit(&request)?;
        Ok(self.stream(&self.0.events))
    }

    async fn list_agents(
        &self,
        request: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        self.admit(&request)?;
        Ok(Response::new(self.0.agents.clone()))
    }

    async fn get_node(
        &self,
        request: Request<GetNodeRequest>,
    ) -> Result<Response<NodeDetails>, Status> {
        self.admit(&request)?;
        let node = self.0.node.clone();
        let asked = &request.get_ref().id;
        node.filter(|details| details.node.as_ref().is_some_and(|node| node.id == *asked))
            .map(Response::new)
            .ok_or_else(|| Status::not_found("no such node"))
    }

    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<SearchResponse>, Status> {
        self.admit(&request)?;
        next(&self.0.found)
    }

    async fn query_series(
        &self,
        request: Request<QuerySeriesRequest>,
    ) -> Result<Response<QuerySeriesResponse>, Status> {
        self.admit(&request)?;
        next(&self.0.series)
    }
}

fn next<T>(answers: &Mutex<VecDeque<T>>) -> Result<Response<T>, Status> {
    let answer = answers.lock().expect("no panic").pop_front();
    answer
        .map(Response::new)
        .ok_or_else(|| Status::not_found("the script has no more"))
}

/// Serves the script on a port of loopback until the test ends.
pub async fn serve(script: Script) -> (SocketAddr, Arc<Script>) {
    let script = Arc::new(script);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback");
    let address = listener.local_addr().expect("bound");
    let service = ObserveServer::new(Scripted(Arc::clone(&script)));
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)),
    );
    (address, script)
}
