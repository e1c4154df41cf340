//! Where values are written to, from the command line.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use axum::http::HeaderValue;
use mesoscope_service::units::{ByteSize, Duration};

use super::Wanted;
use crate::outward::{Target, UrlError};

const INTERVAL: RangeInclusive<std::time::Duration> =
    std::time::Duration::from_secs(1)..=std::time::Duration::from_mins(5);
const QUEUE_MIN: ByteSize = ByteSize::mib(1);
const SERIES: RangeInclusive<usize> = 100..=1_000_000;
/// Bytes of a token.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Options of remote-write.
#[derive(Debug, Clone, clap::Args)]
pub struct RemoteWriteArgs {
    /// Receiver of Prometheus remote-write that hosts' and containers' values are written to: http://127.0.0.1:9090/api/v1/write
    #[arg(long, value_name = "URL")]
    pub remote_write_url: Option<String>,

    /// Token that the receiver wants, in a file
    #[arg(long, value_name = "FILE")]
    pub remote_write_token_file: Option<PathBuf>,

    /// CA of the receiver's certificate in place of the system's, PEM
    #[arg(long, value_name = "FILE")]
    pub remote_write_ca: Option<PathBuf>,

    /// How often values are written
    #[arg(long, default_value = "15s")]
    pub remote_write_interval: Duration,

    /// Memory of values that wait for the receiver at most; beyond it the oldest are dropped
    #[arg(long, default_value = "16MiB")]
    pub remote_write_queue: ByteSize,

    /// Series that are written at most; values of others are left out and counted
    #[arg(long, default_value_t = 50_000)]
    pub remote_write_series: usize,
}

/// Why values can't be written.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    /// The receiver.
    #[error("--remote-write-url: {0}")]
    Url(#[from] UrlError),
    /// Its token.
    #[error("--remote-write-token-file: can't use {path}: {message}", path = path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong; never the token.
        message: String,
    },
}

impl RemoteWriteArgs {
    /// Values that must be in their ranges.
    ///
    /// # Errors
    /// In the words of the person who configures.
    pub fn check(&self) -> Result<(), String> {
        if !INTERVAL.contains(&*self.remote_write_interval) {
            return Err("--remote-write-interval must be from 1s to 5m".to_owned());
        }
        if self.remote_write_queue < QUEUE_MIN {
            return Err(format!("--remote-write-queue must be at least {QUEUE_MIN}"));
        }
        if !SERIES.contains(&self.remote_write_series) {
            return Err("--remote-write-series must be from 100 to 1000000".to_owned());
        }
        Ok(())
    }

    /// Where values are written to, if anywhere.
    ///
    /// # Errors
    /// When the URL, the CA or the token can't be used.
    pub fn wanted(&self) -> Result<Option<Wanted>, RemoteWriteError> {
        let Some(url) = &self.remote_write_url else {
            return Ok(None);
        };
        let target = Target::new(url, self.remote_write_ca.as_deref(), false)?;
        let authorization = match &self.remote_write_token_file {
            None => None,
            Some(path) => Some(token(path).map_err(|message| RemoteWriteError::Token {
                path: path.clone(),
                message,
            })?),
        };
        Ok(Some(Wanted {
            target,
            authorization,
            interval: *self.remote_write_interval,
            bytes_max: usize::try_from(self.remote_write_queue.as_u64()).unwrap_or(usize::MAX),
            series_max: self.remote_write_series,
        }))
    }
}

fn token(path: &Path) -> Result<HeaderValue, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let token = text.trim();
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err(format!("a token has 1 to {TOKEN_BYTES_MAX} bytes"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| "a token is one line of letters".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
