//! Bytes between the threads that wait for disks and the rest: few at a time, so that whoever is
//! faster waits.

use std::io::{self, Read, Write};
use std::sync::Arc;

use hyper::body::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::bounds::{PATIENCE, PIECE_BYTES, PIECES_MAX};
use crate::control::ControlError;

/// Folders are walked without recursion.
const STACK_BYTES: usize = 512 << 10;

pub(super) type Piece = Result<Bytes, ControlError>;

/// The bytes of a file, or the tar of a folder. Dropping it ends the reading.
#[derive(Debug)]
pub struct FileStream(mpsc::Receiver<Piece>);

impl FileStream {
    pub(super) fn channel() -> (mpsc::Sender<Piece>, Self) {
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        (sender, Self(receiver))
    }

    /// The next bytes; `None` at the end. May be dropped and asked again.
    ///
    /// # Errors
    /// When it can't be read further.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
        self.0.recv().await.transpose()
    }
}

/// Where the bytes of a file go. Dropped before [`FileSink::finish`], nothing is made.
#[derive(Debug)]
pub struct FileSink {
    sender: mpsc::Sender<Bytes>,
    done: oneshot::Receiver<Result<(), ControlError>>,
}

impl FileSink {
    pub(super) fn new(
        sender: mpsc::Sender<Bytes>,
        done: oneshot::Receiver<Result<(), ControlError>>,
    ) -> Self {
        Self { sender, done }
    }

    /// Writes, and waits until there is room for more.
    ///
    /// # Errors
    /// None that is not told by [`FileSink::finish`]: `false` says that no more is taken.
    pub async fn write(&self, bytes: Bytes) -> bool {
        self.sender.send(bytes).await.is_ok()
    }

    /// Waits until the file is there.
    ///
    /// # Errors
    /// [`ControlError`]: then it is not.
    pub async fn finish(self) -> Result<(), ControlError> {
        drop(self.sender);
        let done = timeout(PATIENCE * 3, self.done).await;
        done.map_err(|_| late())?.map_err(|_| broken())?
    }
}

fn late() -> ControlError {
    ControlError::Unavailable(
        "the container's file system does not answer; it may still be done".to_owned(),
    )
}

fn broken() -> ControlError {
    ControlError::Failed("the agent's work on a file broke off; its log may say more".to_owned())
}

/// Work that waits for a disk or a slow reader, on a thread of its own: the runtime's few threads for
/// such work are for what is short.
pub(super) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, ControlError> {
    let (sender, done) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("files".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            // Nobody may wait for it any more.
            let _ = sender.send(work());
        });
    thread.map_err(|error| ControlError::Unavailable(format!("a thread for files: {error}")))?;
    Ok(done)
}

/// The same, waited for as long as a disk may take; what is `held` is held until it is done, however
/// long that takes.
pub(super) async fn on_a_thread<T: Send + 'static>(
    held: impl Send + 'static,
    work: impl FnOnce() -> Result<T, ControlError> + Send + 'static,
) -> Result<T, ControlError> {
    let working = spawn(move || {
        let done = work();
        drop(held);
        done
    })?;
    let done = timeout(PATIENCE, working).await.map_err(|_| late())?;
    done.map_err(|_| broken())?
}

/// The writing end of a [`FileStream`], for a thread. What is written comes out in pieces.
pub(super) struct PieceWriter {
    sender: Arc<mpsc::Sender<Piece>>,
    piece: Vec<u8>,
}

impl PieceWriter {
    pub(super) fn new(sender: Arc<mpsc::Sender<Piece>>) -> Self {
        Self {
            sender,
            piece: Vec::with_capacity(PIECE_BYTES),
        }
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..now]);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(now)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = self.sender.blocking_send(Ok(piece.into()));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// The reading end of bytes that come to a thread.
pub(super) struct PieceReader {
    receiver: mpsc::Receiver<Piece>,
    piece: Bytes,
    /// What went wrong before the end.
    pub(super) error: Option<ControlError>,
}

impl PieceReader {
    pub(super) fn new(receiver: mpsc::Receiver<Piece>) -> Self {
        Self {
            receiver,
            piece: Bytes::new(),
            error: None,
        }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    let told = io::Error::other(error.to_string());
                    self.error = Some(error);
                    return Err(told);
                }
                None => return Ok(0),
            }
        }
        let now = self.piece.split_to(buffer.len().min(self.piece.len()));
        buffer[..now.len()].copy_from_slice(&now);
        Ok(now.len())
    }
}
