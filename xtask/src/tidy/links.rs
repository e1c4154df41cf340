//! Relative links of the Markdown files: the file and the heading must be there.

use std::path::{Component, Path, PathBuf};

use super::File;

/// Links that lead nowhere.
pub fn check(files: &[File], root: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, link) in links(&file.text) {
            if let Some(problem) = problem(file, link, files, root) {
                complaints.push(format!("{}:{line}: {link}: {problem}", file.path));
            }
        }
    }
    complaints
}

fn problem(from: &File, link: &str, files: &[File], root: &Path) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        from.path.clone()
    } else {
        let folder = Path::new(&from.path).parent().unwrap_or(Path::new(""));
        normal(&folder.join(path))?
    };
    if !root.join(&target).exists() {
        return Some("there is no such file".to_owned());
    }
    let text = files.iter().find(|file| file.path == target);
    if heading.is_empty() || !target.ends_with(".md") {
        return None;
    }
    let found = text.is_some_and(|file| headings(&file.text).any(|slug| slug == heading));
    (!found).then(|| format!("{target} has no such heading"))
}

/// `a/../b` as `b`; `None` when it leaves the tree.
fn normal(path: &Path) -> Option<String> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => normal.pop().then_some(())?,
            Component::Normal(name) => normal.push(name),
            _ => {}
        }
    }
    Some(normal.to_string_lossy().into_owned())
}

/// Lines of Markdown that are not code, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            code = !code;
            return None;
        }
        (!code).then_some((number + 1, line))
    })
}

/// Targets of `[text](target)`, and the lines that they stand on.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut rest = line;
        while let Some(start) = rest.find("](") {
            rest = &rest[start + 2..];
            let Some(end) = rest.find(')') else { break };
            found.push((number, rest[..end].split(' ').next().unwrap_or("")));
            rest = &rest[end..];
        }
    }
    found
}

/// The anchors that headings get.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter_map(|(_, line)| {
        let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
        Some(
            title
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    '-' | '_' => Some(c),
                    _ if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
                    _ => None,
                })
                .collect(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_links_are_found_and_good_ones_are_not() {
        let folder = tempfile::tempdir().expect("scratch folder");
        std::fs::create_dir_all(folder.path().join("docs")).expect("writable");
        std::fs::write(folder.path().join("README.md"), "").expect("writable");
        std::fs::write(folder.path().join("docs/a.md"), "").expect("writable");
        let files = [
            File {
                path: "README.md".into(),
                text: "# Top `it` works!\n".into(),
            },
            File {
                path: "docs/a.md".into(),
                text: "[up](../README.md) [web](https://x.y/z) [here](#title)\n\n# Title\n\
                       ```\n[code](no.md)\n```\n\
                       ![gone](no.png) [h](../README.md#top-it-works) [no](../README.md#nothing)\n"
                    .into(),
            },
        ];
        let complaints = check(&files, folder.path());
        assert_eq!(
            complaints,
            [
                "docs/a.md:7: no.png: there is no such file",
                "docs/a.md:7: ../README.md#nothing: README.md has no such heading",
            ]
        );
    }
}
