//! Time series of the last hour, compressed, within a bound of bytes.
//!
//! Values in, values out: no clock, no thread, no socket; time is an argument.
//!
//! # What is kept
//! Everything has its metrics told together, as one row. Rows fall into slots of a fixed grid, 15 s
//! for everything and 5 s for the last 5 min of what is told so often ([`Schema::fine`]); a slot's
//! value is the mean of what was told in it. A value is exact up to 511 quanta of its metric and
//! from there within 1/512 of itself.
//!
//! A value holds until the next one, since agents don't repeat what has not changed. It no longer holds
//! once the thing has ended ([`Store::end`], or a whole account of its source that leaves it out,
//! [`Store::source_told_all`]) and while its source is silent: then there is a gap and no guess.
//!
//! # How
//! A row is written only when it differs from the one before, as bits: how many slots later, and for each
//! metric the difference of logarithmic codes (`stream.rs`). With a fixed grid and few significant bits
//! this is shorter than XOR of floats, whose low bits are noise. Rows lie in pieces of 128 bytes from one
//! slab; each piece begins with a whole row, so that the oldest can be dropped by itself.
//!
//! # The bound
//! [`Limits::bytes_max`] counts pages of pieces and of things, fine levels and the hash table, as
//! allocated. When it is reached, what has ended goes first, the first to end first. If nothing has ended,
//! new things are refused, and a thing that needs another piece gives up its own oldest: nobody loses
//! the recent past. [`Stats`] counts each. Sources are not counted: at most 1 KiB of silences each, and
//! whoever feeds the store bounds how many there are.
//!
//! # Figures
//! `cargo bench -p mesoscope-series`, on what an agent tells of a machine that compiles software, 2 shared
//! and busy cores; a container is told the machine's own figures:
//!
//! | what | host | container | process |
//! |---|---|---|---|
//! | bytes a series and hour, all included | 467 | 537 | 67 |
//! | bytes a kept value (15 s for an hour; host and container: also 5 s for 5 min) | 1.56 | 1.79 | 0.28 |
//! | MiB a thousand of them | 4.5 | 3.6 | 0.3 |
//! | counted by the bound; growth of the resident set | 8; 9 MiB | 7; 6 MiB | 132; 128 MiB |
//!
//! 20 million values told a second; an hour of a host is read in 80 µs.
//!
//! | file | what it does |
//! |---|---|
//! | `store.rs` | things, sources, the bound |
//! | `query.rs` | ranges and steps |
//! | `level.rs` | one resolution of one thing |
//! | `stream.rs` | rows as bits in a chain of pieces |
//! | `code.rs` | values as codes |
//! | `source.rs` | who tells, and their silences |
//! | `chunk.rs`, `slab.rs`, `bits.rs` | pieces, pages, bits |

mod bits;
mod chunk;
mod code;
mod level;
mod query;
mod schema;
mod slab;
mod source;
mod store;
mod stream;

pub use query::{Answer, Range};
pub use schema::{Metric, Schema};
pub use store::{COARSE_STEP_MS, FINE_KEEP_MS, FINE_STEP_MS, Limits, Stats, Store};
pub use stream::METRICS_MAX;
