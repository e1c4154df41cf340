//! Values of series as the agents' measurements that they were.

use mesoscope_proto::v1::{ContainerMetrics, HostMetrics, ProcessMetrics, change::Change};
use mesoscope_topology::Thing;

/// The figures of a thing, from the values of its series in the order of `series.rs`; what its series don't
/// have of a container is in its `pressure`.
pub(super) fn figures<'a>(
    thing: &Thing,
    values: &[f64],
    at_ms: u64,
    pressure: impl Fn(&str) -> Option<&'a ContainerMetrics>,
) -> Change {
    let value = |index: usize| values.get(index).copied().unwrap_or(0.0);
    let time_unix_ns = at_ms.saturating_mul(1_000_000);
    match thing {
        Thing::Host => Change::HostMetrics(HostMetrics {
            time_unix_ns,
            cpu_cores_used: value(0),
            memory_used_bytes: whole(value(1)),
            load_1m: value(2),
            network_received_bytes_per_s: value(3),
            network_sent_bytes_per_s: value(4),
            disk_read_bytes_per_s: value(5),
            disk_written_bytes_per_s: value(6),
            disk_used_bytes: whole(value(7)),
            processes: count(value(8)),
            open_files: whole(value(9)),
            ..Default::default()
        }),
        Thing::Container(id) => {
            let pressure = pressure(id);
            Change::ContainerMetrics(ContainerMetrics {
                container_id: id.clone(),
                time_unix_ns,
                cpu_cores_used: value(0),
                memory_used_bytes: whole(value(1)),
                network_received_bytes_per_s: value(2),
                network_sent_bytes_per_s: value(3),
                disk_read_bytes_per_s: value(4),
                disk_written_bytes_per_s: value(5),
                processes: count(value(6)),
                oom_kills: pressure.map_or(0, |told| told.oom_kills),
                cpu_throttled_fraction: pressure.map_or(0.0, |told| told.cpu_throttled_fraction),
            })
        }
        Thing::Process(key) => Change::ProcessMetrics(ProcessMetrics {
            key: Some(*key),
            time_unix_ns,
            cpu_cores_used: value(0),
            rss_bytes: whole(value(1)),
            open_files: count(value(2)),
            threads: count(value(3)),
            connections: count(value(4)),
            ..Default::default()
        }),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "series hold no negative values, and the cast saturates"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

fn count(value: f64) -> u32 {
    u32::try_from(whole(value)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_its_values_and_its_pressure() {
        let thing = Thing::Container("c1".to_owned());
        let pressed = ContainerMetrics {
            oom_kills: 2,
            ..Default::default()
        };
        let values = [0.5, 1024.4, 1.0, 2.0, 3.0, 4.0, 7.0];
        let told = figures(&thing, &values, 5, |id| (id == "c1").then_some(&pressed));
        let Change::ContainerMetrics(told) = told else {
            panic!("{told:?}");
        };
        assert_eq!(
            (told.memory_used_bytes, told.processes, told.oom_kills),
            (1024, 7, 2)
        );
        assert!((told.cpu_cores_used - 0.5).abs() < 1e-9);
    }
}
