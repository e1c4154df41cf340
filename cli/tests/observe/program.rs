//! Runs the binary.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// The binary, talking to `server`.
pub fn mesoscope(server: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesoscope"));
    command
        .args(["--server", server])
        .args(arguments)
        .env_remove("MESOSCOPE_SERVER")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub async fn run(address: SocketAddr, arguments: &[&str]) -> Output {
    let mut command = mesoscope(&format!("http://{address}"), arguments);
    tokio::time::timeout(Duration::from_secs(20), command.output())
        .await
        .expect("ends by itself")
        .expect("runs")
}

/// Standard output as text.
pub fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}
