//! Several aggregators that share the agents.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use mesoscope_members::rank;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::uplink_client::UplinkClient;
use mesoscope_proto::v1::{
    Change, ContainerVerb, ControlResult, Hello, HostMetrics, SnapshotPart, change,
};
use serde_json::Value;
use tonic::Code;

use super::agent::{self, Agent, Told, channel, hello};
use super::binary::{Aggregator, eventually};
use super::control;
use super::page::View;
use super::roamer::Roamer;

const PROCESSES: &str = "/api/topology?view=processes";
/// Agents of one member.
const AGENTS_EACH: usize = 4;
/// What is promised. The machine may be busy with other tests: they wait longer, and print.
const PROMISED: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(120);

struct Member {
    url: String,
    ports: (u16, u16),
    aggregator: Option<Aggregator>,
}

/// Some aggregators that share agents by a static list.
struct Members {
    all: Vec<Member>,
    options: Vec<String>,
}

pub fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let port = |held: &TcpListener| held.local_addr().expect("bound").port();
    held.iter().map(port).collect()
}

impl Members {
    fn start(count: usize) -> Self {
        let ports = free_ports(2 * count);
        let all = ports.chunks(2).map(|pair| Member {
            url: format!("http://127.0.0.1:{}", pair[1]),
            ports: (pair[0], pair[1]),
            aggregator: None,
        });
        let all: Vec<_> = all.collect();
        let urls: Vec<_> = all.iter().map(|member| member.url.clone()).collect();
        let mut members = Self {
            all,
            options: vec!["--peer".to_owned(), urls.join(",")],
        };
        for number in 0..count {
            members.begin(number);
        }
        members
    }

    fn begin(&mut self, number: usize) {
        let options: Vec<_> = self.options.iter().map(String::as_str).collect();
        let member = &mut self.all[number];
        let (http, grpc) = member.ports;
        member.aggregator = Some(Aggregator::start_on(http, grpc, &options));
    }

    fn kill(&mut self, number: usize) {
        self.all[number].aggregator.take().expect("it runs").kill();
    }

    fn urls(&self) -> Vec<String> {
        self.all.iter().map(|member| member.url.clone()).collect()
    }

    fn there(&self) -> impl Iterator<Item = &Aggregator> {
        self.all
            .iter()
            .filter_map(|member| member.aggregator.as_ref())
    }

    fn at(&self, number: usize) -> &Aggregator {
        self.all[number].aggregator.as_ref().expect("it runs")
    }

    /// Waits until each has heard of each other.
    async fn met(&self) {
        for aggregator in self.there() {
            for other in &self.all {
                let own = format!("http://{}", aggregator.grpc);
                let metric = format!("mesoscope_member_there{{member=\"{}\"}}", other.url);
                eventually("the members meet", async || {
                    let there = own == other.url || aggregator.metric(&metric).await > 0.5;
                    there.then_some(())
                })
                .await;
            }
        }
    }

    /// Ids of agents that belong to a member.
    fn ids(&self, number: usize) -> impl Iterator<Item = String> {
        let urls = self.urls();
        let all = (0..).map(|agent| format!("agent-{agent}"));
        all.filter(move |id| {
            let owner = (0..urls.len()).max_by_key(|member| rank(&urls[*member], id));
            owner == Some(number)
        })
    }

    /// Waits until each member shows each agent where it belongs among those that are there.
    async fn settled(&self, agents: &[Roamer], what: &str) -> Duration {
        let begun = Instant::now();
        let urls: Vec<_> = self
            .all
            .iter()
            .filter(|member| member.aggregator.is_some())
            .map(|member| member.url.as_str())
            .collect();
        loop {
            let mut wrong = Vec::new();
            for aggregator in self.there() {
                let shown = where_agents_are(aggregator).await;
                let own = format!("http://{}", aggregator.grpc);
                for agent in agents {
                    let owner = urls.iter().max_by_key(|url| rank(url, &agent.agent_id));
                    let owner = *owner.expect("one is there");
                    let expected = if owner == own { "" } else { owner };
                    if shown.get(&agent.agent_id).map(String::as_str) != Some(expected) {
                        let at = shown.get(&agent.agent_id);
                        wrong.push(format!(
                            "{own} shows {} at {at:?}, not {owner:?}",
                            agent.agent_id
                        ));
                    }
                }
            }
            if wrong.is_empty() {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < LONG, "{what}: {wrong:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until each member shows the same one edge, with both real ends.
    async fn one_edge(&self, client: &str, server: &str) {
        for aggregator in self.there() {
            let begun = Instant::now();
            loop {
                let view = view(aggregator).await;
                let edges: Vec<_> = view.edges.values().collect();
                if let [edge] = edges.as_slice()
                    && edge.source.starts_with(&format!("process;{client};100;"))
                    && edge.target.starts_with(&format!("process;{server};200;"))
                    && (edge.connections_open, edge.connections_total) == (1, 1)
                {
                    break;
                }
                assert!(begun.elapsed() < LONG, "{edges:#?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn view(aggregator: &Aggregator) -> View {
    View::of(serde_json::from_value(aggregator.json(PROCESSES).await).expect("a difference"))
}

/// Connected agents, and the member at which each is; "" for this one.
async fn where_agents_are(aggregator: &Aggregator) -> BTreeMap<String, String> {
    let list = aggregator.json("/api/v1/agents/list").await;
    let agents = list["agents"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let connected = agents.filter(|agent| agent["connected"] == true);
    connected
        .map(|agent| (text(&agent["agent_id"]), text(&agent["aggregator"])))
        .collect()
}

/// The agents of a client and a server, which talk and belong to different members, and some more.
fn fleet(members: &Members) -> Vec<Roamer> {
    let urls = members.urls();
    let mut agents = Vec::new();
    for number in 0..members.all.len() {
        for (place, id) in members.ids(number).take(AGENTS_EACH).enumerate() {
            let changes: Vec<Change> = match (number, place) {
                (0, 0) => agent::client_side(),
                (1, 0) => agent::server_side(),
                _ => vec![agent::host(&id, "10.1.0.1"), agent::process(1, "init")],
            };
            // Each begins at another one than it belongs to.
            let mut known = urls.clone();
            known.rotate_left((number + 1) % urls.len());
            agents.push(Roamer::start(&id, &known, changes));
        }
    }
    agents
}

async fn incomplete(aggregator: &Aggregator) -> String {
    let view = view(aggregator).await;
    let lines = view.incomplete.iter().map(|line| line.message.as_str());
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agents_of_a_member_that_dies_are_at_the_others_and_the_map_is_right() {
    let mut members = Members::start(3);
    let agents = fleet(&members);
    let (client, server) = (&agents[0].agent_id, &agents[AGENTS_EACH].agent_id);
    members.settled(&agents, "shared by three").await;
    members.one_edge(client, server).await;
    let snapshots: u32 = agents.iter().map(|agent| agent.state().snapshots).sum();

    members.kill(0);
    let moved = members.settled(&agents, "after one died").await;
    println!(
        "kill -9 of one of three: its {AGENTS_EACH} agents were at the others, on each map, after {moved:?}"
    );
    if moved > PROMISED {
        eprintln!("more than the promised {PROMISED:?}: the machine is busy");
    }
    members.one_edge(client, server).await;
    let again: u32 = agents.iter().map(|agent| agent.state().snapshots).sum();
    println!(
        "snapshots: {snapshots} before, {} for the move",
        again - snapshots
    );
    for aggregator in members.there() {
        let said = incomplete(aggregator).await;
        assert!(said.contains(&members.all[0].url), "{said:?}");
    }

    members.begin(0);
    members.settled(&agents, "after it came back").await;
    members.one_edge(client, server).await;
    for aggregator in members.there() {
        let said = incomplete(aggregator).await;
        assert!(!said.contains("has been missing"), "{said}");
    }
}

fn signal(member: &Aggregator, signal: &str) {
    let pid = member.pid().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status();
    assert!(sent.expect("kill runs").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_freezes_loses_its_agents_and_takes_them_back_without_a_double() {
    let mut members = Members::start(3);
    let agents = fleet(&members);
    let (client, server) = (&agents[0].agent_id, &agents[AGENTS_EACH].agent_id);
    members.settled(&agents, "shared by three").await;
    members.one_edge(client, server).await;

    signal(members.at(0), "-STOP");
    let frozen = members.all[0].aggregator.take();
    let moved = members.settled(&agents, "after one froze").await;
    println!("SIGSTOP of one of three: its agents were at the others after {moved:?}");
    members.one_edge(client, server).await;
    signal(frozen.as_ref().expect("there"), "-CONT");
    members.all[0].aggregator = frozen;
    members.settled(&agents, "after it thawed").await;
    members.one_edge(client, server).await;
}

/// Of two members that both have a stream of one agent, the one that was opened later counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_never_both_own_an_agent() {
    let members = Members::start(3);
    // This agent does not answer who comes later and asks for a snapshot.
    members.met().await;
    let stay = |connection| Hello {
        connection,
        ..hello("edge", 1, 0)
    };
    let (mut first, _) = Agent::connect(members.at(0), stay(1)).await;
    first.send(SnapshotPart::Whole, agent::client_side()).await;
    shown(&members, "edge", 0).await;
    eventually("its snapshot is relayed", async || {
        let list = members.at(1).json("/api/v1/agents/list").await;
        (list["agents"][0]["complete"] == true).then_some(())
    })
    .await;

    // It has gone on, and the first one does not know yet: its stream is still open.
    let (_second, welcome) = Agent::connect(
        members.at(1),
        Hello {
            sequence_next: 1,
            ..stay(2)
        },
    )
    .await;
    assert!(welcome.resume, "what was relayed is not told again");
    let ended = loop {
        match first.receive().await {
            Ok(Told::Ack(_) | Told::Resync(_) | Told::Members(_)) => {}
            Ok(other) => panic!("unexpected: {other:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::AlreadyExists, "{ended}");
    shown(&members, "edge", 1).await;

    // A stream that was opened before and comes late is refused, by whoever gets it.
    let late = UplinkClient::new(channel(members.at(2)).await);
    let refused = Agent::open(late, stay(1)).await.err().expect("refused");
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    assert!(refused.message().contains(&members.all[1].url), "{refused}");
    shown(&members, "edge", 1).await;
}

/// Waits until all show an agent at this member.
async fn shown(members: &Members, agent_id: &str, at: usize) {
    for (number, member) in members.all.iter().enumerate() {
        let expected = if number == at {
            ""
        } else {
            &members.all[at].url
        };
        let begun = Instant::now();
        loop {
            let shown = where_agents_are(member.aggregator.as_ref().expect("it runs")).await;
            if shown.get(agent_id).map(String::as_str) == Some(expected) {
                break;
            }
            assert!(begun.elapsed() < LONG, "{}: {shown:?}", member.url);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What is asked of one member about an agent of another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_member_controls_and_tells_of_the_agents_of_the_others() {
    let members = Members::start(2);
    members.met().await;
    let (owner, other) = (members.at(0), members.at(1));
    let (mut agent, mut control) = control::connected(owner).await;
    shown(&members, "a", 0).await;
    let id = control::id('1');
    let details = format!("/api/topology/containers/container%3B{id}");
    eventually("it can be controlled through the other one", async || {
        let answer = other.get(&details).await;
        let known = answer.status == 200 && answer.json()["control"]["available"] == true;
        known.then_some(())
    })
    .await;

    let carried_out = async {
        let (number, message) = control.asked().await.expect("asked");
        let Message::Action(action) = message else {
            panic!("{message:?}");
        };
        assert_eq!(
            (action.container_id.as_str(), action.verb()),
            (&*id, ContainerVerb::Restart)
        );
        control.end(number, ControlResult::Done, "").await;
    };
    let path = format!("/api/containers/{id}/restart");
    let asked = other.post(&path, &[], "");
    let (answer, ()) = tokio::join!(asked, carried_out);
    assert_eq!(answer.status, 204, "{}", answer.body);
    let refuses = async {
        let (number, _) = control.asked().await.expect("asked");
        control
            .end(number, ControlResult::Conflict, "it is paused")
            .await;
    };
    let asked = other.post(&path, &[], "");
    let (answer, ()) = tokio::join!(asked, refuses);
    assert_eq!(answer.status, 409, "{}", answer.body);

    // A log: what is read at the other one comes in parts, each allowed from end to end.
    let line = "x".repeat(8_191) + "\n";
    let lines = 256;
    let writes = async {
        let (number, message) = control.asked().await.expect("asked");
        let Message::Logs(logs) = message else {
            panic!("{message:?}");
        };
        let mut credit = logs.window_bytes as usize;
        control.chunk(number, b"", 0).await;
        for _ in 0..lines {
            while credit < line.len() {
                match control.asked().await.expect("asked") {
                    (same, Message::Credit(more)) if same == number => {
                        credit += more.bytes as usize;
                    }
                    other => panic!("{other:?}"),
                }
            }
            credit -= line.len();
            control.chunk(number, line.as_bytes(), 0).await;
        }
        control.end(number, ControlResult::Done, "").await;
    };
    let path = format!("/api/containers/{id}/logs");
    let (log, ()) = tokio::join!(other.get(&path), writes);
    assert_eq!((log.status, log.body.len()), (200, lines * line.len()));

    // Values over time are with the owner.
    agent.send(SnapshotPart::None, vec![measured(0.5)]).await;
    agent.acknowledged().await;
    let path = "/api/v1/query/agents/a/timeseries?last=1m&metric=cpu";
    let values = eventually("the owner's values", async || {
        let answer = other.json(path).await;
        let values = answer["metrics"][0]["values"].as_array()?;
        let known: Vec<_> = values.iter().filter_map(Value::as_f64).collect();
        (!known.is_empty()).then_some(known)
    })
    .await;
    assert!((values[0] - 0.5).abs() < 0.001, "{values:?}");
    let here = owner.json(path).await;
    assert!(here["aggregators_missing"].is_null(), "{here}");

    // The agent's stream for control ends: nobody can be asked.
    drop(control);
    eventually("it can't be controlled any more", async || {
        let details = other.json(&details).await;
        (details["control"]["available"] != true).then_some(())
    })
    .await;
}

fn measured(cpu_cores_used: f64) -> Change {
    Change {
        change: Some(change::Change::HostMetrics(HostMetrics {
            cpu_cores_used,
            ..HostMetrics::default()
        })),
    }
}
