//! Against the kernel, in a network namespace of the test's own. Needs root, iproute2, iptables.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use common::namespace::TestNamespace;
use mesoscope_capture::event::Protocol;
use mesoscope_discover::conntrack::{
    ConntrackConfig, ConntrackEvent, ConntrackWatch, NatFlow, TcpFlows, capability, watch,
};

const VIRTUAL: &str = "10.99.0.1:80";
const REAL: &str = "10.98.0.1:8080";

fn namespace_with_dnat() -> TestNamespace {
    let namespace = TestNamespace::new();
    namespace.ip(&["link", "set", "lo", "up"]);
    namespace.ip(&["address", "add", "10.98.0.1/32", "dev", "lo"]);
    namespace.ip(&[
        "route",
        "add",
        "10.99.0.0/24",
        "dev",
        "lo",
        "src",
        "10.98.0.1",
    ]);
    for protocol in ["tcp", "udp"] {
        namespace.run(&[
            "iptables",
            "-t",
            "nat",
            "-A",
            "OUTPUT",
            "-p",
            protocol,
            "-d",
            "10.99.0.1",
            "--dport",
            "80",
            "-j",
            "DNAT",
            "--to-destination",
            REAL,
        ]);
    }
    namespace.run(&[
        "sh",
        "-c",
        "echo 1 > /proc/sys/net/netfilter/nf_conntrack_acct",
    ]);
    namespace
}

fn config(namespace: &TestNamespace) -> ConntrackConfig {
    ConntrackConfig {
        network_namespace: Some(namespace.link()),
        dump_interval: None,
        ..ConntrackConfig::default()
    }
}

async fn next_flow(watch: &mut ConntrackWatch, wanted: impl Fn(&NatFlow) -> bool) -> NatFlow {
    let search = async {
        loop {
            match watch.events.recv().await.expect("the watcher runs on") {
                ConntrackEvent::Flow(flow) if wanted(&flow) => return flow,
                _ => {}
            }
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), search).await;
    found.expect("told within 20 s")
}

async fn until_dumped(watch: &mut ConntrackWatch) -> (bool, Vec<NatFlow>) {
    let mut flows = Vec::new();
    let mut after_loss = false;
    loop {
        match watch.events.recv().await.expect("the watcher runs on") {
            ConntrackEvent::DumpBegins { after_loss: lost } => after_loss = lost,
            ConntrackEvent::Flow(flow) => flows.push(flow),
            ConntrackEvent::DumpEnds { complete } => {
                assert!(complete);
                return (after_loss, flows);
            }
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("literal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn translated_connections_are_told_with_their_real_ends() {
    let namespace = namespace_with_dnat();
    let mut watch = watch(&config(&namespace)).expect("root may watch");
    assert_eq!(until_dumped(&mut watch).await, (false, vec![]));

    let (client, local) = namespace.inside(|| {
        let listener = TcpListener::bind(REAL).expect("an own address");
        let mut client = TcpStream::connect(VIRTUAL).expect("translated");
        let (mut served, _) = listener.accept().expect("the client");
        served.write_all(&[7; 1000]).expect("sent");
        let mut buffer = [0; 1000];
        client.read_exact(&mut buffer).expect("received");
        // Not translated: not told.
        let direct = TcpStream::connect(REAL).expect("listening");
        drop(direct);
        let local = client.local_addr().expect("bound");
        (client, local)
    });
    let flow = next_flow(&mut watch, |flow| flow.protocol == Protocol::Tcp).await;
    assert!(flow.is_translated() && !flow.destroyed);
    assert_eq!(flow.original.source, local);
    assert_eq!(flow.original.destination, address(VIRTUAL));
    assert_eq!(flow.reply.source, address(REAL));
    assert_eq!(flow.reply.destination, local);
    drop(client);

    let udp = namespace.inside(|| {
        let server = UdpSocket::bind(REAL).expect("an own address");
        let client = UdpSocket::bind("10.98.0.1:0").expect("an own address");
        client.connect(VIRTUAL).expect("routed");
        client.send(&[1; 100]).expect("sent");
        let (_, from) = server.recv_from(&mut [0; 200]).expect("received");
        server.send_to(&[2; 50], from).expect("answered");
        client.recv(&mut [0; 200]).expect("received");
        client.local_addr().expect("bound")
    });
    let flow = next_flow(&mut watch, |flow| flow.protocol == Protocol::Udp).await;
    assert_eq!(
        (flow.original.source, flow.reply.source),
        (udp, address(REAL))
    );

    // The end of a flow carries its bytes: 20 of IP and 8 of UDP beside the payload.
    namespace.run(&["conntrack", "-D", "-p", "udp"]);
    let ended = next_flow(&mut watch, |flow| {
        flow.destroyed && flow.protocol == Protocol::Udp
    })
    .await;
    assert_eq!(ended.id, flow.id);
    assert!(ended.replied);
    assert_eq!(
        (ended.bytes_original, ended.bytes_reply),
        (Some(128), Some(78))
    );
    assert_eq!(watch.stats.malformed_total(), 0);
    assert_eq!(watch.stats.losses_total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_adopts_flows_and_repeats() {
    let namespace = namespace_with_dnat();
    // The table follows connections only once something looks at it: the rules above do.
    let _open = namespace.inside(|| {
        let listener = TcpListener::bind(REAL).expect("an own address");
        let client = TcpStream::connect(VIRTUAL).expect("translated");
        (listener, client)
    });
    let mut watch = watch(&ConntrackConfig {
        dump_interval: Some(Duration::from_millis(100)),
        ..config(&namespace)
    })
    .expect("root may watch");
    for _ in 0..3 {
        let (_, flows) = until_dumped(&mut watch).await;
        assert_eq!(flows.len(), 1, "{flows:?}");
        assert!(flows[0].replied);
        assert!(flows[0].bytes_original.is_some_and(|bytes| bytes > 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_counted_and_made_good_by_a_dump() {
    let namespace = namespace_with_dnat();
    let mut watch = watch(&ConntrackConfig {
        tcp: TcpFlows::All,
        channel_capacity: 1,
        ..config(&namespace)
    })
    .expect("root may watch");
    until_dumped(&mut watch).await;
    // Nobody reads: the kernel's buffer must overflow. 60,000 flows are far more than it holds.
    namespace.inside(|| {
        let socket = UdpSocket::bind("10.98.0.1:0").expect("an own address");
        for port in 1000..61_000_u16 {
            // A refusal of an earlier one is reported here; the flow was tracked all the same.
            let _ = socket.send_to(&[1], ("10.98.0.1", port));
        }
    });
    let lost = async {
        loop {
            let event = watch.events.recv().await.expect("the watcher runs on");
            if let ConntrackEvent::DumpBegins { after_loss } = event {
                return after_loss;
            }
        }
    };
    let after_loss = tokio::time::timeout(Duration::from_secs(60), lost).await;
    assert!(after_loss.expect("a dump follows"));
    assert_eq!(watch.stats.losses_total(), 1);
    let mut flows = 0;
    while let Some(event) = watch.events.recv().await {
        match event {
            ConntrackEvent::Flow(_) => flows += 1,
            _ => break,
        }
    }
    assert!(flows > 30_000, "{flows} flows in the dump");
}

#[test]
fn what_is_missing_is_said() {
    let found = capability(&ConntrackConfig::default(), std::path::Path::new("/proc"));
    assert!(found.available, "{found:?}");
    let missing = ConntrackConfig {
        network_namespace: Some("/proc/no-such/ns/net".into()),
        ..ConntrackConfig::default()
    };
    let found = capability(&missing, std::path::Path::new("/proc"));
    assert!(!found.available);
    assert!(
        found.reason.contains("enter the network namespace"),
        "{found:?}"
    );
}
