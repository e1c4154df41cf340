use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn what_the_engine_says_of_a_path_is_understood() {
    let told = json!({"name": "hosts", "size": 12, "mode": 0o644, "mtime": "2024-01-02T03:04:05Z", "linkTarget": ""});
    let (file, _) = entry(&told);
    assert_eq!(
        (file.kind(), file.size_bytes, file.mode),
        (FileKind::File, 12, 0o644)
    );
    assert_eq!(file.modified_unix_s, 1_704_164_645);
    for (bits, kind) in [
        (1_u64 << 31, FileKind::Folder),
        (1 << 27, FileKind::Link),
        (1 << 26 | 1 << 21, FileKind::Special),
        (1 << 25, FileKind::Special),
        (1 << 24, FileKind::Special),
        (1 << 23, FileKind::File),
    ] {
        let (found, leads) = entry(&json!({"mode": bits | 0o777, "linkTarget": "/x"}));
        assert_eq!((found.kind(), leads.as_str()), (kind, "/x"), "{bits:b}");
    }
}

#[test]
fn a_path_stays_one_parameter() {
    assert_eq!(
        encoded("/a b&path=/x%\n<ü"),
        "/a%20b%26path%3D/x%25%0A%3C%C3%BC"
    );
}

#[test]
fn the_archive_of_an_upload_is_one_that_others_read() {
    for name in ["short", &"long".repeat(60)] {
        let mut all = head(name, 600, 0o640).expect("a head").to_vec();
        all.extend([b'x'; 600]);
        all.extend([0; 424 + 2 * BLOCK]);
        let mut archive = tar::Archive::new(&all[..]);
        let mut entries = archive.entries().expect("entries");
        let entry = entries.next().expect("one").expect("whole");
        assert_eq!(entry.path().expect("a path"), Path::new(name));
        assert_eq!(
            (entry.size(), entry.header().mode().expect("a mode")),
            (600, 0o640)
        );
        assert!(entries.next().is_none());
    }
}

proptest! {
    #[test]
    fn any_archive_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let (sender, pieces) = mpsc::channel(4);
        sender.try_send(Ok(bytes.into())).expect("room");
        drop(sender);
        let _ = list_now(pieces, "", 10);
    }

    #[test]
    fn any_words_of_the_engine_are_survived(mode in any::<u64>(), text in ".{0,40}") {
        let _ = entry(&json!({"mode": mode, "mtime": text, "size": text, "linkTarget": text}));
    }
}
