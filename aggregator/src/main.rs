//! `mesoscope-aggregator`: configuration → listen rule → bind → spawn → drain.

use mesoscope_aggregator::{config::Config, server};
use mesoscope_service::{config, drain, exit, logs};

fn main() -> anyhow::Result<()> {
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
        let drain = drain::on_signal()?;
        let server = server::bind(&config, security, drain).await?;
        server.run().await
    })
}
