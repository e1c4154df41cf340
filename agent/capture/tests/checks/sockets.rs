//! The pass over all sockets.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    process,
    time::Instant,
};

use mesoscope_capture::{Protocol, Socket};
use rustix::net::sockopt::socket_cookie;

use super::{Check, Outcome, because, child, ensure, session::Session};

pub const CHECKS: &[Check] = &[
    ("the_snapshot_has_owner_tuple_and_live_counters", live),
    ("the_snapshot_crosses_network_namespaces", namespaces),
    ("the_snapshot_has_udp_sockets", udp),
    (
        "an_inherited_socket_is_told_once_with_its_opener",
        inherited,
    ),
    ("a_snapshot_of_thousands_is_complete", thousands),
];

const ESTABLISHED: u8 = 1;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

fn find(sockets: &[Socket], cookie: u64) -> Result<&Socket, String> {
    sockets
        .iter()
        .find(|socket| socket.cookie == cookie)
        .ok_or_else(|| format!("socket {cookie} is not among {}", sockets.len()))
}

fn live() -> Outcome {
    let mut session = Session::start()?;
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(listen).map_err(because("listening"))?;
        let address = listener.local_addr().map_err(because("address"))?;
        let mut client = TcpStream::connect(address).map_err(because("connecting"))?;
        let (mut server, _) = listener.accept().map_err(because("accepting"))?;
        client.write_all(&[1; 4321]).map_err(because("sending"))?;
        server
            .read_exact(&mut [0; 4321])
            .map_err(because("receiving"))?;
        let sockets = session.capture.sockets().map_err(because("snapshot"))?;
        let namespace = fs::metadata("/proc/self/ns/net")
            .map_err(because("namespace"))?
            .ino();
        for (cookie, fd, state, sent, received) in [
            (socket_cookie(&listener), listener.as_raw_fd(), LISTEN, 0, 0),
            (
                socket_cookie(&client),
                client.as_raw_fd(),
                ESTABLISHED,
                4321,
                0,
            ),
            (
                socket_cookie(&server),
                server.as_raw_fd(),
                ESTABLISHED,
                0,
                4321,
            ),
        ] {
            let socket = find(&sockets, cookie.map_err(because("cookie"))?)?;
            ensure!(
                socket.process.pid == process::id() && i64::from(socket.fd) == i64::from(fd),
                "owner: {socket:?}"
            );
            ensure!(
                (socket.tcp_state, socket.bytes_sent, socket.bytes_received)
                    == (state, sent, received),
                "{sent} sent, {received} received: {socket:?}"
            );
            ensure!(
                socket.network_namespace == namespace
                    && socket.protocol == Protocol::Tcp
                    && socket.uid == 0,
                "{socket:?}"
            );
        }
        let client_socket = find(&sockets, socket_cookie(&client).map_err(because("cookie"))?)?;
        ensure!(
            client_socket.remote == address
                && client_socket.local == client.local_addr().map_err(because("address"))?,
            "{client_socket:?}"
        );
        let listening = find(
            &sockets,
            socket_cookie(&listener).map_err(because("cookie"))?,
        )?;
        ensure!(
            listening.local == address && listening.remote.port() == 0,
            "{listening:?}"
        );
    }
    Ok(())
}

fn namespaces() -> Outcome {
    let mut session = Session::start()?;
    let (mut child, line) = child::start_and_read_line(&["network-namespace"])?;
    let (port, namespace) = line
        .split_once(' ')
        .ok_or_else(|| format!("child says {line:?}"))?;
    let port: u16 = port.parse().map_err(because("port"))?;
    let namespace: u64 = namespace
        .trim_start_matches("net:[")
        .trim_end_matches(']')
        .parse()
        .map_err(because("namespace"))?;
    let sockets = session.capture.sockets().map_err(because("snapshot"))?;
    let theirs: Vec<&Socket> = sockets
        .iter()
        .filter(|socket| socket.process.pid == child.id())
        .collect();
    drop(child.stdin.take());
    child.wait().map_err(because("waiting"))?;
    ensure!(theirs.len() == 3, "{} sockets of the child", theirs.len());
    ensure!(
        theirs
            .iter()
            .all(|socket| socket.network_namespace == namespace),
        "namespaces of {theirs:?}"
    );
    ensure!(
        theirs
            .iter()
            .any(|socket| socket.tcp_state == LISTEN && socket.local.port() == port),
        "no listener in {theirs:?}"
    );
    ensure!(
        theirs
            .iter()
            .any(|socket| socket.remote.port() == port && socket.bytes_sent == 1234),
        "no client in {theirs:?}"
    );
    ensure!(
        theirs.iter().any(|socket| socket.tcp_state == ESTABLISHED
            && socket.local.port() == port
            && socket.bytes_received == 1234),
        "no server in {theirs:?}"
    );
    Ok(())
}

fn udp() -> Outcome {
    let mut session = Session::start()?;
    let server = UdpSocket::bind("0.0.0.0:0").map_err(because("binding"))?;
    let client = UdpSocket::bind("127.0.0.1:0").map_err(because("binding"))?;
    let port = server.local_addr().map_err(because("address"))?.port();
    client
        .connect(("127.0.0.1", port))
        .map_err(because("connecting"))?;
    let sockets = session.capture.sockets().map_err(because("snapshot"))?;
    let bound = find(&sockets, socket_cookie(&server).map_err(because("cookie"))?)?;
    ensure!(
        bound.protocol == Protocol::Udp
            && bound.tcp_state == CLOSE
            && bound.local.port() == port
            && bound.remote.port() == 0,
        "{bound:?}"
    );
    let connected = find(&sockets, socket_cookie(&client).map_err(because("cookie"))?)?;
    ensure!(
        connected.tcp_state == ESTABLISHED && connected.remote.port() == port,
        "{connected:?}"
    );
    Ok(())
}

fn inherited() -> Outcome {
    let mut session = Session::start()?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(because("listening"))?;
    let cookie = socket_cookie(&listener).map_err(because("cookie"))?;
    let inherited = rustix::io::dup(&listener).map_err(because("duplicating"))?;
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty())
        .map_err(because("sharing"))?;
    let (mut child, _) = child::start_and_read_line(&["wait"])?;
    drop(inherited);
    let sockets = session.capture.sockets().map_err(because("snapshot"))?;
    drop(child.stdin.take());
    child.wait().map_err(because("waiting"))?;
    let told: Vec<&Socket> = sockets
        .iter()
        .filter(|socket| socket.cookie == cookie)
        .collect();
    ensure!(
        told.len() == 1 && told[0].process.pid == process::id(),
        "told as {told:?}"
    );
    Ok(())
}

fn thousands() -> Outcome {
    let mut session = Session::start()?;
    // Well below the usual limit of 1024 descriptors a process has by default.
    let sockets: Vec<UdpSocket> = (0..900)
        .map_while(|_| UdpSocket::bind("127.0.0.1:0").ok())
        .collect();
    let wanted: std::collections::HashSet<u64> = sockets
        .iter()
        .filter_map(|socket| socket_cookie(socket).ok())
        .collect();
    let begun = Instant::now();
    let snapshot = session.capture.sockets().map_err(because("snapshot"))?;
    let took = begun.elapsed();
    let seen = snapshot
        .iter()
        .filter(|socket| wanted.contains(&socket.cookie))
        .count();
    ensure!(
        seen == wanted.len() && seen >= 500,
        "{seen} of {} sockets",
        wanted.len()
    );
    println!("    {} sockets in {took:?}", snapshot.len());
    Ok(())
}
