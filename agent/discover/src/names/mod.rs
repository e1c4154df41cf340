//! Names of remote addresses: out of DNS answers, else by reverse look-ups.
//!
//! * [`Names`]: what the agent asks and tells; `lookups` does the asking of DNS servers.
//! * `cache`: what is known, for how long, bounded; it decides what is worth a look-up.

mod cache;
mod lookups;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesoscope_proto::address;
use mesoscope_proto::v1::{AddressName, Capability};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::Error;
use cache::{Cache, Wanted};

/// How names are looked up.
#[derive(Clone, Debug)]
pub struct NamesConfig {
    /// Whether to ask DNS servers at all; without, only answers seen give names.
    pub reverse_lookups: bool,
    /// The DNS server to ask; `None` for those of `/etc/resolv.conf`.
    pub server: Option<SocketAddr>,
    /// Look-ups a second at most.
    pub lookups_per_second: u32,
    /// Addresses remembered at most; beyond it the oldest is forgotten.
    pub cache_entries_max: usize,
    /// Addresses that wait for a look-up at most; more are left without a name until asked again.
    pub queue_max: usize,
    /// How long a name, or that there is none, is remembered at least and at most.
    pub ttl: RangeInclusive<Duration>,
}

impl Default for NamesConfig {
    fn default() -> Self {
        Self {
            reverse_lookups: true,
            server: None,
            lookups_per_second: 10,
            cache_entries_max: 16_384,
            queue_max: 1024,
            ttl: Duration::from_secs(60)..=Duration::from_secs(3600),
        }
    }
}

/// Counters for metrics; totals since the start but for `cached` and `queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamesStats {
    /// Addresses remembered; its bound is [`NamesConfig::cache_entries_max`].
    pub cached: usize,
    /// Addresses that wait; its bound is [`NamesConfig::queue_max`].
    pub queued: usize,
    /// Look-ups done.
    pub lookups_total: u64,
    /// Look-ups that no server answered.
    pub failed_total: u64,
    /// Addresses that were not queued because too many waited.
    pub queue_full_total: u64,
    /// Names that the reader was too slow for; they are told with the next question.
    pub untold_total: u64,
    /// Names that were refused because no host can be named so.
    pub refused_total: u64,
}

/// Names of remote addresses. Cheap to clone; the look-ups end with the last clone.
#[derive(Clone)]
pub struct Names {
    shared: Arc<Shared>,
    queue: mpsc::Sender<IpAddr>,
    told: mpsc::Sender<AddressName>,
    _task: Arc<Task>,
}

struct Shared {
    cache: Mutex<Cache>,
    stats: Mutex<NamesStats>,
    reverse_lookups: bool,
}

struct Task(Option<JoinHandle<()>>);

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Names {
    /// Starts the look-ups; names arrive at the receiver, each once, and again when it changes.
    ///
    /// # Errors
    /// When the resolver's configuration (`/etc/resolv.conf`) cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(config: &NamesConfig) -> Result<(Self, mpsc::Receiver<AddressName>), Error> {
        let (told, receiver) = mpsc::channel(config.queue_max.max(1));
        let (queue, queued) = mpsc::channel(config.queue_max.max(1));
        let shared = Arc::new(Shared {
            cache: Mutex::new(Cache::new(config.cache_entries_max, config.ttl.clone())),
            stats: Mutex::default(),
            reverse_lookups: config.reverse_lookups,
        });
        let task = if config.reverse_lookups {
            let resolver = lookups::resolver(config)?;
            let lookups = lookups::Lookups {
                resolver,
                shared: Arc::clone(&shared),
                queued,
                told: told.clone(),
                per_second: config.lookups_per_second,
            };
            Some(tokio::spawn(lookups.run()))
        } else {
            None
        };
        let names = Self {
            shared,
            queue,
            told,
            _task: Arc::new(Task(task)),
        };
        Ok((names, receiver))
    }

    /// A remote address was seen: its name, if known; else it is looked up. Never blocks. Ask only
    /// for addresses that nothing known (a host, a container) has.
    pub fn wanted(&self, address: IpAddr) -> Option<String> {
        let address = address.to_canonical();
        if !can_have_a_name(address) {
            return None;
        }
        let wanted = self.shared.cache().want(address, Instant::now());
        match wanted {
            Wanted::Known(name) => return name,
            Wanted::Waiting => {}
            Wanted::Unknown if !self.shared.reverse_lookups => {
                self.shared.cache().forget(address);
            }
            Wanted::Unknown => {
                if self.queue.try_send(address).is_err() {
                    self.shared.cache().forget(address);
                    self.shared.stats().queue_full_total += 1;
                }
            }
        }
        None
    }

    /// A DNS answer was seen: `name` stands for `addresses`. Never blocks.
    pub fn answered(&self, name: &str, addresses: &[IpAddr]) {
        let Some(name) = host_name(name) else {
            self.shared.stats().refused_total += 1;
            return;
        };
        for address in addresses.iter().map(IpAddr::to_canonical) {
            let is_new = self.shared.cache().answer(address, &name, Instant::now());
            if is_new && can_have_a_name(address) {
                self.tell(address, name.clone());
            }
        }
    }

    /// Counters for metrics.
    #[must_use]
    pub fn stats(&self) -> NamesStats {
        let cached = self.shared.cache().len();
        let queued = self.queue.max_capacity() - self.queue.capacity();
        NamesStats {
            cached,
            queued,
            ..*self.shared.stats()
        }
    }

    /// Whether addresses are looked up.
    #[must_use]
    pub fn capability(&self) -> Capability {
        let available = self.shared.reverse_lookups;
        let off = "switched off; names come from DNS answers only, which tier 2 sees";
        Capability {
            name: "address-names".to_owned(),
            available,
            provider: "reverse look-ups".to_owned(),
            reason: if available { "" } else { off }.to_owned(),
        }
    }

    fn tell(&self, address: IpAddr, name: String) {
        let message = AddressName {
            address: address::to_bytes(address),
            name,
            from_answer: true,
        };
        if self.told.try_send(message).is_err() {
            self.shared.stats().untold_total += 1;
            self.shared.cache().forget(address);
        }
    }
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self) -> MutexGuard<'_, NamesStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a DNS server can know the address: not those of one machine or one wire only.
fn can_have_a_name(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_loopback()
                || v4.is_unspecified()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unicast_link_local()
                || v6.is_multicast())
        }
    }
}

/// A name without its last dot; `None` for what no host can be named: a server can answer anything.
fn host_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
    let is_name = !name.is_empty() && name.len() <= 253 && name.bytes().all(allowed);
    is_name.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn answers_give_names_without_a_look_up() {
        let config = NamesConfig {
            reverse_lookups: false,
            ..NamesConfig::default()
        };
        let (names, mut told) = Names::start(&config).expect("nothing is needed");
        let address = IpAddr::from([192, 0, 2, 7]);
        assert_eq!(names.wanted(address), None);
        names.answered("API.example.com.", &[address, IpAddr::from([127, 0, 0, 1])]);
        names.answered("api.example.com", &[address]);
        names.answered("<script>", &[address]);
        assert_eq!(names.wanted(address).as_deref(), Some("api.example.com"));
        let first = told.recv().await.expect("told");
        assert_eq!(
            (first.name.as_str(), first.from_answer),
            ("api.example.com", true)
        );
        assert_eq!(first.address, [192, 0, 2, 7]);
        assert!(told.try_recv().is_err());
        assert_eq!(names.stats().refused_total, 1);
    }

    proptest! {
        #[test]
        fn a_name_is_harmless(text in ".{0,300}") {
            if let Some(name) = host_name(&text) {
                prop_assert!(name.len() <= 253 && name.is_ascii() && !name.contains(['<', ' ', '/', '"']));
            }
        }
    }
}
