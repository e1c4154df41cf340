//! A view and its options in a query string: `view=containers&ended=false&host=a&host=b`.

use mesoscope_proto::v1::ViewOptions;
use mesoscope_topology::{Options, ViewKind};

use super::error::ApiError;

/// Hosts in one request.
pub(super) const HOSTS_MAX: usize = 64;
/// Entries in one answer of a list.
pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const LIMIT_MAX: usize = 1_000;
const HINT: &str = "view=processes|processes-by-name|containers|containers-by-image|\
                    containers-by-hostname|services|hosts, unconnected=true|false, \
                    ended=true|false, kernel_threads=true|false, system=true|false, \
                    uncontained=true|false, host=NAME (may be repeated)";

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
    if asked.hosts.len() > HOSTS_MAX || asked.hosts.iter().any(|host| host.len() > 256) {
        let error = format!("at most {HOSTS_MAX} hosts of at most 256 bytes");
        return Err(ApiError::bad_request(error, HINT));
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
    fn known_parameters_are_taken_and_others_refused() {
        let query = [
            ("view", "hosts"),
            ("ended", "false"),
            ("system", "true"),
            ("host", "b"),
            ("host", "a"),
        ];
        let (kind, options) = view(&pairs(&query)).expect("valid");
        assert_eq!(kind, ViewKind::Hosts);
        assert!(!options.ended && options.system && options.uncontained);
        assert_eq!(options.hosts, ["a", "b"]);
        let (kind, _) = view(&pairs(&[("view", "containers-by-image")])).expect("valid");
        assert_eq!(kind, ViewKind::ContainersByImage);
        for bad in [("view", "pods"), ("ended", "maybe"), ("sort", "cpu")] {
            assert!(view(&pairs(&[bad])).is_err(), "{bad:?}");
        }
    }
}
