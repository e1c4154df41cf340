//! One entry, and its line.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::identity::How;

/// Bytes of an action, a target or a name; what is longer is cut.
const TEXT_BYTES_MAX: usize = 1_024;
/// Bytes of the parameters as JSON; larger ones are left out, and the entry says so.
const PARAMETERS_BYTES_MAX: usize = 16 << 10;
/// Longest line. Texts and parameters may grow when they are escaped.
pub(super) const LINE_BYTES_MAX: usize = 128 << 10;

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is about to be done.
    Started,
    /// It was done.
    Done,
    /// It was tried and failed, with the reason.
    Failed(String),
    /// It was not tried, with the reason.
    Refused(String),
}

/// What somebody did or wanted to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// The name of the identity.
    pub who: String,
    /// By what it was let in.
    pub how: How,
    /// From where, where that is known.
    #[schema(value_type = Option<String>)]
    pub from: Option<IpAddr>,
    /// What, as `thing.verb`: `container.restart`, `token.create`.
    pub action: String,
    /// On what: a node's id, a token's id.
    pub target: String,
    /// With what: never a secret.
    pub parameters: Value,
    /// How it went.
    pub outcome: Outcome,
}

/// An entry as it stands in the audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recorded {
    /// Counts up by one from 1; none is used twice.
    pub id: u64,
    /// When it was recorded, milliseconds since 1970.
    pub unix_ms: u64,
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Entry {
    /// The same with parameters.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Value) -> Self {
        self.parameters = parameters;
        self
    }

    /// The same with another outcome.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Within the bounds.
    pub(super) fn bounded(mut self) -> Self {
        for text in [&mut self.who, &mut self.action, &mut self.target] {
            cut(text);
        }
        if let Outcome::Failed(reason) | Outcome::Refused(reason) = &mut self.outcome {
            cut(reason);
        }
        let bytes = self.parameters.to_string().len();
        if bytes > PARAMETERS_BYTES_MAX {
            self.parameters = serde_json::json!({ "left_out_bytes": bytes });
        }
        self
    }
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
}

impl Recorded {
    /// The line, with its end.
    pub(super) fn line(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// An entry from its line; nothing when the line is not one (a write that was cut off).
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        (line.len() <= LINE_BYTES_MAX)
            .then(|| serde_json::from_str(line).ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(text: &str, parameters: Value) -> Entry {
        Entry {
            who: text.to_owned(),
            how: How::ApiToken,
            from: Some(IpAddr::from([10, 0, 0, 1])),
            action: "container.restart".to_owned(),
            target: text.to_owned(),
            parameters,
            outcome: Outcome::Failed(text.to_owned()),
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_said() {
        let long = "é".repeat(5_000);
        let cut = entry(&long, Value::String(long.repeat(4))).bounded();
        assert_eq!(cut.who.len(), TEXT_BYTES_MAX);
        assert_eq!(cut.parameters["left_out_bytes"], 40_002);
        let (id, unix_ms) = (1, 2);
        let line = Recorded {
            id,
            unix_ms,
            entry: cut,
        }
        .line();
        assert!(line.len() <= LINE_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_and_reads_back(text in "\\PC{0,60}|[\\x00-\\x1f\"\\\\]{0,40}", id: u64) {
            let entry = entry(&text, serde_json::json!({ "note": text })).bounded();
            let recorded = Recorded { id, unix_ms: 7, entry };
            let line = recorded.line();
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            prop_assert_eq!(Recorded::parse(line.trim_end()), Some(recorded));
        }

        #[test]
        fn any_text_is_a_line_or_nothing(text in "\\PC{0,200}|\\{\"id\":1,\\PC{0,80}\\}") {
            let _ = Recorded::parse(&text);
        }
    }
}
