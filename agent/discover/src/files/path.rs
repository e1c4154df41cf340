//! Paths as people write them.

use crate::control::ControlError;

/// The kernel's own bound.
const PATH_BYTES_MAX: usize = 4_095;
const NAME_BYTES_MAX: usize = 255;

fn wrong(reason: &str) -> ControlError {
    ControlError::Conflict(reason.to_owned())
}

/// A path from the root on.
pub(super) fn absolute(path: &str) -> Result<String, ControlError> {
    if !path.starts_with('/') {
        return Err(wrong("a path begins with /"));
    }
    if path.len() > PATH_BYTES_MAX || path.contains('\0') {
        return Err(wrong("a path has at most 4095 bytes, none of them zero"));
    }
    Ok(path.to_owned())
}

/// The folder of a file, and the file's own name.
pub(super) fn folder_and_name(path: &str) -> Result<(String, String), ControlError> {
    let path = absolute(path)?;
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    if matches!(name, "" | "." | "..") {
        return Err(wrong("the path names no file"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(wrong("a name has at most 255 bytes"));
    }
    let folder = if folder.is_empty() { "/" } else { folder };
    Ok((folder.to_owned(), name.to_owned()))
}

/// The last part of a path; that of the root is `root`.
pub(super) fn base_name(path: &str) -> String {
    let mut parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    match parts.next_back() {
        None | Some("..") => "root".to_owned(),
        Some(name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_has_a_folder_and_a_name() {
        let parts = |path| folder_and_name(path).ok();
        let some = |folder: &str, name: &str| Some((folder.to_owned(), name.to_owned()));
        assert_eq!(parts("/etc/hosts"), some("/etc", "hosts"));
        assert_eq!(parts("/hosts"), some("/", "hosts"));
        assert_eq!(parts("/a/../b\n<i>"), some("/a/..", "b\n<i>"));
        for bad in ["", "etc", "/", "/etc/", "/etc/..", "/.", "/a\0b"] {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
        assert_eq!(parts(&format!("/{}", "x".repeat(256))), None);
        assert_eq!(base_name("/var/log/"), "log");
        assert_eq!(base_name("/"), "root");
        assert_eq!(base_name("/var/.."), "root");
    }

    proptest! {
        #[test]
        fn a_name_leads_to_no_other_folder(path in "[/.a\\x00]{0,20}") {
            if let Ok((folder, name)) = folder_and_name(&path) {
                prop_assert!(folder.starts_with('/'));
                prop_assert!(!name.contains(['/', '\0']) && name != ".." && name != "." && !name.is_empty());
            }
            let base = base_name(&path);
            prop_assert!(!base.contains('/') && base != ".." && base != "." && !base.is_empty());
        }
    }
}
