//! What this kernel and these privileges allow, one entry per thing the map can know.

use crate::{
    Capture, CaptureConfig,
    programs::{BIND, CONNECT, Outcomes, SNAPSHOT},
};

/// One rung of the capability ladder, as `mesoscope.v1.Capability`.
///
/// Names used here: [`NAMES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What can be known.
    pub name: &'static str,
    /// Whether it is, here and now.
    pub available: bool,
    /// How it is provided (`tp_btf`, `iter`, `cgroup`, `sock_ops`, `tracepoint`, `cgroup_skb`), or empty.
    pub provider: &'static str,
    /// Why it is missing or second best and how to get it; empty when there is nothing to say.
    pub reason: String,
}

impl Capability {
    /// Whether it comes from the per-packet hooks.
    pub(crate) fn is_tier2(&self) -> bool {
        TIER2.contains(&self.name)
    }
}

/// What the per-packet hooks give.
pub(crate) const TIER2: [&str; 2] = ["udp-bytes", "protocol-recognition"];

/// Names of all capabilities that the capture tells of.
pub const NAMES: [&str; 8] = [
    "process-events",
    "tcp-events",
    "connect-pid",
    "bind-pid",
    "socket-snapshot",
    "cgroup-events",
    "udp-bytes",
    "protocol-recognition",
];

/// Tries everything that `config` asks for on this machine and reports it; whatever was loaded and
/// attached for the trial is gone when this returns.
#[must_use]
pub fn probe(config: &CaptureConfig) -> Vec<Capability> {
    match Capture::start(config) {
        Ok(capture) => capture.capabilities(),
        Err(error) => nothing(&error.to_string()),
    }
}

/// Nothing is available, for one reason.
pub(crate) fn nothing(reason: &str) -> Vec<Capability> {
    NAMES
        .map(|name| Capability {
            name,
            available: false,
            provider: "",
            reason: reason.to_owned(),
        })
        .into()
}

/// What follows from the programs that could be attached.
pub(crate) fn from_outcomes(outcomes: &Outcomes) -> Vec<Capability> {
    vec![
        rung(
            outcomes,
            "process-events",
            "tp_btf",
            &[
                "sched_process_fork",
                "sched_process_exec",
                "sched_process_exit",
            ],
            &[],
        ),
        rung(
            outcomes,
            "tcp-events",
            "tp_btf",
            &["tcp_destroy_sock"],
            &["inet_sk_error_report", "tcp_send_reset"],
        ),
        rung(outcomes, "connect-pid", "cgroup", &CONNECT, &[]),
        rung(outcomes, "bind-pid", "cgroup", &BIND, &[]),
        rung(outcomes, "socket-snapshot", "iter", &[SNAPSHOT], &[]),
        rung(
            outcomes,
            "cgroup-events",
            "tp_btf",
            &["cgroup_mkdir", "cgroup_rmdir", "cgroup_notify_populated"],
            &[],
        ),
    ]
}

/// Available when all that is needed is attached; what is only wished for is named when it is not.
fn rung(
    outcomes: &Outcomes,
    name: &'static str,
    provider: &'static str,
    needed: &[&str],
    wished: &[&str],
) -> Capability {
    let failures = |names: &[&str]| -> Vec<String> {
        names
            .iter()
            .filter_map(|program| match outcomes.get(program) {
                Some(Ok(())) => None,
                Some(Err(reason)) => Some(format!("{program}: {reason}")),
                None => Some(format!("{program}: not tried")),
            })
            .collect()
    };
    let (missing, second_best) = (failures(needed), failures(wished));
    let available = missing.is_empty();
    Capability {
        name,
        available,
        provider: if available { provider } else { "" },
        reason: missing
            .into_iter()
            .chain(second_best)
            .collect::<Vec<_>>()
            .join("; "),
    }
}
