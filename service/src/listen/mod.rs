//! Where a service may listen: the rule, and addresses as they are written. The sockets themselves,
//! plain or TLS, are in `socket.rs`.

mod socket;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use self::socket::{Connection, Fill, Listener};

/// How a listening address is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posture {
    /// Only this machine reaches it.
    Loopback,
    /// Others reach it, through TLS and authentication.
    Secured,
    /// Others reach it unprotected, by `--insecure-listen`.
    Insecure,
}

/// What is configured for a listening address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// TLS is configured.
    pub tls: bool,
    /// Everyone who comes in is authenticated.
    pub authentication: bool,
}

/// Others would reach the service unprotected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to listen on {address}, which others can reach, without {missing}. Two ways out: \
     configure {missing} ({how}), or accept by name that anyone who can reach it may read what it \
     shows and send to it (--insecure-listen)"
)]
pub struct Unprotected {
    address: IpAddr,
    missing: &'static str,
    how: String,
}

/// The rule: loopback needs nothing; any other address needs TLS and authentication, or
/// `insecure_listen` by name. `how` names the service's flags that configure them.
///
/// # Errors
/// [`Unprotected`], which names both ways out.
pub fn check(
    address: IpAddr,
    protection: Protection,
    insecure_listen: bool,
    how: &str,
) -> Result<Posture, Unprotected> {
    let missing = match (protection.tls, protection.authentication) {
        _ if address.to_canonical().is_loopback() => return Ok(Posture::Loopback),
        (true, true) => return Ok(Posture::Secured),
        _ if insecure_listen => return Ok(Posture::Insecure),
        (false, false) => "TLS and authentication",
        (false, true) => "TLS",
        (true, false) => "authentication",
    };
    Err(Unprotected {
        address,
        missing,
        how: how.to_owned(),
    })
}

/// Value parser of `--host`: an IP address or "localhost".
///
/// # Errors
/// When the text is neither.
pub fn host(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse()
        .map_err(|_| "not an IP address to listen on (127.0.0.1, ::1, 0.0.0.0, ...)".to_owned())
}

/// Value parser of an address to listen on: "127.0.0.1:4042", "[::1]:4042", "localhost:4042".
///
/// # Errors
/// When the text is none of these.
pub fn socket(text: &str) -> Result<SocketAddr, String> {
    let expected = || "not an address with a port (127.0.0.1:4042, [::1]:4042)".to_owned();
    let (name, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let port = port.parse().map_err(|_| expected())?;
    Ok(SocketAddr::new(host(name).map_err(|_| expected())?, port))
}

/// Who is at the other end of a connection. A request extension of axum (`ConnectInfo<Peer>`) and
/// tonic (`Peer`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The connection is encrypted.
    pub tls: bool,
    /// SHA-256 of the client certificate, in hex, once it was verified.
    pub certificate: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Protection = Protection {
        tls: false,
        authentication: false,
    };
    const ALL: Protection = Protection {
        tls: true,
        authentication: true,
    };

    fn posture(text: &str, protection: Protection, insecure: bool) -> Result<Posture, String> {
        let address = host(text).expect("an address");
        check(address, protection, insecure, "--tls-cert ...").map_err(|error| error.to_string())
    }

    #[test]
    fn loopback_needs_nothing() {
        for text in [
            "127.0.0.1",
            "127.3.2.1",
            "::1",
            "[::1]",
            "localhost",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(
                posture(text, NOTHING, false),
                Ok(Posture::Loopback),
                "{text}"
            );
        }
    }

    #[test]
    fn any_other_address_needs_protection_or_the_word() {
        for text in ["0.0.0.0", "::", "10.0.0.1", "fe80::1"] {
            let error = posture(text, NOTHING, false).expect_err("unprotected");
            assert!(error.contains("--tls-cert ...") && error.contains("--insecure-listen"));
            assert_eq!(
                posture(text, NOTHING, true),
                Ok(Posture::Insecure),
                "{text}"
            );
            assert_eq!(posture(text, ALL, false), Ok(Posture::Secured), "{text}");
            assert_eq!(posture(text, ALL, true), Ok(Posture::Secured), "{text}");
        }
        let half = Protection {
            authentication: false,
            ..ALL
        };
        let error = posture("0.0.0.0", half, false).expect_err("no authentication");
        assert!(error.contains("without authentication"), "{error}");
    }

    #[test]
    fn addresses_are_parsed_or_refused() {
        assert_eq!(
            socket("localhost:1"),
            "127.0.0.1:1".parse().map_err(|_| String::new())
        );
        assert_eq!(
            socket("[::1]:9"),
            "[::1]:9".parse().map_err(|_| String::new())
        );
        for text in ["", "4042", "127.0.0.1", "host:1", "127.0.0.1:99999"] {
            assert!(socket(text).is_err(), "{text}");
        }
    }
}
