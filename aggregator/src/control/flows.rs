//! What goes on for a while: reading a log, sitting before a terminal, carrying a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Bytes;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    ContainerLogs, ControlCancel, ControlOutcome, FileEntry, FileRead, FileWrite, LogCredit,
    TerminalInput, TerminalOpen, TerminalSize,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::log::Pipe;
use super::terminal::Screen;
use super::{BEGIN_PATIENCE, Control, ControlError, Link, WINDOW_BYTES, done, lock};

/// A request under way. Dropping it ends it at the agent, too.
#[derive(Debug)]
struct Flow {
    link: Arc<Link>,
    number: u64,
    _slot: OwnedSemaphorePermit,
}

impl Flow {
    fn tell(&self, message: Message) {
        self.link.tell(self.number, message);
    }

    fn allow(&self, bytes: u32) {
        if bytes > 0 {
            self.tell(Message::Credit(LogCredit { bytes }));
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        if lock(&self.link.requests).forget(self.number) {
            self.tell(Message::Cancel(ControlCancel {}));
        }
    }
}

/// A log under way. Dropping it ends the reading at the agent, too.
#[derive(Debug)]
pub struct LogReader {
    flow: Flow,
    pipe: Arc<Pipe>,
    /// Bytes that were taken, and that the agent may send anew.
    owed: u32,
}

impl LogReader {
    /// The next bytes, as text to show: what was left out is said in a line. `None` at the end.
    /// What was given before counts as taken.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.flow.allow(std::mem::take(&mut self.owed));
        let (text, owed) = self.pipe.next().await?;
        self.owed = owed;
        Some(text.into())
    }
}

/// A terminal or file under way. Dropping it closes it at the agent, too.
#[derive(Debug)]
pub struct Terminal {
    flow: Flow,
    screen: Arc<Screen>,
    /// Bytes that were taken, and that the agent may send anew.
    owed: AtomicU32,
}

impl Terminal {
    /// The next output, or how the process ended. What was given before counts as taken. May be
    /// dropped and asked again.
    ///
    /// # Errors
    /// The outcome, once there is no more output.
    pub async fn next(&self) -> Result<Bytes, ControlOutcome> {
        self.flow.allow(self.owed.swap(0, Ordering::Relaxed));
        let output = self.screen.next().await?;
        let owed = u32::try_from(output.len()).unwrap_or_default();
        self.owed.store(owed, Ordering::Relaxed);
        Ok(output.into())
    }

    /// Types as much of it as may be typed now, and takes that away; waits until some may. May be
    /// dropped and asked again.
    pub async fn write(&self, typed: &mut Vec<u8>) {
        let room = self.screen.room(typed.len()).await;
        let rest = typed.split_off(room);
        let data = std::mem::replace(typed, rest);
        self.flow.tell(Message::Input(TerminalInput { data }));
    }

    /// Tells the size of the window.
    pub fn resize(&self, size: TerminalSize) {
        self.flow.tell(Message::Resize(size));
    }
}

impl Control {
    fn begin<T>(
        &self,
        (agent_id, generation): (&str, u64),
        slots: &Arc<Semaphore>,
        open: impl FnOnce(&mut super::Requests) -> Option<(u64, T)>,
        message: Message,
    ) -> Result<(Flow, T), ControlError> {
        let link = self.link(agent_id, generation);
        let link = link.ok_or_else(|| ControlError::NotThere(agent_id.to_owned()))?;
        let slot = slots.clone().try_acquire_owned();
        let slot = slot.map_err(|_| ControlError::TooMany)?;
        let opened = open(&mut lock(&link.requests));
        let (number, opened) = opened.ok_or(ControlError::TooMany)?;
        link.tell(number, message);
        let flow = Flow {
            link,
            number,
            _slot: slot,
        };
        Ok((flow, opened))
    }

    /// Begins to read a log.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn read_log(
        &self,
        agent_id: &str,
        generation: u64,
        asked: ContainerLogs,
    ) -> Result<LogReader, ControlError> {
        let asked = ContainerLogs {
            window_bytes: WINDOW_BYTES,
            ..asked
        };
        let (flow, pipe) = self.begin(
            (agent_id, generation),
            &self.logs,
            |requests| requests.open_log(WINDOW_BYTES),
            Message::Logs(asked),
        )?;
        let began = timeout(BEGIN_PATIENCE, pipe.begun()).await;
        if let Err(outcome) = began.map_err(|_| ControlError::Late)? {
            done(outcome)?;
        }
        Ok(LogReader {
            flow,
            pipe,
            owed: 0,
        })
    }

    /// Opens a terminal.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn open_terminal(
        &self,
        agent_id: &str,
        generation: u64,
        asked: TerminalOpen,
    ) -> Result<Terminal, ControlError> {
        let asked = TerminalOpen {
            window_bytes: WINDOW_BYTES,
            ..asked
        };
        let message = Message::Terminal(asked);
        self.open((agent_id, generation), &self.terminals, message)
            .await
    }

    /// Begins to read a file, or the tar of a folder; gives what it is, too.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn read_file(
        &self,
        agent_id: &str,
        generation: u64,
        asked: FileRead,
    ) -> Result<(FileEntry, Terminal), ControlError> {
        let asked = FileRead {
            window_bytes: WINDOW_BYTES,
            ..asked
        };
        let message = Message::FileRead(asked);
        let file = self
            .open((agent_id, generation), &self.files, message)
            .await?;
        Ok((file.screen.file().unwrap_or_default(), file))
    }

    /// Begins to write a file.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn write_file(
        &self,
        agent_id: &str,
        generation: u64,
        asked: FileWrite,
    ) -> Result<Terminal, ControlError> {
        let message = Message::FileWrite(asked);
        self.open((agent_id, generation), &self.files, message)
            .await
    }

    async fn open(
        &self,
        agent: (&str, u64),
        slots: &Arc<Semaphore>,
        message: Message,
    ) -> Result<Terminal, ControlError> {
        let (flow, screen) = self.begin(
            agent,
            slots,
            |requests| requests.open_terminal(WINDOW_BYTES),
            message,
        )?;
        let began = timeout(BEGIN_PATIENCE, screen.begun()).await;
        if let Err(outcome) = began.map_err(|_| ControlError::Late)? {
            done(outcome)?;
        }
        Ok(Terminal {
            flow,
            screen,
            owed: AtomicU32::new(0),
        })
    }
}
