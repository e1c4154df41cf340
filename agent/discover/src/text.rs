//! The kernel's small text files, and the numbers in them.

use std::fs;
use std::path::Path;

/// A small file as trimmed text; empty when it cannot be read.
pub(crate) fn read(path: &Path) -> String {
    fs::read(path)
        .map(|content| {
            let text = String::from_utf8_lossy(&content);
            text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
                .to_owned()
        })
        .unwrap_or_default()
}

/// A decimal number and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
