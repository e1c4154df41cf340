//! Reads what the actors wrote down.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// One line of a truth file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// "nap", "connect", "close", "exit", "listen", "flood-exec", "flood-connect".
    pub kind: String,
    /// The marker in the actor's arguments (for "listen": the address asked for).
    pub marker: String,
    /// Pid in the actor's own namespace.
    pub pid: u32,
    /// Unix nanoseconds.
    pub time: u64,
    /// What else the line says.
    pub rest: Vec<String>,
}

impl Fact {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self {
            kind: words.next()?.to_owned(),
            marker: words.next()?.to_owned(),
            pid: words.next()?.parse().ok()?,
            time: words.next()?.parse().ok()?,
            rest: words.map(str::to_owned).collect(),
        })
    }

    /// Word `index` of the rest, as a number.
    pub fn number(&self, index: usize) -> Result<u64> {
        let word = self
            .rest
            .get(index)
            .with_context(|| format!("{self:?} has no word {index}"))?;
        word.parse()
            .with_context(|| format!("{word:?} of {self:?}"))
    }

    /// Word `index` of the rest, as an address.
    pub fn address(&self, index: usize) -> Result<SocketAddr> {
        let word = self
            .rest
            .get(index)
            .with_context(|| format!("{self:?} has no word {index}"))?;
        word.parse()
            .with_context(|| format!("{word:?} of {self:?}"))
    }
}

/// All facts of a file; none where it is not there yet. A line without its end is left out.
pub fn read(path: &Path) -> Vec<Fact> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(Fact::parse).collect()
}

/// Waits until a file has `count` facts.
pub async fn wait(path: &Path, count: usize, limit: Duration) -> Result<Vec<Fact>> {
    let begun = Instant::now();
    loop {
        let facts = read(path);
        if facts.len() >= count {
            return Ok(facts);
        }
        anyhow::ensure!(
            begun.elapsed() < limit,
            "{}: {} of {count} facts after {limit:?}",
            path.display(),
            facts.len()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection() {
        let fact = Fact::parse("connect m-1 77 1000 2000 127.0.0.1:5000 [::1]:80").expect("a fact");
        assert_eq!((fact.pid, fact.time), (77, 1000));
        assert_eq!(fact.number(0).expect("an end"), 2000);
        assert!(fact.address(2).expect("an address").is_ipv6());
    }

    #[test]
    fn nonsense_is_no_fact() {
        assert_eq!(Fact::parse("connect m-1 x 1000"), None);
        assert_eq!(Fact::parse(""), None);
    }
}
