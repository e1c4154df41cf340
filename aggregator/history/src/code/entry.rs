//! An entry: what was told, and when.

use mesoscope_proto::v1;

/// One thing that was told. Times in it are in milliseconds.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    /// When it was told last, after the entry before it in the block.
    #[prost(sint64, tag = "1")]
    pub at_ms: i64,
    /// How long before that the thing was told first.
    #[prost(uint64, tag = "2")]
    pub known_ms: u64,
    /// The snapshot that is under way has told it.
    #[prost(bool, tag = "3")]
    pub seen: bool,
    #[prost(oneof = "Op", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16")]
    pub op: Option<Op>,
}

/// What was told.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Op {
    #[prost(message, tag = "4")]
    Process(v1::Process),
    #[prost(message, tag = "5")]
    Connection(v1::Connection),
    #[prost(message, tag = "6")]
    Counters(Counters),
    #[prost(message, tag = "7")]
    Listener(v1::Listener),
    #[prost(message, tag = "8")]
    Container(v1::Container),
    #[prost(message, tag = "9")]
    Pressure(v1::ContainerMetrics),
    #[prost(message, tag = "10")]
    Host(v1::Host),
    #[prost(message, tag = "11")]
    Name(v1::AddressName),
    #[prost(message, tag = "12")]
    Gap(v1::Gap),
    #[prost(message, tag = "13")]
    Status(v1::AgentStatus),
    #[prost(message, tag = "14")]
    Connected(Connected),
    #[prost(bool, tag = "15")]
    Disconnected(bool),
    /// True where it begins.
    #[prost(bool, tag = "16")]
    Snapshot(bool),
}

/// News of the counters of a connection that is open as before.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Counters {
    #[prost(uint64, tag = "1")]
    pub cookie: u64,
    /// More than before.
    #[prost(uint64, tag = "2")]
    pub sent: u64,
    #[prost(uint64, tag = "3")]
    pub received: u64,
    #[prost(uint32, tag = "4")]
    pub retransmits: u32,
    #[prost(uint32, tag = "5")]
    pub rtt_us: u32,
}

/// An agent's Hello. In the state at the beginning of a segment: how the agent was.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Connected {
    #[prost(message, required, tag = "1")]
    pub hello: v1::Hello,
    /// Only in a state: a whole snapshot of this generation has come.
    #[prost(bool, tag = "2")]
    pub has_snapshot: bool,
    /// Only in a state: when its last stream began, after it was known first.
    #[prost(uint64, tag = "3")]
    pub again_ms: u64,
}
