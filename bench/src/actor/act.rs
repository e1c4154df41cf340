//! Single processes: one life, one connection, one server.

use super::number;
use super::truth::{Truth, now};
use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn millis(text: &str) -> Result<Duration> {
    Ok(Duration::from_millis(number(text, "MILLIS")?))
}

/// Lives for some milliseconds.
pub fn nap(life: &str, marker: &str, truth: &str) -> Result<()> {
    let started = now();
    let mut truth = Truth::open(truth)?;
    std::thread::sleep(millis(life)?);
    truth.tell(&format!(
        "nap {marker} {} {started} {}",
        std::process::id(),
        now()
    ))
}

/// Connects, holds the connection, closes it and ends.
pub fn connect(address: &str, life: &str, marker: &str, truth: &str) -> Result<()> {
    let mut truth = Truth::open(truth)?;
    let life = millis(life)?;
    let begun = now();
    let stream = TcpStream::connect(address)?;
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    (&stream).write_all(marker.as_bytes())?;
    std::thread::sleep(life);
    let closed = now();
    drop(stream);
    truth.tell(&format!(
        "connect {marker} {} {begun} {closed} {local} {remote}",
        std::process::id()
    ))
}

/// Starts, connects, closes and ends, with a pause before each, and writes each moment down before
/// the act.
pub fn phases(address: &str, pause: &str, marker: &str, truth: &str) -> Result<()> {
    let mut truth = Truth::open(truth)?;
    let pause = millis(pause)?;
    let pid = std::process::id();
    std::thread::sleep(pause);
    let begun = now();
    let stream = TcpStream::connect(address)?;
    truth.tell(&format!(
        "connect {marker} {pid} {begun} 0 {} {}",
        stream.local_addr()?,
        stream.peer_addr()?
    ))?;
    std::thread::sleep(pause);
    let closed = now();
    drop(stream);
    truth.tell(&format!("close {marker} {pid} {closed}"))?;
    std::thread::sleep(pause);
    truth.tell(&format!("exit {marker} {pid} {}", now()))
}

/// Accepts on every address and reads each connection to its end. Writes one line per listener,
/// with the address that it got.
pub fn serve(truth: &str, addresses: &[&str]) -> Result<()> {
    let mut truth = Truth::open(truth)?;
    let mut threads = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address)?;
        truth.tell(&format!(
            "listen {address} {} {} {}",
            std::process::id(),
            now(),
            listener.local_addr()?
        ))?;
        threads.push(std::thread::spawn(move || accept_all(&listener)));
    }
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

fn accept_all(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while matches!(stream.read(&mut buffer), Ok(count) if count > 0) {}
        });
    }
}

/// Keeps connections open until stdin closes.
pub fn hold(address: &str, count: &str) -> Result<()> {
    let count: usize = number(count, "COUNT")?;
    let streams: Vec<TcpStream> = (0..count)
        .map(|_| TcpStream::connect(address))
        .collect::<Result<_>>()?;
    let mut sink = Vec::new();
    std::io::stdin().read_to_end(&mut sink)?;
    drop(streams);
    Ok(())
}
