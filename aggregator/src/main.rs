//! `mesoscope-aggregator`: configuration → listen rule → bind → spawn → drain.

use mesoscope_aggregator::{api, config::Config, server};
use mesoscope_service::{config, drain, exit, logs};

/// Many small things of many agents, made and dropped by many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prints the document of REST, as docs/openapi.json has it.
const PRINT_OPENAPI: &str = "--print-openapi";

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some(PRINT_OPENAPI) {
        println!("{}", api::document().to_pretty_json()?);
        return Ok(());
    }
    let config = config::load_or_exit(Config::check);
    logs::init(&config.logs);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let security = match config.security() {
            Ok(security) => security,
            Err(error) => exit::config_error(error),
        };
        let webhooks = match config.webhooks() {
            Ok(webhooks) => webhooks,
            Err(error) => exit::config_error(error),
        };
        let remote_write = match config.remote_write.wanted() {
            Ok(wanted) => wanted,
            Err(error) => exit::config_error(error),
        };
        let drain = drain::on_signal()?;
        let server = server::bind(&config, security, webhooks, remote_write, drain).await?;
        server.run().await
    })
}
