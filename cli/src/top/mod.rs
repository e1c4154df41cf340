//! `top`: the busiest processes, containers or hosts, refreshed in place.

mod rows;
mod screen;

use std::time::Duration;

use mesoscope_proto::v1::{TopologyDiff, ViewOptions, WatchTopologyRequest};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::arguments::{Server, Sort, Top, View};
use crate::connect::Failure;
use crate::live::{Item, Live};
use crate::output::Output;
use crate::topology::state::State;
use screen::{Key, Screen};

/// What follows the first view this soon belongs to it.
const SETTLE: Duration = Duration::from_millis(50);
/// Differences that may wait for the screen; behind them the aggregator merges.
const WAITING_MAX: usize = 16;

/// Shows the table until `q`, or once.
pub async fn run(server: &Server, options: &Top, output: Output) -> Result<(), Failure> {
    if options.once || !output.is_terminal() {
        print_all(server, options, output).await
    } else {
        draw_all(server, options, &output).await
    }
}

/// Plain tables, one after the other.
async fn print_all(server: &Server, options: &Top, mut output: Output) -> Result<(), Failure> {
    let mut feed = Feed::begin(server, options.view, &options.host, false);
    let mut state = State::default();
    while !feed.take(&mut state).await? {}
    if options.once {
        while let Ok(taken) = tokio::time::timeout(SETTLE, feed.take(&mut state)).await {
            taken?;
        }
        return print(&state, options, &mut output);
    }
    let mut tick = ticks(options);
    loop {
        tokio::select! {
            taken = feed.take(&mut state) => { taken?; }
            _ = tick.tick() => print(&state, options, &mut output)?,
        }
    }
}

/// The screen, until a person has seen enough.
async fn draw_all(server: &Server, options: &Top, output: &Output) -> Result<(), Failure> {
    let (mut view, mut sort) = (options.view, options.sort);
    let mut feed = Feed::begin(server, view, &options.host, true);
    let mut state = State::default();
    // Before the screen is taken over: that there is no aggregator is said in plain text.
    while !feed.take(&mut state).await? {}
    let mut tick = ticks(options);
    let mut screen = Screen::open()?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            taken = feed.take(&mut state) => {
                taken?;
                continue;
            }
            _ = terminate.recv() => return Ok(()),
            _ = tick.tick() => {}
            key = screen.key() => match key {
                Key::Quit => return Ok(()),
                Key::Sort(by) => sort = by,
                Key::View(other) if other != view => {
                    view = other;
                    state = State::default();
                    feed = Feed::begin(server, view, &options.host, true);
                }
                Key::View(_) | Key::Redraw => {}
            },
        }
        screen.draw(&state, view, sort, feed.away, output)?;
    }
}

fn ticks(options: &Top) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(Duration::from_secs_f64(options.interval));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Differences, read in a task of their own: waiting for one can then be given up at any time.
struct Feed {
    items: mpsc::Receiver<Result<Item<TopologyDiff>, Failure>>,
    task: JoinHandle<()>,
    /// The aggregator is away just now.
    away: bool,
}

impl Feed {
    fn begin(server: &Server, view: View, hosts: &[String], quiet: bool) -> Self {
        let (sender, items) = mpsc::channel(WAITING_MAX);
        let server = server.clone();
        let request = WatchTopologyRequest {
            view: view.name().to_owned(),
            options: Some(ViewOptions {
                unconnected: Some(true),
                ended: Some(false),
                kernel_threads: Some(false),
                hosts: hosts.to_vec(),
                system: Some(true),
                ..ViewOptions::default()
            }),
            at_unix_ms: 0,
        };
        let task = tokio::spawn(async move {
            let mut live = match Live::begin(&server, request, quiet).await {
                Ok(live) => live,
                Err(failure) => {
                    let _ = sender.send(Err(failure)).await;
                    return;
                }
            };
            loop {
                let item = live.next().await;
                let last = item.is_err();
                if sender.send(item).await.is_err() || last {
                    return;
                }
            }
        });
        Self {
            items,
            task,
            away: false,
        }
    }

    /// Takes the next item in; whether it was a difference.
    async fn take(&mut self, state: &mut State) -> Result<bool, Failure> {
        let item = self.items.recv().await;
        match item.unwrap_or_else(|| Err(Failure::Refused("the stream ended".to_owned())))? {
            Item::Message(diff) => {
                state.apply(diff);
                return Ok(true);
            }
            Item::Away => self.away = true,
            Item::Returned => self.away = false,
        }
        Ok(false)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn print(state: &State, options: &Top, output: &mut Output) -> Result<(), Failure> {
    let rows = rows::sorted(state, options.view, options.sort);
    let cells = rows
        .iter()
        .take(options.rows)
        .map(rows::Row::cells)
        .collect();
    output.table(&rows::head(options.view), cells)?;
    output.line("")?;
    Ok(())
}

/// The key that sorts by this.
fn letter(sort: Sort) -> char {
    match sort {
        Sort::Cpu => 'c',
        Sort::Memory => 'm',
        Sort::Network => 'n',
        Sort::Connections => 'o',
    }
}
