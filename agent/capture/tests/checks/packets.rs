//! Tier 2: what only packets tell.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
};

use mesoscope_capture::{CaptureConfig, EventKind, Tier2};
use rustix::net::sockopt::socket_cookie;

use super::{Check, Outcome, because, cgroups::Scratch, ensure, session::Session};

pub const CHECKS: &[Check] = &[
    ("udp_flows_are_counted_to_the_byte", udp_bytes),
    ("a_udp_socket_with_many_peers_tells_each_flow", udp_peers),
    (
        "http_grpc_and_tls_are_recognised_by_their_first_payload",
        recognition,
    ),
    (
        "a_connection_from_before_is_recognised_by_its_next_request",
        adoption,
    ),
    ("dns_answers_name_addresses", dns),
    (
        "tier_2_is_off_until_it_is_turned_on_and_off_again",
        switching,
    ),
    ("tier_2_of_one_cgroup_leaves_the_others_alone", one_cgroup),
];

fn tier2() -> Result<Session, String> {
    let session = Session::with(&CaptureConfig {
        tier2: Tier2::Node,
        events_per_second_per_cgroup: 0,
        ..CaptureConfig::default()
    })?;
    for name in ["udp-bytes", "protocol-recognition"] {
        let capability = session
            .capture
            .capabilities()
            .into_iter()
            .find(|capability| capability.name == name)
            .ok_or("not told of")?;
        ensure!(
            capability.available && capability.reason.is_empty(),
            "{capability:?}"
        );
    }
    Ok(session)
}

/// Sent and received of the last record of a flow to a port, and whether it is closed.
fn flow(event: &EventKind, wanted: u64, port: u16) -> Option<(u64, u64, bool)> {
    match event {
        EventKind::UdpFlow {
            cookie,
            remote,
            bytes_sent,
            bytes_received,
            closed,
            ..
        } if *cookie == wanted && remote.port() == port => {
            Some((*bytes_sent, *bytes_received, *closed))
        }
        _ => None,
    }
}

fn udp_bytes() -> Outcome {
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let mut session = tier2()?;
        let server = UdpSocket::bind(bind).map_err(because("binding"))?;
        let client = UdpSocket::bind(bind).map_err(because("binding"))?;
        let (server_address, client_address) = (
            server.local_addr().map_err(because("address"))?,
            client.local_addr().map_err(because("address"))?,
        );
        let cookies = (
            socket_cookie(&client).map_err(because("cookie"))?,
            socket_cookie(&server).map_err(because("cookie"))?,
        );
        for size in [0usize, 1, 500, 1200] {
            client
                .send_to(&vec![1; size], server_address)
                .map_err(because("sending"))?;
            let (got, from) = server
                .recv_from(&mut [0; 2000])
                .map_err(because("receiving"))?;
            ensure!(
                got == size && from == client_address,
                "received {got} of {from}"
            );
            server
                .send_to(&vec![1; size * 2], from)
                .map_err(because("answering"))?;
            client
                .recv_from(&mut [0; 4000])
                .map_err(because("receiving"))?;
        }
        let sockets = session.capture.sockets().map_err(because("snapshot"))?;
        let live = sockets
            .iter()
            .find(|socket| socket.cookie == cookies.0)
            .ok_or("the snapshot has no client")?;
        ensure!(
            (live.bytes_sent, live.bytes_received) == (1701, 3402),
            "{live:?}"
        );
        session.wait("first record of the flow", |event| {
            flow(event, cookies.0, server_address.port())
        })?;
        drop((client, server));
        let last = session.wait("end of the flow", |event| {
            flow(event, cookies.0, server_address.port()).filter(|(.., closed)| *closed)
        })?;
        ensure!(last == (1701, 3402, true), "client {last:?}");
        let last = session.wait("end of the flow", |event| {
            flow(event, cookies.1, client_address.port()).filter(|(.., closed)| *closed)
        })?;
        ensure!(last == (3402, 1701, true), "server {last:?}");
    }
    Ok(())
}

fn udp_peers() -> Outcome {
    let mut session = tier2()?;
    let server = UdpSocket::bind("127.0.0.1:0").map_err(because("binding"))?;
    let address = server.local_addr().map_err(because("address"))?;
    let cookie = socket_cookie(&server).map_err(because("cookie"))?;
    let clients: Vec<UdpSocket> = (0..20)
        .map_while(|_| UdpSocket::bind("127.0.0.1:0").ok())
        .collect();
    for round in 0..3 {
        for (index, client) in clients.iter().enumerate() {
            client
                .send_to(&vec![round; 10 + index], address)
                .map_err(because("sending"))?;
        }
    }
    let ports: Vec<u16> = clients
        .iter()
        .filter_map(|client| Some(client.local_addr().ok()?.port()))
        .collect();
    drop(server);
    // The last flow that the closing reports.
    session.wait("end of the last flow", |event| {
        flow(event, cookie, *ports.last()?).filter(|(.., closed)| *closed)
    })?;
    session.drain();
    for (index, port) in ports.iter().enumerate() {
        // A flow that had to make room for another one begins again at zero.
        let received: u64 = session
            .all(|event| flow(event, cookie, *port).filter(|(.., closed)| *closed))
            .iter()
            .map(|(_, received, _)| received)
            .sum();
        ensure!(
            received == 3 * (10 + index as u64),
            "{received} bytes of peer {index}"
        );
    }
    Ok(())
}

/// A ClientHello for a server name, as RFC 8446 lays it out.
pub fn client_hello(name: &str) -> Vec<u8> {
    let short = |value: usize| u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes();
    let mut extension = Vec::new();
    extension.extend([0, 0]);
    extension.extend(short(name.len() + 5));
    extension.extend(short(name.len() + 3));
    extension.push(0);
    extension.extend(short(name.len()));
    extension.extend(name.bytes());
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend([0, 2, 0x13, 1, 1, 0]);
    hello.extend(short(extension.len()));
    hello.extend(extension);
    let mut handshake = vec![1, 0];
    handshake.extend(short(hello.len()));
    handshake.extend(hello);
    let mut record = vec![0x16, 3, 1];
    record.extend(short(handshake.len()));
    record.extend(handshake);
    record
}

/// A connection that has exchanged more than what is looked at of a new one.
fn adoption() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(because("listening"))?;
    let mut client = TcpStream::connect(listener.local_addr().map_err(because("address"))?)
        .map_err(because("connecting"))?;
    let (mut server, _) = listener.accept().map_err(because("accepting"))?;
    let mut exchange = |bytes: &[u8]| {
        let mut buffer = vec![0; bytes.len()];
        client.write_all(bytes).map_err(because("sending"))?;
        server
            .read_exact(&mut buffer)
            .map_err(because("receiving"))?;
        server.write_all(bytes).map_err(because("answering"))?;
        client.read_exact(&mut buffer).map_err(because("receiving"))
    };
    for _ in 0..20 {
        exchange(&[7; 64])?;
    }
    let mut session = tier2()?;
    exchange(b"GET / HTTP/1.1\r\nHost: old.test\r\n\r\n")?;
    for cookie in [socket_cookie(&client), socket_cookie(&server)] {
        let wanted = cookie.map_err(because("cookie"))?;
        let name = session.wait("http", |event| match event {
            EventKind::Application {
                cookie,
                application: "http",
                server_name,
            } if *cookie == wanted => Some(server_name.clone()),
            _ => None,
        })?;
        ensure!(name == "old.test", "name is {name:?}");
    }
    Ok(())
}

fn recognition() -> Outcome {
    let mut grpc = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    grpc.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let mut headers = vec![0, 0, 19, 1, 4, 0, 0, 0, 1, 0x5f, 0x8b];
    headers.extend([
        0x1d, 0x75, 0xd0, 0x62, 0x0d, 0x26, 0x3d, 0x4c, 0x4d, 0x65, 0x64, 0x82, 0x86, 0x84, 0x83,
        0x40, 0x40,
    ]);
    let http = b"GET /a HTTP/1.1\r\nUser-Agent: x\r\nHost: Example.test:8080\r\n\r\n".to_vec();
    let cases = [
        (vec![http], "http", "example.test:8080"),
        (
            vec![client_hello("tls.example.test")],
            "tls",
            "tls.example.test",
        ),
        (vec![grpc.clone()], "http2", ""),
        (vec![grpc, headers], "grpc", ""),
    ];
    for ((sent, wanted, name), bind) in cases
        .iter()
        .flat_map(|case| [(case, "127.0.0.1:0"), (case, "[::1]:0")])
    {
        let mut session = tier2()?;
        let listener = TcpListener::bind(bind).map_err(because("listening"))?;
        let mut client = TcpStream::connect(listener.local_addr().map_err(because("address"))?)
            .map_err(because("connecting"))?;
        let (mut server, _) = listener.accept().map_err(because("accepting"))?;
        client
            .set_nodelay(true)
            .map_err(because("sending at once"))?;
        for bytes in sent {
            client.write_all(bytes).map_err(because("sending"))?;
            server
                .read_exact(&mut vec![0; bytes.len()])
                .map_err(because("receiving"))?;
        }
        for cookie in [socket_cookie(&client), socket_cookie(&server)] {
            let wanted_cookie = cookie.map_err(because("cookie"))?;
            let told =
                session.wait(
                    &format!("{wanted} at socket {wanted_cookie}"),
                    |event| match event {
                        EventKind::Application {
                            cookie,
                            application,
                            server_name,
                        } if *cookie == wanted_cookie && application == wanted => {
                            Some(server_name.clone())
                        }
                        _ => None,
                    },
                )?;
            ensure!(&told == name, "name is {told:?} and not {name:?}");
        }
    }
    Ok(())
}

fn dns() -> Outcome {
    // Port 53 is what marks a flow as DNS; an address of the loopback network that nobody uses.
    let server = UdpSocket::bind("127.53.53.53:53").map_err(because("binding"))?;
    let mut session = tier2()?;
    let client = UdpSocket::bind("127.0.0.1:0").map_err(because("binding"))?;
    client
        .send_to(b"?", "127.53.53.53:53")
        .map_err(because("asking"))?;
    let (_, from) = server
        .recv_from(&mut [0; 100])
        .map_err(because("receiving"))?;
    let mut answer = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
    answer.extend(b"\x03www\x07example\x04test\0\0\x01\0\x01");
    answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07");
    answer
        .extend(b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09");
    server
        .send_to(&answer, from)
        .map_err(because("answering"))?;
    client
        .recv_from(&mut [0; 200])
        .map_err(because("receiving"))?;
    let (name, addresses) = session.wait("answer", |event| match event {
        EventKind::DnsAnswer {
            name, addresses, ..
        } => Some((name.clone(), addresses.clone())),
        _ => None,
    })?;
    ensure!(name == "www.example.test", "name is {name}");
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    ensure!(
        texts == ["192.0.2.7", "2001:db8::9"],
        "addresses are {texts:?}"
    );
    let cookie = socket_cookie(&client).map_err(because("cookie"))?;
    session.wait("dns at the client", |event| matches!(event, EventKind::Application { cookie: other, application: "dns", .. } if *other == cookie).then_some(()))
}

/// One datagram over loopback; gives the sender's cookie.
pub fn exchange() -> Result<u64, String> {
    let server = UdpSocket::bind("127.0.0.1:0").map_err(because("binding"))?;
    let client = UdpSocket::bind("127.0.0.1:0").map_err(because("binding"))?;
    client
        .send_to(b"hello", server.local_addr().map_err(because("address"))?)
        .map_err(because("sending"))?;
    server
        .recv_from(&mut [0; 10])
        .map_err(because("receiving"))?;
    socket_cookie(&client).map_err(because("cookie"))
}

fn seen(session: &mut Session, wanted: u64) -> bool {
    session.drain();
    !session
        .all(|event| {
            matches!(event, EventKind::UdpFlow { cookie, .. } if *cookie == wanted).then_some(())
        })
        .is_empty()
}

fn switching() -> Outcome {
    let mut session = Session::start()?;
    let off = |session: &Session| {
        session
            .capture
            .capabilities()
            .iter()
            .find(|capability| capability.name == "udp-bytes")
            .is_some_and(|capability| !capability.available && !capability.reason.is_empty())
    };
    ensure!(off(&session), "tier 2 is on without being asked for");
    let cookie = exchange()?;
    ensure!(
        !seen(&mut session, cookie),
        "flows are seen while tier 2 is off"
    );
    for _ in 0..20 {
        session
            .capture
            .set_tier2(Tier2::Node)
            .map_err(because("turning on"))?;
        let cookie = exchange()?;
        ensure!(seen(&mut session, cookie), "no flow although tier 2 is on");
        session
            .capture
            .set_tier2(Tier2::Off)
            .map_err(because("turning off"))?;
        let cookie = exchange()?;
        ensure!(
            !seen(&mut session, cookie),
            "flows are seen after tier 2 was turned off"
        );
    }
    ensure!(
        off(&session),
        "tier 2 is said to be on after it was turned off"
    );
    let wrong = session
        .capture
        .set_tier2(Tier2::Cgroups(vec![PathBuf::from("/proc")]));
    ensure!(wrong.is_err(), "a directory that is no cgroup is taken");
    Ok(())
}

fn one_cgroup() -> Outcome {
    let Ok(scratch) = Scratch::in_v2("packets") else {
        println!("    no v2 hierarchy is mounted here: only the whole node can be chosen");
        return Ok(());
    };
    let mut session = Session::start()?;
    session
        .capture
        .set_tier2(Tier2::Cgroups(vec![scratch.path().to_path_buf()]))
        .map_err(because("turning on"))?;
    let cookie = exchange()?;
    ensure!(
        !seen(&mut session, cookie),
        "a flow of another cgroup is seen"
    );
    let directory = scratch.path().display().to_string();
    let mut child = super::child::command(&["in-cgroup", &directory, "udp"])
        .spawn()
        .map_err(because("spawning"))?;
    child.wait().map_err(because("waiting"))?;
    let id = scratch.id()?;
    session.wait("flow of the chosen cgroup", |event| {
        matches!(event, EventKind::UdpFlow { cgroup_id, .. } if *cgroup_id == id).then_some(())
    })
}
