//! The observed work of the A/B comparison: one process that does the same batch again and again
//! and says what CPU time it took, the kernel's share and its children's included.
//!
//! Each line on stdin is a number of repetitions; the answer is the CPU time in nanoseconds.

use std::io::{BufRead, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use rustix::thread::{CpuSet, sched_setaffinity};

/// One repetition of the work.
type Once = Box<dyn FnMut() -> Result<()>>;

/// Answers batches until stdin closes.
pub fn serve(kind: &str, program: &str) -> Result<()> {
    isolate()?;
    let mut once = prepare(kind, program)?;
    let stdin = std::io::stdin().lock();
    let mut stdout = std::io::stdout().lock();
    for line in stdin.lines() {
        let count: u64 = super::number(line?.trim(), "a batch")?;
        let before = cpu_ns()?;
        for _ in 0..count {
            once()?;
        }
        writeln!(stdout, "{}", cpu_ns()? - before)?;
        stdout.flush()?;
    }
    Ok(())
}

/// Brings the loopback of its network namespace up, and takes the last CPU for itself: the observer
/// has the first.
fn isolate() -> Result<()> {
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    if !up.success() {
        return Err(std::io::Error::other("ip link set lo up failed"));
    }
    let last = std::thread::available_parallelism()?.get() - 1;
    let mut cpus = CpuSet::new();
    cpus.set(last);
    sched_setaffinity(None, &cpus)?;
    Ok(())
}

/// CPU time of this process and of its children that ended.
fn cpu_ns() -> Result<i64> {
    let mut micros = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            micros += time.tv_sec() * 1_000_000 + time.tv_usec();
        }
    }
    Ok(micros * 1_000)
}

fn prepare(kind: &str, program: &str) -> Result<Once> {
    Ok(match kind {
        "spawn" => spawn(program.to_owned()),
        "tcp-connect" => tcp_connect()?,
        "tcp-request" => tcp_request()?,
        "tcp-bulk" => tcp_bulk()?,
        "udp" => udp()?,
        "unix" => unix()?,
        _ => return Err(std::io::Error::other(format!("no work is called {kind:?}"))),
    })
}

fn spawn(program: String) -> Once {
    Box::new(move || Command::new(&program).spawn()?.wait().map(drop))
}

/// Connect, accept, 64 bytes there, 128 bytes back, close of both ends.
fn tcp_connect() -> Result<Once> {
    // Several addresses, so that ports in TIME_WAIT do not run out.
    let listeners: Vec<TcpListener> = (1..=40)
        .map(|last| TcpListener::bind((Ipv4Addr::new(127, 0, 1, last), 0)))
        .collect::<Result<_>>()?;
    let mut next = 0;
    Ok(Box::new(move || {
        let listener = &listeners[next % listeners.len()];
        next += 1;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (mut server, _) = listener.accept()?;
        exchange(&mut client, &mut server, &[1; 64], &[2; 128])
    }))
}

fn exchange(
    client: &mut (impl Read + Write),
    server: &mut (impl Read + Write),
    request: &[u8],
    answer: &[u8],
) -> Result<()> {
    let mut buffer = [0; 128];
    client.write_all(request)?;
    server.read_exact(&mut buffer[..request.len()])?;
    server.write_all(answer)?;
    client.read_exact(&mut buffer[..answer.len()])
}

fn tcp_pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

/// 64 bytes there and back on an open connection.
fn tcp_request() -> Result<Once> {
    let (mut client, mut server) = tcp_pair()?;
    Ok(Box::new(move || {
        exchange(&mut client, &mut server, &[1; 64], &[2; 64])
    }))
}

/// 32 KiB on an open connection.
fn tcp_bulk() -> Result<Once> {
    let (mut client, mut server) = tcp_pair()?;
    let sent = vec![1; 32 * 1024];
    let mut received = vec![0; 32 * 1024];
    Ok(Box::new(move || {
        client.write_all(&sent)?;
        server.read_exact(&mut received)
    }))
}

/// One datagram of 64 bytes.
fn udp() -> Result<Once> {
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    let target = receiver.local_addr()?;
    let mut buffer = [0; 64];
    Ok(Box::new(move || {
        sender.send_to(&[1; 64], target)?;
        receiver.recv_from(&mut buffer).map(drop)
    }))
}

/// 64 bytes there and back over a UNIX socket.
fn unix() -> Result<Once> {
    let (mut client, mut server) = UnixStream::pair()?;
    Ok(Box::new(move || {
        exchange(&mut client, &mut server, &[1; 64], &[2; 64])
    }))
}
