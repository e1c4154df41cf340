use super::*;
use crate::audit::Outcome;
use crate::identity::Identity;

fn entry(target: &str) -> Entry {
    Identity::loopback(None).entry("container.stop", target)
}

fn targets(page: &Page) -> Vec<&str> {
    let entries = page.entries.iter();
    entries
        .map(|recorded| recorded.entry.target.as_str())
        .collect()
}

#[test]
fn entries_survive_a_restart_and_are_read_in_pages_newest_first() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    for part in ["a", "b"] {
        let audit = Audit::open(scratch.path(), KEEP_DEFAULT);
        for number in 0..3 {
            audit
                .record(entry(&format!("{part}{number}")))
                .expect("writable");
        }
    }
    let audit = Audit::open(scratch.path(), KEEP_DEFAULT);
    let first = audit.read(None, 4).expect("readable");
    assert_eq!(targets(&first), ["b2", "b1", "b0", "a2"]);
    let rest = audit.read(first.cursor, 4).expect("readable");
    assert_eq!(targets(&rest), ["a1", "a0"]);
    assert_eq!(rest.cursor, None);
    let mut lines = Vec::new();
    audit
        .export(|line| {
            lines.push(line);
            lines.len() < 5
        })
        .expect("readable");
    let ids: Vec<_> = lines
        .iter()
        .map(|line| Recorded::parse(line).expect("an entry").id)
        .collect();
    assert_eq!(ids, [1, 2, 3, 4, 5], "oldest first, until it is enough");
}

#[test]
fn a_line_that_was_cut_off_is_skipped_and_nothing_is_lost_after_it() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let audit = Audit::open(scratch.path(), KEEP_DEFAULT);
    audit.record(entry("before")).expect("writable");
    drop(audit);
    let file = scratch
        .path()
        .join("audit/audit-00000000000000000001.jsonl");
    let mut text = std::fs::read_to_string(&file).expect("readable");
    text.push_str("{\"id\":2,\"unix_ms\":17");
    std::fs::write(&file, &text).expect("writable");
    let audit = Audit::open(scratch.path(), KEEP_DEFAULT);
    audit.record(entry("after")).expect("writable");
    let page = audit.read(None, 10).expect("readable");
    assert_eq!(targets(&page), ["after", "before"]);
    let now = std::fs::read_to_string(&file).expect("readable");
    assert!(now.starts_with(&text), "what was there stays");
}

#[test]
fn what_can_not_be_written_is_refused_until_it_can() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let folder = scratch.path().join("audit");
    let audit = Audit::open(scratch.path(), KEEP_DEFAULT);
    audit.record(entry("one")).expect("writable");
    std::fs::rename(&folder, scratch.path().join("away")).expect("ours");
    std::fs::write(&folder, "in the way").expect("writable");
    let refused = audit.record(entry("two")).expect_err("no folder");
    assert!(refused.to_string().contains("audit"), "{refused}");
    std::fs::remove_file(&folder).expect("ours");
    audit.record(entry("three")).expect("writable again");
    let page = audit.read(None, 10).expect("readable");
    assert_eq!(targets(&page), ["three"]);
}

#[test]
fn full_files_are_left_and_old_ones_go() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let folder = scratch.path().join("audit");
    let mut files = Files::new(folder.clone(), 1_000).with_file_bytes_max(400);
    for number in 0..6 {
        let now_ms = 10_000 + number * 500;
        files.append(entry("x"), now_ms).expect("writable");
    }
    let before = files.paths().expect("readable");
    assert!(before.len() >= 3, "{before:?}");
    files.clean(12_600).expect("removable");
    let after = files.paths().expect("readable");
    assert!(after.len() < before.len(), "{after:?}");
    let kept = Files::newest(&after, u64::MAX, 10).expect("readable");
    assert_eq!(kept.first().map(|recorded| recorded.id), Some(6));
    assert!(kept.iter().all(|recorded| recorded.unix_ms >= 11_000));
    files.clean(u64::MAX).expect("removable");
    assert_eq!(
        files.paths().expect("readable").len(),
        1,
        "the newest stays"
    );
    // A month later a new file begins.
    let month_ms = 31 * 24 * 60 * 60 * 1_000;
    let mut files = Files::new(folder, u64::MAX);
    files.append(entry("y"), month_ms).expect("writable");
    assert_eq!(files.paths().expect("readable").len(), 2);
}

#[test]
fn in_memory_the_last_ones_are_kept() {
    let audit = Audit::in_memory();
    for number in 0..10_003 {
        let entry = entry(&number.to_string()).with_outcome(Outcome::Done);
        audit.record(entry).expect("memory");
    }
    assert!(!audit.is_kept());
    let page = audit.read(None, 20_000).expect("memory");
    assert_eq!(page.entries.len(), 10_000);
    assert_eq!(targets(&page)[0], "10002");
}
