//! What the first bytes of a connection say: HTTP/1, HTTP/2, gRPC, TLS; and the answers of DNS.
//!
//! The bytes are other people's: nothing here panics, loops or allocates beyond its input.

use std::net::IpAddr;

/// Longest server name that is taken.
const NAME_BYTES_MAX: usize = 255;
/// Most addresses taken out of one DNS answer.
const ADDRESSES_MAX: usize = 64;

/// A recognised protocol and the name of the server, where the bytes held one.
pub type Recognised = (&'static str, String);

/// Recognises the protocol of a connection by its first payload. `http2` says that the connection
/// began with the preface of HTTP/2 (RFC 9113), in this payload or an earlier one.
#[must_use]
pub fn recognise(bytes: &[u8], http2: bool) -> Option<Recognised> {
    if http2 {
        let preface = bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let frames = if preface { bytes.get(24..)? } else { bytes };
        return if speaks_grpc(frames) {
            Some(("grpc", String::new()))
        } else {
            preface.then(|| ("http2", String::new()))
        };
    }
    if bytes.first() == Some(&0x16) {
        return client_hello(bytes).map(|name| ("tls", name));
    }
    http1(bytes).map(|host| ("http", host))
}

/// The host of a request, or an empty name for a response.
fn http1(bytes: &[u8]) -> Option<String> {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"DELETE ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"TRACE ",
    ];
    if bytes.starts_with(b"HTTP/1.") {
        return Some(String::new());
    }
    if !METHODS.iter().any(|method| bytes.starts_with(method)) {
        return None;
    }
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let request = lines.next()?;
    // The version is missing only when the address is longer than what was taken.
    let whole = bytes.contains(&b'\n');
    if whole && !request.windows(6).any(|window| window == b"HTTP/1") {
        return None;
    }
    for header in lines.take_while(|header| !header.is_empty()) {
        if let Some((name, value)) = split_at_colon(header)
            && name.eq_ignore_ascii_case(b"host")
        {
            return Some(name_of(value.trim_ascii()).unwrap_or_default());
        }
    }
    Some(String::new())
}

fn split_at_colon(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b':')?;
    Some((line.get(..at)?, line.get(at + 1..)?))
}

/// The server name of a ClientHello (RFC 8446, RFC 6066), which may be cut; empty when it has none.
fn client_hello(bytes: &[u8]) -> Option<String> {
    // Record: type, version, length. Handshake: type, length of three bytes.
    let mut rest = Reader(bytes);
    let (kind, version) = (rest.byte()?, rest.byte()?);
    rest.skip(3)?;
    if kind != 0x16 || version != 3 || rest.byte()? != 1 {
        return None;
    }
    let name = (|| {
        rest.skip(3 + 2 + 32)?; // length, version, random
        let session = rest.byte()?;
        rest.skip(session.into())?;
        let ciphers = rest.short()?;
        rest.skip(ciphers.into())?;
        let compressions = rest.byte()?;
        rest.skip(compressions.into())?;
        rest.skip(2)?; // length of the extensions
        loop {
            let (extension, len) = (rest.short()?, rest.short()?);
            if extension == 0 {
                rest.skip(2)?; // length of the list
                let kind = rest.byte()?;
                let len = rest.short()?;
                return (kind == 0)
                    .then(|| rest.take(len.into()))
                    .flatten()
                    .and_then(name_of);
            }
            rest.skip(len.into())?;
        }
    })();
    Some(name.unwrap_or_default())
}

/// Whether a HEADERS frame has a content type of gRPC, as it is or in HPACK's Huffman code (RFC 7541).
fn speaks_grpc(frames: &[u8]) -> bool {
    const PLAIN: &[u8] = b"application/grpc";
    const HUFFMAN: &[u8] = &[
        0x1d, 0x75, 0xd0, 0x62, 0x0d, 0x26, 0x3d, 0x4c, 0x4d, 0x65, 0x64,
    ];
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    let mut rest = Reader(frames);
    loop {
        let (Some(high), Some(low), Some(kind)) = (rest.byte(), rest.short(), rest.byte()) else {
            return false;
        };
        let len = usize::from(high) << 16 | usize::from(low);
        if kind > CONTINUATION || rest.skip(5).is_none() {
            return false;
        }
        let body = rest.take(len.min(rest.0.len())).unwrap_or_default();
        let has = |needle: &[u8]| body.windows(needle.len()).any(|window| window == needle);
        if (kind == HEADERS || kind == CONTINUATION) && (has(PLAIN) || has(HUFFMAN)) {
            return true;
        }
    }
}

/// A name as it may stand in a host header or a ClientHello.
fn name_of(bytes: &[u8]) -> Option<String> {
    let plausible = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]%*".contains(byte);
    if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX || !bytes.iter().all(plausible) {
        return None;
    }
    String::from_utf8(bytes.to_ascii_lowercase()).ok()
}

/// The name that was asked for and the addresses of the answer (RFC 1035), if the message is an answer
/// without an error. A message that is cut gives the addresses before the cut.
#[must_use]
pub fn dns_answer(message: &[u8]) -> Option<(String, Vec<IpAddr>)> {
    const TYPE_A: u16 = 1;
    const TYPE_AAAA: u16 = 28;
    const CLASS_IN: u16 = 1;
    let mut rest = Reader(message);
    rest.skip(2)?;
    let flags = rest.short()?;
    let (questions, answers) = (rest.short()?, rest.short()?);
    rest.skip(4)?;
    let is_answer = flags & 0x8000 != 0;
    let is_query_kind = flags & 0x7800 == 0;
    let is_without_error = flags & 0x000f == 0;
    if !is_answer || !is_query_kind || !is_without_error || questions != 1 {
        return None;
    }
    let name = question(&mut rest)?;
    rest.skip(4)?;
    let mut addresses = Vec::new();
    for _ in 0..answers {
        let Some((kind, class, data)) = resource(&mut rest) else {
            break;
        };
        let address = match (kind, class) {
            (TYPE_A, CLASS_IN) => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            (TYPE_AAAA, CLASS_IN) => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
            _ => None,
        };
        addresses.extend(address);
        if addresses.len() == ADDRESSES_MAX {
            break;
        }
    }
    (!addresses.is_empty()).then_some((name, addresses))
}

/// The name of the question, which is never compressed.
fn question(rest: &mut Reader<'_>) -> Option<String> {
    let mut name: Vec<u8> = Vec::new();
    loop {
        let len = rest.byte()?;
        if len == 0 {
            break;
        }
        if len > 63 || name.len() + usize::from(len) > NAME_BYTES_MAX {
            return None;
        }
        if !name.is_empty() {
            name.push(b'.');
        }
        name.extend(rest.take(len.into())?);
    }
    name_of(&name)
}

/// Type, class and data of a resource record.
fn resource<'a>(rest: &mut Reader<'a>) -> Option<(u16, u16, &'a [u8])> {
    loop {
        let len = rest.byte()?;
        match len {
            0 => break,
            0xc0.. => {
                rest.skip(1)?;
                break;
            }
            1..=63 => rest.skip(len.into())?,
            _ => return None,
        }
    }
    let (kind, class) = (rest.short()?, rest.short()?);
    rest.skip(4)?; // time to live
    let len = rest.short()?;
    Some((kind, class, rest.take(len.into())?))
}

/// Takes bytes off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.take(len).map(drop)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }
}

#[cfg(test)]
mod tests;
