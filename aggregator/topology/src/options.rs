//! Which view, and what it leaves out.

use std::{fmt, str::FromStr};

use mesoscope_proto::v1;

/// A level at which the topology is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ViewKind {
    /// One node per process.
    Processes,
    /// One node per container; processes outside of any are one node per host.
    Containers,
    /// One node per host.
    Hosts,
}

/// The asked view does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no view {0:?}; the views are \"processes\", \"containers\" and \"hosts\"")]
pub struct UnknownView(String);

impl ViewKind {
    /// All views.
    pub const ALL: [Self; 3] = [Self::Processes, Self::Containers, Self::Hosts];

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Containers => "containers",
            Self::Hosts => "hosts",
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Processes => 0,
            Self::Containers => 1,
            Self::Hosts => 2,
        }
    }
}

impl fmt::Display for ViewKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

impl FromStr for ViewKind {
    type Err = UnknownView;

    fn from_str(name: &str) -> Result<Self, UnknownView> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownView(name.into()))
    }
}

/// `ViewOptions` with the defaults of its view filled in. Equal options can share one
/// [`crate::View`], so this is a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Show nodes without any connection.
    pub unconnected: bool,
    /// Show what has ended and is kept for a while.
    pub ended: bool,
    /// Show kernel threads.
    pub kernel_threads: bool,
    /// Only nodes of these hosts (agent ids or host names), sorted; empty: all.
    pub hosts: Vec<String>,
}

impl Options {
    /// The options as asked, with the defaults of the view.
    #[must_use]
    pub fn new(kind: ViewKind, asked: &v1::ViewOptions) -> Self {
        let mut hosts = asked.hosts.clone();
        hosts.sort();
        hosts.dedup();
        Self {
            unconnected: asked.unconnected.unwrap_or(kind != ViewKind::Processes),
            ended: asked.ended.unwrap_or(true),
            kernel_threads: asked.kernel_threads.unwrap_or(false),
            hosts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for kind in ViewKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let error = "pods".parse::<ViewKind>().expect_err("not a view yet");
        assert!(error.to_string().contains("processes"));
    }

    #[test]
    fn defaults_differ_by_view() {
        let none = v1::ViewOptions::default();
        assert!(!Options::new(ViewKind::Processes, &none).unconnected);
        assert!(Options::new(ViewKind::Hosts, &none).unconnected);
    }
}
