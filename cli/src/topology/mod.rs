//! `topology`: the nodes of a view and the edges between them.

pub mod state;
mod tables;

use mesoscope_proto::v1::{GapKind, TopologyDiff, ViewOptions, WatchTopologyRequest};
use tonic::{Status, Streaming};

use crate::arguments::{Server, Topology};
use crate::connect::{Client, Failure};
use crate::events::gap_name;
use crate::live::{Begin, Item, Live};
use crate::output::Output;
use crate::text::time;
use state::State;

pub use tables::size;

impl Begin for WatchTopologyRequest {
    type Message = TopologyDiff;

    async fn begin(&self, client: &mut Client) -> Result<Streaming<TopologyDiff>, Status> {
        Ok(client.watch_topology(self.clone()).await?.into_inner())
    }
}

/// Prints the view, and with `--watch` each change.
pub async fn run(server: &Server, options: &Topology, mut output: Output) -> Result<(), Failure> {
    let request = WatchTopologyRequest {
        view: options.view.name().to_owned(),
        options: Some(ViewOptions {
            unconnected: options.unconnected.then_some(true),
            ended: options.running.then_some(false),
            kernel_threads: options.kernel_threads.then_some(true),
            hosts: options.host.clone(),
            system: options.system.then_some(true),
            uncontained: options.contained.then_some(false),
            ..ViewOptions::default()
        }),
        at_unix_ms: options.at.map_or(0, |at| at.unix_ms),
    };
    let mut live = Live::begin(server, request, false).await?;
    let mut state = State::default();
    loop {
        let diff = match live.next().await? {
            Item::Message(diff) => diff,
            Item::Away | Item::Returned => continue,
        };
        if options.json {
            output.json(&json(&diff)?)?;
        } else if diff.reset {
            if diff.past {
                let at = time(diff.time_unix_ms.saturating_mul(1_000_000));
                output.line(&format!("as it was at {at}\n"))?;
            }
            state.apply(diff);
            tables::whole(&state, &mut output)?;
        } else {
            tables::changes(&state, &diff, &mut output)?;
            state.apply(diff);
        }
        if !options.watch {
            return Ok(());
        }
    }
}

/// The difference as REST gives it, but for the kinds of the gaps, which become words.
fn json(diff: &TopologyDiff) -> Result<serde_json::Value, Failure> {
    let mut value = serde_json::to_value(diff).map_err(std::io::Error::other)?;
    let gaps = value["incomplete"].as_array_mut().into_iter().flatten();
    for (value, incomplete) in gaps.zip(&diff.incomplete) {
        if let Some(gap) = &incomplete.gap {
            let kind = GapKind::try_from(gap.kind).unwrap_or(GapKind::Unspecified);
            value["gap"]["kind"] = gap_name(kind).into();
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesoscope_proto::v1::{Gap, Incomplete};

    #[test]
    fn kinds_of_gaps_are_words_in_json() {
        let diff = TopologyDiff {
            incomplete: vec![
                Incomplete::default(),
                Incomplete {
                    gap: Some(Gap {
                        kind: GapKind::Throttled.into(),
                        ..Gap::default()
                    }),
                    ..Incomplete::default()
                },
            ],
            ..TopologyDiff::default()
        };
        let value = json(&diff).expect("plain data");
        assert_eq!(value["incomplete"][1]["gap"]["kind"], "throttled");
        assert!(value["incomplete"][0]["gap"].is_null());
    }
}
