//! Files of a container that does not run, by the archives of the Docker engine, which packs and
//! unpacks them in the container's root.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response, header};
use mesoscope_proto::v1::{FileEntry, FileKind, FileListing};
use serde_json::Value;
use tar::{EntryType, Header};
use tokio::sync::{mpsc, oneshot};

use super::Slot;
use super::bounds::{DOWNLOAD_BYTES_MAX, NAMES_MAX, PATIENCE, PIECES_MAX, TARGET_BYTES_MAX};
use super::kind::{target, text};
use super::live::{special, too_large};
use super::path::base_name;
use super::stream::{FileSink, FileStream, Piece, PieceReader, PieceWriter, on_a_thread, spawn};
use crate::control::ControlError;
use crate::docker::raw::{self, Connection};

/// What the engine says of a path, in a header.
const STAT: &str = "x-docker-container-path-stat";
/// Bits of Go's file modes.
const GO_FOLDER: u64 = 1 << 31;
const GO_LINK: u64 = 1 << 27;
const GO_NO_FILE: u64 = 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
/// A tar is made of blocks.
const BLOCK: usize = 512;
/// All of an upload may take.
const UPLOAD_PATIENCE: std::time::Duration = std::time::Duration::from_mins(15);

/// A container whose files the engine packs.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    pub(crate) engine: raw::Engine,
    pub(crate) id: String,
}

/// What the engine packs, and what it is.
struct Packed {
    found: FileEntry,
    /// Where a link leads, resolved.
    leads: String,
    body: Incoming,
    connection: Connection,
}

impl Archive {
    fn path(&self, of: &str) -> String {
        let root = self.engine.version_path();
        format!("{root}/containers/{}/archive?path={}", self.id, encoded(of))
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
    ) -> Result<(Response<Incoming>, Connection), ControlError> {
        let request = Request::builder()
            .method(method)
            .uri(self.path(path))
            .header(header::HOST, "docker")
            .body(Full::<Bytes>::default())
            .map_err(|error| ControlError::Failed(error.to_string()))?;
        let of = |status, said: &str| explain(&self.id, path, status, said);
        raw::ask_for(&self.engine.socket, request, PATIENCE, of).await
    }

    async fn packed(&self, path: &str) -> Result<Packed, ControlError> {
        let (answer, connection) = self.ask("GET", path).await?;
        let (found, leads) = stat(&answer)?;
        Ok(Packed {
            found,
            leads,
            body: answer.into_body(),
            connection,
        })
    }

    pub(super) async fn list(
        &self,
        path: String,
        after: &str,
        limit: usize,
        slot: Slot,
    ) -> Result<FileListing, ControlError> {
        // Followed where it is a link, and refused where it is no folder.
        let packed = self
            .packed(&format!("{}/.", path.trim_end_matches('/')))
            .await?;
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let feeding = feed(packed.body, packed.connection, sender);
        let after = after.to_owned();
        let listed = on_a_thread(slot, move || list_now(pieces, &after, limit)).await;
        feeding.abort();
        listed
    }

    pub(super) async fn read(
        &self,
        path: String,
        head_bytes: u64,
        slot: Slot,
    ) -> Result<(FileEntry, FileStream), ControlError> {
        let mut packed = self.packed(&path).await?;
        if packed.found.kind() == FileKind::Link {
            packed = self.packed(&packed.leads).await?;
        }
        let mut found = packed.found;
        found.name = base_name(&path);
        let bytes = match head_bytes {
            0 => found.size_bytes,
            head => found.size_bytes.min(head),
        };
        if bytes > DOWNLOAD_BYTES_MAX {
            return Err(too_large(bytes));
        }
        let (sender, stream) = FileStream::channel();
        match found.kind() {
            FileKind::Folder => {
                tokio::spawn(async move {
                    let passed = pass(packed.body, &sender).await;
                    if let Err(error) = passed {
                        // Whoever reads may be gone.
                        let _ = sender.send(Err(error)).await;
                    }
                    drop((slot, packed.connection));
                });
            }
            FileKind::File => {
                let (feeder, pieces) = mpsc::channel(PIECES_MAX);
                let feeding = feed(packed.body, packed.connection, feeder);
                spawn(move || {
                    let sender = Arc::new(sender);
                    if let Err(error) = unpack(pieces, bytes, sender.clone()) {
                        let _ = sender.blocking_send(Err(error));
                    }
                    feeding.abort();
                    drop(slot);
                })?;
            }
            _ => return Err(special(&path)),
        }
        Ok((found, stream))
    }

    pub(super) async fn write(
        &self,
        folder: String,
        name: String,
        size_bytes: u64,
        replace: bool,
    ) -> Result<FileSink, ControlError> {
        let path = format!("{}/{name}", folder.trim_end_matches('/'));
        let mode = match self.ask("HEAD", &path).await {
            Ok((answer, _connection)) => {
                let (before, _) = stat(&answer)?;
                let what = match before.kind() {
                    FileKind::File if replace => None,
                    FileKind::File => Some("exists already"),
                    FileKind::Folder => Some("is a folder"),
                    FileKind::Link => Some("is a link; write to where it leads"),
                    _ => Some("is a device, pipe or socket"),
                };
                if let Some(what) = what {
                    return Err(ControlError::Conflict(format!("{path} {what}")));
                }
                before.mode & 0o777
            }
            Err(ControlError::NoFile(_)) => 0o644,
            Err(error) => return Err(error),
        };
        let head = head(&name, size_bytes, mode)?;
        let block = u64::try_from(BLOCK).unwrap_or_default();
        let padding = usize::try_from(size_bytes.next_multiple_of(block) - size_bytes).unwrap_or(0);
        // A tar ends with two blocks of zeros.
        let tail = Bytes::from(vec![0; padding + 2 * BLOCK]);
        let length = u64::try_from(head.len() + tail.len()).unwrap_or(u64::MAX) + size_bytes;
        let (sender, bytes) = mpsc::channel(PIECES_MAX);
        let request = Request::put(format!("{}&noOverwriteDirNonDir=true", self.path(&folder)))
            .header(header::HOST, "docker")
            .header(header::CONTENT_TYPE, "application/x-tar")
            .header(header::CONTENT_LENGTH, length)
            .body(StreamBody::new(packing(head, bytes, size_bytes, tail)))
            .map_err(|error| ControlError::Failed(error.to_string()))?;
        let archive = self.clone();
        let (told, done) = oneshot::channel();
        tokio::spawn(async move {
            let of = |status, said: &str| explain(&archive.id, &path, status, said);
            let put = raw::ask_for(&archive.engine.socket, request, UPLOAD_PATIENCE, of);
            // Nobody may wait for it any more.
            let _ = told.send(put.await.map(|_| ()));
        });
        Ok(FileSink::new(sender, done))
    }
}

/// The head of a tar with this one file.
fn head(name: &str, size_bytes: u64, mode: u32) -> Result<Bytes, ControlError> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size_bytes);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    header.set_mtime(now.map(|since| since.as_secs()).unwrap_or_default());
    let mut builder = tar::Builder::new(Vec::new());
    // Its bytes follow by themselves. A long name becomes an entry of its own before it.
    let packed = builder.append_data(&mut header, name, io::empty());
    let packed = packed.and_then(|()| builder.into_inner());
    let mut head = packed.map_err(|error| ControlError::Failed(format!("{name}: {error}")))?;
    // So does the end.
    head.truncate(head.len().saturating_sub(2 * BLOCK));
    Ok(head.into())
}

/// The archive of an upload, as its bytes come. One that breaks off breaks the request off.
fn packing(
    head: Bytes,
    bytes: mpsc::Receiver<Bytes>,
    size_bytes: u64,
    tail: Bytes,
) -> impl futures::Stream<Item = io::Result<Frame<Bytes>>> {
    enum Next {
        Head(Bytes),
        Bytes(u64),
        End,
    }
    let begin = (Next::Head(head), bytes, tail);
    futures::stream::unfold(begin, move |(next, mut bytes, tail)| async move {
        let (frame, next) = match next {
            Next::Head(head) => (Ok(head), Next::Bytes(size_bytes)),
            Next::Bytes(0) => (Ok(tail.clone()), Next::End),
            Next::Bytes(left) => {
                let piece = bytes.recv().await;
                let length = piece.as_ref().map(|piece| u64::try_from(piece.len()));
                match (piece, length) {
                    (Some(piece), Some(Ok(length))) if length <= left => {
                        (Ok(piece), Next::Bytes(left - length))
                    }
                    _ => (Err(io::ErrorKind::UnexpectedEof.into()), Next::End),
                }
            }
            Next::End => return None,
        };
        Some((frame.map(Frame::data), (next, bytes, tail)))
    })
}

/// Hands the bytes of an answer to a thread.
fn feed(
    mut body: Incoming,
    connection: Connection,
    pieces: mpsc::Sender<Piece>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let piece = match frame {
                Ok(frame) => frame.into_data().map(Ok),
                Err(error) => Ok(Err(gone(&error))),
            };
            if let Ok(piece) = piece
                && pieces.send(piece).await.is_err()
            {
                break;
            }
        }
        drop(connection);
    })
}

fn gone(error: &hyper::Error) -> ControlError {
    ControlError::Unavailable(format!("the engine went away: {error}"))
}

/// The archive of a folder, as it comes.
async fn pass(mut body: Incoming, sender: &mpsc::Sender<Piece>) -> Result<(), ControlError> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| gone(&error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        if bytes > DOWNLOAD_BYTES_MAX {
            return Err(too_large(bytes));
        }
        if sender.send(Ok(data)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The bytes of the one file of an archive.
fn unpack(
    pieces: mpsc::Receiver<Piece>,
    bytes: u64,
    sender: Arc<mpsc::Sender<Piece>>,
) -> Result<(), ControlError> {
    let mut reader = PieceReader::new(pieces);
    let copied = (|| {
        let mut archive = tar::Archive::new(&mut reader);
        let first = archive.entries()?.next();
        let entry = first.ok_or(io::ErrorKind::UnexpectedEof)??;
        let mut writer = PieceWriter::new(sender);
        io::copy(&mut io::Read::take(entry, bytes), &mut writer)?;
        writer.flush()
    })();
    copied.map_err(|error| broken(&mut reader, &error))
}

fn broken(reader: &mut PieceReader, error: &io::Error) -> ControlError {
    let told = reader.error.take();
    told.unwrap_or_else(|| ControlError::Failed(format!("the engine's archive: {error}")))
}

/// What lies right in a folder that was packed with all that it holds.
fn list_now(
    pieces: mpsc::Receiver<Piece>,
    after: &str,
    limit: usize,
) -> Result<FileListing, ControlError> {
    let mut reader = PieceReader::new(pieces);
    let mut found = BTreeMap::new();
    let listed = take_names(&mut reader, after, limit, &mut found);
    let incomplete = listed.map_err(|error| broken(&mut reader, &error))?;
    let more = found.len() > limit;
    Ok(FileListing {
        entries: found.into_values().take(limit).collect(),
        more,
        incomplete,
    })
}

/// Gives why not all was looked at; empty where it was.
fn take_names(
    reader: &mut PieceReader,
    after: &str,
    limit: usize,
    found: &mut BTreeMap<String, FileEntry>,
) -> io::Result<String> {
    let began = Instant::now();
    let mut archive = tar::Archive::new(reader);
    let mut above = None;
    let mut seen = 0;
    for entry in archive.entries()? {
        let entry = entry?;
        if began.elapsed() > PATIENCE / 2 {
            return Ok(
                "the engine packs a container that does not run with all that it holds, and \
                       this takes too long here: start it, or look into a smaller folder"
                    .to_owned(),
            );
        }
        let path = parts(&entry.path()?);
        // The folder itself comes first.
        let above = *above.get_or_insert(path.components().count());
        if path.components().count() != above + 1 {
            continue;
        }
        seen += 1;
        if seen > NAMES_MAX {
            return Ok(format!(
                "there are more than {NAMES_MAX} names, and the others were not looked at"
            ));
        }
        let told = told(&entry, &path)?;
        if told.name.as_str() > after {
            found.insert(told.name.clone(), told);
            if found.len() > limit + 1 {
                found.pop_last();
            }
        }
    }
    Ok(String::new())
}

fn parts(path: &Path) -> PathBuf {
    let parts = path.components();
    parts
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

fn told<R: io::Read>(entry: &tar::Entry<'_, R>, path: &Path) -> io::Result<FileEntry> {
    use std::os::unix::ffi::OsStrExt;
    let header = entry.header();
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse | EntryType::Link => {
            FileKind::File
        }
        EntryType::Directory => FileKind::Folder,
        EntryType::Symlink => FileKind::Link,
        _ => FileKind::Special,
    };
    let name = path.file_name().unwrap_or_default();
    let (name, name_replaced) = text(name.as_bytes());
    let leads = match (kind, entry.link_name_bytes()) {
        (FileKind::Link, Some(says)) => target(&says),
        _ => String::new(),
    };
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(FileEntry {
        name,
        kind: kind.into(),
        size_bytes: entry.size(),
        mode: header.mode()? & 0o7777,
        modified_unix_s: i64::try_from(header.mtime()?).unwrap_or_default(),
        target: leads,
        user_id: small(header.uid()?),
        group_id: small(header.gid()?),
        name_replaced,
    })
}

/// What the engine says of a path, and where it leads.
fn stat<T>(answer: &Response<T>) -> Result<(FileEntry, String), ControlError> {
    let header = answer.headers().get(STAT);
    let json = header.and_then(|header| STANDARD.decode(header.as_bytes()).ok());
    let told: Option<Value> = json.and_then(|json| serde_json::from_slice(&json).ok());
    let told = told
        .ok_or_else(|| ControlError::Failed("the engine does not say what is there".to_owned()))?;
    Ok(entry(&told))
}

fn entry(told: &Value) -> (FileEntry, String) {
    let mode = told["mode"].as_u64().unwrap_or_default();
    let kind = match mode {
        mode if mode & GO_FOLDER != 0 => FileKind::Folder,
        mode if mode & GO_LINK != 0 => FileKind::Link,
        mode if mode & GO_NO_FILE != 0 => FileKind::Special,
        _ => FileKind::File,
    };
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    let leads = text("linkTarget");
    let modified = time::OffsetDateTime::parse(
        &text("mtime"),
        &time::format_description::well_known::Rfc3339,
    );
    let size = told["size"].as_u64().unwrap_or_default();
    let entry = FileEntry {
        name: text("name"),
        kind: kind.into(),
        size_bytes: if kind == FileKind::File { size } else { 0 },
        mode: u32::try_from(mode & 0o777).unwrap_or_default(),
        modified_unix_s: modified.map(|at| at.unix_timestamp()).unwrap_or_default(),
        target: leads.chars().take(TARGET_BYTES_MAX).collect(),
        ..FileEntry::default()
    };
    (entry, leads)
}

/// As a part of a query.
fn encoded(path: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Never fails.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn explain(id: &str, path: &str, status: u16, said: &str) -> ControlError {
    let about_file = said.is_empty()
        || said.contains("Could not find the file")
        || said.contains("no such file");
    match status {
        404 if about_file => {
            ControlError::NoFile(format!("{path}: there is no such file or folder"))
        }
        // The engine's own words hold a path of the node.
        _ if said.contains("not a directory") => {
            ControlError::Conflict(format!("{path}: it, or a part of its path, is no folder"))
        }
        400 | 403 => ControlError::Conflict(format!("{path}: {said}")),
        status => crate::docker::of_status(id, status, said),
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
