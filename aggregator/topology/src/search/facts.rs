//! What a search sees of a node: everything that its details tell, but for environment variables,
//! which may hold secrets.

use mesoscope_proto::v1;

use crate::{Topology, ViewKind, keys::NodeKey, render::Fields};

/// Sections whose keys are data too (names of labels, ports, paths).
const NAMED_BY_DATA: [&str; 5] = ["Labels", "Ports", "Mounts", "Network", "Disks"];

/// A field and where it stands.
pub(super) struct Fact {
    pub field: v1::Field,
    /// Title of its section, where its key is data.
    pub section: Option<&'static str>,
}

impl Fact {
    pub(super) fn is_named(&self, key: &super::syntax::Folded) -> bool {
        key.is(&self.field.key)
            || key.is(&self.field.label)
            || self.section.is_some_and(|section| key.is(section))
    }
}

/// What is known of a node.
pub(super) struct Facts {
    pub node: v1::Node,
    pub facts: Vec<Fact>,
    pub now_ms: u64,
}

impl Topology {
    pub(super) fn facts(&self, view: ViewKind, key: NodeKey, now_ms: u64) -> Option<Facts> {
        let mut node = self.render_node(view, key)?;
        let mut facts: Vec<Fact> = own_fields(view, &node).into_iter().map(plain).collect();
        facts.extend(std::mem::take(&mut node.metadata).into_iter().map(plain));
        for section in self.sections(view, key, false)? {
            let title = NAMED_BY_DATA
                .into_iter()
                .find(|title| *title == section.title);
            for field in section.fields {
                // The first lines of the details are those of the node once more.
                if title.is_some() || !facts.iter().any(|fact| fact.field == field) {
                    facts.push(Fact {
                        field,
                        section: title,
                    });
                }
            }
        }
        for said in self.plugins_of(view, key) {
            let mut fields = Fields::default();
            fields.text("plugin", "Plugin", &said.plugin);
            for field in &said.metadata {
                fields.add(
                    &field.key,
                    &field.label,
                    &field.r#type,
                    field.value.as_str(),
                );
            }
            facts.extend(fields.0.into_iter().map(plain));
            let metrics = said.metrics.iter().map(|metric| v1::Metric {
                key: metric.key.clone(),
                label: metric.label.clone(),
                value: metric.value,
                unit: metric.unit.clone(),
                max: metric.max,
            });
            node.metrics.extend(metrics);
        }
        Some(Facts {
            node,
            facts,
            now_ms,
        })
    }
}

fn plain(field: v1::Field) -> Fact {
    Fact {
        field,
        section: None,
    }
}

/// What a node says of itself beside its metadata.
fn own_fields(view: ViewKind, node: &v1::Node) -> Vec<v1::Field> {
    let mut fields = Fields::default();
    fields.text("name", "Name", &node.label);
    fields.text("about", "About", &node.label_minor);
    for parent in &node.parents {
        let (key, label) = match parent.view.as_str() {
            "hosts" => continue,
            _ => ("container", "Container"),
        };
        fields.text(key, label, &parent.label);
        fields.add(key, label, "id", parent.id.as_str());
    }
    if view == ViewKind::Hosts && !node.pseudo {
        fields.text("host", "Host", &node.label);
        fields.add("agent", "Agent", "id", node.id.trim_start_matches("host;"));
    } else {
        fields.text("host", "Host", &node.group_label);
        fields.add("agent", "Agent", "id", node.group.as_str());
    }
    fields.add("node", "Node", "id", node.id.as_str());
    fields.add("kind", "Kind", "word", node.kind.as_str());
    fields.add("state", "State", "word", node.state.as_str());
    fields.add("health", "Health", "word", node.health.as_str());
    fields.text("reason", "Reason", &node.health_reason);
    fields.add("view", "View", "word", view.name());
    let started = node.metadata.iter().find(|field| field.key == "started");
    let since = started.map_or_else(
        || node.first_seen_unix_ms.to_string(),
        |field| field.value.clone(),
    );
    fields.add("age", "Age", "time", since);
    fields.0
}
