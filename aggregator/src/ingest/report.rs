//! A report: all that a reporter knows of its node, as JSON. Values in, values out.
//!
//! It holds the messages that agents send, and says the same as an agent's snapshot. Before
//! anything of it is taken in, it is tried on an empty topology: one rule for what is malformed.

use mesoscope_proto::v1::{self, Change, Hello, change};
use mesoscope_topology::{Limits, Topology};
use serde::Deserialize;
use utoipa::ToSchema;

/// Bytes of a report.
pub const REPORT_BYTES_MAX: usize = 4 << 20;
/// Things in a report.
pub const ENTRIES_MAX: usize = 20_000;

/// All that a reporter knows of its node at a time. What was in its report before and is not in this one is gone.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// Of the node, stable over restarts: 1 to 256 bytes without spaces, `;` and `>`.
    #[schema(required)]
    pub agent_id: String,
    /// Of the node; its id without it.
    pub hostname: String,
    /// Of the reporter.
    pub version: String,
    /// Grows with each start of the reporter: the start as Unix nanoseconds. 0: the first report's
    /// time.
    pub generation: u64,
    /// Now, by the clock that the times in the report are of; 0 where they are the aggregator's.
    pub time_unix_ns: u64,
    /// What the node is.
    pub host: Option<v1::Host>,
    /// What it uses.
    pub host_metrics: Option<v1::HostMetrics>,
    /// Containers, by their ids.
    pub containers: Vec<v1::Container>,
    /// What they use.
    pub container_metrics: Vec<v1::ContainerMetrics>,
    /// Processes, by their keys.
    pub processes: Vec<v1::Process>,
    /// What they use.
    pub process_metrics: Vec<v1::ProcessMetrics>,
    /// Sockets that wait for others, by their cookies.
    pub listeners: Vec<v1::Listener>,
    /// Local ends of connections, by their cookies: any number but 0, unique on the node.
    pub connections: Vec<v1::Connection>,
    /// Names of remote addresses.
    pub address_names: Vec<v1::AddressName>,
    /// What the reporter can't see.
    pub gaps: Vec<v1::Gap>,
}

/// Why a report is refused; nothing of it was taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReport {
    /// Not a report.
    #[error("this is no report: {0}")]
    Json(String),
    /// A field that nobody knows.
    #[error("a report has no field {0}")]
    UnknownField(String),
    /// More than one report may hold.
    #[error("a report holds at most {ENTRIES_MAX} things, and not {0}")]
    TooLong(usize),
    /// Something in it can't be on the map.
    #[error("{place}: {reason}")]
    Entry {
        /// Which: `connections[3]`.
        place: String,
        /// Why.
        reason: String,
    },
}

impl Report {
    /// A report of which every part can be on the map.
    ///
    /// # Errors
    /// [`InvalidReport`], with the place of what is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidReport> {
        let mut unknown = None;
        let mut from = serde_json::Deserializer::from_slice(json);
        let report: Self = serde_ignored::deserialize(&mut from, |path| {
            unknown.get_or_insert_with(|| path.to_string());
        })
        .map_err(|error| InvalidReport::Json(error.to_string()))?;
        from.end()
            .map_err(|error| InvalidReport::Json(error.to_string()))?;
        if let Some(field) = unknown {
            return Err(InvalidReport::UnknownField(field));
        }
        let entries = report.len();
        if entries > ENTRIES_MAX {
            return Err(InvalidReport::TooLong(entries));
        }
        report.try_on()?;
        Ok(report)
    }

    /// Things in it.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.host.is_some())
            + usize::from(self.host_metrics.is_some())
            + self.containers.len()
            + self.container_metrics.len()
            + self.processes.len()
            + self.process_metrics.len()
            + self.listeners.len()
            + self.connections.len()
            + self.address_names.len()
            + self.gaps.len()
    }

    /// Whether it says that there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How an agent would greet.
    #[must_use]
    pub fn hello(&self) -> Hello {
        Hello {
            agent_id: self.agent_id.clone(),
            hostname: self.hostname.clone(),
            version: self.version.clone(),
            generation: self.generation,
            ..Hello::default()
        }
    }

    /// What an agent would send as its snapshot.
    #[must_use]
    pub fn changes(self) -> Vec<Change> {
        let places = self.places();
        places.into_iter().map(|(_, change)| change).collect()
    }

    /// The changes with their places, in the order in which they mean most: what others name comes
    /// first.
    fn places(self) -> Vec<(Place, Change)> {
        let mut all = Vec::with_capacity(self.len());
        let mut add = |list, index, change| {
            let change = Change {
                change: Some(change),
            };
            all.push((Place { list, index }, change));
        };
        if let Some(host) = self.host {
            add("host", None, change::Change::Host(host));
        }
        if let Some(metrics) = self.host_metrics {
            add("host_metrics", None, change::Change::HostMetrics(metrics));
        }
        macro_rules! add_all {
            ($($list:ident => $kind:ident),+ $(,)?) => {$(
                for (index, told) in self.$list.into_iter().enumerate() {
                    add(stringify!($list), Some(index), change::Change::$kind(told));
                }
            )+};
        }
        add_all! {
            containers => Container,
            processes => Process,
            container_metrics => ContainerMetrics,
            process_metrics => ProcessMetrics,
            listeners => Listener,
            connections => Connection,
            address_names => AddressName,
            gaps => Gap,
        }
        all
    }

    fn try_on(&self) -> Result<(), InvalidReport> {
        let entry = |place: String, reason: String| InvalidReport::Entry { place, reason };
        let hello = self.hello();
        super::registry::check_hello(&hello).map_err(|status| {
            entry(
                "agent_id, hostname, version".to_owned(),
                status.message().to_owned(),
            )
        })?;
        let mut scratch = Topology::new(Limits::default());
        scratch.collect_events(false);
        let events = &mut Vec::new();
        let agent = scratch
            .connect_agent(&hello, 0, events)
            .map_err(|refused| entry("agent_id".to_owned(), refused.to_string()))?;
        for (place, change) in self.clone().places() {
            scratch
                .apply(agent, change, 0, events)
                .map_err(|refused| entry(place.to_string(), refused.to_string()))?;
        }
        Ok(())
    }
}

/// Where something stands in a report.
#[derive(Debug, Clone, Copy)]
struct Place {
    list: &'static str,
    index: Option<usize>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.index {
            Some(index) => write!(to, "{}[{index}]", self.list),
            None => to.write_str(self.list),
        }
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
