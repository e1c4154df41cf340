//! Keys of the tables. They are never used again for another entry.

slotmap::new_key_type! {
    /// An agent within one [`crate::Topology`], for as long as it is known.
    pub struct AgentKey;
    pub(crate) struct ProcessKey;
    pub(crate) struct ContainerKey;
    pub(crate) struct EndKey;
    pub(crate) struct ListenerKey;
    pub(crate) struct NodeKey;
    pub(crate) struct EdgeKey;
}

/// Whose socket it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The agent did not say.
    #[default]
    Unknown,
    /// A process in the table.
    Known(ProcessKey),
    /// A process that is no longer in the table.
    Gone,
}

impl Owner {
    pub(crate) fn process(self) -> Option<ProcessKey> {
        match self {
            Self::Known(process) => Some(process),
            Self::Unknown | Self::Gone => None,
        }
    }
}
