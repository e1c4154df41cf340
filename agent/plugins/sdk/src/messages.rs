//! What agent and plugin say to each other: JSON over HTTP.
//!
//! The agent refuses fields that it does not know, so that a mistyped one is not lost in silence. A
//! plugin takes them: an agent may be newer.

use serde::{Deserialize, Serialize};

/// The version of the interface.
pub const API: u32 = 1;

/// `GET /v1/describe`: who the plugin is. The agent goes on only when it is who the manifest names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The version of the interface that it speaks: 1.
    pub api: u32,
    /// Its name, that of its manifest.
    pub name: String,
    /// Its own version.
    pub version: String,
}

impl Description {
    /// Of a plugin that speaks this version of the interface.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            api: API,
            name: name.to_owned(),
            version: version.to_owned(),
        }
    }
}

/// The body of `POST /v1/report`: what the agent wants to know something of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportRequest {
    /// The agent's clock, Unix milliseconds.
    pub time_unix_ms: u64,
    /// Every node that the manifest names and that is there now.
    pub nodes: Vec<Node>,
    /// Further ones that the manifest names, beyond the bound of 512.
    #[serde(default)]
    pub nodes_left_out: u64,
}

/// What a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// The machine itself.
    #[default]
    Host,
    /// A container on it.
    Container,
    /// A process on it.
    Process,
}

/// A node of the map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Node {
    /// Its id here: `host`, `container;ID`, `process;PID;START`.
    pub id: String,
    /// What it is.
    pub kind: NodeKind,
    /// The host's name, the container's, or that of the process (at most 15 bytes).
    pub name: String,
    /// Of a container: its image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Of a container: its labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Of a container: its addresses in its own networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Of a process: its pid on the host.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pid: u32,
    /// Of a process: its program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub executable: String,
    /// Of a process: the id of the container that it runs in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Node {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        let found = self.labels.iter().find(|label| label.key == key);
        found.map(|label| label.value.as_str())
    }
}

/// A label of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Label {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The answer to `POST /v1/report`: all that the plugin knows. What it said before and leaves out is
/// taken away.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Each node at most once.
    pub nodes: Vec<NodeFacts>,
}

/// What the plugin knows of one node. Every key stands in the manifest, with its label, type and unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeFacts {
    /// The id, as it was asked for.
    pub id: String,
    /// Facts in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<Metadatum>,
    /// Figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Sample>,
    /// Tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// Keys of the controls that can be used now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<String>,
}

impl NodeFacts {
    /// Nothing yet, of a node that was asked for.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a fact: text, or a number, size in bytes or time in Unix milliseconds as text.
    #[must_use]
    pub fn metadatum(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.push(Metadatum {
            key: key.to_owned(),
            value: value.to_string(),
        });
        self
    }

    /// Adds a figure: finite and not negative.
    #[must_use]
    pub fn metric(mut self, key: &str, value: f64) -> Self {
        self.metrics.push(Sample {
            key: key.to_owned(),
            value,
            max: None,
        });
        self
    }

    /// Adds a figure and what would be full.
    #[must_use]
    pub fn metric_of(mut self, key: &str, value: f64, max: f64) -> Self {
        self.metrics.push(Sample {
            key: key.to_owned(),
            value,
            max: Some(max),
        });
        self
    }

    /// Adds a table: rows with a cell for each column of the manifest.
    #[must_use]
    pub fn table(mut self, key: &str, rows: Vec<Vec<String>>) -> Self {
        self.tables.push(Table {
            key: key.to_owned(),
            rows,
        });
        self
    }

    /// Offers a control.
    #[must_use]
    pub fn control(mut self, key: &str) -> Self {
        self.controls.push(key.to_owned());
        self
    }
}

/// A fact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Metadatum {
    /// Its key in the manifest.
    pub key: String,
    /// At most 512 bytes, one line; as the manifest's type says: any text, a number, bytes, a time in
    /// Unix milliseconds.
    pub value: String,
}

/// A figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its key in the manifest.
    pub key: String,
    /// Finite and not negative, in the unit of the manifest.
    pub value: f64,
    /// What would be full, where that is known and not what the manifest says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its key in the manifest.
    pub key: String,
    /// At most 64, each with a cell (256 bytes, one line) for each column of the manifest.
    pub rows: Vec<Vec<String>>,
}

/// The body of `POST /v1/control`: somebody with the role operator pressed a control.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ControlRequest {
    /// The id of the node.
    pub node: String,
    /// The control's key.
    pub control: String,
}

/// The answer to `POST /v1/control`: it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ControlAnswer {
    /// What came of it, for people; at most 512 bytes.
    #[serde(default)]
    pub message: String,
}

/// The body of any answer that is not 200.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// What is wrong, for people; at most 512 bytes.
    pub error: String,
}
