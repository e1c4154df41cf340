//! What operators set: how it is changed, who is told, and that it survives the aggregator.

use std::path::Path;
use std::process::Command;

use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{
    AgentStatus, Capability, Change, Configure, Container, ContainerState, SnapshotPart,
};
use serde_json::{Value, json};

use super::agent::{Agent, Told, hello, host};
use super::binary::{self, Aggregator, Answer, eventually};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn container(digit: char, state: ContainerState) -> Change {
    Change {
        change: Some(Kind::Container(Container {
            id: id(digit),
            name: format!("web-{digit}"),
            state: state.into(),
            ..Container::default()
        })),
    }
}

/// What the agent says of itself once it does what it was told.
fn doing(configure: &Configure) -> Change {
    let capability = |name: &str, available| Capability {
        name: name.to_owned(),
        available,
        ..Capability::default()
    };
    let on = configure.tier2 || !configure.tier2_containers.is_empty();
    Change {
        change: Some(Kind::AgentStatus(AgentStatus {
            tier2: on,
            tier2_containers: configure.tier2_containers.clone(),
            capabilities: vec![capability("connect-pid", true), capability("udp-bytes", on)],
            ..AgentStatus::default()
        })),
    }
}

fn snapshot() -> Vec<Change> {
    let running = ContainerState::Running;
    vec![
        host("a.example", "10.0.0.1"),
        doing(&Configure::default()),
        container('1', running),
        container('2', running),
    ]
}

fn only(digits: &[char]) -> Configure {
    Configure {
        tier2: false,
        tier2_containers: digits.iter().map(|digit| id(*digit)).collect(),
    }
}

fn node() -> Configure {
    Configure {
        tier2: true,
        tier2_containers: Vec::new(),
    }
}

async fn post(aggregator: &Aggregator, enabled: bool, containers: &[&str]) -> Answer {
    let body = json!({ "enabled": enabled, "containers": containers }).to_string();
    aggregator
        .post("/api/v1/agents/a/tier2", &JSON, &body)
        .await
}

/// Asks for it, and gives what the agent is told.
async fn told(
    aggregator: &Aggregator,
    agent: &mut Agent,
    enabled: bool,
    containers: &[&str],
) -> Configure {
    let answer = post(aggregator, enabled, containers).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    configured(agent).await
}

async fn configured(agent: &mut Agent) -> Configure {
    loop {
        match agent.receive().await.expect("settings") {
            Told::Configure(configure) => return configure,
            Told::Ack(_) => {}
            other => panic!("expected settings, got {other:?}"),
        }
    }
}

async fn connected(aggregator: &Aggregator) -> Agent {
    let mut agent = Agent::with_snapshot(aggregator, "a", snapshot()).await;
    agent.acknowledged().await;
    agent
}

async fn tier2_of(aggregator: &Aggregator, path: &str) -> Value {
    aggregator.json(path).await["tier2"].clone()
}

async fn settings(aggregator: &Aggregator) -> Value {
    aggregator.json("/api/v1/agents/list").await["agents"][0]["settings"].clone()
}

#[tokio::test]
async fn containers_are_switched_one_by_one_and_the_node_as_a_whole() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = connected(&aggregator).await;
    assert_eq!(settings(&aggregator).await, Value::Null);
    let (one, two) = (id('1'), id('2'));
    let configure = told(&aggregator, &mut agent, true, &[&one]).await;
    assert_eq!(configure, only(&['1']));
    let configure = told(&aggregator, &mut agent, true, &[&two[..12]]).await;
    assert_eq!(configure, only(&['1', '2']));
    assert_eq!(
        settings(&aggregator).await["tier2_containers"],
        json!([one, two])
    );
    let configure = told(&aggregator, &mut agent, false, &[&one]).await;
    assert_eq!(configure, only(&['2']));
    assert_eq!(
        told(&aggregator, &mut agent, true, &[]).await,
        node(),
        "for the whole node"
    );
    let refused = post(&aggregator, false, &[&one]).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.body.contains("whole node"), "{refused:?}");
    assert_eq!(settings(&aggregator).await["tier2"], true);
    assert_eq!(
        told(&aggregator, &mut agent, false, &[]).await,
        Configure::default()
    );
    for (unknown, status) in [(id('3').as_str(), 404), ("1111", 404), ("", 404)] {
        let refused = post(&aggregator, true, &[unknown]).await;
        assert_eq!(refused.status, status, "{refused:?}");
    }
    assert_eq!(
        told(&aggregator, &mut agent, false, &["long gone"]).await,
        Configure::default()
    );
    let fill = "mesoscope_bound_used{bound=\"settings_agents\"}";
    assert!((aggregator.metric(fill).await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn what_the_agent_does_by_itself_is_where_a_change_begins() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = connected(&aggregator).await;
    agent.send(SnapshotPart::None, vec![doing(&node())]).await;
    agent.acknowledged().await;
    // On for the node by its own configuration: one container is on already, and can't be left out.
    assert_eq!(
        told(&aggregator, &mut agent, true, &[&id('1')]).await,
        node()
    );
    let refused = post(&aggregator, false, &[&id('1')]).await;
    assert_eq!(refused.status, 409, "{refused:?}");
}

#[tokio::test]
async fn a_container_and_a_host_tell_how_it_stands_with_them() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = connected(&aggregator).await;
    let path = format!("/api/topology/containers/container%3B{}", id('1'));
    let (off, container, on_node, unavailable) = (1, 2, 3, 4);
    let before = tier2_of(&aggregator, &path).await;
    assert_eq!(
        before,
        json!({ "agent_id": "a", "container_id": id('1'), "state": off, "asked": false, "reason": "" })
    );
    let configure = told(&aggregator, &mut agent, true, &[&id('1')]).await;
    let asked = tier2_of(&aggregator, &path).await;
    assert_eq!(
        (&asked["state"], &asked["asked"]),
        (&off.into(), &true.into())
    );
    assert!(
        asked["reason"]
            .as_str()
            .expect("one")
            .contains("not turned it on yet")
    );
    agent
        .send(SnapshotPart::None, vec![doing(&configure)])
        .await;
    agent.acknowledged().await;
    let state = |told: Value| told["state"].as_i64().expect("a number");
    let hosts = "/api/topology/hosts/host%3Ba";
    assert_eq!(state(tier2_of(&aggregator, &path).await), container);
    assert_eq!(state(tier2_of(&aggregator, hosts).await), container);
    let other = path.replace(&id('1'), &id('2'));
    assert_eq!(state(tier2_of(&aggregator, &other).await), off);
    let configure = told(&aggregator, &mut agent, true, &[]).await;
    agent
        .send(SnapshotPart::None, vec![doing(&configure)])
        .await;
    agent.acknowledged().await;
    assert_eq!(state(tier2_of(&aggregator, &other).await), on_node);
    drop(agent);
    let gone = eventually("the agent is gone", async || {
        let told = tier2_of(&aggregator, &path).await;
        (told["state"] == unavailable).then_some(told)
    })
    .await;
    assert_eq!(gone["reason"], "the agent of a.example is not connected");
    let uncontained = aggregator
        .json("/api/topology?view=containers&unconnected=true")
        .await;
    assert!(uncontained["nodes"].is_array());
}

#[tokio::test]
async fn a_setting_survives_the_aggregator_and_is_told_again() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let folder = scratch.path().join("settings");
    let data = format!("--data-dir={}", folder.display());
    let aggregator = Aggregator::start(&[&data]);
    let mut agent = connected(&aggregator).await;
    told(&aggregator, &mut agent, true, &[&id('1')]).await;
    drop(agent);
    aggregator.kill();

    let aggregator = Aggregator::start(&[&data]);
    let status = aggregator.json("/api/v1/status").await;
    assert_eq!(status["settings_kept"], true);
    assert!((aggregator.metric("mesoscope_settings_kept").await - 1.0).abs() < 0.1);
    let (mut agent, _) = Agent::connect(&aggregator, hello("a", 2, 0)).await;
    assert_eq!(configured(&mut agent).await, only(&['1']));
    agent.send(SnapshotPart::Whole, snapshot()).await;
    told(&aggregator, &mut agent, false, &[]).await;
    drop(agent);
    let (code, _) = aggregator.terminate();
    assert_eq!(code, Some(0));

    // That it is off was asked for, too.
    let aggregator = Aggregator::start(&[&data]);
    let (mut agent, _) = Agent::connect(&aggregator, hello("a", 3, 0)).await;
    assert_eq!(configured(&mut agent).await, Configure::default());

    let second = binary::run(&["--port=0", "--grpc-port=0", &data], &[]);
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{text}");
    assert!(text.contains("in use by another aggregator"), "{text}");
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_as_it_is() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let file = scratch.path().join("settings.redb");
    std::fs::write(&file, "precious").expect("writable");
    let data = format!("--data-dir={}", scratch.path().display());
    let output = binary::run(&["--port=0", "--grpc-port=0", &data], &[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("is not a file of the aggregator's settings"),
        "{text}"
    );
    assert_eq!(std::fs::read(&file).expect("there"), b"precious");
}

#[tokio::test]
async fn without_a_folder_settings_live_in_memory() {
    let aggregator = Aggregator::start(&[]);
    let status = aggregator.json("/api/v1/status").await;
    assert_eq!(status["settings_kept"], false);
    let mut agent = connected(&aggregator).await;
    let configure = told(&aggregator, &mut agent, true, &[&id('1')]).await;
    assert_eq!(configure, only(&['1']));
}

#[tokio::test]
async fn where_the_folder_takes_no_audit_nothing_is_set() {
    // Nobody makes folders there.
    let aggregator = Aggregator::start(&["--data-dir=/sys/mesoscope"]);
    let status = aggregator.json("/api/v1/status").await;
    assert_eq!(status["settings_kept"], false);
    let _agent = connected(&aggregator).await;
    let refused = post(&aggregator, true, &[&id('1')]).await;
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.body.contains("audit"), "{refused:?}");
    assert_eq!(settings(&aggregator).await, Value::Null);
}

#[test]
fn the_state_directory_of_systemd_is_the_default() {
    let output = binary::run(
        &["--print-config"],
        &[("STATE_DIRECTORY", "/var/lib/mesoscope-aggregator")],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains(
            "data_dir = \"/var/lib/mesoscope-aggregator\" # environment variable STATE_DIRECTORY"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn the_setting_of_a_container_that_is_gone_goes_too() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let data = format!("--data-dir={}", scratch.path().display());
    let quick = [
        data.as_str(),
        "--max-data-age=1s",
        "--stale-node-threshold=1s",
        "--cleanup-interval=100ms",
    ];
    let aggregator = Aggregator::start(&quick);
    let mut agent = connected(&aggregator).await;
    told(&aggregator, &mut agent, true, &[&id('1'), &id('2')]).await;
    agent
        .send(
            SnapshotPart::None,
            vec![container('1', ContainerState::Removed)],
        )
        .await;
    agent.acknowledged().await;
    eventually("the setting is dropped", async || {
        let kept = settings(&aggregator).await["tier2_containers"].clone();
        (kept == json!([id('2')])).then_some(())
    })
    .await;
    // The other one is only stopped.
    agent
        .send(
            SnapshotPart::None,
            vec![container('2', ContainerState::Exited)],
        )
        .await;
    agent.acknowledged().await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(
        settings(&aggregator).await["tier2_containers"],
        json!([id('2')])
    );
    drop(agent);
    aggregator.kill();
    let aggregator = Aggregator::start(&quick);
    let (mut agent, _) = Agent::connect(&aggregator, hello("a", 2, 0)).await;
    assert_eq!(configured(&mut agent).await, only(&['2']));
}

/// A small file system of its own; root only.
pub struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    pub fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(at)
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(at))
    }

    /// Writes until there is no room.
    pub fn fill(&self) {
        let full = std::fs::write(self.0.join("fill"), vec![0; 9 << 20]);
        assert!(full.is_err(), "it holds 8 MiB");
    }

    pub fn make_room(&self) {
        std::fs::remove_file(self.0.join("fill")).expect("it was made");
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[tokio::test]
async fn on_a_full_disk_a_change_is_refused_and_nothing_is_lost() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let Some(disk) = Disk::mount(scratch.path()) else {
        eprintln!("no file system can be mounted here: a full disk is not tested");
        return;
    };
    let data = format!("--data-dir={}", scratch.path().display());
    let aggregator = Aggregator::start(&[&data]);
    let mut agent = connected(&aggregator).await;
    told(&aggregator, &mut agent, true, &[&id('1')]).await;
    disk.fill();
    // Pages that the file has already may be used once more.
    let refused = eventually("there is no room", async || {
        let answer = post(&aggregator, true, &[&id('2')]).await;
        if answer.status == 204 {
            post(&aggregator, false, &[&id('2')]).await;
            return None;
        }
        Some(answer)
    })
    .await;
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.body.contains("No space left"), "{refused:?}");
    let before = settings(&aggregator).await;
    assert!(
        aggregator
            .metric("mesoscope_settings_write_errors_total")
            .await
            >= 1.0
    );
    disk.make_room();
    let answer = post(&aggregator, true, &[&id('2')]).await;
    assert_eq!(answer.status, 204, "{answer:?} after {before}");
    drop(agent);
    aggregator.kill();
    let aggregator = Aggregator::start(&[&data]);
    let (mut agent, _) = Agent::connect(&aggregator, hello("a", 2, 0)).await;
    assert_eq!(configured(&mut agent).await, only(&['1', '2']));
}
