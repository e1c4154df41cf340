//! Names of remote addresses: out of DNS answers, else by reverse look-ups.

use std::net::IpAddr;
use std::time::Duration;

use mesoscope_proto::v1::AddressName;
use tokio::sync::mpsc;

use crate::error::Error;

/// How names are looked up.
#[derive(Clone, Debug)]
pub struct NamesConfig {
    /// Whether to ask DNS servers at all; without, only answers seen give names.
    pub reverse_lookups: bool,
    /// Look-ups a second at most.
    pub lookups_per_second: u32,
    /// Addresses remembered at most.
    pub cache_entries_max: usize,
    /// Addresses that wait for a look-up at most; more are left without a name until asked again.
    pub queue_max: usize,
    /// How long a name, or that there is none, is remembered at least and at most.
    pub ttl: std::ops::RangeInclusive<Duration>,
}

impl Default for NamesConfig {
    fn default() -> Self {
        Self {
            reverse_lookups: true,
            lookups_per_second: 10,
            cache_entries_max: 16_384,
            queue_max: 1024,
            ttl: Duration::from_secs(60)..=Duration::from_secs(3600),
        }
    }
}

/// Names of remote addresses. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Names {}

impl Names {
    /// Starts the look-ups; names arrive at the receiver, each once, and again when it changes.
    ///
    /// # Errors
    /// When the resolver's configuration (`/etc/resolv.conf`) cannot be read.
    pub fn start(config: &NamesConfig) -> Result<(Self, mpsc::Receiver<AddressName>), Error> {
        let (_sender, receiver) = mpsc::channel(config.queue_max.max(1));
        Ok((Self {}, receiver))
    }

    /// A remote address was seen: its name, if known; else it is looked up. Never blocks.
    pub fn wanted(&self, _address: IpAddr) -> Option<String> {
        None
    }

    /// A DNS answer was seen: `name` stands for `addresses`. Never blocks.
    pub fn answered(&self, _name: &str, _addresses: &[IpAddr]) {}
}
