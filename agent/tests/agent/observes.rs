//! The real agent on this machine: what it tells an aggregator of processes and connections.
//!
//! With the kernel programs (root, BTF) everything is exact; where they can't load, the tests that
//! need them say so and pass.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::support::{Agent, Aggregator, Heard, binary};
use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{
    Configure, Connection, ConnectionState, Direction, Process, ProcessCause, Protocol,
};

pub fn processes(heard: &Heard) -> impl Iterator<Item = &Process> {
    heard
        .changes
        .iter()
        .filter_map(|(_, _, change)| match change {
            Kind::Process(process) => Some(process),
            _ => None,
        })
}

fn connections(heard: &Heard) -> impl DoubleEndedIterator<Item = &Connection> {
    heard
        .changes
        .iter()
        .filter_map(|(_, _, change)| match change {
            Kind::Connection(connection) => Some(connection),
            _ => None,
        })
}

pub fn pid(process: &Process) -> u32 {
    process.key.expect("has one").pid
}

/// Whether the agent has kernel programs here.
pub fn has_events(aggregator: &Aggregator) -> bool {
    let has = aggregator.look(|heard| {
        let capabilities = heard.hellos.iter().flat_map(|hello| &hello.capabilities);
        capabilities
            .into_iter()
            .any(|capability| capability.name == "process-events" && capability.available)
    });
    let could_have = rustix::process::geteuid().is_root()
        && std::path::Path::new("/sys/kernel/btf/vmlinux").exists();
    assert!(
        has || !could_have,
        "root, on a kernel with BTF: kernel programs must load here"
    );
    if !has {
        eprintln!("no kernel programs here: what depends on them is not tested");
    }
    has
}

pub async fn greeted(aggregator: &Aggregator) {
    aggregator
        .wait("itself", |heard| (heard.snapshots > 0).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_of_this_process_an_exec_and_a_connection() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let mut agent = Agent::start(&format!("http://127.0.0.1:{port}"), &[]);
    greeted(&aggregator).await;
    aggregator.look(|heard| {
        assert_eq!(
            (
                heard.hellos[0].agent_id.as_str(),
                heard.authorization.as_ref()
            ),
            ("test-agent", None)
        );
        let own = processes(heard)
            .find(|process| pid(process) == std::process::id())
            .expect("this test runs");
        assert_eq!(own.cause(), ProcessCause::Snapshot);
        assert!(own.argv[0].contains("agent-"), "{own:?}");
        assert!(
            heard.changes.iter().any(
                |(_, _, change)| matches!(change, Kind::Host(host) if !host.hostname.is_empty())
            )
        );
    });
    if has_events(&aggregator) {
        an_exec(&aggregator).await;
        a_connection(&aggregator).await;
    }
    assert!(agent.terminate().success());
    assert_eq!(aggregator.look(|heard| heard.sequence_errors), 0);
}

async fn an_exec(aggregator: &Aggregator) {
    let status = Command::new("/bin/sh")
        .args(["-c", "exit 7", "mesoscope-marker"])
        .status()
        .expect("sh");
    assert_eq!(status.code(), Some(7));
    let told = aggregator
        .wait("an exec and its exit", |heard| {
            let marked = |process: &&Process| {
                process.argv.iter().any(|arg| arg == "mesoscope-marker") && process.exit.is_some()
            };
            processes(heard).find(marked).cloned()
        })
        .await;
    assert_eq!((told.name.as_str(), told.argv.len()), ("sh", 4));
    assert_eq!(
        told.exit
            .map(|exit| (exit.code, exit.signal, exit.inferred)),
        Some((7, 0, false))
    );
    assert_eq!(told.parent.expect("known").pid, std::process::id());
}

async fn a_connection(aggregator: &Aggregator) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = listener.local_addr().expect("bound");
    let answering = std::thread::spawn(move || {
        let (mut accepted, _) = listener.accept().expect("a client");
        let mut question = [0; 64];
        accepted.read_exact(&mut question).expect("a question");
        accepted.write_all(&[1; 128]).expect("an answer");
    });
    let client = {
        let mut stream = TcpStream::connect(server).expect("connected");
        stream.write_all(&[1; 64]).expect("a question");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        stream.local_addr().expect("connected")
    };
    answering.join().expect("answered");
    let ended = |local: std::net::SocketAddr| {
        move |heard: &Heard| {
            let here = |c: &&Connection| {
                c.local.as_ref().and_then(|local| local.socket_addr()) == Some(local)
            };
            let mut mine = connections(heard).filter(here);
            mine.rfind(|c| c.state() == ConnectionState::Closed && c.process.is_some())
                .cloned()
        }
    };
    let out = aggregator.wait("the client's end", ended(client)).await;
    let inward = aggregator.wait("the server's end", ended(server)).await;
    assert_eq!(
        (out.bytes_sent, out.bytes_received, out.direction()),
        (64, 128, Direction::Outbound)
    );
    assert_eq!(
        (inward.bytes_sent, inward.bytes_received, inward.direction()),
        (128, 64, Direction::Inbound)
    );
    assert_eq!(out.protocol(), Protocol::Tcp);
    for end in [out, inward] {
        assert_eq!(end.process.expect("known").pid, std::process::id());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_sigkill_nothing_is_left_and_the_next_start_is_right() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let url = format!("http://127.0.0.1:{port}");
    let mut agent = Agent::start(&url, &[]);
    greeted(&aggregator).await;
    let mut ends_meanwhile = Command::new("sleep").arg("600").spawn().expect("sleep(1)");
    let load = std::thread::spawn(|| {
        for _ in 0..200 {
            Command::new("/bin/true").status().expect("true(1)");
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let old = agent.pid();
    agent.kill();
    ends_meanwhile.kill().expect("our child");
    ends_meanwhile.wait().expect("our child");
    let mut begins_meanwhile = Command::new("sleep").arg("601").spawn().expect("sleep(1)");
    no_leftovers(old);
    let agent = Agent::start(&url, &[]);
    aggregator
        .wait("a second snapshot", |heard| {
            (heard.snapshots > 1).then_some(())
        })
        .await;
    load.join().expect("loaded");
    let (gone, new) = (ends_meanwhile.id(), begins_meanwhile.id());
    aggregator.look(|heard| {
        let [first, second] = heard.hellos.as_slice() else {
            panic!("two starts")
        };
        assert!(second.generation > first.generation);
        let of_second = |change: &&(u64, bool, Kind)| change.0 == second.generation && change.1;
        let pids: Vec<u32> = heard
            .changes
            .iter()
            .filter(of_second)
            .filter_map(|(_, _, change)| match change {
                Kind::Process(process) if process.exit.is_none() => Some(pid(process)),
                _ => None,
            })
            .collect();
        assert!(pids.contains(&new) && !pids.contains(&gone));
    });
    begins_meanwhile.kill().expect("our child");
    begins_meanwhile.wait().expect("our child");
    drop(agent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tier_2_is_switched_on_by_the_aggregator() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    aggregator.configure_next(Configure {
        tier2: true,
        ..Configure::default()
    });
    let agent = Agent::start(&format!("http://127.0.0.1:{port}"), &[]);
    greeted(&aggregator).await;
    let offered = aggregator.look(|heard| {
        let capabilities = heard.hellos.iter().flat_map(|hello| &hello.capabilities);
        capabilities
            .into_iter()
            .any(|capability| capability.name == "connect-pid" && capability.available)
    });
    if !offered {
        eprintln!("no hooks on cgroups here: tier 2 is not tested");
        return;
    }
    let on = |heard: &Heard| {
        let mut changes = heard.changes.iter();
        changes.find_map(|(_, _, change)| {
            matches!(change, Kind::AgentStatus(status) if status.tier2).then_some(())
        })
    };
    aggregator.wait("tier 2 being on", on).await;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let to = peer.local_addr().expect("bound");
    for _ in 0..10 {
        socket.send_to(&[1; 100], to).expect("sent");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let local = socket.local_addr().expect("bound");
    let flow = |heard: &Heard| {
        let here = |c: &&Connection| {
            c.local.as_ref().and_then(|l| l.socket_addr()) == Some(local)
                && c.protocol() == Protocol::Udp
        };
        connections(heard)
            .filter(here)
            .rfind(|c| c.bytes_sent >= 100)
            .map(|_| ())
    };
    aggregator.wait("bytes of a UDP flow", flow).await;
    drop(agent);
}

/// No program of ours without an owner, and none that a dead agent owns.
fn no_leftovers(dead: u32) {
    let Ok(shown) = Command::new("bpftool")
        .args(["-j", "prog", "show"])
        .output()
    else {
        eprintln!("no bpftool here: leftovers are not looked for");
        return;
    };
    let programs: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
    let ours = [
        "sched_process_f",
        "sched_process_e",
        "tcp_destroy_soc",
        "tcp_send_reset",
        "inet_sk_error_r",
    ];
    for program in programs.as_array().into_iter().flatten() {
        let name = program["name"].as_str().unwrap_or_default();
        if !ours.iter().any(|ours| name.starts_with(ours)) {
            continue;
        }
        // Other agents may run on this machine.
        let owners = program["pids"].as_array().cloned().unwrap_or_default();
        assert!(owners.iter().all(|owner| owner["pid"] != dead), "{program}");
        assert!(
            program["pinned"].as_array().is_none_or(Vec::is_empty),
            "{program}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_kernel_programs_it_lives_on_proc_and_says_so() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let agent = Agent::start(&format!("http://127.0.0.1:{port}"), &["--rung", "none"]);
    greeted(&aggregator).await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = listener.local_addr().expect("bound");
    let _client = TcpStream::connect(server).expect("connected");
    let _accepted = listener.accept().expect("a client");
    let mut child = Command::new("sleep").arg("602").spawn().expect("sleep(1)");
    let child_pid = child.id();
    aggregator
        .wait("a process by /proc", |heard| {
            processes(heard)
                .find(|process| pid(process) == child_pid)
                .map(|_| ())
        })
        .await;
    let gap = |heard: &Heard| {
        let mut gaps = heard.changes.iter();
        gaps.find_map(|(_, _, change)| match change {
            Kind::Gap(gap) if gap.what == "process-events" && !gap.detail.is_empty() => Some(()),
            _ => None,
        })
    };
    aggregator.wait("what it lacks", gap).await;
    let inbound = |heard: &Heard| {
        let here = |c: &&Connection| {
            c.local.as_ref().and_then(|local| local.socket_addr()) == Some(server)
        };
        connections(heard)
            .find(here)
            .filter(|c| c.process.is_some() && c.direction() == Direction::Inbound)
            .map(|_| ())
    };
    aggregator.wait("a connection by sock_diag", inbound).await;
    child.kill().expect("our child");
    child.wait().expect("our child");
    let ended = |heard: &Heard| {
        let ended = |process: &&Process| {
            pid(process) == child_pid && process.exit.as_ref().is_some_and(|exit| exit.inferred)
        };
        processes(heard).find(ended).map(|_| ())
    };
    aggregator.wait("an inferred end", ended).await;
    drop(agent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregator_that_returns_is_found_within_two_seconds() {
    // A runtime of its own, which ends with all its connections.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (first, port, _server) = runtime
        .spawn(Aggregator::start(None))
        .await
        .expect("started");
    let agent = Agent::start(&format!("http://127.0.0.1:{port}"), &["--rung", "none"]);
    greeted(&first).await;
    runtime.shutdown_background();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let listener = loop {
        // Connections of before may hold the port for a moment.
        match tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let returned = std::time::Instant::now();
    let second = Aggregator::default();
    let _server = second.clone().serve(listener, None);
    greeted(&second).await;
    let took = returned.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    drop(agent);
}

#[test]
fn a_bad_configuration_ends_with_64_before_anything_is_bound() {
    for args in [
        &["--nonsense"][..],
        &["--listen", "0.0.0.0:1"],
        &[
            "--tls-ca",
            "/nonexistent/ca",
            "--aggregator",
            "https://localhost:1",
        ],
    ] {
        let output = Command::new(binary())
            .args(args)
            .output()
            .expect("the agent's binary");
        assert_eq!(
            output.status.code(),
            Some(64),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn features_gives_a_reason_for_everything_that_is_missing() {
    let output = Command::new(binary())
        .args(["--rung", "none", "features", "--json"])
        .output()
        .expect("the agent's binary");
    let capabilities: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let list = capabilities.as_array().expect("a list");
    assert!(list.len() > 8);
    for capability in list {
        let reason = capability["reason"].as_str().unwrap_or_default();
        assert!(
            capability["available"] == true || !reason.is_empty(),
            "{capability}"
        );
    }
}
