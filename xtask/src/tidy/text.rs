//! Checks of a file's text, whatever it is written in.

use super::{Exceptions, File, extension};

/// Longer files do more than one thing.
const LINES_MAX: usize = 500;

/// Files that someone wrote, by extension.
const WRITTEN: &[&str] = &[
    "rs",
    "ts",
    "tsx",
    "css",
    "html",
    "sh",
    "py",
    "toml",
    "yaml",
    "yml",
    "proto",
    "Dockerfile",
];

/// Files over the limit.
pub fn long_files(files: &[File], exceptions: &Exceptions) -> Vec<String> {
    files
        .iter()
        .filter(|file| WRITTEN.contains(&extension(&file.path)))
        .filter(|file| !exceptions.long_files.contains_key(&file.path))
        .filter_map(|file| {
            let lines = file.text.lines().count();
            (lines > LINES_MAX).then(|| {
                format!(
                    "{}: {lines} lines; split it by what it does, or give a reason in xtask/tidy.toml",
                    file.path
                )
            })
        })
        .collect()
}

/// Notes to oneself.
pub fn left_for_later(files: &[File]) -> Vec<String> {
    // Put together, so that this file does not find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("dbg", "!("),
        concat!("unimpl", "emented!("),
        concat!("console", ".log("),
    ];
    find(
        files,
        |file| WRITTEN.contains(&extension(&file.path)),
        &words,
    )
}

/// Paths that exist on a developer's machine only.
pub fn machine_paths(files: &[File], exceptions: &Exceptions) -> Vec<String> {
    let paths = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    find(
        files,
        |file| !exceptions.machine_paths.contains_key(&file.path),
        &paths,
    )
}

/// Exceptions for what is not there, or not so any more.
pub fn stale_exceptions(files: &[File], exceptions: &Exceptions) -> Vec<String> {
    let without = Exceptions::default();
    let needed = |path: &str, complaints: Vec<String>| {
        complaints
            .iter()
            .any(|complaint| complaint.starts_with(&format!("{path}:")))
    };
    let long = exceptions
        .long_files
        .keys()
        .filter(|path| !needed(path, long_files(files, &without)));
    let machine = exceptions
        .machine_paths
        .keys()
        .filter(|path| !needed(path, machine_paths(files, &without)));
    long.chain(machine)
        .map(|path| format!("xtask/tidy.toml: {path} needs no exception"))
        .collect()
}

fn find(files: &[File], wanted: impl Fn(&File) -> bool, needles: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| wanted(file)) {
        for (number, line) in file.text.lines().enumerate() {
            for needle in needles.iter().filter(|needle| line.contains(**needle)) {
                complaints.push(format!("{}:{}: {needle}", file.path, number + 1));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: String) -> File {
        File {
            path: path.into(),
            text,
        }
    }

    #[test]
    fn long_files_need_a_reason() {
        let files = [
            file("a.rs", "x\n".repeat(LINES_MAX)),
            file("b.rs", "x\n".repeat(LINES_MAX + 1)),
            file("c.lock", "x\n".repeat(LINES_MAX + 1)),
        ];
        let mut exceptions = Exceptions::default();
        let complaints = long_files(&files, &exceptions);
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].starts_with("b.rs: 501 lines"));
        exceptions
            .long_files
            .insert("b.rs".into(), "a table".into());
        assert!(long_files(&files, &exceptions).is_empty());
        assert!(stale_exceptions(&files, &exceptions).is_empty());
        exceptions
            .long_files
            .insert("a.rs".into(), "no more".into());
        assert_eq!(stale_exceptions(&files, &exceptions).len(), 1);
    }

    #[test]
    fn notes_to_oneself_are_found_with_their_line() {
        let note = format!("fn a() {{}}\n// {}: later\n", concat!("TO", "DO"));
        let complaints = left_for_later(&[file("src/a.rs", note.clone()), file("a.png", note)]);
        assert_eq!(complaints, [format!("src/a.rs:2: {}", concat!("TO", "DO"))]);
    }

    #[test]
    fn developers_paths_are_found_unless_excepted() {
        let files = [file("docs/a.md", format!("see {}x", concat!("/ro", "ot/")))];
        let mut exceptions = Exceptions::default();
        assert_eq!(machine_paths(&files, &exceptions).len(), 1);
        exceptions
            .machine_paths
            .insert("docs/a.md".into(), "where systemd puts it".into());
        assert!(machine_paths(&files, &exceptions).is_empty());
    }
}
