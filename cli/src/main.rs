//! The map, live, in a terminal: a client of the aggregator's `Observe` service.
//!
//! | module | what it does |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`connect`] | dials the aggregator; what can go wrong, in words |
//! | [`live`] | streams that come back after the aggregator was away |
//! | [`text`] | times, sizes, addresses and names as people read them |
//! | [`output`] | standard output: colours, tables, closed pipes |
//! | [`events`], [`topology`], [`top`], [`agents`], [`node`], [`search`], [`series`] | one module a command |

mod agents;
mod arguments;
mod connect;
mod events;
mod live;
mod node;
mod output;
mod search;
mod series;
mod text;
mod top;
mod topology;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command};
use connect::Failure;
use output::Output;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() {
            mesoscope_service::exit::CONFIG
        } else {
            0
        })
    });
    let outcome = run(&arguments).await;
    std::process::exit(match outcome {
        Ok(()) => 0,
        // Whoever read our output (`head`, `less`) has seen enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    })
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let output = Output::new(arguments.color);
    let server = &arguments.server;
    match &arguments.command {
        Command::Events(options) => events::run(server, options, output).await,
        Command::Topology(options) => topology::run(server, options, output).await,
        Command::Top(options) => top::run(server, options, output).await,
        Command::Agents(options) => agents::run(server, options, output).await,
        Command::Node(options) => node::run(server, options, output).await,
        Command::Search(options) => search::run(server, options, output).await,
        Command::Series(options) => series::run(server, options, output).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "mesoscope", &mut script);
            let mut output = output;
            Ok(output.raw(&script)?)
        }
    }
}
