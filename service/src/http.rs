//! Serves an axum router on a [`Listener`]: HTTP/1.1 with upgrades, a deadline for slow clients,
//! and a drain.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::serve::Listener as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::listen::Listener;

/// A client that takes longer for the head of a request, or to begin another one, is cut off.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// Serves until the drain, then finishes what is under way. Handlers find the other end as
/// `ConnectInfo<Peer>`.
pub async fn serve(listener: Listener, router: Router, drain: CancellationToken) {
    serve_within(HEAD_DEADLINE, listener, router, drain).await;
}

async fn serve_within(
    head_deadline: Duration,
    mut listener: Listener,
    router: Router,
    drain: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let mut http = Builder::new(TokioExecutor::new()).http1_only();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_deadline);
    while let Some((stream, peer)) = drain.run_until_cancelled(listener.accept()).await {
        let router = router.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer.clone()));
            router.clone().oneshot(request)
        });
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP connection ended badly");
            }
        });
    }
    graceful.shutdown().await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::listen::Peer;

    async fn serving(
        head_deadline: Duration,
    ) -> (
        std::net::SocketAddr,
        CancellationToken,
        tokio::task::JoinHandle<()>,
    ) {
        let any = "127.0.0.1:0".parse().expect("literal");
        let listener = Listener::bind(any, None, 8).await.expect("loopback");
        let address = listener.address();
        let show = |ConnectInfo(peer): ConnectInfo<Peer>| async move { peer.address.to_string() };
        let drain = CancellationToken::new();
        let router = Router::new().route("/", get(show));
        let task = tokio::spawn(serve_within(head_deadline, listener, router, drain.clone()));
        (address, drain, task)
    }

    #[tokio::test]
    async fn handlers_see_the_peer_and_the_drain_ends_the_server() {
        let (address, drain, task) = serving(HEAD_DEADLINE).await;
        let mut client = TcpStream::connect(address).await.expect("it listens");
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .expect("it reads");
        let mut answer = vec![0; 1024];
        let length = client.read(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        let own = client.local_addr().expect("connected").to_string();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with(&own),
            "{answer}"
        );
        drain.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), task).await;
        ended
            .expect("an idle connection does not hold up the drain")
            .expect("no panic");
    }

    #[tokio::test]
    async fn a_client_that_never_finishes_its_head_is_cut_off() {
        let (address, _drain, _task) = serving(Duration::from_millis(100)).await;
        let mut client = TcpStream::connect(address).await.expect("it listens");
        client.write_all(b"GET / HT").await.expect("it reads");
        let mut answer = Vec::new();
        let read = client.read_to_end(&mut answer);
        let ended = tokio::time::timeout(Duration::from_secs(5), read).await;
        assert!(ended.is_ok(), "the connection ends by itself");
    }
}
