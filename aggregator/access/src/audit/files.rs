//! The files: `audit-FIRSTID.jsonl`, each added to until it is full or old, then never touched
//! again until it goes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::audit::AuditError;
use super::entry::{Entry, LINE_BYTES_MAX, Recorded};

/// A file is left at this size.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// A file is left at this age, so that what is old can go.
const FILE_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1_000;

/// The folder and the file that is added to.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    keep_ms: u64,
    file_bytes_max: u64,
    /// Gone after anything went wrong: what is on the disk is looked at again.
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: File,
    bytes: u64,
    begun_ms: u64,
    next_id: u64,
}

impl Files {
    pub(super) fn new(folder: PathBuf, keep_ms: u64) -> Self {
        Self {
            folder,
            keep_ms,
            file_bytes_max: FILE_BYTES_MAX,
            current: None,
        }
    }

    #[cfg(test)]
    pub(super) fn with_file_bytes_max(mut self, bytes: u64) -> Self {
        self.file_bytes_max = bytes;
        self
    }

    /// Adds an entry; it is on the disk when this returns.
    pub(super) fn append(&mut self, entry: Entry, unix_ms: u64) -> Result<(), AuditError> {
        let mut current = self.ready(unix_ms)?;
        let id = current.next_id;
        let line = Recorded { id, unix_ms, entry }.line();
        let full = current.bytes + line.len() as u64 > self.file_bytes_max && current.bytes > 0;
        if full || unix_ms.saturating_sub(current.begun_ms) > FILE_MS_MAX {
            current = create(&self.folder, id, unix_ms)?;
        }
        // Gone for good unless all of this works.
        current
            .file
            .write_all(line.as_bytes())
            .and_then(|()| current.file.sync_data())
            .map_err(failed("writing to", &current.path))?;
        current.bytes += line.len() as u64;
        current.next_id += 1;
        self.current = Some(current);
        Ok(())
    }

    /// Opens or makes the file to add to.
    pub(super) fn prepare(&mut self, now_ms: u64) -> Result<(), AuditError> {
        self.current = Some(self.ready(now_ms)?);
        Ok(())
    }

    /// The file to add to, taken out. A file that somebody moved away is not written to.
    fn ready(&mut self, now_ms: u64) -> Result<Current, AuditError> {
        match self.current.take() {
            Some(current) if current.is_in_place() => Ok(current),
            Some(_) | None => open(&self.folder, now_ms),
        }
    }

    /// All files, oldest first.
    pub(super) fn paths(&self) -> Result<Vec<(u64, PathBuf)>, AuditError> {
        list(&self.folder)
    }

    /// Removes files whose last entry is too old, never the newest file.
    pub(super) fn clean(&self, now_ms: u64) -> Result<(), AuditError> {
        let mut paths = self.paths()?;
        paths.pop();
        for (_, path) in paths {
            let last = last_entry(&path).map_err(failed("reading", &path))?;
            let last_ms = last.map_or(0, |last| last.unix_ms);
            if now_ms.saturating_sub(last_ms) > self.keep_ms {
                fs::remove_file(&path).map_err(failed("removing", &path))?;
                tracing::info!(file = %path.display(), "a file of the audit is older than what is kept");
            }
        }
        Ok(())
    }

    /// The newest entries below an id, newest first.
    pub(super) fn newest(
        paths: &[(u64, PathBuf)],
        before: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, AuditError> {
        let mut entries = Vec::new();
        for (first_id, path) in paths.iter().rev() {
            if *first_id >= before {
                continue;
            }
            let mut bytes = Vec::new();
            // It may have gone since it was listed.
            match File::open(path) {
                Ok(file) => file
                    .take(FILE_BYTES_MAX + LINE_BYTES_MAX as u64)
                    .read_to_end(&mut bytes)
                    .map_err(failed("reading", path))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("opening", path)(error)),
            };
            let wanted = bytes
                .rsplit(|byte| *byte == b'\n')
                .filter_map(|line| Recorded::parse(std::str::from_utf8(line).ok()?))
                .filter(|recorded| recorded.id < before);
            entries.extend(wanted.take(limit - entries.len()));
            if entries.len() == limit {
                break;
            }
        }
        Ok(entries)
    }

    /// Every line that is an entry, oldest first, until `take` has enough.
    pub(super) fn lines(
        paths: &[(u64, PathBuf)],
        mut take: impl FnMut(String) -> bool,
    ) -> Result<(), AuditError> {
        for (_, path) in paths {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("opening", path)(error)),
            };
            let mut reader = BufReader::new(file.take(FILE_BYTES_MAX + LINE_BYTES_MAX as u64));
            loop {
                let mut line = Vec::new();
                let length = reader
                    .read_until(b'\n', &mut line)
                    .map_err(failed("reading", path))?;
                if length == 0 {
                    break;
                }
                let Ok(line) = String::from_utf8(line) else {
                    continue;
                };
                if Recorded::parse(line.trim_end()).is_some() && !take(line) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Current {
    fn is_in_place(&self) -> bool {
        let (Ok(named), Ok(open)) = (fs::metadata(&self.path), self.file.metadata()) else {
            return false;
        };
        (named.dev(), named.ino()) == (open.dev(), open.ino())
    }
}

/// The newest file, or the first one.
fn open(folder: &Path, now_ms: u64) -> Result<Current, AuditError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed("making the folder", folder))?;
    let Some((first_id, path)) = list(folder)?.pop() else {
        return create(folder, 1, now_ms);
    };
    let mut file = OpenOptions::new()
        .append(true)
        .open(&path)
        .map_err(failed("opening", &path))?;
    let reading = failed("reading", &path);
    let last = last_entry(&path).map_err(&reading)?;
    let first = first_entry(&path).map_err(&reading)?;
    let mut bytes = file.metadata().map_err(&reading)?.len();
    if ends_within_a_line(&path, bytes).map_err(&reading)? {
        // What a crash or a full disk cut off stays as a line that is no entry.
        file.write_all(b"\n").map_err(failed("writing to", &path))?;
        bytes += 1;
    }
    Ok(Current {
        file,
        bytes,
        begun_ms: first.map_or(now_ms, |first| first.unix_ms),
        next_id: last.map_or(first_id, |last| last.id + 1),
        path,
    })
}

fn create(folder: &Path, first_id: u64, now_ms: u64) -> Result<Current, AuditError> {
    let path = folder.join(format!("audit-{first_id:020}.jsonl"));
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed("making", &path))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("syncing", folder))?;
    Ok(Current {
        path,
        file,
        bytes: 0,
        begun_ms: now_ms,
        next_id: first_id,
    })
}

fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, AuditError> {
    let reading = failed("listing", folder);
    let mut paths = Vec::new();
    for file in fs::read_dir(folder).map_err(&reading)? {
        let file = file.map_err(&reading)?;
        let name = file.file_name();
        let digits = name
            .to_str()
            .and_then(|name| name.strip_prefix("audit-")?.strip_suffix(".jsonl"));
        if let Some(first_id) = digits.and_then(|digits| digits.parse().ok()) {
            paths.push((first_id, file.path()));
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn first_entry(path: &Path) -> io::Result<Option<Recorded>> {
    let mut lines = BufReader::new(File::open(path)?.take(4 * LINE_BYTES_MAX as u64)).lines();
    Ok(lines.find_map(|line| Recorded::parse(&line.ok()?)))
}

/// The last line that is an entry, among those of the last few lines' lengths.
fn last_entry(path: &Path) -> io::Result<Option<Recorded>> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        bytes.saturating_sub(4 * LINE_BYTES_MAX as u64),
    ))?;
    let mut tail = Vec::new();
    file.take(4 * LINE_BYTES_MAX as u64)
        .read_to_end(&mut tail)?;
    let mut lines = tail.rsplit(|byte| *byte == b'\n');
    Ok(lines.find_map(|line| Recorded::parse(std::str::from_utf8(line).ok()?)))
}

fn ends_within_a_line(path: &Path, bytes: u64) -> io::Result<bool> {
    if bytes == 0 {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(bytes - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> AuditError + use<> {
    let path = path.to_owned();
    move |source| AuditError {
        doing,
        path: path.clone(),
        source,
    }
}
