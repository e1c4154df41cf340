//! Services that operators name: by their addresses, or by the names that DNS has for them.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use crate::address::is_name;

/// Characters of a name.
const NAME_CHARS_MAX: usize = 64;

/// What stands outside of all agents under a name of its own: an address or a network of them
/// (`Office=10.8.0.0/16`), or a DNS name, with `*.` all below it (`Payments=*.stripe.com`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnService {
    pub(crate) name: Arc<str>,
    pattern: Pattern,
}

/// What is not `NAME=ADDRESS`, `NAME=NETWORK` or `NAME=DNS-NAME`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not NAME=PATTERN, where the name has 1 to 64 characters and no ';' or '>', and the pattern is an \
     address, a network (10.8.0.0/16) or a DNS name (api.example.com, *.example.com)"
)]
pub struct OwnServiceError;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// The bits of the network, and how many of them count.
    Network(IpAddr, u32),
    Name(String),
    /// What every name ends with, its dot before it.
    Below(String),
}

impl FromStr for OwnService {
    type Err = OwnServiceError;

    fn from_str(text: &str) -> Result<Self, OwnServiceError> {
        let (name, pattern) = text.split_once('=').ok_or(OwnServiceError)?;
        let fits = |c: char| !c.is_control() && c != ';' && c != '>';
        let named = !name.is_empty()
            && name.trim() == name
            && name.chars().count() <= NAME_CHARS_MAX
            && name.chars().all(fits);
        if !named {
            return Err(OwnServiceError);
        }
        Ok(Self {
            name: name.into(),
            pattern: Pattern::parse(pattern).ok_or(OwnServiceError)?,
        })
    }
}

impl fmt::Display for OwnService {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Pattern::Network(ip, bits) => write!(to, "{}={ip}/{bits}", self.name),
            Pattern::Name(name) => write!(to, "{}={name}", self.name),
            Pattern::Below(suffix) => write!(to, "{}=*{suffix}", self.name),
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        if let Ok(ip) = address.parse::<IpAddr>() {
            let ip = ip.to_canonical();
            let most = length(ip);
            let bits = bits.unwrap_or(most);
            return (bits <= most).then(|| Self::Network(masked(ip, bits), bits));
        }
        if bits.is_some() {
            return None;
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let (below, rest) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, name.as_str()),
        };
        // One without a dot is a word that somebody forgot something of.
        if !is_name(rest) || rest.contains('*') || !rest.contains('.') || rest.starts_with('.') {
            return None;
        }
        Some(if below {
            Self::Below(format!(".{rest}"))
        } else {
            Self::Name(name)
        })
    }
}

fn length(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The address with all but its first bits cleared.
fn masked(ip: IpAddr, bits: u32) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl OwnService {
    /// Whether an address is one of it.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        match self.pattern {
            Pattern::Network(network, bits) => {
                let ip = ip.to_canonical();
                ip.is_ipv4() == network.is_ipv4() && masked(ip, bits) == network
            }
            _ => false,
        }
    }

    /// Whether a name in lower case is one of it.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        match &self.pattern {
            Pattern::Network(..) => false,
            Pattern::Name(own) => own == name,
            Pattern::Below(suffix) => name.ends_with(suffix.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own(text: &str) -> OwnService {
        text.parse().expect("valid")
    }

    #[test]
    fn addresses_and_networks_have_what_is_in_them() {
        let office = own("Our office=10.8.1.0/16");
        assert_eq!(&*office.name, "Our office");
        for (ip, inside) in [
            ("10.8.0.1", true),
            ("10.8.255.255", true),
            ("10.9.0.0", false),
            ("::ffff:10.8.3.4", true),
            ("::1", false),
        ] {
            assert_eq!(office.has(ip.parse().expect("literal")), inside, "{ip}");
        }
        let one = own("db=192.0.2.7");
        assert!(one.has("192.0.2.7".parse().expect("literal")));
        assert!(!one.has("192.0.2.8".parse().expect("literal")));
        let six = own("lab=2001:db8::/32");
        assert!(six.has("2001:db8:1::9".parse().expect("literal")));
        assert!(!six.has("2001:db9::".parse().expect("literal")));
        assert!(own("all=0.0.0.0/0").has("8.8.8.8".parse().expect("literal")));
    }

    #[test]
    fn names_are_whole_or_below() {
        assert!(own("api=API.example.com.").is_called("api.example.com"));
        assert!(!own("api=api.example.com").is_called("x.api.example.com"));
        let below = own("pay=*.stripe.com");
        assert!(below.is_called("api.stripe.com."));
        assert!(!below.is_called("stripe.com") && !below.is_called("notstripe.com"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "x",
            "=10.0.0.1",
            "a=",
            "a=b",
            "a=10.0.0.0/33",
            "a=10.0.0.0/x",
            "a=b/8",
            "a;b=10.0.0.1",
            "a>b=10.0.0.1",
            " a=10.0.0.1",
            "a=*",
            "a=*.",
            "a=*.*.com",
            "a=.com",
            "a=x y.com",
        ] {
            assert_eq!(bad.parse::<OwnService>(), Err(OwnServiceError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_prints_as_itself(text in "\\PC{0,20}=(\\PC{0,20}|[0-9.]{1,9}/[0-9]{1,2}|[*a-z.]{1,12})") {
            if let Ok(service) = text.parse::<OwnService>() {
                prop_assert_eq!(service.to_string().parse(), Ok(service));
            }
        }
    }
}
