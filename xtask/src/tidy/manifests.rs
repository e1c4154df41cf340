//! Checks of the Cargo manifests.

use super::File;

/// Every external dependency of the workspace says why it is here; no member names its own version.
pub fn reasons(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.path.ends_with("Cargo.toml"))
    {
        let mut section = String::new();
        for (number, line) in file.text.lines().enumerate() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                continue;
            }
            let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#'))
            else {
                continue;
            };
            let place = format!("{}:{}: {}", file.path, number + 1, name.trim());
            if section == "workspace.dependencies" {
                if !value.contains("path =") && !value.contains(" # ") {
                    complaints.push(format!("{place}: say behind it why it is here"));
                }
            } else if section.ends_with("dependencies")
                && is_member(&file.path)
                && !name.contains(".workspace")
                && !value.contains("workspace = true")
                && !value.contains("path =")
            {
                complaints.push(format!("{place}: take it from the workspace"));
            }
        }
    }
    complaints
}

/// Every crate takes the lints and the licence from the workspace.
pub fn crates(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        if !file.path.ends_with("Cargo.toml") || !is_member(&file.path) {
            continue;
        }
        if !file.text.contains("[lints]\nworkspace = true") {
            complaints.push(format!(
                "{}: add `[lints]` with `workspace = true`",
                file.path
            ));
        }
        if !file.text.contains("license.workspace = true") {
            complaints.push(format!("{}: add `license.workspace = true`", file.path));
        }
    }
    if !files
        .iter()
        .any(|file| file.path == "LICENSE" && file.text.contains("Apache License"))
    {
        complaints.push("LICENSE: the Apache licence is not there".to_owned());
    }
    complaints
}

/// The kernel programs and the fuzz targets are workspaces of their own.
fn is_member(path: &str) -> bool {
    path != "Cargo.toml" && path != "agent-ebpf/Cargo.toml" && !path.contains("fuzz/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let root = file(
            "Cargo.toml",
            "[workspace.dependencies]\nours = { path = \"x\" }\n# a comment = 1\ngood = \"1\" # needed\nbad = \"1\"\n[profile.dev]\ndebug = 1\n",
        );
        let complaints = reasons(&[root]);
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].starts_with("Cargo.toml:5: bad"));
    }

    #[test]
    fn a_member_takes_its_dependencies_and_lints_from_the_workspace() {
        let good = "[package]\nlicense.workspace = true\n[lints]\nworkspace = true\n[dependencies]\na = { workspace = true }\nb.workspace = true\n";
        let bad = "[package]\n[dev-dependencies]\na = \"1\"\n";
        let licence = file("LICENSE", "Apache License");
        let files = [
            file("x/Cargo.toml", good),
            file("y/Cargo.toml", bad),
            licence,
        ];
        assert_eq!(reasons(&files).len(), 1);
        assert_eq!(crates(&files).len(), 2);
        assert_eq!(
            crates(&[file("x/Cargo.toml", good)]).len(),
            1,
            "the licence is missing"
        );
    }
}
