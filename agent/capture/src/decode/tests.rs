use proptest::prelude::*;

use super::*;

/// All kinds that the ring may hold, and their fixed sizes.
const SIZES: [(u32, usize); 13] = [
    (1, raw::Fork::SIZE),
    (2, raw::Exec::SIZE),
    (3, raw::Exit::SIZE),
    (4, raw::Connect4::SIZE),
    (5, raw::Connect6::SIZE),
    (6, raw::Connect4::SIZE),
    (7, raw::Connect6::SIZE),
    (8, raw::TcpEnd4::SIZE),
    (9, raw::TcpEnd6::SIZE),
    (10, raw::Cgroup::SIZE),
    (11, raw::Udp::SIZE),
    (12, raw::Payload::SIZE),
    (13, raw::Payload::SIZE),
];

fn record(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(7u64.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(42u32.to_ne_bytes());
    bytes.extend(body);
    bytes
}

#[test]
fn starts_are_cut_to_ticks_as_proc_does() {
    assert_eq!(process(1, 12_345_678_901).start_boottime_ns, 12_340_000_000);
    assert_eq!(process(1, 12_340_000_000).start_boottime_ns, 12_340_000_000);
}

#[test]
fn arguments_are_split_at_zero_bytes() {
    assert_eq!(arguments(b"ls\0-l\0\0a b\0"), ["ls", "-l", "", "a b"]);
    assert_eq!(arguments(b"cut\0off"), ["cut", "off"]);
    assert_eq!(arguments(b""), Vec::<String>::new());
    assert_eq!(arguments(b"\xff\0"), ["\u{fffd}"]);
}

#[test]
fn mapped_addresses_are_ipv4_and_others_are_not() {
    let mut address = [0u8; 16];
    address[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
    assert_eq!(
        unmapped(address),
        "192.0.2.1".parse::<IpAddr>().expect("address")
    );
    assert_eq!(
        unmapped(Ipv6Addr::LOCALHOST.octets()),
        IpAddr::V6(Ipv6Addr::LOCALHOST)
    );
}

#[test]
fn the_wait_status_is_code_or_signal() {
    let status = |status: u32, flags: u32| {
        let mut body = vec![0; raw::Exit::SIZE - raw::Header::SIZE - 8];
        body.extend(status.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        let (_, [event, _]) = decode(&record(3, &body)).expect("well formed");
        match event.expect("one event").kind {
            EventKind::Exit {
                code, signal, oom, ..
            } => (code, signal, oom),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(status(0x300, 0), (3, 0, false));
    assert_eq!(status(9, 0), (0, 9, false));
    assert_eq!(status(9, raw::EXIT_OOM), (0, 9, true));
    assert_eq!(status(0x86, 0), (0, 6, false)); // with a core dump
    assert_eq!(status(0xff00, 0), (255, 0, false));
}

#[test]
fn device_numbers_are_those_of_stat() {
    assert_eq!(device(8 << 20 | 1), rustix::fs::makedev(8, 1));
}

#[test]
fn a_record_that_says_it_is_longer_than_it_is_is_refused() {
    let mut body = vec![0u8; raw::Exec::SIZE - raw::Header::SIZE];
    let at = core::mem::offset_of!(raw::Exec, argv_len) - raw::Header::SIZE;
    body[at..at + 2].copy_from_slice(&4u16.to_ne_bytes());
    assert!(decode(&record(2, &body)).is_none());
    body.extend(b"abc\0");
    assert!(decode(&record(2, &body)).is_some());
    body[at..at + 2].copy_from_slice(&u16::MAX.to_ne_bytes());
    body.extend(vec![0; 70_000]);
    assert!(decode(&record(2, &body)).is_none());
}

proptest! {
    #[test]
    fn random_bytes_are_refused_or_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        let _ = decode(&bytes);
        let _ = socket(&bytes);
    }

    #[test]
    fn random_bodies_of_known_kinds_do_not_panic(kind in 1u32..15, body in proptest::collection::vec(any::<u8>(), 0..700)) {
        let _ = decode(&record(kind, &body));
    }

    #[test]
    fn truncated_records_are_refused(which in 0usize..SIZES.len(), missing in 1usize..200) {
        let (kind, size) = SIZES[which];
        let full = record(kind, &vec![0; size - raw::Header::SIZE]);
        // All zero is no protocol and no version of IP.
        if !matches!(kind, 4..=7 | 11) {
            prop_assert!(decode(&full).is_some());
        }
        prop_assert!(decode(&full[..size.saturating_sub(missing)]).is_none());
    }

    #[test]
    fn what_follows_a_record_changes_nothing(which in 0usize..SIZES.len(), body in proptest::collection::vec(any::<u8>(), 400), more in proptest::collection::vec(any::<u8>(), 0..400)) {
        // The kernel rounds sizes up; paths and arguments say their own length.
        let (kind, _) = SIZES[which];
        let exact = record(kind, &body);
        let mut longer = exact.clone();
        longer.extend(more);
        if let Some(event) = decode(&exact) {
            prop_assert_eq!(decode(&longer), Some(event));
        }
    }

    #[test]
    fn unknown_kinds_are_refused(kind in 14u32.., body in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode(&record(kind, &body)).is_none());
    }

    #[test]
    fn truncated_sockets_are_refused(len in 0usize..raw::SocketEntry::SIZE) {
        let mut bytes = vec![0u8; raw::SocketEntry::SIZE];
        bytes[core::mem::offset_of!(raw::SocketEntry, family)] = 2;
        bytes[core::mem::offset_of!(raw::SocketEntry, protocol)] = 6;
        prop_assert!(socket(&bytes).is_some());
        prop_assert!(socket(&bytes[..len]).is_none());
    }
}
