//! A WebSocket client that reads a few bytes at a time, however many there are.

use super::Options;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// What the kernel keeps for such a client, beside the doubling of its own.
const RECEIVE_BUFFER: u32 = 4_096;
const READ_EVERY: Duration = Duration::from_millis(125);
/// An empty pong, masked with zeros (RFC 6455, 5.5.3): the client is there.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
const READS_PER_PONG: u32 = 80;

#[derive(Default)]
pub(super) struct Counts {
    pub(super) read: AtomicU64,
    pub(super) ended: AtomicU64,
}

/// The clients; they go when this is dropped.
pub(super) struct Slow {
    pub(super) counts: Arc<Counts>,
    tasks: Vec<JoinHandle<()>>,
}

impl Slow {
    /// Connects all of them, one after the other.
    pub(super) async fn start(url: &str, options: &Options) -> Result<Self> {
        let rest = url.strip_prefix("ws://").context("a WebSocket's address")?;
        let (address, path) = rest.split_once('/').context("an address has a path")?;
        let counts = Arc::new(Counts::default());
        let mut tasks = Vec::new();
        let at_once = options.bytes_per_second / 8;
        for _ in 0..options.clients {
            let stream = open(address.parse()?, path).await?;
            let counts = counts.clone();
            tasks.push(tokio::spawn(async move {
                // Nothing is wrong with a client that ends, but that it ends.
                let _ = read_slowly(stream, at_once, &counts).await;
                counts.ended.fetch_add(1, Ordering::Relaxed);
            }));
        }
        Ok(Self { counts, tasks })
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn open(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let mut stream = socket.connect(address).await?;
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2xvdyBjbGllbnQgOi0pIQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    anyhow::ensure!(
        &status == b"HTTP/1.1 101",
        "the aggregator does not upgrade"
    );
    Ok(stream)
}

async fn read_slowly(mut stream: TcpStream, at_once: usize, counts: &Counts) -> Result<()> {
    let mut buffer = vec![0; at_once];
    let mut reads = 0_u32;
    loop {
        tokio::time::sleep(READ_EVERY).await;
        let read = stream.read(&mut buffer).await?;
        anyhow::ensure!(read > 0, "cut off");
        counts.read.fetch_add(read as u64, Ordering::Relaxed);
        reads += 1;
        if reads.is_multiple_of(READS_PER_PONG) {
            stream.write_all(&PONG).await?;
        }
    }
}
