//! What an address says by itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// True for an address that means something only within one network namespace.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// True for an address that means something only on the links of one host.
pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// True for an address that the public internet does not route.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    if is_loopback(ip) || is_link_local(ip) || ip.is_multicast() {
        return true;
    }
    match ip {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10: carrier-grade NAT (RFC 6598), also used by overlays.
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_broadcast() || v4.is_documentation() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// Services whose address is fixed by their provider's or by a standard's documentation.
pub(crate) fn well_known(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(v4) => well_known_v4(v4),
        IpAddr::V6(v6) => well_known_v6(v6),
    }
}

fn well_known_v4(ip: Ipv4Addr) -> Option<&'static str> {
    Some(match ip.octets() {
        [169, 254, 169, 254] => "Instance metadata",
        [169, 254, 169, 253] => "Amazon DNS",
        [169, 254, 169, 123] => "Amazon time",
        [169, 254, 170, 2 | 23] => "Amazon container credentials",
        [168, 63, 129, 16] => "Azure platform",
        [100, 100, 100, 200] => "Alibaba metadata",
        [8, 8, 8, 8] | [8, 8, 4, 4] => "Google DNS",
        [1, 1, 1, 1] | [1, 0, 0, 1] => "Cloudflare DNS",
        [9, 9, 9, 9] => "Quad9 DNS",
        [224, 0, 0, 251] => "Multicast DNS",
        [239, 255, 255, 250] => "SSDP",
        _ => return None,
    })
}

fn well_known_v6(ip: Ipv6Addr) -> Option<&'static str> {
    Some(match ip.segments() {
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => "Instance metadata",
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253] => "Amazon DNS",
        [0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888 | 0x8844] => "Google DNS",
        [0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111 | 0x1001] => "Cloudflare DNS",
        [0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe] => "Quad9 DNS",
        [0xff02, 0, 0, 0, 0, 0, 0, 0xfb] => "Multicast DNS",
        _ => return None,
    })
}

/// Whether a name from a reverse look-up names a service rather than some machine: those of the
/// cloud providers' shared front ends, as Weave Scope had them.
pub(crate) fn names_a_service(name: &str) -> bool {
    const SUFFIXES: [&str; 12] = [
        ".amazonaws.com",
        ".googleapis.com",
        ".1e100.net",
        ".core.windows.net",
        ".servicebus.windows.net",
        ".azure-api.net",
        ".azure-devices.net",
        ".cloudapp.azure.com",
        ".database.windows.net",
        ".vault.azure.net",
        ".cloudfront.net",
        ".fastly.net",
    ];
    let name = name.trim_end_matches('.');
    // Names of single virtual machines are not services.
    let machine = name.starts_with("ec2-") || name.contains(".compute.");
    !machine && SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Whether a text can be an id: what separates the parts of our node and edge ids, or does not
/// show, is not in it.
pub(crate) fn is_id(text: &str) -> bool {
    const LENGTH_MAX: usize = 256;
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && c != ';' && c != '>';
    !text.is_empty() && text.len() <= LENGTH_MAX && text.chars().all(fits)
}

/// Whether a text can be a DNS name (RFC 1035, 2.3.4; underscores are in common use).
pub(crate) fn is_name(text: &str) -> bool {
    const LENGTH_MAX: usize = 255;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'*');
    !text.is_empty() && text.len() <= LENGTH_MAX && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("literal")
    }

    #[test]
    fn private_ranges() {
        for private in [
            "10.1.2.3",
            "172.17.0.2",
            "192.168.0.1",
            "100.64.0.1",
            "fd12::1",
            "fe80::1",
            "::1",
            "224.0.0.1",
        ] {
            assert!(is_private(ip(private)), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1"] {
            assert!(!is_private(ip(public)), "{public}");
        }
    }

    #[test]
    fn ids_and_names_cannot_break_node_ids() {
        assert!(
            is_id("0123abc")
                && is_id("host-1.example:8")
                && !is_id("a;b")
                && !is_id("a>b")
                && !is_id("")
        );
        assert!(
            is_name("api.example.org.") && !is_name("a b") && !is_name("é.org") && !is_name("")
        );
    }

    #[test]
    fn a_virtual_machine_is_not_a_service() {
        assert!(names_a_service("s3-eu-west-1.amazonaws.com."));
        assert!(!names_a_service(
            "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com"
        ));
        assert!(!names_a_service("host.example.org"));
    }
}
