//! What this kernel and these privileges allow, one entry per thing the map can know.

use crate::{
    Capture, CaptureConfig,
    privileges::explained,
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
    let reason = explained(reason.to_owned());
    NAMES
        .map(|name| Capability {
            name,
            available: false,
            provider: "",
            reason: reason.clone(),
        })
        .into()
}

/// What follows from the programs that could be attached.
pub(crate) fn from_outcomes(outcomes: &Outcomes) -> Vec<Capability> {
    vec![
        rung(
            outcomes,
            "process-events",
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
            &["tcp_destroy_sock"],
            &["inet_sk_error_report", "tcp_send_reset"],
        ),
        rung(outcomes, "connect-pid", &CONNECT, &[]),
        rung(outcomes, "bind-pid", &BIND, &[]),
        rung(outcomes, "socket-snapshot", &[SNAPSHOT], &[]),
        rung(
            outcomes,
            "cgroup-events",
            &["cgroup_mkdir", "cgroup_rmdir", "cgroup_notify_populated"],
            &[],
        ),
    ]
}

/// Available when all that is needed is attached; what is only wished for is named when it is not.
fn rung(outcomes: &Outcomes, name: &'static str, needed: &[&str], wished: &[&str]) -> Capability {
    let outcome = |program: &str| {
        outcomes
            .get(program)
            .cloned()
            .unwrap_or_else(|| Err("not tried".to_owned()))
    };
    let mut provider = "";
    let mut available = true;
    let mut reasons: Vec<String> = Vec::new();
    for program in needed {
        match outcome(program) {
            Ok(provided) => {
                // The least of its programs names it.
                if provider.is_empty() || !provided.note.is_empty() {
                    provider = provided.provider;
                }
                reasons.extend(Some(provided.note).filter(|note| !note.is_empty()));
            }
            Err(reason) => {
                available = false;
                reasons.push(format!("{program}: {reason}"));
            }
        }
    }
    for program in wished {
        if let Err(reason) = outcome(program) {
            reasons.push(format!("{program}: {reason}"));
        }
    }
    reasons.dedup();
    Capability {
        name,
        available,
        provider: if available { provider } else { "" },
        reason: explained(reasons.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::Provided;

    #[test]
    fn a_rung_is_missing_with_a_reason_or_second_best_with_one() {
        let mut outcomes = Outcomes::new();
        let best = Provided {
            provider: "tp_btf",
            note: String::new(),
        };
        let plain = Provided {
            provider: "tracepoint",
            note: "second best".to_owned(),
        };
        outcomes.insert("a", Ok(best.clone()));
        outcomes.insert("b", Ok(plain));
        outcomes.insert("c", Err("refused".to_owned()));
        assert_eq!(
            rung(&outcomes, "x", &["a"], &[]),
            Capability {
                name: "x",
                available: true,
                provider: "tp_btf",
                reason: String::new()
            }
        );
        assert_eq!(
            rung(&outcomes, "x", &["a", "b"], &[]).provider,
            "tracepoint"
        );
        assert_eq!(rung(&outcomes, "x", &["a", "b"], &[]).reason, "second best");
        assert_eq!(
            rung(&outcomes, "x", &["a", "c"], &[]),
            Capability {
                name: "x",
                available: false,
                provider: "",
                reason: "c: refused".to_owned()
            }
        );
        assert_eq!(rung(&outcomes, "x", &["a"], &["c"]).reason, "c: refused");
        assert!(rung(&outcomes, "x", &["a"], &["c"]).available);
        assert!(!rung(&outcomes, "x", &["d"], &[]).available);
    }
}
