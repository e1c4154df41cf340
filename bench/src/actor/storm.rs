//! As many processes or connections as the machine can make, or at a rate.

use super::number;
use super::truth::{Truth, now};
use std::io::{Read, Result};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Runs `program` at a rate until stdin closes, and prints how often it did.
pub fn rate(per_second: &str, program: &str) -> Result<()> {
    let per_second: f64 = number(per_second, "PER_SECOND")?;
    let stop = stop_at_end_of_input();
    let started = Instant::now();
    let mut done = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let due = started + Duration::from_secs_f64(f64::from(done) / per_second);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        Command::new(program).spawn()?.wait()?;
        done += 1;
    }
    println!("{done} {}", started.elapsed().as_secs_f64());
    Ok(())
}

fn stop_at_end_of_input() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    std::thread::spawn(move || {
        let mut sink = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut sink);
        told.store(true, Ordering::Relaxed);
    });
    stop
}

/// Spawns `program MARKER` flat out.
pub fn flood_exec(
    seconds: &str,
    threads: &str,
    program: &str,
    marker: &str,
    truth: &str,
) -> Result<()> {
    let end = Duration::from_secs_f64(number(seconds, "SECONDS")?);
    let threads: usize = number(threads, "THREADS")?;
    let started = Instant::now();
    let begun = now();
    let workers: Vec<JoinHandle<Result<u64>>> = (0..threads)
        .map(|_| {
            let (program, marker) = (program.to_owned(), marker.to_owned());
            std::thread::spawn(move || {
                let mut done = 0;
                while started.elapsed() < end {
                    Command::new(&program).arg(&marker).spawn()?.wait()?;
                    done += 1;
                }
                Ok(done)
            })
        })
        .collect();
    let done = total(workers)?;
    Truth::open(truth)?.tell(&format!(
        "flood-exec {marker} {} {begun} {} {done}",
        std::process::id(),
        now()
    ))
}

/// Connects to itself and closes, flat out. Client and server are this one process; the servers'
/// addresses are spread over 127.0.0.0/24 so that ports in TIME_WAIT do not run out.
pub fn flood_connect(seconds: &str, threads: &str, marker: &str, truth: &str) -> Result<()> {
    let end = Duration::from_secs_f64(number(seconds, "SECONDS")?);
    let threads: u8 = number(threads, "THREADS")?;
    let begun = now();
    let started = Instant::now();
    let accepted = Arc::new(AtomicU64::new(0));
    let workers: Vec<JoinHandle<Result<u64>>> = (0..threads)
        .map(|thread| {
            let accepted = accepted.clone();
            std::thread::spawn(move || connect_flat_out(thread, started, end, &accepted))
        })
        .collect();
    let done = total(workers)?;
    // The last accepted ends close right after their clients.
    std::thread::sleep(Duration::from_millis(200));
    Truth::open(truth)?.tell(&format!(
        "flood-connect {marker} {} {begun} {} {done} {}",
        std::process::id(),
        now(),
        accepted.load(Ordering::Relaxed)
    ))
}

const ADDRESSES_PER_THREAD: u8 = 30;

fn connect_flat_out(
    thread: u8,
    started: Instant,
    end: Duration,
    accepted: &AtomicU64,
) -> Result<u64> {
    let listeners: Vec<TcpListener> = (0..ADDRESSES_PER_THREAD)
        .map(|index| {
            TcpListener::bind((
                Ipv4Addr::new(127, 0, 0, 2 + thread * ADDRESSES_PER_THREAD + index),
                0,
            ))
        })
        .collect::<Result<_>>()?;
    let addresses: Vec<SocketAddr> = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<_>>()?;
    let mut done = 0;
    for (listener, address) in listeners.iter().zip(&addresses).cycle() {
        if started.elapsed() >= end {
            break;
        }
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        accepted.fetch_add(1, Ordering::Relaxed);
        drop(client);
        drop(server);
        done += 1;
    }
    Ok(done)
}

fn total(workers: Vec<JoinHandle<Result<u64>>>) -> Result<u64> {
    let mut sum = 0;
    for worker in workers {
        sum += worker
            .join()
            .map_err(|_| std::io::Error::other("a worker thread panicked"))??;
    }
    Ok(sum)
}
