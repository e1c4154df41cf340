//! A simulated uplink: drops, reconnects, lost state and resyncs. Whatever happens, the receiver's
//! state ends equal to the agent's, and nothing is counted twice.

use std::collections::{BTreeMap, VecDeque};

use mesoscope_capture::Protocol;
use mesoscope_capture::event::TcpEndKind;
use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{
    Ack, AgentMessage, AggregatorMessage, Batch, Connection, Gap, Hello, Process, Resync,
    SnapshotPart, Welcome, agent_message, aggregator_message::Message as Answer,
};
use proptest::prelude::*;
use prost::Message;
use prost::bytes::Bytes;

use super::node_state::NodeState;
use super::node_state::tests::world::*;
use super::session::{Identity, Session};

/// Processes by pid with their names, connections by cookie with their bytes.
type Living = (Vec<(u32, String)>, Vec<(u64, u64)>);

/// What an aggregator holds of one agent.
#[derive(Clone, Default)]
struct Receiver {
    generation: u64,
    expected: u64,
    /// Until a snapshot is whole.
    waiting: bool,
    processes: BTreeMap<u32, Process>,
    connections: BTreeMap<u64, Connection>,
    gaps: Vec<Gap>,
    incoming: Option<(BTreeMap<u32, Process>, BTreeMap<u64, Connection>)>,
    /// Ends ever counted, by what they are of.
    ended: BTreeMap<u64, u32>,
}

impl Receiver {
    fn hello(&mut self, hello: &Hello) -> Welcome {
        self.incoming = None;
        let resume = self.generation == hello.generation
            && !self.waiting
            && (hello.sequence_first..=hello.sequence_next).contains(&self.expected);
        if !resume {
            self.generation = hello.generation;
            self.waiting = true;
        }
        Welcome {
            resume,
            sequence_expected: self.expected,
            aggregator_version: String::new(),
        }
    }

    /// Takes a batch; answers with Ack, or Resync when something is missing.
    fn batch(&mut self, batch: Batch) -> Option<Answer> {
        let part = batch.snapshot();
        let begins = matches!(part, SnapshotPart::First | SnapshotPart::Whole);
        if begins {
            self.incoming = Some(Default::default());
            self.waiting = true;
        } else if batch.sequence < self.expected {
            return None;
        } else if batch.sequence > self.expected || (self.waiting && part == SnapshotPart::None) {
            let ask = !self.waiting;
            self.waiting = true;
            return ask.then(|| {
                Answer::Resync(Resync {
                    reason: "a gap".into(),
                })
            });
        }
        self.expected = batch.sequence + 1;
        let held = self.processes.clone();
        let (processes, connections) = match &mut self.incoming {
            Some((processes, connections)) => (processes, connections),
            None => (&mut self.processes, &mut self.connections),
        };
        for change in batch.changes {
            match change.change {
                Some(Kind::Process(process)) => {
                    let pid = process.key.expect("has one").pid;
                    let known = processes
                        .insert(pid, process.clone())
                        .or_else(|| held.get(&pid).cloned());
                    if process.exit.is_some() && known.is_none_or(|known| known.exit.is_none()) {
                        *self.ended.entry(u64::from(pid)).or_default() += 1;
                    }
                }
                Some(Kind::Connection(connection)) => {
                    connections.insert(connection.cookie, connection);
                }
                Some(Kind::Gap(gap)) => self.gaps.push(gap),
                _ => {}
            }
        }
        if matches!(part, SnapshotPart::Last | SnapshotPart::Whole) {
            let (processes, connections) = self.incoming.take().expect("begun");
            // What has ended stays for a while, as an aggregator shows it.
            self.processes.retain(|_, process| process.exit.is_some());
            self.connections
                .retain(|_, connection| connection.closed_unix_ns != 0);
            self.processes.extend(processes);
            self.connections.extend(connections);
            self.waiting = false;
        }
        Some(Answer::Ack(Ack {
            sequence: batch.sequence,
        }))
    }

    fn living(&self) -> Living {
        let processes = self
            .processes
            .iter()
            .filter(|(_, process)| process.exit.is_none());
        let connections = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.closed_unix_ns == 0);
        (
            processes
                .map(|(pid, process)| (*pid, process.name.clone()))
                .collect(),
            connections
                .map(|(cookie, connection)| (*cookie, connection.bytes_sent))
                .collect(),
        )
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A process lives; some end at once.
    Start(bool),
    End(prop::sample::Index),
    Connect,
    Close(prop::sample::Index),
    Flush,
    /// The agent's messages reach the aggregator, at most so many.
    Deliver(u8),
    /// The aggregator's answers reach the agent.
    Answer,
    Break,
    Dial,
    /// The aggregator forgets everything.
    Restart,
    Resync,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Start),
        2 => index().prop_map(Step::End),
        2 => Just(Step::Connect),
        2 => index().prop_map(Step::Close),
        6 => Just(Step::Flush),
        6 => (1..4u8).prop_map(Step::Deliver),
        4 => Just(Step::Answer),
        1 => Just(Step::Break),
        3 => Just(Step::Dial),
        1 => Just(Step::Restart),
        1 => Just(Step::Resync),
    ]
}

struct Simulation {
    time: u64,
    state: NodeState,
    session: Session,
    receiver: Receiver,
    to_aggregator: VecDeque<Bytes>,
    to_agent: VecDeque<AggregatorMessage>,
    connected: bool,
    pids: Vec<u32>,
    cookies: Vec<u64>,
    next: u32,
}

impl Simulation {
    fn new(spool_bytes: usize) -> Self {
        let identity = Identity {
            generation: 77,
            ..Identity::default()
        };
        let mut state = state();
        // Whose the connections are: a snapshot leaves out ended ones of processes that it does not know.
        state.event(exec(SECOND, id(0), id(1), &["init"]));
        Self {
            time: SECOND,
            state,
            session: Session::new(identity, spool_bytes),
            receiver: Receiver::default(),
            to_aggregator: VecDeque::new(),
            to_agent: VecDeque::new(),
            connected: false,
            pids: Vec::new(),
            cookies: Vec::new(),
            next: 10,
        }
    }

    fn step(&mut self, step: &Step) {
        self.time += 10 * MS;
        let time = self.time;
        match step {
            Step::Start(short) => {
                self.next += 1;
                let process = id(self.next);
                self.state.event(exec(
                    time,
                    id(1),
                    process,
                    &[&format!("program-{}", self.next)],
                ));
                if *short {
                    self.state.event(exit(time, process, 0));
                } else {
                    self.pids.push(self.next);
                }
            }
            Step::End(index) if !self.pids.is_empty() => {
                let pid = self.pids.swap_remove(index.index(self.pids.len()));
                self.state.event(exit(time, id(pid), 0));
            }
            Step::Connect => {
                self.next += 1;
                let cookie = u64::from(self.next);
                self.state
                    .event(connect(time, cookie, id(1), Protocol::Tcp, "10.0.0.2:80"));
                self.cookies.push(cookie);
            }
            Step::Close(index) if !self.cookies.is_empty() => {
                let cookie = self.cookies.swap_remove(index.index(self.cookies.len()));
                let ends = ("10.0.0.1:1", "10.0.0.2:80");
                self.state.event(tcp_end(
                    time,
                    cookie,
                    TcpEndKind::Destroyed,
                    ends,
                    (cookie, 1),
                    0,
                ));
            }
            Step::End(_) | Step::Close(_) => {}
            Step::Flush => {
                self.state.tick(time);
                self.session.flush(time, time, &mut self.state);
            }
            Step::Deliver(count) => self.deliver(*count),
            Step::Answer => {
                while let Some(message) = self.to_agent.pop_front() {
                    self.session.received(message);
                }
            }
            Step::Break => self.hang_up(),
            Step::Dial if !self.connected => {
                self.connected = true;
                let hello = self.session.connected(Vec::new());
                let welcome = self.receiver.hello(&hello);
                self.answer(Answer::Welcome(welcome));
            }
            Step::Dial => {}
            Step::Restart => {
                self.hang_up();
                self.receiver = Receiver {
                    ended: std::mem::take(&mut self.receiver.ended),
                    ..Receiver::default()
                };
            }
            Step::Resync if self.connected => self.answer(Answer::Resync(Resync::default())),
            Step::Resync => {}
        }
    }

    fn deliver(&mut self, count: u8) {
        while let Some(bytes) = self.session.next_to_send() {
            self.to_aggregator.push_back(bytes);
        }
        for _ in 0..count {
            let Some(bytes) = self.to_aggregator.pop_front().filter(|_| self.connected) else {
                return;
            };
            let message = AgentMessage::decode(bytes).expect("our own");
            let Some(agent_message::Message::Batch(batch)) = message.message else {
                panic!("only batches")
            };
            if let Some(answer) = self.receiver.batch(batch) {
                self.answer(answer);
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.to_agent.push_back(AggregatorMessage {
            message: Some(answer),
        });
    }

    /// Whatever was on its way is lost.
    fn hang_up(&mut self) {
        self.connected = false;
        self.to_aggregator.clear();
        self.to_agent.clear();
        self.session.disconnected();
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            for step in [
                Step::Dial,
                Step::Answer,
                Step::Flush,
                Step::Deliver(250),
                Step::Answer,
            ] {
                self.step(&step);
            }
        }
    }
}

fn truth(state: &mut NodeState) -> Living {
    let mut truth = Receiver::default();
    state.snapshot(0, &mut |change| match change {
        Kind::Process(process) => {
            truth
                .processes
                .insert(process.key.expect("has one").pid, process);
        }
        Kind::Connection(connection) => {
            truth.connections.insert(connection.cookie, connection);
        }
        _ => {}
    });
    truth.living()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_receivers_state_ends_equal_to_the_agents(
        steps in prop::collection::vec(step(), 0..150),
        spool_bytes in prop::sample::select(vec![400usize, 2_000, 1 << 20]),
    ) {
        let mut simulation = Simulation::new(spool_bytes);
        steps.iter().for_each(|step| simulation.step(step));
        simulation.settle();
        prop_assert!(simulation.session.is_drained());
        prop_assert_eq!(simulation.receiver.living(), truth(&mut simulation.state));
    }

    /// As long as the aggregator keeps what it was told, every end is counted once, and with room in
    /// the spool every end is counted.
    #[test]
    fn nothing_is_counted_twice_and_with_room_nothing_is_missed(
        steps in prop::collection::vec(step(), 0..150),
        roomy in any::<bool>(),
    ) {
        let mut simulation = Simulation::new(if roomy { 1 << 20 } else { 600 });
        let lasting = steps.iter().filter(|step| !matches!(step, Step::Restart));
        lasting.for_each(|step| simulation.step(step));
        simulation.settle();
        prop_assert!(simulation.receiver.ended.values().all(|count| *count == 1));
        let ended = simulation.next - 10 - u32::try_from(simulation.pids.len()).expect("few");
        let told = u32::try_from(simulation.receiver.ended.len()).expect("few");
        if roomy {
            let connections = u32::try_from(simulation.receiver.connections.len()).expect("few");
            prop_assert_eq!(told + connections, ended);
        }
        // An overflow is a gap, which the snapshot after it closed.
        let overflows = simulation.session.counters().overflows;
        prop_assert!(overflows == 0 || simulation.receiver.gaps.iter().any(|gap| gap.until_unix_ns != 0));
        prop_assert_eq!(simulation.state.open_gaps().count(), 0);
    }
}

#[test]
fn a_large_state_is_a_snapshot_in_parts() {
    let mut simulation = Simulation::new(1 << 20);
    let long = "x".repeat(200);
    for pid in 100..8_000 {
        simulation
            .state
            .event(exec(SECOND, id(1), id(pid), &["program", &long]));
    }
    simulation.step(&Step::Dial);
    simulation.step(&Step::Answer);
    simulation.step(&Step::Flush);
    let mut parts = Vec::new();
    while let Some(bytes) = simulation.session.next_to_send() {
        assert!(bytes.len() <= 2 << 20);
        let message = AgentMessage::decode(bytes).expect("our own");
        let Some(agent_message::Message::Batch(batch)) = message.message else {
            panic!("only batches")
        };
        parts.push(batch.snapshot());
    }
    assert!(parts.len() > 2);
    assert_eq!(
        (parts[0], parts[parts.len() - 1]),
        (SnapshotPart::First, SnapshotPart::Last)
    );
    assert!(
        parts[1..parts.len() - 1]
            .iter()
            .all(|part| *part == SnapshotPart::Middle)
    );
}

#[test]
fn an_aggregator_that_kept_everything_gets_only_what_it_misses() {
    let mut simulation = Simulation::new(1 << 20);
    simulation.settle();
    let snapshots = simulation.session.counters().snapshots;
    simulation.step(&Step::Start(false));
    simulation.step(&Step::Flush);
    simulation.step(&Step::Break);
    simulation.step(&Step::Start(false));
    simulation.settle();
    assert_eq!(simulation.session.counters().snapshots, snapshots);
    assert_eq!(simulation.receiver.living(), truth(&mut simulation.state));
}
