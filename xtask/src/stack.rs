//! The aggregator and the agent, running as a user would run them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::output;
use crate::service::Service;
use crate::stop::Stop;

/// How long a service may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the two listen, on loopback.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The page, REST and WebSocket.
    pub http: u16,
    /// gRPC.
    pub grpc: u16,
    /// The agent's own.
    pub agent: u16,
}

impl Ports {
    /// Three that are free now.
    pub fn free() -> Result<Self> {
        // All three are held until the last is chosen, so that they differ.
        let listeners = [free_port()?, free_port()?, free_port()?];
        let port = |listener: &TcpListener| Ok::<_, anyhow::Error>(listener.local_addr()?.port());
        Ok(Self {
            http: port(&listeners[0])?,
            grpc: port(&listeners[1])?,
            agent: port(&listeners[2])?,
        })
    }
}

fn free_port() -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port")
}

/// The running services. Dropped, they end: the agent first, while it has someone to tell.
#[derive(Debug)]
pub struct Stack {
    services: Vec<Service>,
}

impl Stack {
    /// Starts the aggregator of the folder `bin`, and the agent if wanted; both are up on return.
    /// What is set at the aggregator is kept beside the logs.
    pub fn start(bin: &Path, ports: Ports, agent: bool, logs: &Path, stop: &Stop) -> Result<Self> {
        std::fs::create_dir_all(logs).context("making the folder of the logs")?;
        let mut stack = Self {
            services: Vec::new(),
        };
        let mut command = Command::new(bin.join("mesoscope-aggregator"));
        command
            .args(["--port", &ports.http.to_string()])
            .args(["--grpc-port", &ports.grpc.to_string()])
            .arg("--data-dir")
            .arg(data(logs));
        stack.add(
            "the aggregator",
            command,
            &logs.join("aggregator.log"),
            ports.http,
            stop,
        )?;
        if agent {
            let mut command = Command::new(bin.join("mesoscope-agent"));
            command
                .arg("--aggregator")
                .arg(format!("http://127.0.0.1:{}", ports.grpc))
                .arg("--listen")
                .arg(format!("127.0.0.1:{}", ports.agent));
            stack.add(
                "the agent",
                command,
                &logs.join("agent.log"),
                ports.agent,
                stop,
            )?;
        }
        Ok(stack)
    }

    /// Names and logs of what runs.
    pub fn logs(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        self.services
            .iter()
            .map(|service| (service.name, &service.log))
    }

    /// An error, with the end of its log, once one of the services has ended.
    pub fn check(&mut self) -> Result<()> {
        for service in &mut self.services {
            if let Some(status) = service.ended() {
                bail!(
                    "{} ended ({status}); the end of {}:\n{}",
                    service.name,
                    service.log.display(),
                    output::tail(&service.log, 20)
                );
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        name: &'static str,
        command: Command,
        log: &Path,
        port: u16,
        stop: &Stop,
    ) -> Result<()> {
        self.services.push(Service::start(name, command, log)?);
        let asked = Instant::now();
        while !healthy(port) {
            self.check()?;
            if stop.asked() {
                bail!("stopped");
            }
            if asked.elapsed() > PATIENCE {
                bail!(
                    "http://127.0.0.1:{port}/health does not answer with 200; the end of {}:\n{}",
                    log.display(),
                    output::tail(log, 20)
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        while self.services.pop().is_some() {}
    }
}

/// Where a stack with these logs keeps what is set at the aggregator.
pub fn data(logs: &Path) -> PathBuf {
    logs.join("settings")
}

/// Whether `GET /health` answers 200.
fn healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().is_ok_and(|answer| answer.ends_with(" 200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_200_is_healthy() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            ("", false),
        ] {
            let listener = free_port().expect("loopback");
            let port = listener.local_addr().expect("bound").port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = [0; 16];
                stream.read_exact(&mut request).expect("a request");
                stream.write_all(answer.as_bytes()).expect("an answer");
            });
            assert_eq!(healthy(port), expected, "{answer:?}");
            server.join().expect("served");
        }
    }
}
