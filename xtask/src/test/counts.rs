//! How many tests a runner ran, read from what it printed.

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
}

/// Adds up the summaries of cargo test, nextest, Vitest and our own scripts in `log`.
pub fn read(log: &str) -> Counts {
    let mut total = Counts::default();
    for line in log.lines() {
        let line = line.trim();
        if is_summary(line) {
            total.passed += before(line, "passed");
            total.failed += before(line, "failed") + before(line, "timed");
        }
    }
    total
}

fn is_summary(line: &str) -> bool {
    line.starts_with("test result: ")
        || (line.starts_with("Summary [") && line.contains(" run: "))
        || (line.starts_with("Tests ") && (line.contains(" passed") || line.contains(" failed")))
        || is_plain(line)
}

/// "3 passed, 0 failed", alone on a line.
fn is_plain(line: &str) -> bool {
    let mut parts = line.split(", ").map(|part| part.split_once(' '));
    let mut of = |word: &str| {
        parts
            .next()
            .flatten()
            .is_some_and(|(count, rest)| rest == word && count.parse::<u64>().is_ok())
    };
    of("passed") && of("failed")
}

/// The number in front of a word.
fn before(line: &str, word: &str) -> u64 {
    let mut previous = "";
    for token in line
        .split([' ', '(', ')', ',', ';', '|', ':'])
        .filter(|token| !token.is_empty())
    {
        if token == word {
            return previous.parse().unwrap_or(0);
        }
        previous = token;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64) -> Counts {
        Counts { passed, failed }
    }

    #[test]
    fn every_runner_is_read() {
        let cargo = "test a ... ok\ntest result: ok. 7 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(read(cargo), counts(7, 1));
        let nextest = "     Summary [   3.2s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 4 skipped\n";
        assert_eq!(read(nextest), counts(10, 2));
        let vitest = " Test Files  2 passed (2)\n      Tests  1 failed | 20 passed (21)\n";
        assert_eq!(read(vitest), counts(20, 1));
        let script = "  ok the image runs\n4 passed, 1 failed\n";
        assert_eq!(read(script), counts(4, 1));
    }

    #[test]
    fn several_summaries_add_up_and_other_lines_do_not_count() {
        let log = "test result: ok. 1 passed; 0 failed; 0 ignored\nwe saw 9 passed cars\ntest result: ok. 2 passed; 0 failed\n";
        assert_eq!(read(log), counts(3, 0));
        assert_eq!(read(""), counts(0, 0));
    }
}
