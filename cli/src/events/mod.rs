//! `events`: what happens, as it happens.

mod json;
mod line;

use mesoscope_proto::v1::{EventBatch, StreamEventsRequest};
use tonic::{Status, Streaming};

use crate::arguments::{Events, Server};
use crate::connect::{Client, Failure};
use crate::live::{Begin, Item, Live};
use crate::output::{Output, Style};

pub use line::gap_name;

impl Begin for StreamEventsRequest {
    type Message = EventBatch;

    async fn begin(&self, client: &mut Client) -> Result<Streaming<EventBatch>, Status> {
        Ok(client.stream_events(self.clone()).await?.into_inner())
    }
}

/// Prints events until the reader, or `--count`, has enough.
pub async fn run(server: &Server, options: &Events, mut output: Output) -> Result<(), Failure> {
    let request = StreamEventsRequest {
        kinds: options
            .kind
            .iter()
            .flat_map(|kind| kind.wire())
            .map(|&kind| i32::from(kind))
            .collect(),
        hosts: options.host.clone(),
        containers: options.container.clone(),
        process: options.process.clone(),
    };
    let mut left = options.count.unwrap_or(u64::MAX);
    let mut live = Live::begin(server, request, false).await?;
    if output.is_terminal() && !options.json {
        let head = output.paint(Style::Dim, &line::head());
        output.line(&head)?;
    }
    loop {
        let batch = match live.next().await? {
            Item::Message(batch) => batch,
            Item::Away | Item::Returned => continue,
        };
        if batch.missed > 0 {
            // On standard error: it is not an event, and a program that reads JSON must not trip.
            eprintln!("{} events missed: too slow to read them all", batch.missed);
        }
        for event in &batch.events {
            if options.json {
                output.json(&json::Event::of(event))?;
            } else {
                let text = line::of(event, &output);
                output.line(&text)?;
            }
            left -= 1;
            if left == 0 {
                return Ok(());
            }
        }
    }
}
