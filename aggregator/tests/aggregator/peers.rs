//! Who may follow an aggregator as another one.

use mesoscope_proto::v1::peers_client::PeersClient;
use mesoscope_proto::v1::{RelayAsk, RelayHello, relay_ask};
use tonic::Code;

use super::agent::channel;
use super::binary::{Aggregator, PATIENCE};
use super::members::free_ports;

/// How following ends that says it is this member.
async fn follow(aggregator: &Aggregator, member: &str, token: Option<&str>) -> tonic::Status {
    let hello = RelayAsk {
        ask: Some(relay_ask::Ask::Hello(RelayHello {
            member: member.to_owned(),
            version: "test".to_owned(),
        })),
    };
    let mut request = tonic::Request::new(tokio_stream::iter([hello]));
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse().expect("text");
        request.metadata_mut().insert("authorization", bearer);
    }
    let mut client = PeersClient::new(channel(aggregator).await);
    let relayed = match client.relay(request).await {
        Ok(relayed) => relayed,
        Err(status) => return status,
    };
    let mut relayed = relayed.into_inner();
    loop {
        match tokio::time::timeout(PATIENCE, relayed.message()).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return tonic::Status::ok("ended"),
            Ok(Err(status)) => return status,
            Err(_) => panic!("no end"),
        }
    }
}

#[tokio::test]
async fn only_a_member_with_the_secret_is_told_what_agents_tell() {
    let folder = tempfile::tempdir().expect("scratch");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef-members").expect("written");
    let ports = free_ports(2);
    let (own, other) = (
        format!("http://127.0.0.1:{}", ports[1]),
        "http://127.0.0.1:9".to_owned(),
    );
    let peers = format!("{own},{other}");
    let secret = secret.to_str().expect("text");
    let options = ["--peer", &peers, "--peer-token-file", secret];
    let aggregator = Aggregator::start_on(ports[0], ports[1], &options);
    let code = async |member: &str, token| follow(&aggregator, member, token).await.code();
    assert_eq!(code(&other, None).await, Code::Unauthenticated);
    let wrong = Some("0123456789abcdef-agents");
    assert_eq!(code(&other, wrong).await, Code::Unauthenticated);
    let right = Some("0123456789abcdef-members");
    assert_eq!(
        code("http://127.0.0.1:8", right).await,
        Code::PermissionDenied
    );
    assert_eq!(code(&own, right).await, Code::PermissionDenied);
    assert_eq!(code(&other, right).await, Code::Ok);
    let alone = Aggregator::start(&[]);
    assert_eq!(
        follow(&alone, &other, None).await.code(),
        Code::Unimplemented
    );
}
