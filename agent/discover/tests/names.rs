//! Reverse look-ups against a DNS server of the test's own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::PTR;
use hickory_resolver::proto::rr::{Name, RData, Record};
use mesoscope_discover::names::{Names, NamesConfig};
use tokio::net::UdpSocket;

/// Knows 192.0.2.1 to 192.0.2.99 as "hostN.example.com", 192.0.2.200 as a name that no host can
/// have, and nothing else.
async fn server() -> (SocketAddr, Arc<AtomicU32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let address = socket.local_addr().expect("bound");
    let questions = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&questions);
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.expect("a question");
            counter.fetch_add(1, Ordering::Relaxed);
            let question = Message::from_vec(&buffer[..length]).expect("a DNS message");
            let answer = answer(question).to_vec().expect("a DNS message");
            socket.send_to(&answer, client).await.expect("loopback");
        }
    });
    (address, questions)
}

fn answer(question: Message) -> Message {
    let query = question.queries.first().expect("one question").clone();
    let last = query
        .name()
        .to_ascii()
        .split('.')
        .next()
        .and_then(|label| label.parse::<u8>().ok());
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    let name = match last {
        Some(number @ 1..100) => {
            Name::from_ascii(format!("Host{number}.example.com.")).expect("a name")
        }
        Some(200) => Name::from_labels([b"<no host>".as_slice(), b"example"]).expect("labels"),
        _ => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            answer.add_query(query);
            return answer;
        }
    };
    let pointer = RData::PTR(PTR(name));
    answer.add_answer(Record::from_rdata(query.name().clone(), 300, pointer));
    answer.add_query(query);
    answer
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

#[tokio::test]
async fn each_address_is_asked_for_once_and_no_faster_than_allowed() {
    let (server, questions) = server().await;
    let config = NamesConfig {
        server: Some(server),
        lookups_per_second: 20,
        ..NamesConfig::default()
    };
    let (names, mut told) = Names::start(&config).expect("a server is given");
    let begin = Instant::now();
    for _ in 0..3 {
        for last in 1..=10 {
            assert_eq!(names.wanted(address(last)), None);
        }
    }
    let mut found = Vec::new();
    for _ in 0..10 {
        let name = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
        found.push(name.expect("within 10 s").expect("the look-ups run on"));
    }
    assert!(
        begin.elapsed() >= Duration::from_millis(440),
        "{:?}",
        begin.elapsed()
    );
    assert!(found.iter().all(|name| !name.from_answer));
    let third = found
        .iter()
        .find(|name| name.address == [192, 0, 2, 3])
        .expect("asked for");
    assert_eq!(third.name, "host3.example.com");
    assert_eq!(
        names.wanted(address(3)).as_deref(),
        Some("host3.example.com")
    );
    assert_eq!(questions.load(Ordering::Relaxed), 10);
    let stats = names.stats();
    assert_eq!(
        (stats.cached, stats.queued, stats.lookups_total),
        (10, 0, 10)
    );
}

#[tokio::test]
async fn what_has_no_name_is_not_asked_for_again_and_bad_names_are_refused() {
    let (server, questions) = server().await;
    let config = NamesConfig {
        server: Some(server),
        lookups_per_second: 1000,
        ..NamesConfig::default()
    };
    let (names, mut told) = Names::start(&config).expect("a server is given");
    for last in [150, 200, 1] {
        assert_eq!(names.wanted(address(last)), None);
    }
    for local in [
        "127.0.0.1",
        "::1",
        "169.254.1.1",
        "fe80::1",
        "224.0.0.1",
        "0.0.0.0",
    ] {
        assert_eq!(names.wanted(local.parse().expect("literal")), None);
    }
    let only = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
    assert_eq!(
        only.expect("within 10 s").expect("runs on").name,
        "host1.example.com"
    );
    while names.stats().lookups_total < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(names.wanted(address(150)), None);
    assert_eq!(names.wanted(address(200)), None);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(questions.load(Ordering::Relaxed), 3);
    assert_eq!(names.stats().refused_total, 1);
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn a_server_that_is_away_is_counted() {
    // Nobody listens on the port of a socket that was closed.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let server = socket.local_addr().expect("bound");
    drop(socket);
    let config = NamesConfig {
        server: Some(server),
        ..NamesConfig::default()
    };
    let (names, _told) = Names::start(&config).expect("a server is given");
    assert_eq!(names.wanted(address(1)), None);
    let begin = Instant::now();
    while names.stats().failed_total == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
