//! TCP connections: who, where to, how much, and how they ended.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process,
};

use mesoscope_capture::{EventKind, ProcessId, Protocol, event::TcpEndKind};
use rustix::net::sockopt::socket_cookie;

use super::{Check, Outcome, because, child, ensure, session::Session};

pub const CHECKS: &[Check] = &[
    (
        "tcp_over_ipv4_is_counted_to_the_byte_at_both_ends",
        exact_v4,
    ),
    (
        "tcp_over_ipv6_is_counted_to_the_byte_at_both_ends",
        exact_v6,
    ),
    (
        "a_connection_that_the_other_end_closes_first_is_counted_to_the_byte",
        passive_close,
    ),
    ("an_ipv4_mapped_address_is_an_ipv4_address", mapped),
    ("a_refused_connection_tells_whom_and_why", refused),
    ("a_connection_without_a_route_is_seen", unreachable_address),
    ("a_reset_connection_keeps_its_ends_and_counters", reset),
    (
        "a_listener_is_seen_when_it_binds_and_when_it_closes",
        listener,
    ),
    ("udp_connect_and_bind_are_seen", udp),
];

/// One end of a connection, as its end records tell it together.
#[derive(Debug)]
struct End {
    local: SocketAddr,
    remote: SocketAddr,
    sent: u64,
    received: u64,
    errors: Vec<u32>,
    hooks: Vec<TcpEndKind>,
}

/// Joins the records of a cookie: the first with a tuple names the ends, the highest counters hold.
fn end_of(session: &mut Session, cookie: u64) -> Result<End, String> {
    session.wait(&format!("end of socket {cookie}"), |event| matches!(event, EventKind::TcpEnd { cookie: other, end: TcpEndKind::Destroyed, .. } if *other == cookie).then_some(()))?;
    let mut joined: Option<End> = None;
    for record in session.all(|event| match event {
        EventKind::TcpEnd {
            cookie: other,
            end,
            local,
            remote,
            bytes_sent,
            bytes_received,
            error,
            ..
        } if *other == cookie => {
            Some((*end, *local, *remote, *bytes_sent, *bytes_received, *error))
        }
        _ => None,
    }) {
        let (hook, local, remote, sent, received, error) = record;
        let end = joined.get_or_insert(End {
            local,
            remote,
            sent: 0,
            received: 0,
            errors: Vec::new(),
            hooks: Vec::new(),
        });
        end.sent = end.sent.max(sent);
        end.received = end.received.max(received);
        end.errors.push(error);
        end.hooks.push(hook);
    }
    joined.ok_or_else(|| "no record".to_owned())
}

fn connect_of(
    session: &mut Session,
    cookie: u64,
) -> Result<(ProcessId, SocketAddr, Protocol), String> {
    session.wait(
        &format!("connect of socket {cookie}"),
        |event| match event {
            EventKind::Connect {
                cookie: other,
                process,
                remote,
                protocol,
                ..
            } if *other == cookie => Some((*process, *remote, *protocol)),
            _ => None,
        },
    )
}

fn own_pid(process: ProcessId) -> Outcome {
    ensure!(
        process.pid == process::id(),
        "process is {process:?} and not {}",
        process::id()
    );
    ensure!(process.start_boottime_ns > 0, "process has no start");
    Ok(())
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
    client_cookie: u64,
    server_cookie: u64,
}

fn pair(listen: &str) -> Result<Pair, String> {
    let listener = TcpListener::bind(listen).map_err(because("listening"))?;
    let address = listener
        .local_addr()
        .map_err(because("asking for the address"))?;
    let client = TcpStream::connect(address).map_err(because("connecting"))?;
    let (server, _) = listener.accept().map_err(because("accepting"))?;
    let client_cookie = socket_cookie(&client).map_err(because("asking for the cookie"))?;
    let server_cookie = socket_cookie(&server).map_err(because("asking for the cookie"))?;
    Ok(Pair {
        client,
        server,
        client_cookie,
        server_cookie,
    })
}

fn exact(listen: &str, client_first: bool) -> Outcome {
    let mut session = Session::start()?;
    for (request, response) in [
        (0usize, 0usize),
        (1, 0),
        (0, 1),
        (64, 128),
        (100_001, 299_993),
    ] {
        let Pair {
            mut client,
            mut server,
            client_cookie,
            server_cookie,
        } = pair(listen)?;
        let (client_address, server_address) = (
            client.local_addr().map_err(because("address"))?,
            server.local_addr().map_err(because("address"))?,
        );
        let thread = std::thread::spawn(move || {
            server.read_exact(&mut vec![0; request])?;
            server.write_all(&vec![2; response])?;
            if client_first {
                server.read_to_end(&mut Vec::new())?;
            }
            std::io::Result::Ok(())
        });
        client
            .write_all(&vec![1; request])
            .map_err(because("sending"))?;
        client
            .read_exact(&mut vec![0; response])
            .map_err(because("receiving"))?;
        if client_first {
            client
                .shutdown(Shutdown::Write)
                .map_err(because("closing"))?;
        } else {
            client
                .read_to_end(&mut Vec::new())
                .map_err(because("waiting for the end"))?;
        }
        thread
            .join()
            .map_err(|_| "the server panicked")?
            .map_err(because("serving"))?;
        drop(client);
        let (process, remote, protocol) = connect_of(&mut session, client_cookie)?;
        own_pid(process)?;
        ensure!(
            (remote, protocol) == (server_address, Protocol::Tcp),
            "connected to {remote} and not {server_address}"
        );
        let ours = end_of(&mut session, client_cookie)?;
        ensure!(
            (ours.local, ours.remote) == (client_address, server_address),
            "client is {ours:?}"
        );
        ensure!(
            (ours.sent, ours.received) == (request as u64, response as u64),
            "client sent {request}, received {response}: {ours:?}"
        );
        let theirs = end_of(&mut session, server_cookie)?;
        ensure!(
            (theirs.local, theirs.remote) == (server_address, client_address),
            "server is {theirs:?}"
        );
        ensure!(
            (theirs.sent, theirs.received) == (response as u64, request as u64),
            "server sent {response}, received {request}: {theirs:?}"
        );
        ensure!(
            ours.errors
                .iter()
                .chain(&theirs.errors)
                .all(|error| *error == 0),
            "errors: {ours:?}, {theirs:?}"
        );
    }
    ensure!(session.lost() == 0, "lost {}", session.lost());
    Ok(())
}

fn exact_v4() -> Outcome {
    exact("127.0.0.1:0", true)
}

fn exact_v6() -> Outcome {
    exact("[::1]:0", true)
}

fn passive_close() -> Outcome {
    exact("127.0.0.1:0", false)
}

fn mapped() -> Outcome {
    let mut session = Session::start()?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(because("listening"))?;
    let address = listener.local_addr().map_err(because("address"))?;
    let client = TcpStream::connect(format!("[::ffff:127.0.0.1]:{}", address.port()))
        .map_err(because("connecting"))?;
    let cookie = socket_cookie(&client).map_err(because("cookie"))?;
    drop(client);
    let (process, remote, _) = connect_of(&mut session, cookie)?;
    own_pid(process)?;
    ensure!(remote == address, "connected to {remote} and not {address}");
    let end = end_of(&mut session, cookie)?;
    ensure!(end.remote == address && end.local.is_ipv4(), "{end:?}");
    Ok(())
}

fn refused() -> Outcome {
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        let mut session = Session::start()?;
        // A port that was just free: nobody listens there.
        let address = TcpListener::bind(listen)
            .and_then(|listener| listener.local_addr())
            .map_err(because("address"))?;
        let error = TcpStream::connect(address)
            .err()
            .ok_or("connected to nobody")?;
        ensure!(error.raw_os_error() == Some(111), "{error}");
        let cookie = session.wait("connect", |event| match event {
            EventKind::Connect {
                cookie,
                remote,
                process,
                ..
            } if *remote == address && process.pid == process::id() => Some(*cookie),
            _ => None,
        })?;
        let (remote, code) = session.wait("error", |event| match event {
            EventKind::TcpEnd {
                cookie: other,
                end: TcpEndKind::Error,
                remote,
                error,
                ..
            } if *other == cookie => Some((*remote, *error)),
            _ => None,
        })?;
        ensure!(
            (remote, code) == (address, 111),
            "refused by {remote} with {code}"
        );
        end_of(&mut session, cookie)?;
    }
    Ok(())
}

fn unreachable_address() -> Outcome {
    let mut session = Session::start()?;
    let mut child = child::command(&["unreachable"])
        .spawn()
        .map_err(because("spawning"))?;
    let pid = child.id();
    let status = child.wait().map_err(because("waiting"))?;
    ensure!(status.code() == Some(101), "child says {status}");
    let (cookie, remote) = session.wait("connect", |event| match event {
        EventKind::Connect {
            cookie,
            process,
            remote,
            ..
        } if process.pid == pid => Some((*cookie, *remote)),
        _ => None,
    })?;
    ensure!(remote.to_string() == "192.0.2.1:9", "connected to {remote}");
    let end = end_of(&mut session, cookie)?;
    ensure!((end.sent, end.received) == (0, 0), "{end:?}");
    Ok(())
}

fn reset() -> Outcome {
    let mut session = Session::start()?;
    let Pair {
        mut client,
        mut server,
        client_cookie,
        server_cookie,
    } = pair("127.0.0.1:0")?;
    let (client_address, server_address) = (
        client.local_addr().map_err(because("address"))?,
        server.local_addr().map_err(because("address"))?,
    );
    client.write_all(&[1; 500]).map_err(because("sending"))?;
    server
        .read_exact(&mut [0; 500])
        .map_err(because("receiving"))?;
    rustix::net::sockopt::set_socket_linger(&client, Some(std::time::Duration::ZERO))
        .map_err(because("lingering"))?;
    drop(client);
    let error = server
        .read(&mut [0; 1])
        .err()
        .ok_or("no error at the other end")?;
    ensure!(error.raw_os_error() == Some(104), "{error}");
    drop(server);
    let ours = end_of(&mut session, client_cookie)?;
    ensure!(ours.hooks.contains(&TcpEndKind::ResetSent), "{ours:?}");
    ensure!(
        (ours.local, ours.remote, ours.sent) == (client_address, server_address, 500),
        "{ours:?}"
    );
    let theirs = end_of(&mut session, server_cookie)?;
    ensure!(theirs.errors.contains(&104), "{theirs:?}");
    ensure!(
        (theirs.local, theirs.remote, theirs.received) == (server_address, client_address, 500),
        "{theirs:?}"
    );
    Ok(())
}

fn listener() -> Outcome {
    for listen in ["127.0.0.1:0", "[::]:0"] {
        let mut session = Session::start()?;
        let listener = TcpListener::bind(listen).map_err(because("listening"))?;
        let address = listener.local_addr().map_err(because("address"))?;
        let cookie = socket_cookie(&listener).map_err(because("cookie"))?;
        let (process, local, protocol) = session.wait("bind", |event| match event {
            EventKind::Bind {
                cookie: other,
                process,
                local,
                protocol,
                ..
            } if *other == cookie => Some((*process, *local, *protocol)),
            _ => None,
        })?;
        own_pid(process)?;
        ensure!(
            (local, protocol) == (address, Protocol::Tcp),
            "bound {local}"
        );
        drop(listener);
        let end = end_of(&mut session, cookie)?;
        ensure!(end.local == address && end.remote.port() == 0, "{end:?}");
    }
    Ok(())
}

fn udp() -> Outcome {
    let mut session = Session::start()?;
    let server = std::net::UdpSocket::bind("127.0.0.1:0").map_err(because("binding"))?;
    let client = std::net::UdpSocket::bind("127.0.0.1:0").map_err(because("binding"))?;
    let address = server.local_addr().map_err(because("address"))?;
    client.connect(address).map_err(because("connecting"))?;
    let (client_cookie, server_cookie) = (
        socket_cookie(&client).map_err(because("cookie"))?,
        socket_cookie(&server).map_err(because("cookie"))?,
    );
    let (process, remote, protocol) = connect_of(&mut session, client_cookie)?;
    own_pid(process)?;
    ensure!(
        (remote, protocol) == (address, Protocol::Udp),
        "connected to {remote}, {protocol:?}"
    );
    let bound = session.wait("bind", |event| match event {
        EventKind::Bind {
            cookie,
            local,
            protocol: Protocol::Udp,
            ..
        } if *cookie == server_cookie => Some(*local),
        _ => None,
    })?;
    ensure!(bound == address, "bound {bound}");
    Ok(())
}
