//! Durations and sizes as they are written in flags, environment and files.

/// A duration with its unit: `100ms`, `5m`, `1h 30m`. Dereferences to [`std::time::Duration`].
pub use humantime::Duration;

/// A size with its unit: `16MiB`, `40MB`, `4096`. `as_u64()` gives bytes.
pub use bytesize::ByteSize;
