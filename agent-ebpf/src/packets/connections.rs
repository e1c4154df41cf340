//! What a TCP connection speaks, by its first payloads.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock, bpf_tcp_sock},
    btf_maps::SkStorage,
    helpers::generated::bpf_sk_storage_get,
    macros::btf_map,
};
use mesoscope_events::records::{Kind, PAYLOAD_HTTP2, PAYLOAD_RECEIVED};

use super::{IPPROTO_TCP, ip_header, load, payload};

/// Payload packets of each direction that are looked at before a connection is left alone.
const LOOKS: u8 = 3;
/// The same for HTTP/2, whose first request may come after some frames of settings.
const LOOKS_HTTP2: u8 = 8;

/// Per TCP socket that one look is not enough for.
#[repr(C)]
pub struct Looks {
    /// Looks left; [sent, received].
    left: [u8; 2],
    begun: u8,
    http2: u8,
}

#[btf_map]
static TCP_LOOKS: SkStorage<Looks> = SkStorage::new();

/// What a connection speaks shows in the first payload of each direction. How many came before is
/// counted by the socket itself, so a short connection needs no storage (which costs more than all
/// else here); a connection from before the hooks, or one that speaks HTTP/2, has some.
#[inline(always)]
pub fn packet(skb: *mut __sk_buff, sk: *mut bpf_sock, tcp: &bpf_tcp_sock, received: bool) {
    // The socket counts a packet before the hook when it goes out, and after it when it comes in.
    let (earlier, opposite) = if received {
        (tcp.data_segs_in, tcp.data_segs_out)
    } else {
        // SAFETY: the context is valid.
        let segments = unsafe { (*skb).gso_segs };
        (
            tcp.data_segs_out
                .wrapping_sub(if segments > 1 { segments } else { 1 }),
            tcp.data_segs_in,
        )
    };
    if earlier < LOOKS.into() {
        young(skb, sk, received, opposite != 0);
    } else if adopting() || earlier < LOOKS_HTTP2.into() {
        known(skb, sk, received);
    }
}

/// Whether the hooks are so new that connections from before them are looked at.
#[inline(always)]
fn adopting() -> bool {
    crate::output::settings().is_some_and(|settings| settings.adopting != 0)
}

#[inline(always)]
fn young(skb: *mut __sk_buff, sk: *mut bpf_sock, received: bool, answer: bool) {
    let Some((start, len)) = tcp_payload(skb) else {
        return;
    };
    let Some(head) = load::<[u8; 6]>(skb, start) else {
        return;
    };
    let mut flags = if received { PAYLOAD_RECEIVED } else { 0 };
    match candidate(head) {
        Candidate::Http2 => {
            if let Some(looks) = storage(sk, BPF_SK_STORAGE_GET_F_CREATE) {
                looks.begun = 1;
                looks.http2 = 1;
                looks.left = [LOOKS_HTTP2; 2];
            }
            flags |= PAYLOAD_HTTP2;
        }
        // The request told already.
        Candidate::Answer if answer => return,
        Candidate::Answer | Candidate::Other => {}
        Candidate::None => {
            let Some(looks) = storage(sk, 0) else { return };
            if looks.http2 == 0 {
                return;
            }
            flags |= PAYLOAD_HTTP2;
        }
    }
    payload(Kind::Application, skb, sk, start, len, flags);
}

#[inline(always)]
fn known(skb: *mut __sk_buff, sk: *mut bpf_sock, received: bool) {
    let direction = usize::from(received);
    let looks = match storage(sk, 0) {
        Some(looks) if looks.left[direction] == 0 => return,
        None if !adopting() => return,
        looks => looks,
    };
    let Some((start, len)) = tcp_payload(skb) else {
        return;
    };
    let Some(looks) = looks.or_else(|| storage(sk, BPF_SK_STORAGE_GET_F_CREATE)) else {
        return;
    };
    if looks.begun == 0 {
        looks.begun = 1;
        looks.left = [LOOKS; 2];
    }
    looks.left[direction] -= 1;
    let Some(head) = load::<[u8; 6]>(skb, start) else {
        return;
    };
    let mut flags = if received { PAYLOAD_RECEIVED } else { 0 };
    match candidate(head) {
        Candidate::Http2 => {
            looks.http2 = 1;
            looks.left = [LOOKS_HTTP2; 2];
        }
        Candidate::Answer | Candidate::Other => looks.left = [0; 2],
        Candidate::None if looks.http2 == 0 => return,
        Candidate::None => {}
    }
    if looks.http2 != 0 {
        flags |= PAYLOAD_HTTP2;
    }
    payload(Kind::Application, skb, sk, start, len, flags);
}

#[inline(always)]
fn storage<'a>(sk: *mut bpf_sock, flags: u32) -> Option<&'a mut Looks> {
    let map = (&raw const TCP_LOOKS).cast_mut().cast();
    // SAFETY: gives zeroed storage of this type that lives as long as the socket, or null.
    unsafe {
        bpf_sk_storage_get(map, sk.cast(), core::ptr::null_mut(), flags.into())
            .cast::<Looks>()
            .as_mut()
    }
}

/// Where the payload begins, and its length; nothing if it is too short to tell anything.
#[inline(always)]
fn tcp_payload(skb: *mut __sk_buff) -> Option<(u32, u32)> {
    const TELLING_BYTES: u32 = 8;
    let ip = ip_header(skb, IPPROTO_TCP)?;
    let data_offset = load::<u8>(skb, ip + 12)?;
    let start = ip + u32::from(data_offset >> 4) * 4;
    // SAFETY: the context is valid.
    let len = unsafe { (*skb).len };
    (len >= start + TELLING_BYTES).then(|| (start, len - start))
}

enum Candidate {
    Http2,
    /// The answer to a request of HTTP/1.
    Answer,
    Other,
    None,
}

/// By the first bytes: methods and status lines of HTTP/1, the preface of HTTP/2, a TLS hello.
#[inline(always)]
fn candidate(head: [u8; 6]) -> Candidate {
    match &head[..4] {
        b"PRI " => Candidate::Http2,
        b"HTTP" => Candidate::Answer,
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"TRAC" => {
            Candidate::Other
        }
        // A handshake record of TLS 1.x with a ClientHello.
        [0x16, 3, ..] if head[5] == 1 => Candidate::Other,
        _ => Candidate::None,
    }
}
