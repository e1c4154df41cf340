//! IP addresses on the wire: 4 bytes for IPv4, 16 for IPv6, text in JSON.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::v1::Endpoint;

/// Bytes of an address as the wire holds them; IPv4-mapped IPv6 addresses become IPv4.
#[must_use]
pub fn to_bytes(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The address behind wire bytes; `None` unless there are exactly 4 or 16 of them.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        Some(IpAddr::V4(Ipv4Addr::from(octets)))
    } else {
        let octets = <[u8; 16]>::try_from(bytes).ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self {
            address: to_bytes(socket.ip()),
            port: u32::from(socket.port()),
        }
    }
}

impl Endpoint {
    /// The endpoint as a socket address; `None` when the address or the port is malformed.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let port = u16::try_from(self.port).ok()?;
        Some(SocketAddr::new(from_bytes(&self.address)?, port))
    }
}

/// Serde as text ("10.0.0.1"); empty or malformed bytes become an empty string.
pub(crate) mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        match super::from_bytes(bytes) {
            Some(address) => to.collect_str(&address),
            None => to.serialize_str(""),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    pub(super) fn parse(text: &str) -> Result<Vec<u8>, String> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let address = text
            .parse()
            .map_err(|_| format!("{text:?} is not an IP address"))?;
        Ok(super::to_bytes(address))
    }
}

/// Serde of a list of addresses as a list of texts.
pub(crate) mod text_list {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(list: &[Vec<u8>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().filter_map(|bytes| super::from_bytes(bytes)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        Vec::<String>::deserialize(from)?
            .iter()
            .map(|text| super::text::parse(text).map_err(D::Error::custom))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_v4_becomes_v4_and_json_is_text() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:80".parse().expect("literal");
        let endpoint = Endpoint::from(mapped);
        assert_eq!(endpoint.address, [10, 0, 0, 1]);
        let json = serde_json::to_string(&endpoint).expect("plain data");
        assert_eq!(json, r#"{"address":"10.0.0.1","port":80}"#);
        let back: Endpoint = serde_json::from_str(&json).expect("own output");
        assert_eq!(back, endpoint);
        assert!(serde_json::from_str::<Endpoint>(r#"{"address":"10.0.0","port":80}"#).is_err());
    }

    #[test]
    fn malformed_lengths_are_refused() {
        assert_eq!(from_bytes(&[1, 2, 3]), None);
        assert_eq!(from_bytes(&[]), None);
    }
}
