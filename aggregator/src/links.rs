//! Links from a node to where else it may be looked at, by templates of the configuration.

use std::fmt;
use std::str::FromStr;

use mesoscope_proto::v1::{Node, NodeLink};

/// Characters of a label.
const LABEL_CHARS_MAX: usize = 64;
/// Bytes of an address, templates and what they make.
const URL_BYTES_MAX: usize = 2_000;

/// `LABEL=URL` with fields of the node in braces. A node that lacks one has no such link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTemplate {
    label: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(String),
}

/// What is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not LABEL=URL, where the label has 1 to 64 characters and the URL begins with http:// or https:// \
     and may have fields of a node in braces: {{label}}, {{host}}, {{container}}, {{pid}}, {{image}}, …"
)]
pub struct LinkTemplateError;

impl FromStr for LinkTemplate {
    type Err = LinkTemplateError;

    fn from_str(text: &str) -> Result<Self, LinkTemplateError> {
        let (label, url) = text.split_once('=').ok_or(LinkTemplateError)?;
        let named = !label.is_empty()
            && label.trim() == label
            && label.chars().count() <= LABEL_CHARS_MAX
            && !label.chars().any(char::is_control);
        // The place it leads to is the operator's choice and no node's.
        let (_, rest) = url
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
            .ok_or(LinkTemplateError)?;
        let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let clean =
            url.len() <= URL_BYTES_MAX && !url.chars().any(|c| c.is_control() || c.is_whitespace());
        if !named || !clean || place.is_empty() || place.contains(['{', '}']) {
            return Err(LinkTemplateError);
        }
        let mut pieces = Vec::new();
        let mut rest = url;
        while let Some((text, after)) = rest.split_once('{') {
            let (field, behind) = after.split_once('}').ok_or(LinkTemplateError)?;
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if text.contains('}') || field.is_empty() || !field.chars().all(fits) {
                return Err(LinkTemplateError);
            }
            pieces.push(Piece::Text(text.to_owned()));
            pieces.push(Piece::Field(field.to_owned()));
            rest = behind;
        }
        if rest.contains('}') {
            return Err(LinkTemplateError);
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self {
            label: label.to_owned(),
            pieces,
        })
    }
}

impl fmt::Display for LinkTemplate {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}=", self.label)?;
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => to.write_str(text),
            Piece::Field(field) => write!(to, "{{{field}}}"),
        })
    }
}

impl LinkTemplate {
    /// The link of a node; `None` where the node has not all of its fields.
    #[must_use]
    pub fn of(&self, node: &Node) -> Option<NodeLink> {
        let mut url = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => url.push_str(text),
                Piece::Field(name) => {
                    let value = field(node, name).filter(|value| !value.is_empty())?;
                    escape(value, &mut url);
                }
            }
        }
        (url.len() <= URL_BYTES_MAX).then(|| NodeLink {
            label: self.label.clone(),
            url,
        })
    }
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    match name {
        "id" => Some(&node.id),
        "label" => Some(&node.label),
        "kind" => Some(&node.kind),
        "state" => Some(&node.state),
        "host" if node.kind == "host" => Some(&node.label),
        "host" => Some(&node.group_label),
        "container" => node.id.strip_prefix("container;")?.split(';').next(),
        _ => {
            let found = node.metadata.iter().find(|field| field.key == name);
            found.map(|field| field.value.as_str())
        }
    }
}

/// As a component of an address (RFC 3986, unreserved characters stay).
fn escape(value: &str, url: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use mesoscope_proto::v1::Field;

    use super::*;

    fn node(id: &str, kind: &str) -> Node {
        Node {
            id: id.to_owned(),
            kind: kind.to_owned(),
            label: "web & co".to_owned(),
            group_label: "node-a".to_owned(),
            metadata: vec![Field {
                key: "image".to_owned(),
                value: "nginx:1".to_owned(),
                ..Field::default()
            }],
            ..Node::default()
        }
    }

    #[test]
    fn a_node_fills_the_braces_and_leads_nowhere_else() {
        let text = "Grafana=https://grafana.example/d/c?var-host={host}&var-c={container}&i={image}&n={label}";
        let template: LinkTemplate = text.parse().expect("valid");
        assert_eq!(template.to_string(), text);
        let link = template.of(&node("container;abc;agent", "container"));
        let link = link.expect("it has all of them");
        assert_eq!(link.label, "Grafana");
        assert_eq!(
            link.url,
            "https://grafana.example/d/c?var-host=node-a&var-c=abc&i=nginx%3A1&n=web%20%26%20co"
        );
        assert_eq!(template.of(&node("host;a", "host")), None, "no container");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in [
            "",
            "x",
            "=https://x/",
            "a=javascript:alert(1)",
            "a=https://{label}/",
            "a=https://x/{",
            "a=https://x/}",
            "a=https://x/{A}",
            "a=https://x/{}",
            "a=https:///x",
            "a=https://x/ y",
            " a=https://x/",
            "a=ftp://x/",
        ] {
            assert_eq!(bad.parse::<LinkTemplate>(), Err(LinkTemplateError), "{bad}");
        }
    }
}
