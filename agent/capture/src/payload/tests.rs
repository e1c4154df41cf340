use proptest::prelude::*;

use super::*;

fn hello(name: &str) -> Vec<u8> {
    let short = |value: usize| u16::try_from(value).expect("short").to_be_bytes();
    let mut extensions = vec![0, 0x17, 0, 0]; // extended_main_secret, empty
    extensions.extend([0, 0]);
    extensions.extend(short(name.len() + 5));
    extensions.extend(short(name.len() + 3));
    extensions.push(0);
    extensions.extend(short(name.len()));
    extensions.extend(name.bytes());
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([4, 1, 2, 3, 4]);
    body.extend([0, 2, 0x13, 1, 1, 0]);
    body.extend(short(extensions.len()));
    body.extend(extensions);
    let mut record = vec![0x16, 3, 1];
    record.extend(short(body.len() + 4));
    record.extend([1, 0]);
    record.extend(short(body.len()));
    record.extend(body);
    record
}

fn answer() -> Vec<u8> {
    let mut answer = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
    answer.extend(b"\x03www\x07Example\x04test\0\0\x01\0\x01");
    answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c"); // CNAME
    answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07");
    answer
}

#[test]
fn http_tells_its_host() {
    let host = |text: &str| recognise(text.as_bytes(), false);
    assert_eq!(
        host("GET / HTTP/1.1\r\nhost:  A.test \r\n\r\n"),
        Some(("http", "a.test".to_owned()))
    );
    assert_eq!(
        host("POST /x HTTP/1.0\r\nAccept: */*\r\n\r\nHost: body.test"),
        Some(("http", String::new()))
    );
    assert_eq!(host("HTTP/1.1 200 OK\r\n"), Some(("http", String::new())));
    assert_eq!(
        host(&format!("GET /{}", "a".repeat(500))),
        Some(("http", String::new()))
    );
    assert_eq!(host("GET lost\r\nHost: a.test\r\n"), None);
    assert_eq!(host("GETTING"), None);
    assert_eq!(
        host("GET / HTTP/1.1\r\nHost: <script>\r\n\r\n"),
        Some(("http", String::new()))
    );
}

#[test]
fn tls_tells_its_server_name() {
    assert_eq!(
        recognise(&hello("a.example.test"), false),
        Some(("tls", "a.example.test".to_owned()))
    );
    let whole = hello("a.example.test");
    assert_eq!(
        recognise(&whole[..whole.len() - 3], false),
        Some(("tls", String::new()))
    );
    assert_eq!(recognise(&[0x16, 3, 1, 0, 5, 2], false), None); // a ServerHello
}

#[test]
fn grpc_is_http2_with_its_content_type() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    assert_eq!(recognise(&preface, true), Some(("http2", String::new())));
    let mut with_headers = preface.clone();
    with_headers.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    with_headers.extend([0, 0, 18, 1, 4, 0, 0, 0, 1, 0x5f, 16]);
    with_headers.extend(b"application/grpc");
    assert_eq!(
        recognise(&with_headers, true),
        Some(("grpc", String::new()))
    );
    assert_eq!(
        recognise(&with_headers[24..], true),
        Some(("grpc", String::new()))
    );
    assert_eq!(recognise(b"application/grpc", true), None);
}

#[test]
fn dns_answers_give_name_and_addresses() {
    let address: IpAddr = "192.0.2.7".parse().expect("address");
    assert_eq!(
        dns_answer(&answer()),
        Some(("www.example.test".to_owned(), vec![address]))
    );
    let mut query = answer();
    query[2] = 1;
    assert_eq!(dns_answer(&query), None);
    let mut failed = answer();
    failed[3] = 0x83;
    assert_eq!(dns_answer(&failed), None);
    // Compression that points to itself is skipped, not followed.
    let mut looping = answer();
    looping[12] = 0xc0;
    looping[13] = 0x0c;
    assert_eq!(dns_answer(&looping), None);
}

proptest! {
    #[test]
    fn random_bytes_are_refused_or_recognised(bytes in proptest::collection::vec(any::<u8>(), 0..600), http2: bool) {
        let _ = recognise(&bytes, http2);
        let _ = dns_answer(&bytes);
    }

    #[test]
    fn damaged_messages_do_not_panic(at in 0usize..300, byte: u8, cut in 0usize..300) {
        for mut message in [hello("a.example.test"), answer(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()] {
            let len = message.len();
            message[at % len] = byte;
            message.truncate(len - cut % len);
            for http2 in [false, true] {
                if let Some((_, name)) = recognise(&message, http2) {
                    prop_assert!(name.len() <= NAME_BYTES_MAX);
                }
            }
            if let Some((name, addresses)) = dns_answer(&message) {
                prop_assert!(name.len() <= NAME_BYTES_MAX && addresses.len() <= ADDRESSES_MAX);
            }
        }
    }

    #[test]
    fn every_name_survives(name in "[a-z0-9]{1,20}(\\.[a-z0-9-]{1,20}){0,5}") {
        prop_assert_eq!(recognise(&hello(&name), false), Some(("tls", name)));
    }
}
