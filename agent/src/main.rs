//! The node agent: observes one node and reports to an aggregator.

use anyhow::Context;
use mesoscope_agent::config::{Command, Config};
use mesoscope_agent::{features, run};
use mesoscope_service::{config, drain, exit, logs};

fn main() -> std::process::ExitCode {
    if let Some(code) = mesoscope_plugins::launch::if_asked() {
        return code;
    }
    let config = config::load_or_exit::<Config>(Config::check);
    if let Some(Command::Features { json }) = config.command {
        print!("{}", features::report(&config, json));
        return std::process::ExitCode::SUCCESS;
    }
    logs::init(&config.log);
    match observe(config) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            std::process::ExitCode::from(u8::try_from(exit::FAILURE).unwrap_or(1))
        }
    }
}

fn observe(config: Config) -> anyhow::Result<()> {
    let edges = run::Edges::build(&config).unwrap_or_else(|error| exit::config_error(error));
    // One thread drives everything; what blocks has a thread of its own (see `run::reader`).
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let drain = drain::on_signal().context("installing the signal handlers")?;
        run::run(config, edges, drain).await
    })
}
