//! Asks DNS servers for the names of addresses, slowly.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::{Resolver, TokioResolver};
use mesoscope_proto::address;
use mesoscope_proto::v1::AddressName;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{NamesConfig, Shared, host_name};
use crate::error::Error;

/// Look-ups under way at a time: more would wait for the same slow server.
const IN_FLIGHT_MAX: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(3);

/// A resolver that keeps nothing itself: our cache does.
pub(super) fn resolver(config: &NamesConfig) -> Result<TokioResolver, Error> {
    let unusable = |error: &dyn std::fmt::Display| Error::Unavailable {
        what: "name resolution",
        reason: format!("/etc/resolv.conf: {error}"),
    };
    let mut builder = match config.server {
        Some(server) => {
            let port = server.port();
            let mut server = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut server.connections {
                connection.port = port;
            }
            let servers = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            Resolver::builder_with_config(servers, TokioRuntimeProvider::default())
        }
        None => Resolver::builder_tokio().map_err(|error| unusable(&error))?,
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.timeout = TIMEOUT;
    options.attempts = 1;
    builder.build().map_err(|error| unusable(&error))
}

pub(super) struct Lookups {
    pub resolver: TokioResolver,
    pub shared: Arc<Shared>,
    pub queued: mpsc::Receiver<IpAddr>,
    pub told: mpsc::Sender<AddressName>,
    pub per_second: u32,
}

enum Found {
    Name(String, Duration),
    Nothing(Duration),
    Failed,
}

impl Lookups {
    /// Runs until nobody asks any more.
    pub(super) async fn run(mut self) {
        let per_second = NonZeroU32::new(self.per_second).unwrap_or(NonZeroU32::MIN);
        let mut pace = interval(Duration::from_secs(1) / per_second.get());
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut in_flight = FuturesUnordered::new();
        loop {
            let has_room = in_flight.len() < IN_FLIGHT_MAX;
            tokio::select! {
                Some((address, found)) = in_flight.next(), if !in_flight.is_empty() => {
                    if self.take(address, found).await.is_err() {
                        return;
                    }
                }
                address = next(&mut pace, &mut self.queued), if has_room => match address {
                    Some(address) => in_flight.push(look_up(self.resolver.clone(), address)),
                    None => return,
                },
            }
        }
    }

    async fn take(&self, address: IpAddr, found: Found) -> Result<(), ()> {
        self.shared.stats().lookups_total += 1;
        let (name, holds) = match found {
            Found::Name(name, holds) => match host_name(&name) {
                Some(name) => (Some(name), holds),
                None => {
                    self.shared.stats().refused_total += 1;
                    (None, holds)
                }
            },
            Found::Nothing(holds) => (None, holds),
            Found::Failed => {
                self.shared.stats().failed_total += 1;
                (None, Duration::ZERO)
            }
        };
        let now = Instant::now();
        let is_new = self
            .shared
            .cache()
            .looked_up(address, name.clone(), holds, now);
        let Some(name) = name.filter(|_| is_new) else {
            return Ok(());
        };
        let message = AddressName {
            address: address::to_bytes(address),
            name,
            from_answer: false,
        };
        // A slow reader slows the look-ups; nothing is dropped.
        self.told.send(message).await.map_err(|_| ())
    }
}

/// The next address, no faster than the pace allows.
async fn next(
    pace: &mut tokio::time::Interval,
    queued: &mut mpsc::Receiver<IpAddr>,
) -> Option<IpAddr> {
    pace.tick().await;
    queued.recv().await
}

async fn look_up(resolver: TokioResolver, address: IpAddr) -> (IpAddr, Found) {
    let mut name = Name::from(address);
    // Without it the search list of resolv.conf would be tried, too.
    name.set_fqdn(true);
    let found = match resolver.reverse_lookup(name).await {
        Ok(lookup) => {
            let holds = lookup
                .valid_until()
                .saturating_duration_since(std::time::Instant::now());
            let mut records = lookup.answers().iter();
            let pointer = records.find_map(|record| match &record.data {
                RData::PTR(pointer) => Some(pointer.0.to_ascii()),
                _ => None,
            });
            pointer.map_or(Found::Nothing(holds), |name| Found::Name(name, holds))
        }
        Err(error) if error.is_no_records_found() => Found::Nothing(Duration::MAX),
        Err(_) => Found::Failed,
    };
    (address, found)
}
