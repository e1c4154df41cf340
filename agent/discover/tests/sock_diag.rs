//! Against the kernel: sockets of this process, here and in a namespace of the test's own.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use common::namespace::TestNamespace;
use mesoscope_capture::event::{Protocol, Socket};
use mesoscope_discover::paths::Paths;
use mesoscope_discover::sock_diag::{SockDiag, SocketPass};

const ESTABLISHED: u8 = 1;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

fn find(pass: &SocketPass, protocol: Protocol, local: SocketAddr, state: u8) -> &Socket {
    let mut sockets = pass.sockets.iter();
    let found = sockets.find(|socket| {
        socket.protocol == protocol && socket.local == local && socket.tcp_state == state
    });
    found.unwrap_or_else(|| panic!("{protocol:?} {local} in state {state}: {pass:?}"))
}

fn number(fd: &impl AsRawFd) -> u32 {
    u32::try_from(fd.as_raw_fd()).expect("open")
}

#[test]
fn sockets_of_this_process_with_owner_and_bytes() {
    for host in ["127.0.0.1", "[::1]"] {
        let listener = TcpListener::bind(format!("{host}:0")).expect("loopback");
        let mut client =
            TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
        let (mut server, _) = listener.accept().expect("the client");
        client.write_all(&[1; 1234]).expect("sent");
        server.read_exact(&mut [0; 1234]).expect("received");
        let udp = UdpSocket::bind(format!("{host}:0")).expect("loopback");

        let mut diag = SockDiag::new(&Paths::default()).expect("sock_diag");
        let pass = diag.sockets().expect("a pass");
        assert_eq!((pass.malformed, pass.over_limit), (0, 0));
        let local = client.local_addr().expect("bound");
        let found = find(&pass, Protocol::Tcp, local, ESTABLISHED);
        assert_eq!(found.process.pid, std::process::id());
        assert_ne!(found.process.start_boottime_ns, 0);
        assert_eq!(found.fd, number(&client));
        assert_eq!((found.bytes_sent, found.bytes_received), (1234, 0));
        assert!(found.cookie != 0 && found.cgroup_id != 0 && found.network_namespace != 0);
        assert!(found.rtt_us > 0);
        let address = listener.local_addr().expect("bound");
        let served = find(&pass, Protocol::Tcp, address, ESTABLISHED);
        assert_eq!((served.bytes_received, served.remote), (1234, local));
        let listening = find(&pass, Protocol::Tcp, address, LISTEN);
        assert_eq!(listening.fd, number(&listener));
        let bound = find(
            &pass,
            Protocol::Udp,
            udp.local_addr().expect("bound"),
            CLOSE,
        );
        assert_eq!((bound.fd, bound.remote.port()), (number(&udp), 0));

        // The end of the stream is no byte.
        drop(client);
        assert_eq!(server.read(&mut [0; 1]).expect("the end"), 0);
        let half_closed = 8;
        let pass = diag.sockets().expect("a pass");
        let served = find(&pass, Protocol::Tcp, address, half_closed);
        assert_eq!(served.bytes_received, 1234);
    }
}

#[test]
fn owners_are_looked_for_only_when_sockets_are_new() {
    let namespace = TestNamespace::new();
    namespace.ip(&["link", "set", "lo", "up"]);
    let socket = namespace.inside(|| UdpSocket::bind("127.0.0.1:4545").expect("loopback"));
    // The namespace is found by a process in it.
    let mut sleeper = std::process::Command::new("ip")
        .args(["netns", "exec", namespace.name(), "sleep", "60"])
        .spawn()
        .expect("iproute2");
    while std::fs::read_link(format!("/proc/{}/exe", sleeper.id()))
        .is_ok_and(|program| !program.ends_with("sleep"))
    {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let address: SocketAddr = "127.0.0.1:4545".parse().expect("literal");

    let mut own = SockDiag::new(&Paths::default()).expect("sock_diag");
    let pass = own.sockets().expect("a pass");
    assert!(pass.sockets.iter().all(|socket| socket.local != address));

    let mut every = SockDiag::new(&Paths::default())
        .expect("sock_diag")
        .of_every_namespace();
    let pass = every.sockets().expect("a pass");
    sleeper.kill().expect("it sleeps");
    sleeper.wait().expect("killed");
    assert_eq!(pass.namespaces_refused, 0);
    let found = find(&pass, Protocol::Udp, address, CLOSE);
    assert_eq!(found.process.pid, std::process::id());
    assert_eq!(found.fd, number(&socket));
    assert_eq!(found.network_namespace, namespace.inode());
}
