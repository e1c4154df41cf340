//! The agents' streams, and reports.
//!
//! | file | what it does |
//! |---|---|
//! | `progress.rs` | what to do with a batch: apply, ignore, ask for a snapshot (no I/O) |
//! | `registry.rs` | one stream per agent |
//! | `elsewhere.rs` | agents whose stream is at another member |
//! | `holders.rs` | whose an agent's id is |
//! | `hub.rs` | what the agents here tell, for the other members |
//! | `intake.rs` | changes go into the topology and the series |
//! | `report.rs` | a report as JSON (no I/O) |
//! | `reporters.rs` | who may report for which agent id, and for how long it is there |
//! | `uplink.rs` | the gRPC service |

mod elsewhere;
mod holders;
mod hub;
mod intake;
mod progress;
mod registry;
mod report;
mod reporters;
mod uplink;

pub use elsewhere::Relayer;
pub use holders::Holders;
pub use hub::{Hub, Outlet, Relay, WAITING_BYTES_MAX};
pub use registry::Registry;
pub use report::{ENTRIES_MAX, InvalidReport, REPORT_BYTES_MAX, Report};
pub use reporters::{Holder, REPORT_WITHIN, ReporterRefused};
pub use uplink::{MESSAGE_BYTES_MAX, UplinkService};
