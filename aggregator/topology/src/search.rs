//! Search: a small language over everything that is known of a node (`docs/search.md`).
//!
//! | where | what |
//! |---|---|
//! | `parse`, `syntax`, `quantity` | the language: text to tree and back, numbers with units |
//! | `facts`, `matching` | what is known of a node, and whether it is what is meant |
//! | `complete` | what may be meant by a half-typed word |

mod complete;
mod facts;
mod matching;
mod parse;
mod quantity;
mod syntax;

use std::{fmt, str::FromStr};

use mesoscope_proto::v1;
use slotmap::Key;

use crate::{
    Topology, ViewKind,
    graph::{GraphNode, Subject},
    grouping,
    keys::NodeKey,
};

pub use complete::{Completion, Suggestion};
pub use parse::SyntaxError;

/// Longest value of a field in an answer, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// A search, ready to be asked of any number of nodes. Prints as text that means the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Search(syntax::Expression);

impl FromStr for Search {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        parse::parse(text).map(Self)
    }
}

impl fmt::Display for Search {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl Search {
    /// Means what every one of them means.
    #[must_use]
    pub fn all(searches: Vec<Self>) -> Self {
        let expressions: Vec<_> = searches.into_iter().map(|search| search.0).collect();
        match <[_; 1]>::try_from(expressions) {
            Ok([only]) => Self(only),
            Err(several) => Self(syntax::Expression::All(several)),
        }
    }
}

/// A node that a search means.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The view that it is a node of.
    pub view: ViewKind,
    /// Its id there.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Its second line.
    pub label_minor: String,
    /// The field by which it was found, its value cut to 200 characters; `None` where the absence of
    /// something was asked for.
    pub field: Option<v1::Field>,
}

/// How far to go in one step, so that a step is short however large the map is.
#[derive(Clone, Copy, Debug)]
pub struct Stride {
    /// Nodes looked at.
    pub nodes: usize,
    /// Nodes found.
    pub found: usize,
    /// Kernel threads are looked at too.
    pub kernel_threads: bool,
}

impl Topology {
    /// Goes on with a search in one view (in a grouped one, for groups with a member that is meant; a
    /// group is found once per step) behind position `after` (0 at first), and gives the position
    /// to go on from, or `None` at the end. A node that is there from the first step to the last is
    /// looked at once; one that comes meanwhile may be left out.
    pub fn search(
        &self,
        view: ViewKind,
        search: &Search,
        after: u32,
        stride: Stride,
        now_ms: u64,
        found: &mut Vec<Found>,
    ) -> Option<u32> {
        let mut room = stride.found;
        self.walk(view, after, stride, |key| {
            let Some(facts) = self.facts(view, key, now_ms) else {
                return true;
            };
            if let Some(by) = facts.matched(&search.0) {
                let one = Found {
                    view,
                    id: facts.node.id,
                    label: facts.node.label,
                    label_minor: facts.node.label_minor,
                    field: by.map(cut),
                };
                let new = self.found_in(view, key, one, found);
                room = room.saturating_sub(new.len());
                found.extend(new);
            }
            room > 0
        })
    }

    /// A found node as the view has it: in a grouped one its groups, but for those found already.
    fn found_in(&self, view: ViewKind, key: NodeKey, one: Found, found: &[Found]) -> Vec<Found> {
        let Some((grouping, node)) = grouping::of(view).zip(self.graph(view).nodes.get(key)) else {
            return vec![one];
        };
        if node.subject.is_pseudo() {
            return vec![one];
        }
        let mut groups = grouping.groups(self, node);
        groups.retain(|id| !found.iter().any(|known| known.id == **id));
        let group = |id: std::sync::Arc<str>| Found {
            label: self.group_label(grouping, node, &id),
            label_minor: one.label.clone(),
            id: id.to_string(),
            ..one.clone()
        };
        groups.into_iter().map(group).collect()
    }

    /// Takes what the nodes of a view have into a completion; positions as in [`Self::search`].
    pub fn complete(
        &self,
        view: ViewKind,
        completion: &mut Completion,
        after: u32,
        stride: Stride,
        now_ms: u64,
    ) -> Option<u32> {
        self.walk(view, after, stride, |key| {
            if let Some(facts) = self.facts(view, key, now_ms) {
                completion.look_at(&facts);
            }
            true
        })
    }

    /// Visits the nodes behind a position until `go_on` says no or the stride is over.
    fn walk(
        &self,
        view: ViewKind,
        after: u32,
        stride: Stride,
        mut go_on: impl FnMut(NodeKey) -> bool,
    ) -> Option<u32> {
        let nodes = &self.graph(view).nodes;
        // The slots are in order.
        let rest = nodes.iter().filter(|(key, _)| slot(*key) > after);
        let mut shown = rest.filter(|(_, node)| self.is_searched(node, stride.kernel_threads));
        let mut position = after;
        for (key, _) in shown.by_ref().take(stride.nodes) {
            position = slot(key);
            if !go_on(key) {
                break;
            }
        }
        shown.next().map(|_| position)
    }

    fn is_searched(&self, node: &GraphNode, kernel_threads: bool) -> bool {
        match &node.subject {
            Subject::Process(process) => {
                kernel_threads
                    || self
                        .processes
                        .get(*process)
                        .is_some_and(|process| !process.record.kernel_thread)
            }
            // Shown only where they connect to something.
            subject => subject.is_anchored() || !node.edges.is_empty(),
        }
    }
}

/// The place of a node in its table.
fn slot(key: NodeKey) -> u32 {
    u32::try_from(key.data().as_ffi() & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

fn cut(mut field: v1::Field) -> v1::Field {
    if let Some((at, _)) = field.value.char_indices().nth(SHOWN_CHARS_MAX) {
        field.value.truncate(at);
        field.value.push('…');
    }
    field
}
