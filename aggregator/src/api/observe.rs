//! The gRPC service of consumers.

use std::pin::Pin;

use futures::Stream;
use mesoscope_proto::v1::observe_server::Observe;
use mesoscope_proto::v1::{
    EventBatch, GetNodeRequest, ListAgentsRequest, ListAgentsResponse, NodeDetails,
    QuerySeriesRequest, QuerySeriesResponse, SearchRequest, SearchResponse, StreamEventsRequest,
    TopologyDiff, WatchTopologyRequest,
};
use mesoscope_topology::{Options, ViewKind};
use tonic::{Request, Response, Status};

use super::{Api, search, series};
use crate::events::{self, Filter};

/// The consumers' service.
#[derive(Debug, Clone)]
pub struct ObserveService {
    api: Api,
}

impl ObserveService {
    /// A service over the same state as the HTTP side.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { api }
    }
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn kind_of(name: &str) -> Result<ViewKind, Status> {
    if name.is_empty() {
        return Ok(ViewKind::Processes);
    }
    name.parse()
        .map_err(|unknown: mesoscope_topology::UnknownView| {
            Status::invalid_argument(unknown.to_string())
        })
}

fn drained<T>() -> Result<T, Status> {
    Err(Status::unavailable("the aggregator is shutting down"))
}

#[tonic::async_trait]
impl Observe for ObserveService {
    type WatchTopologyStream = Streamed<TopologyDiff>;
    type StreamEventsStream = Streamed<EventBatch>;

    async fn watch_topology(
        &self,
        request: Request<WatchTopologyRequest>,
    ) -> Result<Response<Self::WatchTopologyStream>, Status> {
        let request = request.into_inner();
        let kind = kind_of(&request.view)?;
        let asked = request.options.unwrap_or_default();
        if asked.hosts.len() > 64 {
            return Err(Status::invalid_argument("at most 64 hosts"));
        }
        let options = Options::new(kind, &asked);
        if request.at_unix_ms != 0 {
            let view = self.api.view(Some(request.at_unix_ms), kind, options).await;
            let view = view.map_err(|error| error.grpc())?;
            return Ok(Response::new(Box::pin(futures::stream::iter([Ok(view)]))));
        }
        let subscription = self.api.views.subscribe(kind, options, "grpc").await;
        let subscription =
            subscription.map_err(|full| Status::resource_exhausted(full.to_string()))?;
        let state = Some((subscription, self.api.drain.clone()));
        let stream = futures::stream::unfold(state, async |state| {
            let (mut subscription, drain) = state?;
            match drain.run_until_cancelled(subscription.next()).await {
                Some(message) => Some((Ok(message.diff()), Some((subscription, drain)))),
                None => Some((drained(), None)),
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn stream_events(
        &self,
        request: Request<StreamEventsRequest>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let filter = Filter::new(request.into_inner()).map_err(Status::invalid_argument)?;
        if self.api.core.events().subscribers() >= events::SUBSCRIBERS_MAX {
            let full = format!(
                "{} subscribers follow events already",
                events::SUBSCRIBERS_MAX
            );
            return Err(Status::resource_exhausted(full));
        }
        let subscription = self.api.core.events().subscribe(filter);
        let counted = Counted::new(&self.api);
        let state = Some((subscription, self.api.clone(), counted));
        let stream = futures::stream::unfold(state, async |state| {
            let (mut subscription, api, counted) = state?;
            let next = subscription.next(api.core.events());
            match api.drain.clone().run_until_cancelled(next).await.flatten() {
                Some(batch) => {
                    api.metrics.events_missed.inc_by(batch.missed);
                    Some((Ok(batch.into()), Some((subscription, api, counted))))
                }
                None => Some((drained(), None)),
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn list_agents(
        &self,
        _request: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        let agents = self.api.agents();
        Ok(Response::new(ListAgentsResponse { agents }))
    }

    async fn get_node(
        &self,
        request: Request<GetNodeRequest>,
    ) -> Result<Response<NodeDetails>, Status> {
        let request = request.into_inner();
        let kind = kind_of(&request.view)?;
        let node = match request.at_unix_ms {
            0 => self.api.node(kind, &request.id, request.environment),
            at_ms => {
                let id = request.id.clone();
                let node = self.api.node_at(at_ms, kind, id, request.environment);
                node.await.map_err(|error| error.grpc())?
            }
        };
        node.map(Response::new).ok_or_else(|| {
            Status::not_found(format!("the view {kind} has no node {:?}", request.id))
        })
    }

    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<SearchResponse>, Status> {
        let found = search::over_grpc(self.api.clone(), request.into_inner()).await;
        found.map(Response::new).map_err(|error| error.grpc())
    }

    async fn query_series(
        &self,
        request: Request<QuerySeriesRequest>,
    ) -> Result<Response<QuerySeriesResponse>, Status> {
        let series = series::over_grpc(&self.api, request.into_inner()).await;
        series.map(Response::new).map_err(|error| error.grpc())
    }
}

/// Counts a subscriber of events for as long as it lives.
struct Counted(prometheus::IntGauge);

impl Counted {
    fn new(api: &Api) -> Self {
        let gauge = api.metrics.views.subscribers.with_label_values(&["events"]);
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
