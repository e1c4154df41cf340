//! A listening socket and its connections, plain or TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};

use super::Peer;
use crate::{tls, token};

/// A listening socket that takes plain or TLS connections. Handshakes run beside each other and
/// within a deadline, so that a slow client holds up nobody; the number of connections is bounded.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    connections: mpsc::Receiver<Connection>,
    fill: Fill,
}

const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

impl Listener {
    /// Binds. At most `connections_max` connections are open at once; more wait in the kernel's
    /// queue.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<tls::Server>>,
        connections_max: usize,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let slots = Arc::new(Semaphore::new(connections_max));
        let fill = Fill {
            open: Arc::default(),
            max: connections_max,
        };
        let (sender, connections) = mpsc::channel(16);
        tokio::spawn(accept_all(socket, tls, slots, fill.clone(), sender));
        Ok(Self {
            address,
            connections,
            fill,
        })
    }

    /// The address that was bound, with the port that the system chose for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open, and how many may be. Goes on working when the listener has
    /// been handed to a server.
    #[must_use]
    pub fn fill(&self) -> Fill {
        self.fill.clone()
    }

    /// The connections as a stream, for `tonic`'s `serve_with_incoming`.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Connection>> {
        ReceiverStream::new(self.connections).map(Ok)
    }
}

/// How many connections of a listener are open.
#[derive(Debug, Clone)]
pub struct Fill {
    open: Arc<AtomicUsize>,
    max: usize,
}

impl Fill {
    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The bound.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }
}

/// What an open connection holds of the bound.
#[derive(Debug)]
struct Slot {
    fill: Fill,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn new(fill: Fill, permit: OwnedSemaphorePermit) -> Self {
        fill.open.fetch_add(1, Ordering::Relaxed);
        Self {
            fill,
            _permit: permit,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.fill.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn accept_all(
    socket: TcpListener,
    tls: Option<Arc<tls::Server>>,
    slots: Arc<Semaphore>,
    fill: Fill,
    sender: mpsc::Sender<Connection>,
) {
    loop {
        let Ok(permit) = slots.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = sender.closed() => return,
        };
        let (tcp, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the client is gone already: both pass.
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "can't set TCP_NODELAY");
        }
        let slot = Slot::new(fill.clone(), permit);
        let tls = tls.clone();
        let sender = sender.clone();
        tokio::spawn(async move {
            let handshake = tokio::time::timeout(HANDSHAKE_DEADLINE, open(tcp, address, tls, slot));
            match handshake.await {
                // The server may have gone meanwhile; the connection goes with it.
                Ok(Ok(connection)) => drop(sender.send(connection).await),
                Ok(Err(error)) => tracing::info!(%address, %error, "TLS handshake refused"),
                Err(_) => tracing::info!(%address, "TLS handshake took too long"),
            }
        });
    }
}

async fn open(
    tcp: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<tls::Server>>,
    slot: Slot,
) -> io::Result<Connection> {
    let Some(tls) = tls else {
        let peer = Peer {
            address,
            tls: false,
            certificate: None,
        };
        return Ok(Connection {
            io: Io::Plain(tcp),
            peer,
            _slot: slot,
        });
    };
    let stream = TlsAcceptor::from(tls.config()).accept(tcp).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate = certificates
        .and_then(|chain| chain.first())
        .map(|certificate| token::hex(&token::digest(certificate.as_ref())));
    let peer = Peer {
        address,
        tls: true,
        certificate,
    };
    Ok(Connection {
        io: Io::Tls(Box::new(stream)),
        peer,
        _slot: slot,
    })
}

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    io: Io,
    peer: Peer,
    _slot: Slot,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Io::Tls(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write(context, data),
            Io::Tls(io) => Pin::new(io).poll_write(context, data),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(context),
            Io::Tls(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(context),
            Io::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(context, data),
            Io::Tls(io) => Pin::new(io).poll_write_vectored(context, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }
}

impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        match self.connections.recv().await {
            Some(connection) => {
                let peer = connection.peer.clone();
                (connection, peer)
            }
            // The accepting task ends only with the runtime.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer {
            address: self.address,
            tls: false,
            certificate: None,
        })
    }
}

impl axum::extract::connect_info::Connected<axum::serve::IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: axum::serve::IncomingStream<'_, Listener>) -> Self {
        stream.remote_addr().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn connections_are_bounded_and_their_slots_come_back() {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let mut listener = Listener::bind(any, None, 2).await.expect("loopback");
        let fill = listener.fill();
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(
                TcpStream::connect(listener.address())
                    .await
                    .expect("connect"),
            );
        }
        let first = axum::serve::Listener::accept(&mut listener).await;
        let _second = axum::serve::Listener::accept(&mut listener).await;
        let wait = Duration::from_millis(100);
        let third = tokio::time::timeout(wait, axum::serve::Listener::accept(&mut listener)).await;
        assert!(third.is_err(), "a third connection must wait");
        assert_eq!((fill.open(), fill.max()), (2, 2));
        drop(first);
        let (third, peer) = axum::serve::Listener::accept(&mut listener).await;
        assert_eq!(&peer, third.peer());
    }
}
