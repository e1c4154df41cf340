use std::collections::BTreeSet;

use super::*;
use crate::tier2::Setting;

fn entry(containers: &[&str], heard_unix_ms: u64) -> Entry {
    let on: BTreeSet<String> = containers.iter().map(|&id| id.to_owned()).collect();
    Entry {
        tier2: match containers {
            [] => Setting::Node,
            _ => Setting::Containers(on),
        },
        heard_unix_ms,
    }
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("scratch folder")
}

fn error_of<T>(result: Result<T, StoreError>) -> StoreError {
    match result {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[test]
fn what_was_written_is_read_again_and_nobody_else_may_look() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = scratch();
    let folder = scratch.path().join("a/b");
    let (mut file, entries) = SettingsFile::open(&folder).expect("new");
    assert_eq!(entries, Contents::default());
    let (one, two) = (entry(&["x", "y"], 1), entry(&[], 2));
    file.write(
        AGENTS,
        &[("a", Some(&one)), ("b", Some(&two)), ("c", Some(&two))],
    )
    .expect("writable");
    file.write(AGENTS, &[("b", None), ("c", Some(&one))])
        .expect("writable");
    drop(file);
    let (file, entries) = SettingsFile::open(&folder).expect("ours");
    let expected = Contents {
        agents: vec![("a".to_owned(), one.clone()), ("c".to_owned(), one)],
        ..Contents::default()
    };
    assert_eq!(entries, expected);
    let mode = |path: &Path| {
        let metadata = fs::metadata(path).expect("there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode(&folder), mode(file.path())), (0o700, 0o600));
    assert_eq!(
        SettingsFile::read_only(&folder).map_err(|_| ()),
        Err(()),
        "it is in use"
    );
    drop(file);
    assert_eq!(SettingsFile::read_only(&folder).expect("ours"), expected);
    let names: Vec<_> = fs::read_dir(&folder).expect("there").collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_second_aggregator_is_refused() {
    let scratch = scratch();
    let first = SettingsFile::open(scratch.path()).expect("new");
    let error = error_of(SettingsFile::open(scratch.path()));
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("--data-dir"), "{error}");
    drop(first);
    SettingsFile::open(scratch.path()).expect("free again");
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let scratch = scratch();
    let path = scratch.path().join(NAME);
    for content in [&b""[..], b"x", &b"# not a database\n".repeat(1_000)] {
        fs::write(&path, content).expect("writable");
        let error = error_of(SettingsFile::open(scratch.path()));
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert_eq!(fs::read(&path).expect("there"), content);
    }
    fs::remove_file(&path).expect("there");
    let table: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
    let database = Database::create(&path).expect("new");
    let writing = database.begin_write().expect("free");
    writing
        .open_table(table)
        .expect("new")
        .insert("a", 1)
        .expect("writable");
    writing.commit().expect("writable");
    drop(database);
    let error = error_of(SettingsFile::open(scratch.path()));
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
}

/// Changes what the file says of itself.
fn tell(folder: &Path, change: impl FnOnce(&WriteTransaction)) {
    let database = Database::open(folder.join(NAME)).expect("ours");
    let writing = database.begin_write().expect("free");
    change(&writing);
    writing.commit().expect("writable");
}

#[test]
fn another_format_and_unreadable_settings_are_named() {
    let scratch = scratch();
    let opened = || SettingsFile::open(scratch.path());
    drop(opened().expect("new"));
    let format = |text: &str| {
        tell(scratch.path(), |writing| {
            let mut about = writing.open_table(ABOUT).expect("there");
            about.insert(FORMAT_KEY, text).expect("writable");
        });
    };
    format("2");
    let error = error_of(opened()).to_string();
    assert!(
        error.contains("format 2") && error.contains("reads format 1"),
        "{error}"
    );
    format("one");
    assert!(matches!(error_of(opened()), StoreError::Damaged { .. }));
    format("1");
    tell(scratch.path(), |writing| {
        let mut agents = writing.open_table(AGENTS).expect("there");
        let json: &[u8] = b"{\"tier2\":\"sometimes\",\"heard_unix_ms\":1}";
        agents.insert("node-7", json).expect("writable");
    });
    let error = error_of(opened());
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("node-7"), "{error}");
}

#[test]
fn the_folder_is_made_or_the_reason_is_told() {
    let scratch = scratch();
    let file = scratch.path().join("file");
    fs::write(&file, "x").expect("writable");
    let error = error_of(SettingsFile::open(&file.join("below")));
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(error.to_string().contains("file/below"), "{error}");
    let error = error_of(SettingsFile::open(Path::new("/proc/mesoscope")));
    assert!(error.to_string().contains("/proc/mesoscope"), "{error}");
}

#[test]
fn a_file_that_was_cut_short_or_half_made_is_no_settings_file() {
    let scratch = scratch();
    let (mut file, _) = SettingsFile::open(scratch.path()).expect("new");
    file.write(AGENTS, &[("a", Some(&entry(&["x"], 1)))])
        .expect("writable");
    drop(file);
    let path = scratch.path().join(NAME);
    let whole = fs::read(&path).expect("there");
    for length in [1, 100, 512, 4_096, whole.len() / 2] {
        fs::write(&path, &whole[..length]).expect("writable");
        let error = error_of(SettingsFile::open(scratch.path()));
        let told = matches!(
            error,
            StoreError::Damaged { .. } | StoreError::Foreign { .. } | StoreError::Io { .. }
        );
        assert!(told, "{length}: {error}");
    }
    // What a crash while making it leaves is no obstacle.
    fs::remove_file(&path).expect("there");
    fs::write(path.with_extension("new"), &whole[..100]).expect("writable");
    SettingsFile::open(scratch.path()).expect("new");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]
    /// Bytes that flip on the disk: the file is refused, or what is read is what was written.
    #[test]
    fn a_damaged_file_never_gives_other_settings(
        flips in proptest::collection::vec((0_usize..1 << 16, 1_u8..), 1..8),
    ) {
        let scratch = scratch();
        let (mut file, _) = SettingsFile::open(scratch.path()).expect("new");
        let (one, two) = (entry(&["x", "y"], 1), entry(&[], 2));
        file.write(AGENTS, &[("a", Some(&one)), ("b", Some(&two))]).expect("writable");
        drop(file);
        let path = scratch.path().join(NAME);
        let mut bytes = fs::read(&path).expect("there");
        for (at, flip) in flips {
            let at = at % bytes.len();
            bytes[at] ^= flip;
        }
        fs::write(&path, &bytes).expect("writable");
        match SettingsFile::open(scratch.path()) {
            // A damaged last transaction is one that did not happen.
            Ok((_, entries)) => {
                let same = entries.agents == [("a".to_owned(), one), ("b".to_owned(), two)];
                proptest::prop_assert!(same || entries.agents.is_empty(), "{entries:?}");
                proptest::prop_assert!(entries.filters.is_empty());
            }
            Err(_) => proptest::prop_assert!(fs::read(&path).expect("there") == bytes),
        }
    }
}
