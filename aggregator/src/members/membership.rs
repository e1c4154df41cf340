//! Who shares the agents, and who looks after which.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use mesoscope_members::{Missing, Patience, Presence};
use mesoscope_proto::v1::peers_client::PeersClient;
use mesoscope_proto::v1::{Hello, SeriesAsk, SeriesTold};
use mesoscope_service::token::Bearer;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::core::Core;

/// How long things may take.
pub(super) const PATIENCE: Patience = Patience {
    silence_ms: 2_000,
    settle_ms: 3_000,
};

/// A member that does not answer for so long is left out.
const SERIES_PATIENCE: Duration = Duration::from_secs(2);

/// Shows the secret of the members.
#[derive(Debug, Clone)]
pub(super) struct Shown(pub(super) Option<Bearer>);

impl Interceptor for Shown {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match &mut self.0 {
            Some(bearer) => bearer.call(request),
            None => Ok(request),
        }
    }
}

/// Asks a member.
pub(super) type MemberClient = PeersClient<InterceptedService<Channel, Shown>>;

/// The members as this one sees them; there may be no other.
#[derive(Debug)]
pub struct Membership {
    core: Arc<Core>,
    presence: Mutex<Presence>,
    /// The addresses for the agents; none while there is no other member.
    list: watch::Sender<Vec<String>>,
    /// Those that are there.
    clients: Mutex<BTreeMap<Arc<str>, MemberClient>>,
}

impl Membership {
    /// One that shares the agents with nobody.
    #[must_use]
    pub fn alone(core: Arc<Core>) -> Arc<Self> {
        Self::new(core, "".into())
    }

    /// One that agents and members reach under this address.
    #[must_use]
    pub fn new(core: Arc<Core>, own: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            core,
            presence: Mutex::new(Presence::new(own, PATIENCE)),
            list: watch::Sender::new(Vec::new()),
            clients: Mutex::default(),
        })
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are the members.
    pub fn set(&self, members: &[Arc<str>]) {
        let all = {
            let mut presence = self.presence();
            presence.list(members, self.core.now_ms());
            presence.members()
        };
        let urls = all.iter().map(ToString::to_string).collect();
        self.list.send_replace(urls);
        self.show_missing();
    }

    /// The address of this one; empty when it is alone.
    #[must_use]
    pub fn own(&self) -> Arc<str> {
        self.presence().own().clone()
    }

    /// All members, this one among them.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<str>> {
        self.presence().members()
    }

    /// Those that are not there.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        self.presence().missing()
    }

    /// The addresses for the agents, and their changes.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Vec<String>> {
        self.list.subscribe()
    }

    /// The member that is to look after an agent, when it is another one and the agent can go there.
    #[must_use]
    pub fn other_owner(&self, hello: &Hello) -> Option<Arc<str>> {
        if !hello.moves {
            return None;
        }
        let presence = self.presence();
        let now_ms = self.core.now_ms();
        let owner = presence.owner(&hello.agent_id, &hello.unreachable, now_ms);
        (owner != presence.own()).then(|| owner.clone())
    }

    /// Whether this member answers for an agent: one that it owns, or would.
    #[must_use]
    pub fn answers_for(&self, agent_id: &str) -> bool {
        let presence = self.presence();
        presence.owner(agent_id, &[], self.core.now_ms()) == presence.own()
    }

    /// A member can be asked by this, or not any more.
    pub(super) fn reach(&self, member: &Arc<str>, client: Option<MemberClient>) {
        let mut clients = self.clients();
        match client {
            Some(client) => drop(clients.insert(member.clone(), client)),
            None => drop(clients.remove(member)),
        }
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, MemberClient>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all members for the values over time that their agents told them of a node. Gives those
    /// that did not answer, too.
    pub async fn ask_series(&self, asked: &SeriesAsk) -> (Vec<SeriesTold>, Vec<Arc<str>>) {
        let clients = self.clients().clone();
        let mut silent: Vec<_> = self.missing().into_iter().map(|it| it.member).collect();
        let asking = clients.into_iter().map(async |(member, mut client)| {
            let answer = timeout(SERIES_PATIENCE, client.series(asked.clone())).await;
            (member, answer)
        });
        let mut told = Vec::new();
        for (member, answer) in join_all(asking).await {
            match answer {
                Ok(Ok(answer)) => told.push(answer.into_inner()),
                Ok(Err(_)) | Err(_) if silent.contains(&member) => {}
                Ok(Err(_)) | Err(_) => silent.push(member),
            }
        }
        (told, silent)
    }

    pub(super) fn heard(&self, member: &str) {
        let news = self.presence().heard(member, self.core.now_ms());
        if news {
            tracing::info!(member, "an aggregator that shares the agents is there");
            self.show_missing();
        }
    }

    pub(super) fn lost(&self, member: &str) -> bool {
        let news = self.presence().lost(member, self.core.now_ms());
        if news {
            tracing::warn!(member, "an aggregator that shares the agents is missing");
            self.show_missing();
        }
        news
    }

    pub(super) fn advance(&self) {
        let lost = self.presence().advance(self.core.now_ms());
        for member in &lost {
            tracing::warn!(%member, "an aggregator that shares the agents has fallen silent");
        }
        if !lost.is_empty() {
            self.show_missing();
        }
    }

    /// Has the map say so.
    fn show_missing(&self) {
        // Read and shown under one lock: of two changes at a time, the later one is shown last.
        let presence = self.presence();
        let missing = presence.missing().into_iter();
        let missing = missing.map(|missing| (missing.member, missing.since_ms));
        let missing = missing.collect();
        self.core
            .change(|topology, _, _| topology.miss_aggregators(missing));
    }
}
