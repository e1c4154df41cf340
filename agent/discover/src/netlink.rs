//! Netlink framing: datagrams into messages, messages into attributes, and dumps.
//!
//! Source: netlink(7), `include/uapi/linux/netlink.h`.

use std::io;

use netlink_sys::{Socket, SocketAddr};

/// Bytes of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// Both are aligned so.
const ALIGNMENT: usize = 4;
/// Flags in an attribute's type: nested, byte order.
const ATTRIBUTE_TYPE_MASK: u16 = 0x3fff;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP_INTERRUPTED: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;

/// Room for one datagram: the kernel fills dumps up to 32 KiB when the reader offers that much.
pub(crate) const DATAGRAM_BYTES: usize = 64 * 1024;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    pub payload: &'a [u8],
}

/// A datagram does not have the documented form from some message on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The messages of a datagram.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = message(rest);
        rest = match message {
            Ok((_, length)) => rest.get(align(length)..).unwrap_or(&[]),
            Err(Malformed) => &[],
        };
        Some(message.map(|(message, _)| message))
    })
}

fn message(bytes: &[u8]) -> Result<(Message<'_>, usize), Malformed> {
    let length = usize::try_from(u32_at(bytes, 0).ok_or(Malformed)?).map_err(|_| Malformed)?;
    let payload = bytes.get(HEADER_BYTES..length).ok_or(Malformed)?;
    let message = Message {
        kind: u16_at(bytes, 4).ok_or(Malformed)?,
        flags: u16_at(bytes, 6).ok_or(Malformed)?,
        sequence: u32_at(bytes, 8).ok_or(Malformed)?,
        payload,
    };
    Ok((message, length))
}

/// The attributes in a payload as (type, value), up to the first that is malformed.
pub(crate) fn attributes(payload: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & ATTRIBUTE_TYPE_MASK;
        let value = rest.get(ATTRIBUTE_HEADER_BYTES..length)?;
        rest = rest.get(align(length)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The value of the first attribute of a type.
pub(crate) fn attribute(payload: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(payload)
        .find(|(found, _)| *found == kind)
        .map(|(_, value)| value)
}

/// A number in the host's byte order.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A number in the host's byte order.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A number in the host's byte order.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn align(length: usize) -> usize {
    length.div_ceil(ALIGNMENT) * ALIGNMENT
}

/// A dump request: its header and `payload`.
pub(crate) fn dump_request(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = HEADER_BYTES + payload.len();
    let mut request = Vec::with_capacity(length);
    request.extend(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request.extend(sequence.to_ne_bytes());
    request.extend(0_u32.to_ne_bytes());
    request.extend(payload);
    request
}

/// What a datagram of a dump says of the dump itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DumpProgress {
    /// There is more to come.
    More,
    /// This was the last of it; `consistent` unless the table changed meanwhile.
    Done { consistent: bool },
}

/// Takes one datagram of the dump `sequence` apart and gives `each` its messages.
///
/// # Errors
/// The kernel's own error for the dump, or `InvalidData`.
pub(crate) fn dump_datagram(
    datagram: &[u8],
    sequence: u32,
    mut each: impl FnMut(Message<'_>),
) -> io::Result<DumpProgress> {
    let mut consistent = true;
    for message in messages(datagram) {
        let message = message.map_err(|Malformed| {
            io::Error::new(io::ErrorKind::InvalidData, "the datagram is cut short")
        })?;
        if message.sequence != sequence {
            continue;
        }
        consistent &= message.flags & NLM_F_DUMP_INTERRUPTED == 0;
        match message.kind {
            NLMSG_DONE => {
                // An error at the end of a dump, as a negative errno.
                check_errno(message.payload)?;
                return Ok(DumpProgress::Done { consistent });
            }
            NLMSG_ERROR => check_errno(message.payload)?,
            NLMSG_OVERRUN => return Err(io::Error::other("the kernel lost messages")),
            _ => each(message),
        }
    }
    Ok(DumpProgress::More)
}

fn check_errno(payload: &[u8]) -> io::Result<()> {
    let bytes = payload.first_chunk().copied().unwrap_or_default();
    match i32::from_ne_bytes(bytes) {
        0.. => Ok(()),
        negative => Err(io::Error::from_raw_os_error(negative.saturating_neg())),
    }
}

/// Sends `request` on a blocking socket and gives `each` every message of the answer.
///
/// # Errors
/// When the kernel refuses the dump or the socket fails.
pub(crate) fn dump(
    socket: &Socket,
    request: &[u8],
    sequence: u32,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(Message<'_>),
) -> io::Result<()> {
    socket.send_to(request, &SocketAddr::new(0, 0), 0)?;
    buffer.reserve(DATAGRAM_BYTES.saturating_sub(buffer.capacity()));
    loop {
        buffer.clear();
        socket.recv(buffer, 0)?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let DumpProgress::Done { .. } = dump_datagram(buffer, sequence, &mut each)? {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn datagram(parts: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, payload) in parts {
            bytes.extend(dump_request(*kind, 7, payload));
            bytes.resize(align(bytes.len()), 0);
        }
        bytes
    }

    #[test]
    fn an_error_of_the_kernel_is_an_error() {
        let refused = (-1_i32).to_ne_bytes().to_vec();
        let error = dump_datagram(&datagram(&[(NLMSG_ERROR, refused)]), 7, |_| {});
        assert_eq!(error.expect_err("EPERM").raw_os_error(), Some(1));
        let done = dump_datagram(&datagram(&[(NLMSG_DONE, vec![0; 4])]), 7, |_| {});
        assert_eq!(done.expect("done"), DumpProgress::Done { consistent: true });
        let other = dump_datagram(&datagram(&[(NLMSG_DONE, vec![0; 4])]), 8, |_| {});
        assert_eq!(other.expect("another's"), DumpProgress::More);
    }

    proptest! {
        #[test]
        fn messages_come_back(
            parts in proptest::collection::vec(
                (16_u16.., proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let bytes = datagram(&parts);
            let found: Result<Vec<_>, _> = messages(&bytes).collect();
            let found: Vec<_> = found.expect("well formed")
                .into_iter().map(|message| (message.kind, message.payload.to_vec())).collect();
            prop_assert_eq!(found, parts);
        }

        #[test]
        fn attributes_come_back(
            parts in proptest::collection::vec(
                (0..0x4000_u16, proptest::collection::vec(any::<u8>(), 0..20)), 0..8),
        ) {
            let mut bytes = Vec::new();
            for (kind, value) in &parts {
                bytes.extend(u16::try_from(4 + value.len()).expect("short").to_ne_bytes());
                bytes.extend((kind | 0x8000).to_ne_bytes());
                bytes.extend(value);
                bytes.resize(align(bytes.len()), 0);
            }
            let found: Vec<_> = attributes(&bytes).map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(found, parts);
        }

        #[test]
        fn random_bytes_end_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(messages(&bytes).count() <= bytes.len());
            prop_assert!(attributes(&bytes).count() <= bytes.len());
            let _ = dump_datagram(&bytes, 0, |_| {});
        }
    }
}
