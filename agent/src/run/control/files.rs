//! Files of a container, between its file system and the aggregator: both ways no faster than the
//! other side takes it, and not for ever.

use std::sync::Arc;
use std::time::Duration;

use mesoscope_discover::containers::Engines;
use mesoscope_discover::control::ControlError;
use mesoscope_discover::files::{FileSink, FileStream, Files, Slot};
use mesoscope_proto::v1::control_answer::Answer;
use mesoscope_proto::v1::{
    ControlOutcome, FileEntry, FileList, FileRead, FileWrite, TerminalOutput,
};
use prost::bytes::Bytes;
use tokio::time::timeout;

use super::pace::paced;
use super::pump::{Gathered, Source, outcome};
use super::terminal::{Session, Step, TYPING_BYTES};

/// How long one file may take.
const PATIENCE: Duration = Duration::from_mins(15);
/// How long the other side may take or send nothing.
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl Source for FileStream {
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, ControlError>> + Send {
        Self::next(self)
    }
}

/// One page of a folder.
pub(super) async fn list(engines: &Engines, asked: FileList, slot: Slot) -> ControlOutcome {
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let listed = async {
        let files = engines.files(&asked.container_id, &slot).await?;
        files.list(&asked.path, &asked.after, limit).await
    };
    match listed.await {
        Ok(listing) => ControlOutcome {
            listing: Some(listing),
            ..outcome(Ok(()))
        },
        Err(error) => outcome(Err(error)),
    }
}

impl Session {
    /// Sends a file, or the tar of a folder.
    pub(super) async fn read_file(
        self,
        engines: &Engines,
        asked: FileRead,
        slot: Slot,
    ) -> ControlOutcome {
        let reading = async {
            let files = engines.files(&asked.container_id, &slot).await?;
            let (entry, mut stream) = files.read(&asked.path, asked.head_bytes).await?;
            self.send(Answer::File(entry)).await;
            self.send_file(&mut stream).await
        };
        within(reading).await
    }

    async fn send_file(&self, stream: &mut impl Source) -> Result<(), ControlError> {
        let mut gathered = Gathered::default();
        while let Some(data) = gathered.next(stream).await {
            paced(&self.pace, self.began, data.len()).await;
            let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let taken = timeout(PAUSE_MAX, self.credit.acquire_many(bytes)).await;
            match taken {
                Ok(Ok(permits)) => permits.forget(),
                _ => return Err(stalled("the reader took nothing")),
            }
            self.send(Answer::Terminal(TerminalOutput { data })).await;
        }
        gathered.ended.unwrap_or(Ok(()))
    }

    /// Takes a file.
    pub(super) async fn write_file(
        self,
        engines: &Engines,
        asked: FileWrite,
        slot: Slot,
    ) -> ControlOutcome {
        let writing = async {
            let files: Files = engines.files(&asked.container_id, &slot).await?;
            let sink = files.write(&asked.path, asked.size_bytes, asked.replace);
            let sink = sink.await?;
            self.send(Answer::File(FileEntry::default())).await;
            self.take_file(sink, asked.size_bytes).await
        };
        within(writing).await
    }

    async fn take_file(&self, sink: FileSink, size_bytes: u64) -> Result<(), ControlError> {
        let mut left = size_bytes;
        if left > 0 {
            self.allow(TYPING_BYTES).await;
        }
        while left > 0 {
            let step = timeout(PAUSE_MAX, self.typing.next()).await;
            let step = step.map_err(|_| stalled("nothing came of the upload"))?;
            // A file has no size in characters.
            let Step::Write(bytes) = step else { continue };
            let length = bytes.len();
            left = left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
            paced(&self.pace, self.began, length).await;
            if !sink.write(bytes.into()).await {
                // It says why.
                break;
            }
            self.allow(length).await;
        }
        sink.finish().await
    }
}

async fn within(work: impl Future<Output = Result<(), ControlError>>) -> ControlOutcome {
    let minutes = PATIENCE.as_secs() / 60;
    let late = || ControlError::Failed(format!("it took longer than {minutes} minutes"));
    outcome(
        timeout(PATIENCE, work)
            .await
            .unwrap_or_else(|_| Err(late())),
    )
}

fn stalled(what: &str) -> ControlError {
    let seconds = PAUSE_MAX.as_secs();
    ControlError::Failed(format!("{what} for {seconds} s"))
}

/// What a request on files holds until its threads are done.
pub(super) fn slot(permit: tokio::sync::OwnedSemaphorePermit) -> Slot {
    Arc::new(permit)
}
