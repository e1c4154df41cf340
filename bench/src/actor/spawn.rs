//! Many short processes, at most a handful at a time, so that they overlap as real ones do.

use super::number;
use std::io::Result;
use std::process::{Child, Command};
use std::time::Duration;

const AT_ONCE: usize = 8;

/// `count` processes that live 5 to 50 ms, with the markers PREFIX-0, PREFIX-1, ...
pub fn naps(count: &str, prefix: &str, truth: &str) -> Result<()> {
    run_all(number(count, "COUNT")?, |command, index, random| {
        let life = 5 + random % 46;
        command.args([
            "nap",
            &life.to_string(),
            &format!("{prefix}-{index}"),
            truth,
        ]);
    })
}

/// `count` processes with one connection of 5 to 45 ms each, to the addresses in turn.
pub fn connects(count: &str, prefix: &str, truth: &str, addresses: &[&str]) -> Result<()> {
    if addresses.is_empty() {
        return Err(std::io::Error::other("spawn-connects needs an ADDRESS"));
    }
    run_all(number(count, "COUNT")?, |command, index, random| {
        let life = 5 + random % 41;
        let address = addresses[index % addresses.len()];
        command.args([
            "connect",
            address,
            &life.to_string(),
            &format!("{prefix}-{index}"),
            truth,
        ]);
    })
}

fn run_all(count: usize, fill: impl Fn(&mut Command, usize, u64)) -> Result<()> {
    let program = std::env::current_exe()?;
    let mut random = Random(u64::from(std::process::id()) | 1);
    let mut running: Vec<Child> = Vec::with_capacity(AT_ONCE);
    for index in 0..count {
        if running.len() == AT_ONCE {
            running.remove(0).wait()?;
        }
        let mut command = Command::new(&program);
        fill(&mut command, index, random.next());
        running.push(command.spawn()?);
        std::thread::sleep(Duration::from_millis(random.next() % 5));
    }
    for mut child in running {
        child.wait()?;
    }
    Ok(())
}

/// Xorshift: spread is all that is needed, and start-up time matters here.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }
}
