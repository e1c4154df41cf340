//! Agents that are asked through another member, which has their stream; and asking for one. The
//! protocol is that of the agents, with other numbers: windows and credits go from end to end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use mesoscope_proto::v1::control_answer::Answer;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::relayed::Message as Relayed;
use mesoscope_proto::v1::{
    ControlCancel, ControlHello, ControlOutcome, ControlRequest, ControlResult, RelayedControl,
    RoutedAnswer, RoutedRequest,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::requests::Forward;
use super::{Control, Link, Outbox, Requests, lock};
use crate::ingest::{Outlet, Relayer};

/// Requests, and answers, that wait for a member to read them.
pub const ROUTED_MAX: usize = 16_384;

/// An agent that another member asks.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) link: Arc<Link>,
    connection: u64,
}

/// The way to an agent through another member.
#[derive(Debug)]
pub(super) struct Outward {
    agent_id: String,
    requests: mpsc::Sender<RoutedRequest>,
}

impl Outward {
    pub(super) fn tell(&self, generation: u64, request: ControlRequest) -> bool {
        let request = RoutedRequest {
            agent_id: self.agent_id.clone(),
            generation,
            request: Some(request),
        };
        self.requests.try_send(request).is_ok()
    }
}

impl Route {
    fn end(&self) {
        self.link.closed.cancel();
        lock(&self.link.requests).end();
    }
}

impl Control {
    /// Tells the members whether an agent here can be asked.
    pub(super) fn tell_members(&self, agent: &ControlHello, is_there: bool) {
        self.hub.tell(&Relayed::Control(RelayedControl {
            agent_id: agent.agent_id.clone(),
            generation: agent.generation,
            is_there,
        }));
    }

    /// Tells a member that begins to listen which agents here can be asked.
    pub fn announce(&self, outlet: &Outlet) {
        for (agent_id, link) in lock(&self.links).iter() {
            outlet.tell(Relayed::Control(RelayedControl {
                agent_id: agent_id.clone(),
                generation: link.generation,
                is_there: true,
            }));
        }
    }

    /// A member says whether one of its agents can be asked, by these requests to it.
    pub fn route(
        &self,
        from: &Relayer,
        told: RelayedControl,
        requests: &mpsc::Sender<RoutedRequest>,
    ) {
        let mut routes = lock(&self.routes);
        let known = routes.get(&told.agent_id);
        if !told.is_there {
            let same = |route: &Route| {
                route.connection == from.connection && route.link.generation == told.generation
            };
            if known.is_some_and(same)
                && let Some(route) = routes.remove(&told.agent_id)
            {
                route.end();
            }
            return;
        }
        let route = Route {
            link: Arc::new(Link {
                generation: told.generation,
                requests: Mutex::new(Requests::default()),
                outbox: Outbox::Member(Outward {
                    agent_id: told.agent_id.clone(),
                    requests: requests.clone(),
                }),
                closed: CancellationToken::new(),
            }),
            connection: from.connection,
        };
        if let Some(before) = routes.insert(told.agent_id, route) {
            before.end();
        }
    }

    /// What an agent answered through a member.
    ///
    /// # Errors
    /// When it is not what was asked for.
    pub fn answered(&self, from: &Relayer, routed: RoutedAnswer) -> Result<(), Status> {
        let link = {
            let routes = lock(&self.routes);
            let route = routes.get(&routed.agent_id);
            let route = route.filter(|route| {
                route.connection == from.connection && route.link.generation == routed.generation
            });
            route.map(|route| route.link.clone())
        };
        let (Some(link), Some(answer)) = (link, routed.answer) else {
            return Ok(());
        };
        let taken = lock(&link.requests).take(answer);
        taken.map_err(|broken| Status::invalid_argument(broken.to_string()))
    }

    /// A member is gone: its agents can't be asked through it.
    pub fn unroute(&self, from: &Relayer) {
        lock(&self.routes).retain(|_, route| {
            let stays = route.connection != from.connection;
            if !stays {
                route.end();
            }
            stays
        });
    }
}

/// Answers on their way to one member.
pub type Answers = mpsc::Receiver<RoutedAnswer>;

/// What another member asks of the agents here. Dropping it ends what is under way.
#[derive(Debug)]
pub struct RouteServer {
    control: Arc<Control>,
    answers: mpsc::Sender<RoutedAnswer>,
    /// By the agent and the member's number.
    under_way: HashMap<(String, u64), (Arc<Link>, u64)>,
    /// Cancelled when the member does not take its answers.
    pub closed: CancellationToken,
}

impl RouteServer {
    /// For one member, which is to be given what comes out of the other end.
    #[must_use]
    pub fn new(control: Arc<Control>) -> (Self, Answers) {
        let (answers, answered) = mpsc::channel(ROUTED_MAX);
        let server = Self {
            control,
            answers,
            under_way: HashMap::new(),
            closed: CancellationToken::new(),
        };
        (server, answered)
    }

    /// The member asks something.
    pub fn take(&mut self, routed: RoutedRequest) {
        let RoutedRequest {
            agent_id,
            generation,
            request,
        } = routed;
        let Some(ControlRequest {
            request: number,
            message: Some(message),
        }) = request
        else {
            return;
        };
        let key = (agent_id, number);
        if matches!(message, Message::Cancel(_)) {
            if let Some((link, local)) = self.under_way.remove(&key)
                && lock(&link.requests).forget(local)
            {
                link.tell(local, message);
            }
            return;
        }
        if let Some((link, local)) = self.under_way.get(&key) {
            return link.tell(*local, message);
        }
        let goes_on = matches!(
            message,
            Message::Credit(_) | Message::Input(_) | Message::Resize(_)
        );
        if goes_on {
            // Of something that has ended.
            return;
        }
        let forward = Forward {
            agent_id: key.0.clone(),
            generation,
            number,
            answers: self.answers.clone(),
            closed: self.closed.clone(),
        };
        let link = self.control.link_here(&key.0, generation);
        let opened = link.map(|link| {
            let local = lock(&link.requests).open_elsewhere(forward.clone());
            (link, local)
        });
        match opened {
            Some((link, Some(local))) => {
                link.tell(local, message);
                self.under_way.insert(key, (link, local));
            }
            Some((_, None)) => {
                let text = "as much as this aggregator allows is under way already";
                forward.tell(outcome(ControlResult::Busy, text));
            }
            None => forward.tell(outcome(ControlResult::Unavailable, "the agent went away")),
        }
    }

    /// An answer goes out to the member.
    pub fn answered(&mut self, routed: &RoutedAnswer) {
        if let Some(answer) = &routed.answer
            && matches!(answer.answer, Some(Answer::Outcome(_)))
        {
            self.under_way
                .remove(&(routed.agent_id.clone(), answer.request));
        }
    }
}

impl Drop for RouteServer {
    fn drop(&mut self) {
        for (link, local) in self.under_way.values() {
            if lock(&link.requests).forget(*local) {
                link.tell(*local, Message::Cancel(ControlCancel {}));
            }
        }
    }
}

fn outcome(result: ControlResult, message: &str) -> Answer {
    Answer::Outcome(ControlOutcome {
        result: result.into(),
        message: message.to_owned(),
        ..ControlOutcome::default()
    })
}
