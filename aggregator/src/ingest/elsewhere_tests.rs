use mesoscope_proto::v1::{
    AgentMessage, Change, Process, ProcessKey, SnapshotPart, agent_message, change,
};
use mesoscope_topology::ViewKind;
use proptest::prelude::*;

use super::super::registry::Taken;
use super::super::reporters::Holder;
use super::*;
use crate::core::Core;
use crate::members::Membership;
use crate::metrics::Metrics;
use crate::series::Recorder;

fn registry() -> Arc<Registry> {
    let series = mesoscope_series::Limits {
        keep_ms: 3_600_000,
        bytes_max: 1 << 20,
    };
    let core = Core::new(mesoscope_topology::Limits::default());
    Registry::new(
        core.clone(),
        Arc::new(Metrics::new().expect("names are unique")),
        Arc::new(crate::store::open(None).expect("in memory").0),
        Arc::new(Recorder::new(series)),
        Membership::alone(core),
    )
}

fn relayer(connection: u64) -> Relayer {
    Relayer {
        member: format!("http://127.0.0.1:{connection}").into(),
        connection,
    }
}

fn hello(connection: u64) -> Hello {
    Hello {
        agent_id: "edge".to_owned(),
        generation: 1,
        connection,
        ..Hello::default()
    }
}

fn told(connection: u64, sequence_next: u64, snapshot_follows: bool) -> RelayedAgent {
    RelayedAgent {
        hello: Some(hello(connection)),
        sequence_next,
        snapshot_follows,
        ..RelayedAgent::default()
    }
}

fn process(pid: u32) -> Change {
    let key = Some(ProcessKey {
        pid,
        start_boottime_ns: 1,
    });
    Change {
        change: Some(change::Change::Process(Process {
            key,
            ..Process::default()
        })),
    }
}

fn batch(sequence: u64, part: SnapshotPart, pid: u32) -> Batch {
    Batch {
        generation: 1,
        sequence,
        snapshot: part.into(),
        changes: vec![process(pid)],
        ..Batch::default()
    }
}

fn relay(sequence: u64, part: SnapshotPart, pid: u32) -> RelayedBatch {
    RelayedBatch {
        agent_id: "edge".to_owned(),
        batch: batch(sequence, part, pid).encode_to_vec(),
    }
}

/// Connected, its aggregator, and how many processes run there.
fn shown(registry: &Registry) -> (bool, String, u32) {
    let core = &registry.intake.core;
    let agent = core.read().agent("edge", core.now_ms()).expect("known");
    (agent.connected, agent.aggregator, agent.processes)
}

fn asks(asked: Result<Option<RelayResync>, Status>) -> bool {
    asked.expect("well-formed").is_some()
}

#[test]
fn an_agent_at_another_member_is_shown_and_moves_without_a_snapshot() {
    let registry = registry();
    let (first, second) = (relayer(1), relayer(2));
    assert!(!asks(registry.is_elsewhere(&first, told(1, 0, true))));
    assert!(!asks(
        registry.relayed(&first, &relay(0, SnapshotPart::Whole, 10))
    ));
    assert!(!asks(
        registry.relayed(&first, &relay(1, SnapshotPart::None, 11))
    ));
    assert_eq!(shown(&registry), (true, first.member.to_string(), 2));

    // The first one dies; the agent is at the second one, which has all that this one has.
    registry.relayer_lost(&first);
    assert!(!shown(&registry).0);
    assert!(!asks(registry.is_elsewhere(&second, told(2, 2, false))));
    assert!(!asks(
        registry.relayed(&second, &relay(2, SnapshotPart::None, 12))
    ));
    assert_eq!(shown(&registry), (true, second.member.to_string(), 3));

    // Another one that takes its id is not let in.
    let message = Some(agent_message::Message::Hello(hello(9)));
    let thief = Holder::Certificate("ab".to_owned());
    let refused = registry.open(AgentMessage { message }, &thief);
    assert_eq!(
        refused.expect_err("refused").code(),
        tonic::Code::PermissionDenied
    );
    assert!(shown(&registry).0);

    // It comes here, and goes on where it was.
    let greeting = Hello {
        sequence_first: 0,
        sequence_next: 3,
        ..hello(3)
    };
    let message = Some(agent_message::Message::Hello(greeting));
    let (session, welcome) = registry
        .open(AgentMessage { message }, &Holder::Anyone)
        .expect("let in");
    assert!(welcome.resume && welcome.sequence_expected == 3);
    let again = session.take(batch(2, SnapshotPart::None, 12));
    assert_eq!(again.expect("kept to"), Taken::Yes);
    assert_eq!(shown(&registry), (true, String::new(), 3));
    // What the second one says of it is old.
    let end = RelayedEnd {
        agent_id: "edge".to_owned(),
        generation: 1,
        connection: 2,
    };
    registry.ended_elsewhere(&second, &end);
    registry.relayer_lost(&second);
    assert!(shown(&registry).0);
}

#[test]
fn what_is_missing_is_asked_for_once() {
    let registry = registry();
    let from = relayer(1);
    assert!(asks(registry.is_elsewhere(&from, told(1, 5, false))));
    assert!(!asks(
        registry.relayed(&from, &relay(5, SnapshotPart::None, 10))
    ));
    assert!(!asks(
        registry.relayed(&from, &relay(6, SnapshotPart::Whole, 10))
    ));
    assert_eq!(shown(&registry).2, 1);
    assert!(asks(
        registry.relayed(&from, &relay(9, SnapshotPart::None, 11))
    ));
    let garbage = RelayedBatch {
        agent_id: "edge".to_owned(),
        batch: vec![0xff; 9],
    };
    registry.relayed(&from, &garbage).expect_err("not a batch");
    let stranger = RelayedBatch {
        agent_id: "other".to_owned(),
        ..garbage
    };
    assert!(!asks(registry.relayed(&from, &stranger)));
}

#[tokio::test]
async fn a_member_that_begins_to_listen_is_told_of_agents_and_asks_each_once() {
    let registry = registry();
    let message = Some(agent_message::Message::Hello(hello(1)));
    let (mut session, _) = registry
        .open(AgentMessage { message }, &Holder::Anyone)
        .expect("let in");
    session
        .take(batch(0, SnapshotPart::Whole, 1))
        .expect("kept to");
    let (outlet, mut relay) = registry.hub().listen();
    registry.announce(&outlet);
    let announced = relay.next().await.expect("told").message;
    let expected = RelayedAgent {
        hello: Some(hello(1)),
        sequence_next: 1,
        ..RelayedAgent::default()
    };
    assert_eq!(announced, Some(Message::Agent(expected)));
    let resync = || RelayResync {
        agent_id: "edge".to_owned(),
        reason: "new".to_owned(),
    };
    registry.ask_snapshot(resync());
    registry.ask_snapshot(resync());
    assert!(session.inbox.try_recv().is_ok() && session.inbox.try_recv().is_err());
    session
        .take(batch(1, SnapshotPart::First, 1))
        .expect("kept to");
    registry.ask_snapshot(resync());
    assert!(
        session.inbox.try_recv().is_ok(),
        "the last one has begun without it"
    );
}

/// What a simulated member relays of the agent: each opens a stream, tells, or falls away.
#[derive(Debug, Clone)]
enum Step {
    Connect {
        member: u64,
    },
    Tell,
    /// What a member says of a stream that was overtaken.
    Late {
        member: u64,
        connection: u64,
    },
    Lose {
        member: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1_u64..4).prop_map(|member| Step::Connect { member }),
        Just(Step::Tell),
        Just(Step::Tell),
        (1_u64..4, 0_u64..4).prop_map(|(member, connection)| Step::Late { member, connection }),
        (1_u64..4).prop_map(|member| Step::Lose { member }),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever the agent goes, and whatever late word comes from where it was: the map has the
    /// later stream, and all that was told by it.
    #[test]
    fn the_latest_stream_counts(steps in steps()) {
        let registry = registry();
        let (mut connection, mut sequence, mut pid) = (1_u64, 0_u64, 1_u32);
        let mut at: Option<u64> = None;
        for step in steps {
            match step {
                Step::Connect { member } => {
                    connection += 1;
                    at = Some(member);
                    let asked = registry.is_elsewhere(&relayer(member), told(connection, sequence, false));
                    if asks(asked) {
                        pid += 1;
                        let whole = relay(sequence, SnapshotPart::Whole, pid);
                        prop_assert!(!asks(registry.relayed(&relayer(member), &whole)));
                        sequence += 1;
                    }
                }
                Step::Tell => {
                    let Some(member) = at else { continue };
                    pid += 1;
                    let told = relay(sequence, SnapshotPart::None, pid);
                    prop_assert!(!asks(registry.relayed(&relayer(member), &told)));
                    sequence += 1;
                }
                Step::Late { member, connection: back } => {
                    // A member speaks of its own streams in their order.
                    if at == Some(member) || at.is_none() || back >= connection { continue }
                    let late = relayer(member);
                    prop_assert!(!asks(registry.is_elsewhere(&late, told(back.max(1), sequence, false))));
                    prop_assert!(!asks(registry.relayed(&late, &relay(sequence + 7, SnapshotPart::Whole, 99_999))));
                    let end = RelayedEnd { agent_id: "edge".to_owned(), generation: 1, connection };
                    registry.ended_elsewhere(&late, &end);
                }
                Step::Lose { member } => {
                    registry.relayer_lost(&relayer(member));
                    if at == Some(member) {
                        at = None;
                    }
                }
            }
            if let Some(member) = at {
                let (connected, aggregator, _) = shown(&registry);
                prop_assert!(connected);
                prop_assert_eq!(aggregator, relayer(member).member.to_string());
                let core = &registry.intake.core;
                let last = format!("process;edge;{pid};1");
                let found = core.read().node(ViewKind::Processes, &last, false);
                prop_assert!(found.is_some(), "{last} is not on the map");
            }
        }
    }
}
