use super::*;

const NONE: i32 = SnapshotPart::None as i32;
const FIRST: i32 = SnapshotPart::First as i32;
const MIDDLE: i32 = SnapshotPart::Middle as i32;
const LAST: i32 = SnapshotPart::Last as i32;
const WHOLE: i32 = SnapshotPart::Whole as i32;

fn hello(generation: u64, sequence_first: u64, sequence_next: u64) -> Hello {
    Hello {
        generation,
        sequence_first,
        sequence_next,
        ..Default::default()
    }
}

fn apply(begin: bool, end: bool) -> Verdict {
    Verdict::Apply { begin, end }
}

fn complete() -> Progress {
    let mut progress = Progress::default();
    assert!(!progress.welcome(&hello(7, 0, 0), "v").resume);
    assert_eq!(progress.batch(7, 10, WHOLE), apply(true, true));
    progress
}

#[test]
fn deltas_follow_a_snapshot_and_are_acknowledged() {
    let mut progress = complete();
    assert_eq!(progress.batch(7, 11, NONE), apply(false, false));
    assert_eq!(progress.acknowledged(), Some(11));
}

#[test]
fn nothing_is_acknowledged_before_the_snapshot_has_ended() {
    let mut progress = Progress::default();
    progress.welcome(&hello(7, 0, 0), "v");
    assert_eq!(progress.batch(7, 0, NONE), Verdict::Dropped);
    assert_eq!(progress.batch(7, 1, FIRST), apply(true, false));
    assert_eq!(progress.batch(7, 2, NONE), apply(false, false));
    assert_eq!(progress.batch(7, 3, MIDDLE), apply(false, false));
    assert_eq!(progress.acknowledged(), None);
    assert_eq!(progress.batch(7, 4, LAST), apply(false, true));
    assert_eq!(progress.acknowledged(), Some(4));
}

#[test]
fn a_gap_asks_once_and_drops_until_a_snapshot_begins() {
    let mut progress = complete();
    assert!(matches!(progress.batch(7, 13, NONE), Verdict::Resync(_)));
    assert_eq!(progress.batch(7, 14, NONE), Verdict::Dropped);
    assert_eq!(progress.batch(7, 15, LAST), Verdict::Dropped);
    assert_eq!(progress.batch(7, 16, FIRST), apply(true, false));
    assert_eq!(progress.batch(7, 17, LAST), apply(false, true));
    assert_eq!(progress.batch(7, 18, NONE), apply(false, false));
}

#[test]
fn a_gap_within_a_snapshot_asks_for_another() {
    let mut progress = complete();
    assert_eq!(progress.batch(7, 11, FIRST), apply(true, false));
    assert!(matches!(progress.batch(7, 13, LAST), Verdict::Resync(_)));
    assert_eq!(progress.acknowledged(), None);
}

#[test]
fn a_repeated_batch_is_a_duplicate() {
    let mut progress = complete();
    assert_eq!(progress.batch(7, 10, WHOLE), Verdict::Duplicate);
    assert_eq!(progress.batch(7, 3, NONE), Verdict::Duplicate);
    assert_eq!(progress.acknowledged(), Some(10));
}

#[test]
fn a_stray_part_asks_for_a_snapshot_and_nonsense_is_refused() {
    let mut progress = complete();
    assert!(matches!(progress.batch(7, 11, LAST), Verdict::Resync(_)));
    let before = progress;
    assert!(matches!(progress.batch(8, 12, NONE), Verdict::Refuse(_)));
    assert!(matches!(progress.batch(7, 12, 99), Verdict::Refuse(_)));
    assert!(matches!(
        progress.batch(7, u64::MAX, NONE),
        Verdict::Refuse(_)
    ));
    assert_eq!(progress, before, "what is refused changes nothing");
}

#[test]
fn a_reconnect_resumes_only_where_nothing_is_missing() {
    let at_eleven = complete();
    let resumes = |hello: Hello| at_eleven.clone().welcome(&hello, "v");
    assert_eq!(resumes(hello(7, 5, 20)).sequence_expected, 11);
    for (first, next, expected) in [
        (5, 20, true),
        (11, 11, true),
        (12, 20, false),
        (5, 10, false),
    ] {
        assert_eq!(
            resumes(hello(7, first, next)).resume,
            expected,
            "{first}..{next}"
        );
    }
    assert!(!resumes(hello(8, 5, 20)).resume, "another generation");
    let mut in_snapshot = at_eleven;
    in_snapshot.batch(7, 11, FIRST);
    assert!(!in_snapshot.welcome(&hello(7, 5, 20), "v").resume);
    let mut forgotten = at_eleven;
    forgotten.forget();
    assert!(!forgotten.welcome(&hello(7, 0, 20), "v").resume);
}

proptest::proptest! {
    /// Whatever arrives: what is applied has no gap since the snapshot began, and only what was
    /// applied is acknowledged.
    #[test]
    fn no_gap_is_ever_applied(batches in proptest::collection::vec((0_u64..30, 0_i32..6), 0..60)) {
        let mut progress = Progress::default();
        progress.welcome(&hello(1, 0, 0), "v");
        let mut last: Option<u64> = None;
        let mut whole = false;
        for (sequence, part) in batches {
            let verdict = progress.batch(1, sequence, part);
            match verdict {
                Verdict::Apply { begin, end } => {
                    if !begin {
                        proptest::prop_assert_eq!(last.map(|last| last + 1), Some(sequence));
                    }
                    last = Some(sequence);
                    whole = end || (whole && !begin);
                }
                Verdict::Resync(_) => { last = None; whole = false; }
                Verdict::Dropped => proptest::prop_assert!(!whole),
                Verdict::Duplicate | Verdict::Refuse(_) => {}
            }
            let expected = if whole { last } else { None };
            proptest::prop_assert_eq!(progress.acknowledged(), expected);
        }
    }
}
