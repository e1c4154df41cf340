//! What the answers of all runtimes say in the same way, bounded.

use std::collections::HashMap;

use mesoscope_proto::v1::KeyValue;

/// Entries of any list of a container (labels, variables, mounts, ...) at most.
pub(crate) const LIST_MAX: usize = 512;
/// Bytes of any text of a container at most.
const TEXT_BYTES_MAX: usize = 4096;

/// Cuts a text that came from outside at the bound, between two characters.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let mut end = TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// Name and namespace of the Kubernetes pod that the kubelet's labels name.
pub(crate) fn pod_of(labels: &[KeyValue]) -> (String, String) {
    let value = |key: &str| {
        let label = labels.iter().find(|label| label.key == key);
        label.map(|label| label.value.clone()).unwrap_or_default()
    };
    (
        value("io.kubernetes.pod.name"),
        value("io.kubernetes.pod.namespace"),
    )
}

/// Labels, in the order of their keys.
pub(crate) fn key_values(map: HashMap<String, String>) -> Vec<KeyValue> {
    let mut list: Vec<_> = map
        .into_iter()
        .take(LIST_MAX)
        .map(|(key, value)| KeyValue {
            key: cut(key),
            value: cut(value),
        })
        .collect();
    list.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    list
}

/// Variables of an environment, given as `KEY=VALUE`.
pub(crate) fn environment(variables: Vec<String>) -> Vec<KeyValue> {
    variables
        .into_iter()
        .take(LIST_MAX)
        .map(|variable| {
            let (key, value) = variable.split_once('=').unwrap_or((&variable, ""));
            KeyValue {
                key: cut(key.to_owned()),
                value: cut(value.to_owned()),
            }
        })
        .collect()
}

/// Cores that a quota of the scheduler allows, in microseconds of each period; 0 for no limit.
#[expect(clippy::cast_precision_loss, reason = "cores; 52 bits are plenty")]
pub(crate) fn cores(quota_us: i64, period_us: i64) -> f64 {
    // The kernel's period where none is given: 100 ms.
    let period_us = if period_us > 0 { period_us } else { 100_000 };
    quota_us.max(0) as f64 / period_us as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let text = "é".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(text).len(), TEXT_BYTES_MAX);
        let text = format!("a{}", "é".repeat(TEXT_BYTES_MAX));
        assert_eq!(cut(text).len(), TEXT_BYTES_MAX - 1);
        assert_eq!(cut("short".to_owned()), "short");
    }

    #[test]
    fn variables_are_split_at_their_first_equals_sign() {
        let variables = ["A=b=c", "EMPTY=", "ODD"].map(str::to_owned);
        let found = environment(variables.into());
        let found: Vec<_> = found
            .iter()
            .map(|variable| (variable.key.as_str(), variable.value.as_str()))
            .collect();
        assert_eq!(found, [("A", "b=c"), ("EMPTY", ""), ("ODD", "")]);
    }

    #[test]
    fn quotas_without_a_period_have_the_kernels() {
        for (quota_us, period_us, expected) in
            [(50_000, 0, 0.5), (50_000, 25_000, 2.0), (-1, 100_000, 0.0)]
        {
            let found = cores(quota_us, period_us);
            assert!((found - expected).abs() < 1e-9, "{quota_us} {period_us}");
        }
    }
}
