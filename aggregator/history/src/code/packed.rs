//! Records made small before they are compressed: times relative to when they were told, in whole
//! milliseconds (which is what the map shows), and starts in the kernel's ticks.

use mesoscope_proto::v1;

use super::entry::Op;

const NS_PER_MS: u64 = 1_000_000;
/// Starts of processes are multiples of it.
const TICK_NS: u64 = 10 * NS_PER_MS;

/// Makes the times in it small; `at_ms` is when it was told.
pub(crate) fn pack(op: &mut Op, at_ms: u64) {
    each_time(op, &|ns| *ns = shorter(*ns, at_ms), &|ns| {
        *ns = match *ns % TICK_NS {
            0 => *ns / TICK_NS * 2,
            _ => ns.saturating_mul(2).saturating_add(1),
        };
    });
}

/// Gives them back as they were, to the millisecond.
pub(crate) fn unpack(op: &mut Op, at_ms: u64) {
    each_time(op, &|ns| *ns = longer(*ns, at_ms), &|ns| {
        *ns = match *ns % 2 {
            0 => (*ns / 2).saturating_mul(TICK_NS),
            _ => *ns / 2,
        };
    });
}

fn shorter(ns: u64, at_ms: u64) -> u64 {
    if ns == 0 {
        return 0;
    }
    let after = (ns / NS_PER_MS).wrapping_sub(at_ms).cast_signed();
    ((after << 1) ^ (after >> 63))
        .cast_unsigned()
        .saturating_add(1)
}

fn longer(packed: u64, at_ms: u64) -> u64 {
    let Some(zigzag) = packed.checked_sub(1) else {
        return 0;
    };
    let after = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
    let ms = at_ms.wrapping_add(after.cast_unsigned());
    // 0 would say that it is not known.
    ms.saturating_mul(NS_PER_MS).max(1)
}

fn each_time(op: &mut Op, time: &dyn Fn(&mut u64), start: &dyn Fn(&mut u64)) {
    let key = |key: &mut Option<v1::ProcessKey>| {
        if let Some(key) = key {
            start(&mut key.start_boottime_ns);
        }
    };
    match op {
        Op::Process(process) => {
            key(&mut process.key);
            key(&mut process.parent);
            time(&mut process.time_unix_ns);
            time(&mut process.started_unix_ns);
            if let Some(exit) = &mut process.exit {
                time(&mut exit.time_unix_ns);
            }
        }
        Op::Connection(connection) => {
            key(&mut connection.process);
            time(&mut connection.opened_unix_ns);
            time(&mut connection.closed_unix_ns);
        }
        Op::Listener(listener) => {
            key(&mut listener.process);
            time(&mut listener.closed_unix_ns);
        }
        _ => {}
    }
}

/// What a status says of the agent but for its figures, which change all the time.
pub(crate) fn steady(status: &v1::AgentStatus) -> v1::AgentStatus {
    v1::AgentStatus {
        time_unix_ns: 0,
        cpu_percent: 0.0,
        rss_bytes: 0,
        events_total: 0,
        events_lost_total: 0,
        ..status.clone()
    }
}

/// What the figures of a container say that its series don't, in steps that are worth a note.
pub(crate) fn standing(metrics: &v1::ContainerMetrics) -> v1::ContainerMetrics {
    const STEP: f64 = 0.05;
    v1::ContainerMetrics {
        container_id: metrics.container_id.clone(),
        oom_kills: metrics.oom_kills,
        cpu_throttled_fraction: (metrics.cpu_throttled_fraction / STEP).round() * STEP,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_come_back_to_the_millisecond(ns in any::<u64>(), at_ms in 0..u64::MAX / NS_PER_MS) {
            let back = longer(shorter(ns, at_ms), at_ms);
            let wanted = if ns == 0 { 0 } else { (ns / NS_PER_MS * NS_PER_MS).max(1) };
            prop_assert_eq!(back, wanted);
        }

        #[test]
        fn starts_come_back(ns in 0..u64::MAX / 4, at_ms in any::<u64>(), ticks: bool) {
            let ns = if ticks { ns / TICK_NS * TICK_NS } else { ns };
            let mut op = Op::Process(v1::Process {
                key: Some(v1::ProcessKey { pid: 1, start_boottime_ns: ns }),
                ..Default::default()
            });
            let before = op.clone();
            pack(&mut op, at_ms);
            unpack(&mut op, at_ms);
            prop_assert_eq!(op, before);
        }
    }

    #[test]
    fn times_of_now_take_few_bytes() {
        let at_ms = 1_800_000_000_000;
        assert_eq!(shorter(at_ms * NS_PER_MS + 999, at_ms), 1);
        assert!(shorter((at_ms - 60) * NS_PER_MS, at_ms) < 128);
    }
}
