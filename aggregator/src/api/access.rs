//! Who a request comes from.

use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use mesoscope_access::{How, Identity, Role};
use mesoscope_service::access::Admitted;
use mesoscope_service::listen::{Peer, Posture};

use super::Api;

/// The middleware behind the one that lets in: leaves an [`Identity`] in the request's extensions.
pub(super) async fn identify(
    State(api): State<Api>,
    Extension(admitted): Extension<Admitted>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let from = Some(peer.address.ip().to_canonical());
    let named = |name: &str, role, how| Identity {
        name: name.to_owned(),
        role,
        how,
        from,
    };
    let identity = match admitted {
        Admitted::Open if api.posture == Posture::Loopback => Identity::loopback(from),
        Admitted::Open => Identity::open(from),
        Admitted::Token => named("token file", Role::Operator, How::TokenFile),
        Admitted::Certificate(digest) => named(&digest, Role::Operator, How::Certificate),
    };
    request.extensions_mut().insert(identity);
    next.run(request).await
}
