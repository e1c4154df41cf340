//! Byte offsets inside the records of classic tracepoints, from their format files.

use std::{fs, path::Path};

use mesoscope_events::settings::{ABSENT, Formats};

/// The offsets that the programs take, in their order; absent where tracefs or the field is missing.
#[must_use]
pub fn read(tracefs: &Path) -> Vec<u32> {
    Formats::SOURCES
        .iter()
        .map(|(event, field)| {
            fs::read_to_string(tracefs.join("events").join(event).join("format"))
                .ok()
                .and_then(|text| offset(&text, field))
                .unwrap_or(ABSENT)
        })
        .collect()
}

/// Offset of a field, out of lines like `field:char comm[16]; offset:12; size:16; signed:0;`.
fn offset(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut parts = line.trim().strip_prefix("field:")?.split(';');
        let declared = parts.next()?.rsplit_once(' ')?.1;
        let declared = declared.split('[').next()?;
        if declared.trim_start_matches('*') != name {
            return None;
        }
        parts
            .find_map(|part| part.trim().strip_prefix("offset:"))?
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_name() {
        let text = "name: x\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:char comm[16];\toffset:12;\tsize:16;\tsigned:0;\n\tfield:__data_loc char[] path;\toffset:28;\tsize:4;\tsigned:0;\n";
        assert_eq!(offset(text, "pid"), Some(8));
        assert_eq!(offset(text, "comm"), Some(12));
        assert_eq!(offset(text, "path"), Some(28));
        assert_eq!(offset(text, "none"), None);
        assert_eq!(offset("field:;offset:", ""), None);
    }

    #[test]
    fn without_tracefs_all_are_absent() {
        let offsets = read(Path::new("/nonexistent"));
        assert_eq!(offsets.len() * 4, Formats::SIZE);
        assert!(offsets.iter().all(|offset| *offset == ABSENT));
    }
}
