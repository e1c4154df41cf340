//! What the main of every Mesoscope service shares.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | one struct per service from flags, environment and a TOML file; `--print-config` |
//! | [`units`] | durations and sizes with units |
//! | [`listen`] | where a service may listen, and the sockets themselves, plain or TLS |
//! | [`http`] | serves an axum router on such a socket |
//! | [`tls`] | rustls and tonic configurations from PEM files |
//! | [`token`] | bearer tokens from files, compared in constant time, on both sides |
//! | [`access`] | who may come in: token or client certificate |
//! | [`logs`] | log output |
//! | [`drain`] | signals into a cancellation token |
//! | [`process`] | what the process itself costs |
//! | [`exit`] | exit codes |
//!
//! A main is `config::load_or_exit` → check the listen rule → `logs::init` → bind → spawn → wait
//! for the token of [`drain::on_signal`].

pub mod access;
pub mod config;
pub mod drain;
pub mod exit;
pub mod http;
pub mod listen;
pub mod logs;
pub mod process;
pub mod tls;
pub mod token;
pub mod units;
