//! The log of a container, from the file that its runtime writes: a line begins with its time, the
//! output (`stdout`, `stderr`) and whether it is whole (`F`) or goes on (`P`). See the kubelet's CRI
//! logging design.

use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::body::Bytes;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

use super::connection::Client;
use super::control::has_ended;
use crate::control::ControlError;
use crate::docker::LogsAsked;

/// Read at once.
const BLOCK_BYTES: usize = 16 << 10;
const BLOCKS_MAX: usize = 4;
/// The runtime cuts lines itself at 16 KiB; what is longer is no line of its.
const LINE_BYTES_MAX: usize = 64 << 10;
/// How often a file that is followed is looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// Looks at the file between two at the container.
const LOOKS: u32 = 8;

/// A log under way. What is not read stays in its file.
#[derive(Debug)]
pub struct CriLog(mpsc::Receiver<Result<Bytes, ControlError>>);

impl CriLog {
    pub(super) async fn open(
        path: PathBuf,
        asked: LogsAsked,
        client: Client,
        id: String,
    ) -> Result<Self, ControlError> {
        let mut file = open(&path).await?;
        if let Some(lines) = asked.tail {
            let from = start_of_last(&mut file, lines).await;
            let from = from.map_err(|error| explain(&path, &error))?;
            let sought = file.seek(SeekFrom::Start(from)).await;
            sought.map_err(|error| explain(&path, &error))?;
        }
        let (sender, receiver) = mpsc::channel(BLOCKS_MAX);
        let reading = Reading {
            path,
            file,
            asked,
            client,
            id,
            sender,
        };
        tokio::spawn(reading.run());
        Ok(Self(receiver))
    }

    /// The next bytes of the log, cut anywhere; `None` at its end. May be dropped and asked again.
    ///
    /// # Errors
    /// When the file can't be read further.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
        self.0.recv().await.transpose()
    }
}

struct Reading {
    path: PathBuf,
    file: File,
    asked: LogsAsked,
    client: Client,
    id: String,
    sender: mpsc::Sender<Result<Bytes, ControlError>>,
}

impl Reading {
    async fn run(mut self) {
        if let Err(error) = self.read().await {
            // Whoever reads may be gone.
            let _ = self.sender.send(Err(error)).await;
        }
    }

    async fn read(&mut self) -> Result<(), ControlError> {
        let mut lines = Lines::new(self.asked);
        let mut block = vec![0; BLOCK_BYTES];
        let mut looks = 0;
        let mut ended = false;
        loop {
            let read = self.file.read(&mut block).await;
            let read = read.map_err(|error| explain(&self.path, &error))?;
            let text = lines.take(block.get(..read).unwrap_or_default());
            if !text.is_empty() && self.sender.send(Ok(text.into())).await.is_err() {
                return Ok(());
            }
            if read > 0 {
                continue;
            }
            if let Some(next) = self.rotated().await {
                // The kubelet has begun another file; all of this one was read.
                self.file = next;
                continue;
            }
            if !self.asked.follow || ended {
                return Ok(());
            }
            looks += 1;
            if looks % LOOKS == 0 {
                // What it wrote last is read before the end.
                ended = has_ended(&mut self.client, &self.id).await;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.sender.closed() => return Ok(()),
            }
        }
    }

    /// The file that has this one's name now, where it is another one.
    async fn rotated(&self) -> Option<File> {
        let now = tokio::fs::metadata(&self.path).await.ok()?;
        let ours = self.file.metadata().await.ok()?;
        if (now.dev(), now.ino()) == (ours.dev(), ours.ino()) {
            return None;
        }
        open(&self.path).await.ok()
    }
}

async fn open(path: &Path) -> Result<File, ControlError> {
    let file = File::open(path).await;
    file.map_err(|error| explain(path, &error))
}

fn explain(path: &Path, error: &std::io::Error) -> ControlError {
    let path = path.display();
    match error.kind() {
        std::io::ErrorKind::NotFound => ControlError::Conflict(format!(
            "the log {path} is not there: it is gone, or this agent does not see the node's folder of logs \
             (mount /var/log/pods into it)"
        )),
        _ => ControlError::Failed(format!("the log {path}: {error}")),
    }
}

/// Where the last `lines` begin.
async fn start_of_last(file: &mut File, lines: u32) -> std::io::Result<u64> {
    let mut at = file.seek(SeekFrom::End(0)).await?;
    let mut block = vec![0; BLOCK_BYTES];
    let most = u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX);
    // The end of the last line is not the end of one before it.
    let mut left = u64::from(lines) + 1;
    while at > 0 {
        let bytes = at.min(most);
        at -= bytes;
        file.seek(SeekFrom::Start(at)).await?;
        let length = usize::try_from(bytes).unwrap_or(BLOCK_BYTES);
        let Some(part) = block.get_mut(..length) else {
            break;
        };
        file.read_exact(part).await?;
        for (place, byte) in part.iter().enumerate().rev() {
            if *byte == b'\n' {
                left -= 1;
                if left == 0 {
                    return Ok(at + u64::try_from(place).unwrap_or_default() + 1);
                }
            }
        }
    }
    Ok(0)
}

/// Takes the runtime's lines apart.
struct Lines {
    asked: LogsAsked,
    /// Of a line that has not ended.
    held: Vec<u8>,
    /// The last one goes on.
    partial: bool,
}

impl Lines {
    fn new(asked: LogsAsked) -> Self {
        Self {
            asked,
            held: Vec::new(),
            partial: false,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.held.len() > LINE_BYTES_MAX {
                let line = std::mem::take(&mut self.held);
                self.line(line.strip_suffix(b"\n").unwrap_or(&line), &mut text);
            }
        }
        text
    }

    fn line(&mut self, line: &[u8], text: &mut Vec<u8>) {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (time, _, tag, said) = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(time), Some(tag)) = (time, tag) else {
            return;
        };
        let time = std::str::from_utf8(time).ok();
        let parsed = time.and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
        let (Some(time), Some(parsed)) = (time, parsed) else {
            return;
        };
        if parsed.unix_timestamp() < self.asked.since_unix_s {
            return;
        }
        if self.asked.timestamps && !self.partial {
            text.extend_from_slice(time.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(said.unwrap_or_default());
        // Tags are apart by colons; the first says whether it is whole.
        self.partial = tag.first() == Some(&b'P');
        if !self.partial {
            text.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: &str = "2016-10-06T00:17:09.669794202Z stdout F The content\n\
        2016-10-06T00:17:10.113242941Z stderr P One \n\
        2016-10-06T00:17:10.113242942Z stderr F line\n\
        no line of a runtime\n\
        2016-10-06T00:17:11.113242941Z stdout F \n";

    fn taken(asked: LogsAsked, log: &[u8], cut: usize) -> String {
        let mut lines = Lines::new(asked);
        let parts = log.chunks(cut).flat_map(|part| lines.take(part));
        String::from_utf8(parts.collect()).expect("UTF-8")
    }

    #[test]
    fn lines_come_together_and_begin_with_their_time_where_that_is_asked_for() {
        let plain = LogsAsked::default();
        assert_eq!(taken(plain, LOG.as_bytes(), 7), "The content\nOne line\n\n");
        let stamped = LogsAsked {
            timestamps: true,
            since_unix_s: 1_475_713_030,
            ..plain
        };
        assert_eq!(
            taken(stamped, LOG.as_bytes(), 100),
            "2016-10-06T00:17:10.113242941Z One line\n2016-10-06T00:17:11.113242941Z \n"
        );
    }

    #[tokio::test]
    async fn the_last_lines_are_found_from_the_end_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        let long = "x".repeat(40_000);
        let text = format!("one\ntwo\n{long}\nlast\n");
        std::fs::write(&path, &text).expect("written");
        let mut file = File::open(&path).await.expect("open");
        for (lines, rest) in [
            (0, ""),
            (1, "last\n"),
            (2, &text[8..]),
            (3, &text[4..]),
            (4, &text[..]),
            (u32::MAX, &text[..]),
        ] {
            let from = start_of_last(&mut file, lines).await.expect("found");
            let from = usize::try_from(from).expect("small");
            assert!(&text[from..] == rest, "{lines}: {from}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_nor_grow(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
            let mut lines = Lines::new(LogsAsked::default());
            let text: usize = bytes.chunks(cut).map(|part| lines.take(part).len()).sum();
            prop_assert!(text <= bytes.len());
        }
    }
}
