//! A view and its options in a query string: `view=containers&ended=false&host=a&host=b`.

use mesoscope_proto::v1::ViewOptions;
use mesoscope_topology::{Options, ViewKind};

use super::error::ApiError;

/// The parameters of a query string, in their order.
type Pairs = Vec<(String, String)>;

/// Hosts, namespaces, networks or labels in one request.
pub(super) const NAMES_MAX: usize = 64;
/// Entries in one answer of a list.
pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const LIMIT_MAX: usize = 1_000;
const HINT: &str = "view=processes|processes-by-name|containers|containers-by-image|\
                    containers-by-hostname|services|hosts, unconnected=true|false, \
                    ended=true|false, kernel_threads=true|false, system=true|false, \
                    uncontained=true|false; host=NAME, namespace=NAME, network=NAME, label=KEY=VALUE \
                    (may be repeated)";

/// What a query string asks for.
pub(super) fn view(pairs: &[(String, String)]) -> Result<(ViewKind, Options), ApiError> {
    let mut kind = None;
    let mut asked = ViewOptions::default();
    for (key, value) in pairs {
        match key.as_str() {
            "view" => kind = Some(kind_of(value)?),
            "unconnected" => asked.unconnected = Some(switch(key, value)?),
            "ended" => asked.ended = Some(switch(key, value)?),
            "kernel_threads" => asked.kernel_threads = Some(switch(key, value)?),
            "system" => asked.system = Some(switch(key, value)?),
            "uncontained" => asked.uncontained = Some(switch(key, value)?),
            "host" => asked.hosts.push(value.clone()),
            "namespace" => asked.namespaces.push(value.clone()),
            "network" => asked.networks.push(value.clone()),
            "label" => asked.labels.push(value.clone()),
            _ => {
                return Err(ApiError::bad_request(
                    format!("unknown parameter {key:?}"),
                    HINT,
                ));
            }
        }
    }
    let kind = kind.unwrap_or(ViewKind::Processes);
    Ok((kind, options(kind, &asked)?))
}

/// Takes the moment that is asked for out of a query string; `None` is now.
pub(super) fn moment(mut pairs: Pairs) -> Result<(Option<u64>, Pairs), ApiError> {
    let mut at_ms = None;
    let mut refused = None;
    pairs.retain(|(key, value)| {
        let is_moment = key == "at";
        if is_moment {
            match moment_of(value) {
                Ok(parsed) => at_ms = Some(parsed),
                Err(error) => refused = Some(error),
            }
        }
        !is_moment
    });
    match refused {
        Some(error) => Err(error),
        None => Ok((at_ms, pairs)),
    }
}

/// A moment in Unix milliseconds.
pub(super) fn moment_of(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        let hint = "at=1800000000000: Unix milliseconds; leave it out for now";
        ApiError::bad_request(
            format!("at is no time in Unix milliseconds: {text:?}"),
            hint,
        )
    })
}

/// The view with this name.
pub(super) fn kind_of(name: &str) -> Result<ViewKind, ApiError> {
    name.parse()
        .map_err(|unknown| ApiError::bad_request(unknown, HINT))
}

/// `limit` (1 to 1,000, else 100) and `cursor` of a list.
pub(super) fn page(pairs: &[(String, String)]) -> Result<(usize, Option<String>), ApiError> {
    let hint = "limit=1..1000, cursor=the one of the answer before";
    let (mut limit, mut cursor) = (LIMIT_DEFAULT, None);
    for (key, value) in pairs {
        match (key.as_str(), value.parse()) {
            ("limit", Ok(asked @ 1..=LIMIT_MAX)) => limit = asked,
            ("cursor", _) => cursor = Some(value.clone()),
            _ => {
                let error = format!("unknown parameter {key}={value}");
                return Err(ApiError::bad_request(error, hint));
            }
        }
    }
    Ok((limit, cursor))
}

/// The options as asked, within their bounds.
pub(super) fn options(kind: ViewKind, asked: &ViewOptions) -> Result<Options, ApiError> {
    for (names, what) in [
        (&asked.hosts, "hosts"),
        (&asked.namespaces, "namespaces"),
        (&asked.networks, "networks"),
        (&asked.labels, "labels"),
    ] {
        if names.len() > NAMES_MAX || names.iter().any(|name| name.len() > 256) {
            let error = format!("at most {NAMES_MAX} {what} of at most 256 bytes");
            return Err(ApiError::bad_request(error, HINT));
        }
    }
    Ok(Options::new(kind, asked))
}

/// A parameter that is true or false.
pub(super) fn switch(key: &str, value: &str) -> Result<bool, ApiError> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(ApiError::bad_request(
            format!("{key} is true or false, not {value:?}"),
            HINT,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
        text.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_moment_is_taken_out_and_nonsense_refused() {
        let (at_ms, rest) = moment(pairs(&[("view", "hosts"), ("at", "17")])).expect("valid");
        assert_eq!((at_ms, rest), (Some(17), pairs(&[("view", "hosts")])));
        assert_eq!(moment(pairs(&[("view", "hosts")])).expect("valid").0, None);
        for bad in ["", "-1", "now", "1e3", "99999999999999999999"] {
            assert!(moment(pairs(&[("at", bad)])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn known_parameters_are_taken_and_others_refused() {
        let query = [
            ("view", "hosts"),
            ("ended", "false"),
            ("system", "true"),
            ("host", "b"),
            ("host", "a"),
            ("namespace", "shop"),
            ("network", "back"),
            ("label", "team=a=b"),
        ];
        let (kind, options) = view(&pairs(&query)).expect("valid");
        assert_eq!(kind, ViewKind::Hosts);
        assert!(!options.ended && options.system && options.uncontained);
        assert_eq!(options.hosts, ["a", "b"]);
        let containers = &options.containers;
        assert_eq!(
            (&containers.namespaces[0], &containers.networks[0]),
            (&"shop".into(), &"back".into())
        );
        assert_eq!(containers.labels, ["team=a=b"]);
        let many: Vec<_> = (0..=NAMES_MAX)
            .map(|at| ("label".into(), at.to_string()))
            .collect();
        assert!(view(&many).is_err());
        let (kind, _) = view(&pairs(&[("view", "containers-by-image")])).expect("valid");
        assert_eq!(kind, ViewKind::ContainersByImage);
        for bad in [("view", "pods"), ("ended", "maybe"), ("sort", "cpu")] {
            assert!(view(&pairs(&[bad])).is_err(), "{bad:?}");
        }
    }
}
