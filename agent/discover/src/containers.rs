//! What people do to a container, whichever engine of this node has it: Docker's API where it knows the
//! container, the CRI else.

use hyper::body::Bytes;
use mesoscope_proto::v1::ContainerVerb;

use crate::control::ControlError;
use crate::cri::{CriControl, CriInput, CriLog, CriOutput, CriProcess};
use crate::docker::{
    DockerControl, LogStream, LogsAsked, TerminalAsked, TerminalInput, TerminalOutput,
    TerminalProcess,
};
use crate::files::{Files, Slot};

/// The engines of this node.
#[derive(Clone, Debug)]
pub struct Engines {
    /// The Docker engine, or Podman.
    pub docker: DockerControl,
    /// containerd or CRI-O.
    pub cri: CriControl,
}

/// Asks Docker, and where it does not have the container, or is not there, the other one.
macro_rules! either {
    ($docker:expr, $cri:expr) => {
        match $docker.await {
            Err(error @ (ControlError::NotFound(_) | ControlError::Unavailable(_))) => {
                match $cri.await {
                    // What is not there can't say more than what is.
                    Err(ControlError::NotFound(_) | ControlError::Unavailable(_)) => Err(error),
                    told => told,
                }
            }
            told => told,
        }
    };
}

impl Engines {
    /// Does it, and returns once it is done. `force` removes also what still runs.
    ///
    /// # Errors
    /// [`ControlError`], in the engine's words where it has any.
    pub async fn act(
        &self,
        id: &str,
        verb: ContainerVerb,
        force: bool,
    ) -> Result<(), ControlError> {
        either!(
            self.docker.act(id, verb, force),
            self.cri.act(id, verb, force)
        )
    }

    /// All that the engine knows of a container, as JSON of its own.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn inspect(&self, id: &str) -> Result<String, ControlError> {
        either!(self.docker.inspect(id), self.cri.inspect(id))
    }

    /// The log of a container.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn logs(&self, id: &str, asked: LogsAsked) -> Result<Log, ControlError> {
        either!(
            async { self.docker.logs(id, asked).await.map(Log::Docker) },
            async { self.cri.logs(id, asked).await.map(Log::Cri) }
        )
    }

    /// A terminal in a container.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn terminal(
        &self,
        id: &str,
        asked: &TerminalAsked,
    ) -> Result<Terminal, ControlError> {
        either!(
            async {
                let terminal = self.docker.terminal(id, asked.clone()).await?;
                Ok(Terminal {
                    output: Output::Docker(terminal.output),
                    input: Input::Docker(terminal.input),
                    process: Process::Docker(terminal.process),
                })
            },
            async {
                let terminal = self.cri.terminal(id, asked.clone()).await?;
                Ok(Terminal {
                    output: Output::Cri(terminal.output),
                    input: Input::Cri(terminal.input),
                    process: Process::Cri(terminal.process),
                })
            }
        )
    }

    /// The files of a container. `slot` is held while threads work on them.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn files(&self, id: &str, slot: &Slot) -> Result<Files, ControlError> {
        either!(
            self.docker.files(id, slot.clone()),
            self.cri.files(id, slot.clone())
        )
    }
}

/// A log under way.
#[derive(Debug)]
pub enum Log {
    /// As the Docker engine streams it.
    Docker(LogStream),
    /// From the file of a runtime.
    Cri(CriLog),
}

impl Log {
    /// The next bytes, cut anywhere; `None` at the end. May be dropped and asked again.
    ///
    /// # Errors
    /// When it can't be read further.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
        match self {
            Self::Docker(log) => log.next().await,
            Self::Cri(log) => log.next().await,
        }
    }
}

/// A terminal under way, in its three parts.
#[derive(Debug)]
pub struct Terminal {
    /// What it writes.
    pub output: Output,
    /// Where what is typed goes.
    pub input: Input,
    /// The process behind it.
    pub process: Process,
}

/// What a terminal writes. What is not read makes the process wait.
#[derive(Debug)]
pub enum Output {
    /// Of Docker.
    Docker(TerminalOutput),
    /// Of the CRI.
    Cri(CriOutput),
}

impl Output {
    /// The next bytes of both outputs, cut anywhere; `None` at the end. May be dropped and asked again.
    ///
    /// # Errors
    /// When the engine goes away.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
        match self {
            Self::Docker(output) => output.next().await,
            Self::Cri(output) => output.next().await,
        }
    }
}

/// Where what is typed goes.
#[derive(Debug)]
pub enum Input {
    /// Of Docker.
    Docker(TerminalInput),
    /// Of the CRI.
    Cri(CriInput),
}

impl Input {
    /// Types; waits until there is room for it.
    ///
    /// # Errors
    /// When nothing is taken any more.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Docker(input) => input.write(bytes).await,
            Self::Cri(input) => input.write(bytes).await,
        }
    }
}

/// The process of a terminal.
#[derive(Debug)]
pub enum Process {
    /// Of Docker; hung up when this is dropped before it has ended.
    Docker(TerminalProcess),
    /// Of the CRI.
    Cri(CriProcess),
}

impl Process {
    /// Tells the size of the window, in characters.
    pub async fn resize(&self, columns: u16, rows: u16) {
        match self {
            Self::Docker(process) => process.resize(columns, rows).await,
            Self::Cri(process) => process.resize(columns, rows).await,
        }
    }

    /// What it ended with, once its output has; `None` where that is not known.
    pub async fn exit_code(&mut self) -> Option<i32> {
        match self {
            Self::Docker(process) => process.exit_code().await,
            Self::Cri(process) => process.exit_code().await,
        }
    }
}
