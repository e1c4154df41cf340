//! The nodes of views as series.

use std::collections::HashSet;

use mesoscope_proto::v1::{Metric, Node};
use prost::Message;

use super::wire::{Label, Sample, TimeSeries};

/// Series that are given on at once.
const PART_SERIES: usize = 2_000;

/// "There is no value from here on": Prometheus' stale marker, a NaN with these bits.
const STALE: u64 = 0x7ff0_0000_0000_0002;
/// Bytes of a label's value; longer ones are cut.
const LABEL_BYTES_MAX: usize = 256;

/// Which series there were, so that those that end are marked.
#[derive(Debug)]
pub(super) struct Figures {
    series_max: usize,
    /// The labels as they are on the wire: a fraction of what they take as values.
    before: HashSet<Box<[u8]>>,
}

/// How many values there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Taken {
    /// Series that have a value now.
    pub series: usize,
    /// Values of series beyond the bound.
    pub left_out: u64,
}

/// What is given on, in parts.
struct Parts<F> {
    part: Vec<TimeSeries>,
    timestamp: i64,
    take: F,
}

impl<F: FnMut(Vec<TimeSeries>)> Parts<F> {
    fn add(&mut self, labels: Vec<Label>, value: f64) {
        let timestamp = self.timestamp;
        let samples = vec![Sample { value, timestamp }];
        self.part.push(TimeSeries { labels, samples });
        if self.part.len() == PART_SERIES {
            (self.take)(std::mem::take(&mut self.part));
        }
    }

    fn end(mut self) {
        if !self.part.is_empty() {
            (self.take)(self.part);
        }
    }
}

impl Figures {
    /// Of so many series at most; hosts come first.
    pub(super) fn new(series_max: usize) -> Self {
        Self {
            series_max,
            before: HashSet::new(),
        }
    }

    /// Gives the values of these hosts and containers now to `take`. Those of agents that are not
    /// connected are not known: `connected` has the ids of the hosts that are.
    pub(super) fn of(
        &mut self,
        hosts: &[Node],
        containers: &[Node],
        connected: &HashSet<String>,
        now_ms: u64,
        take: impl FnMut(Vec<TimeSeries>),
    ) -> Taken {
        let mut parts = Parts {
            part: Vec::new(),
            timestamp: i64::try_from(now_ms).unwrap_or(i64::MAX),
            take,
        };
        let mut now = HashSet::with_capacity(self.before.len());
        let mut left_out = 0;
        let mut add = |what: &str, node: &Node, labels: &[(&str, &str)]| {
            for metric in &node.metrics {
                let labels = labelled(&name(what, metric), labels);
                let packed = pack(labels.clone());
                if now.len() >= self.series_max && !now.contains(&packed) {
                    left_out += 1;
                } else if now.insert(packed) {
                    parts.add(labels, metric.value);
                }
            }
        };
        for host in hosts.iter().filter(|host| connected.contains(&host.id)) {
            let agent = host.id.strip_prefix("host;").unwrap_or(&host.id);
            add("host", host, &[("agent", agent), ("host", &host.label)]);
        }
        for container in containers.iter().filter(|node| node.kind == "container") {
            let host = container.parents.iter().find(|one| one.view == "hosts");
            let runs = matches!(container.state.as_str(), "running" | "paused");
            if let Some(host) = host.filter(|host| runs && connected.contains(&host.id)) {
                let id = container.id.split(';').nth(1).unwrap_or(&container.id);
                let labels = [
                    ("agent", host.id.strip_prefix("host;").unwrap_or(&host.id)),
                    ("container", &container.label),
                    ("container_id", id),
                    ("host", &host.label),
                    ("image", &container.label_minor),
                ];
                add("container", container, &labels);
            }
        }
        for ended in self.before.difference(&now) {
            parts.add(unpack(ended), f64::from_bits(STALE));
        }
        parts.end();
        self.before = now;
        Taken {
            series: self.before.len(),
            left_out,
        }
    }
}

fn pack(labels: Vec<Label>) -> Box<[u8]> {
    let samples = Vec::new();
    TimeSeries { labels, samples }.encode_to_vec().into()
}

fn unpack(packed: &[u8]) -> Vec<Label> {
    // It was packed here.
    TimeSeries::decode(packed)
        .map(|series| series.labels)
        .unwrap_or_default()
}

/// `mesoscope_host_memory_bytes`.
fn name(what: &str, metric: &Metric) -> String {
    let unit = match metric.unit.as_str() {
        "bytes/s" => "_bytes_per_second",
        "bytes" => "_bytes",
        "cores" => "_cores",
        "%" => "_percent",
        _ => "",
    };
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    let key: String = metric.key.chars().map(plain).collect();
    format!("mesoscope_{what}_{key}{unit}")
}

/// In the order of their names; those without a value are none.
fn labelled(name: &str, labels: &[(&str, &str)]) -> Vec<Label> {
    let all = [("__name__", name)];
    let all = all.iter().chain(labels);
    let mut labels: Vec<Label> = all
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| Label {
            name: (*name).to_owned(),
            value: value[..value.floor_char_boundary(LABEL_BYTES_MAX)].to_owned(),
        })
        .collect();
    labels.sort();
    labels
}

#[cfg(test)]
mod tests {
    use mesoscope_proto::v1::NodeRef;

    use super::*;

    fn node(id: &str, kind: &str, state: &str) -> Node {
        Node {
            id: id.to_owned(),
            kind: kind.to_owned(),
            label: format!("the {kind}"),
            state: state.to_owned(),
            metrics: vec![Metric {
                key: "memory".to_owned(),
                unit: "bytes".to_owned(),
                value: 7.0,
                ..Default::default()
            }],
            parents: vec![NodeRef {
                view: "hosts".to_owned(),
                id: "host;a".to_owned(),
                label: "node-1".to_owned(),
            }],
            ..Default::default()
        }
    }

    fn of(
        figures: &mut Figures,
        hosts: &[Node],
        containers: &[Node],
        connected: &HashSet<String>,
        now_ms: u64,
    ) -> Vec<TimeSeries> {
        let mut all = Vec::new();
        figures.of(hosts, containers, connected, now_ms, |part| {
            all.extend(part)
        });
        all
    }

    fn names(series: &[TimeSeries]) -> Vec<(String, bool)> {
        let of = |one: &TimeSeries| (one.labels[0].value.clone(), one.samples[0].value.is_nan());
        series.iter().map(of).collect()
    }

    #[test]
    fn values_are_of_what_is_connected_and_runs_and_what_ends_is_marked_once() {
        let host = [node("host;a", "host", "running")];
        let running = [node("container;c1", "container", "running")];
        let connected = HashSet::from(["host;a".to_owned()]);
        let mut figures = Figures::new(100);
        let series = of(&mut figures, &host, &running, &connected, 5);
        let memory = |what: &str, stale| (format!("mesoscope_{what}_memory_bytes"), stale);
        assert_eq!(
            names(&series),
            [memory("host", false), memory("container", false)]
        );
        let labels: Vec<_> = series[1].labels.iter().map(|label| &*label.name).collect();
        assert_eq!(
            labels,
            ["__name__", "agent", "container", "container_id", "host"]
        );
        assert_eq!(series[1].labels[3].value, "c1");
        let ended = [node("container;c1", "container", "exited")];
        let series = of(&mut figures, &host, &ended, &connected, 6);
        assert_eq!(
            names(&series),
            [memory("host", false), memory("container", true)]
        );
        assert_eq!(series[1].samples[0].value.to_bits(), STALE);
        let series = of(&mut figures, &host, &ended, &HashSet::new(), 7);
        assert_eq!(names(&series), [memory("host", true)]);
        assert!(of(&mut figures, &host, &ended, &HashSet::new(), 8).is_empty());
    }

    #[test]
    fn beyond_the_bound_values_are_left_out_and_counted_and_hosts_come_first() {
        let host = [node("host;a", "host", "running")];
        let many: Vec<_> = (0..5_000)
            .map(|number| node(&format!("container;c{number}"), "container", "running"))
            .collect();
        let connected = HashSet::from(["host;a".to_owned()]);
        let mut figures = Figures::new(4_500);
        let mut parts = Vec::new();
        let taken = figures.of(&host, &many, &connected, 5, |part| parts.push(part.len()));
        let expected = Taken {
            series: 4_500,
            left_out: 501,
        };
        assert_eq!((taken, parts), (expected, vec![2_000, 2_000, 500]));
        let fewer = of(&mut figures, &host, &many[..10], &connected, 6);
        let ended = fewer.iter().filter(|one| one.samples[0].value.is_nan());
        assert_eq!((fewer.len(), ended.count()), (4_500, 4_489));
        assert_eq!(names(&fewer)[0].0, "mesoscope_host_memory_bytes");
    }
}
