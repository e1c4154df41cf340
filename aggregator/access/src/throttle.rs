//! Failed sign-ins: some at once, then one in a while, from each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Failures that an address has at once.
const BURST: u64 = 10;
/// After those, one more in this time.
const REFILL_MS: u64 = 6_000;
/// Addresses that are remembered; beyond them all strangers share one count.
const ADDRESSES_MAX: usize = 10_000;

/// Counts failed sign-ins by address; an IPv6 network of 64 bits counts as one.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When the address is as if it had never failed.
    forgiven_ms: HashMap<IpAddr, u64>,
    others_forgiven_ms: u64,
}

impl Throttle {
    /// How long this address has to wait before it may try again, milliseconds.
    #[must_use]
    pub fn wait_ms(&self, from: IpAddr, now_ms: u64) -> Option<u64> {
        let known = self.forgiven_ms.get(&network(from)).copied();
        let full = self.forgiven_ms.len() >= ADDRESSES_MAX;
        let forgiven_ms = known.unwrap_or(if full { self.others_forgiven_ms } else { 0 });
        let debt_ms = forgiven_ms.saturating_sub(now_ms);
        let over_ms = (debt_ms + REFILL_MS).saturating_sub(BURST * REFILL_MS);
        (over_ms > 0).then_some(over_ms)
    }

    /// A sign-in failed.
    pub fn failed(&mut self, from: IpAddr, now_ms: u64) {
        let network = network(from);
        if !self.forgiven_ms.contains_key(&network) && self.forgiven_ms.len() >= ADDRESSES_MAX {
            self.forgiven_ms
                .retain(|_, forgiven_ms| *forgiven_ms > now_ms);
        }
        let full = self.forgiven_ms.len() >= ADDRESSES_MAX;
        let forgiven_ms = if full && !self.forgiven_ms.contains_key(&network) {
            &mut self.others_forgiven_ms
        } else {
            self.forgiven_ms.entry(network).or_default()
        };
        let capped = (*forgiven_ms).min(now_ms + BURST * REFILL_MS);
        *forgiven_ms = capped.max(now_ms) + REFILL_MS;
    }

    /// Addresses remembered.
    #[must_use]
    pub fn used(&self) -> usize {
        self.forgiven_ms.len()
    }

    /// Addresses remembered at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        ADDRESSES_MAX
    }
}

fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("literal")
    }

    #[test]
    fn ten_at_once_then_one_in_six_seconds() {
        let mut throttle = Throttle::default();
        let from = address("2001:db8::1");
        let now_ms = 1_000_000;
        for _ in 0..10 {
            assert_eq!(throttle.wait_ms(from, now_ms), None);
            throttle.failed(from, now_ms);
        }
        assert_eq!(throttle.wait_ms(from, now_ms), Some(REFILL_MS));
        assert!(
            throttle
                .wait_ms(address("2001:db8::ffff"), now_ms)
                .is_some()
        );
        assert_eq!(throttle.wait_ms(address("10.0.0.1"), now_ms), None);
        assert_eq!(throttle.wait_ms(from, now_ms + REFILL_MS), None);
        for _ in 0..1_000 {
            throttle.failed(from, now_ms);
        }
        let wait_ms = throttle.wait_ms(from, now_ms).expect("it has to wait");
        assert!(
            wait_ms <= 2 * REFILL_MS,
            "trying on does not lock out for long"
        );
    }

    #[test]
    fn strangers_share_a_count_when_the_table_is_full() {
        let mut throttle = Throttle::default();
        for number in 0..20_000u32 {
            throttle.failed(IpAddr::from(number.to_be_bytes()), 0);
        }
        assert_eq!(throttle.used(), throttle.limit());
        assert!(throttle.wait_ms(address("192.0.2.1"), 0).is_some());
        throttle.failed(address("192.0.2.1"), 1_000_000);
        assert_eq!(throttle.used(), 1, "what is forgiven is forgotten");
    }
}
