//! Files of containers of the real Docker engine, and containers that are made to be a trap.

mod common;

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::{TestContainer, docker};
use hyper::body::Bytes;
use mesoscope_discover::control::ControlError;
use mesoscope_discover::docker::DockerControl;
use mesoscope_discover::files::{FileStream, Files};
use mesoscope_proto::v1::{FileEntry, FileKind, FileListing};
use tokio::sync::Semaphore;

const SOCKET: &str = "/var/run/docker.sock";

async fn files(id: &str) -> Files {
    let control = DockerControl::new(PathBuf::from(SOCKET));
    let slot = Arc::new(Semaphore::new(1)).acquire_owned().await;
    let slot = Arc::new(slot.expect("one"));
    control.files(id, slot).await.expect("files")
}

/// A container in which a script has run, and that waits then.
async fn made(options: &[&str], script: &str) -> TestContainer {
    let script = format!("set -e\n{script}\necho made; exec sleep 600");
    let container = TestContainer::run(options, &["/bin/sh", "-c", &script]);
    for _ in 0..1_800 {
        if docker(&["logs", &container.id]).contains("made") {
            return container;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{}", docker(&["logs", &container.id]));
}

async fn bytes(mut stream: FileStream) -> Result<Vec<u8>, ControlError> {
    let mut all = Vec::new();
    while let Some(more) = stream.next().await? {
        all.extend_from_slice(&more);
    }
    Ok(all)
}

async fn read(files: &Files, path: &str) -> Result<Vec<u8>, ControlError> {
    let reading = async { bytes(files.read(path, 0).await?.1).await };
    let read = tokio::time::timeout(Duration::from_secs(60), reading).await;
    read.unwrap_or_else(|_| panic!("{path}: it hangs"))
}

async fn write(files: &Files, path: &str, data: &[u8], replace: bool) -> Result<(), ControlError> {
    let size = u64::try_from(data.len()).expect("small");
    let sink = files.write(path, size, replace).await?;
    for piece in data.chunks(4_000) {
        sink.write(Bytes::copy_from_slice(piece)).await;
    }
    sink.finish().await
}

fn names(listing: &FileListing) -> Vec<&str> {
    let entries = listing.entries.iter();
    entries.map(|entry| entry.name.as_str()).collect()
}

fn named<'a>(listing: &'a FileListing, name: &str) -> &'a FileEntry {
    let mut entries = listing.entries.iter();
    let found = entries.find(|entry| entry.name == name);
    found.unwrap_or_else(|| panic!("{name} is not in {listing:?}"))
}

const TREE: &str = "
    b() { /bin/busybox \"$@\"; }
    b mkdir -p /data/deep/er /secret
    b printf 'hello\\n' > /data/plain; b chmod 640 /data/plain; b chown 12:34 /data/plain
    b printf 'deep' > /data/deep/er/file
    b ln -s plain /data/link
    b ln -s /etc/shadow /data/shadow
    b ln -s ../../../../../../etc/shadow /data/up
    b ln -s /proc/1/root/etc /data/magic
    b ln -s loop /data/loop
    b mkfifo /data/pipe
    b mkdir -p /etc; b printf 'of the container' > /etc/shadow
    b printf 'x' > \"/data/<img src=x>
second line\"
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_browsed_and_read_and_nothing_leads_out_of_the_container() {
    let container = made(&[], TREE).await;
    let host_shadow = std::fs::read("/etc/shadow").expect("root reads it");
    for runs in [true, false] {
        if !runs {
            docker(&["kill", &container.id]);
        }
        let files = files(&container.id).await;
        assert_eq!(files.is_live(), runs);
        let listing = files.list("/data", "", 100).await.expect("listed");
        assert_eq!(
            names(&listing),
            [
                "<img src=x>\nsecond line",
                "deep",
                "link",
                "loop",
                "magic",
                "pipe",
                "plain",
                "shadow",
                "up"
            ],
            "runs: {runs}"
        );
        assert!(!listing.more && listing.incomplete.is_empty());
        let plain = named(&listing, "plain");
        assert_eq!(
            (
                plain.kind(),
                plain.size_bytes,
                plain.mode,
                plain.user_id,
                plain.group_id
            ),
            (FileKind::File, 6, 0o640, 12, 34)
        );
        assert!(plain.modified_unix_s > 1_600_000_000);
        assert_eq!(named(&listing, "deep").kind(), FileKind::Folder);
        assert_eq!(named(&listing, "pipe").kind(), FileKind::Special);
        let link = named(&listing, "shadow");
        assert_eq!(
            (link.kind(), link.target.as_str()),
            (FileKind::Link, "/etc/shadow")
        );

        assert_eq!(read(&files, "/data/plain").await.expect("read"), b"hello\n");
        assert_eq!(
            read(&files, "/data/link").await.expect("followed"),
            b"hello\n"
        );
        assert_eq!(
            read(&files, "/data/<img src=x>\nsecond line")
                .await
                .expect("read"),
            b"x"
        );
        // The container's own, however it is asked for.
        for path in [
            "/data/shadow",
            "/data/up",
            "/../../../etc/shadow",
            "/data/../../etc/shadow",
        ] {
            let read = read(&files, path).await.expect("read");
            assert_eq!(read, b"of the container", "{path}, runs: {runs}");
            assert_ne!(read, host_shadow);
        }
        assert!(files.list("/data/magic", "", 10).await.is_err());
        let magic = read(&files, "/data/magic/shadow").await;
        assert!(magic.is_err(), "{magic:?}");
        let loops = read(&files, "/data/loop").await;
        assert!(loops.is_err(), "{loops:?}");
        let pipe = read(&files, "/data/pipe").await.expect_err("never opened");
        assert!(pipe.to_string().contains("not opened"), "{pipe}");
        let missing = read(&files, "/data/nothing").await;
        assert!(
            matches!(missing, Err(ControlError::NoFile(_))),
            "{missing:?}"
        );
        let no_folder = files.list("/data/plain", "", 10).await;
        assert!(
            matches!(no_folder, Err(ControlError::Conflict(_))),
            "{no_folder:?}"
        );
        for bad in ["data", "", "/a\0b"] {
            assert!(files.read(bad, 0).await.is_err(), "{bad:?}");
        }
        let (_, head) = files.read("/data/plain", 3).await.expect("read");
        assert_eq!(bytes(head).await.expect("read"), b"hel");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_comes_as_a_tar_of_what_lies_in_it_and_no_more() {
    let container = made(&["--volume", "/data/volume"], TREE).await;
    for runs in [true, false] {
        if !runs {
            docker(&["kill", &container.id]);
        }
        let tar = read(&files(&container.id).await, "/data")
            .await
            .expect("packed");
        let mut archive = tar::Archive::new(&tar[..]);
        let mut found = std::collections::BTreeMap::new();
        for entry in archive.entries().expect("a tar") {
            let mut entry = entry.expect("whole");
            let path = entry.path_bytes();
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(&path)).to_path_buf();
            let path = path
                .to_str()
                .expect("UTF-8")
                .trim_end_matches('/')
                .to_owned();
            let kind = entry.header().entry_type();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("read");
            found.insert(path, (kind, content));
        }
        let file = |path: &str| {
            found
                .get(path)
                .unwrap_or_else(|| panic!("{path}: {found:?}"))
        };
        assert_eq!(file("data/plain").1, b"hello\n");
        assert_eq!(file("data/deep/er/file").1, b"deep");
        assert!(file("data/shadow").0.is_symlink() && file("data/up").0.is_symlink());
        assert!(
            found.keys().all(|path| path.starts_with("data")),
            "{found:?}"
        );
        let text = String::from_utf8_lossy(&tar);
        assert!(!text.contains("of the container"), "no link is followed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_root_of_a_container_is_packed_without_the_kernels_own() {
    let container = made(&[], "").await;
    let tar = read(&files(&container.id).await, "/")
        .await
        .expect("packed");
    let mut archive = tar::Archive::new(&tar[..]);
    let paths: Vec<String> = archive
        .entries()
        .expect("a tar")
        .map(|entry| {
            entry
                .expect("whole")
                .path()
                .expect("a path")
                .display()
                .to_string()
        })
        .collect();
    assert!(
        paths.iter().any(|path| path == "root/bin/busybox"),
        "{paths:?}"
    );
    assert!(
        !paths.iter().any(|path| path.starts_with("root/proc/1")),
        "{paths:?}"
    );
    assert!(
        !paths.iter().any(|path| path.starts_with("root/sys/kernel")),
        "{paths:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_file_is_never_opened_and_the_kernels_switches_stay_as_they_are() {
    let container = made(&[], "/bin/busybox mknod /disk b 7 0").await;
    let files = files(&container.id).await;
    for path in ["/disk", "/dev/null", "/dev/zero", "/dev/ptmx"] {
        let read = read(&files, path).await;
        assert!(
            matches!(read, Err(ControlError::Conflict(_))),
            "{path}: {read:?}"
        );
    }
    for path in [
        "/proc/kmsg",
        "/proc/meminfo",
        "/proc/1/environ",
        "/sys/kernel/uevent_seqnum",
    ] {
        let read = read(&files, path).await.expect_err("a switch");
        // Some are covered by a device.
        let said = read.to_string();
        assert!(
            said.contains("switch") || said.contains("not opened"),
            "{path}: {said}"
        );
    }
    for path in [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/sys/kernel/new",
    ] {
        let written = write(&files, path, b"x", true).await.expect_err("a switch");
        assert!(written.to_string().contains("switch"), "{path}: {written}");
    }
    // What is there may be looked at.
    let listing = files.list("/proc", "", 1_000).await.expect("listed");
    assert!(names(&listing).contains(&"1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_and_folders_are_bounded() {
    let script = "
        b() { /bin/busybox \"$@\"; }
        b truncate -s 2G /huge
        b mkdir /many; cd /many; b seq -w 1 100000 | b xargs /bin/busybox touch
    ";
    let container = made(&[], script).await;
    let files = files(&container.id).await;
    let huge = files.read("/huge", 0).await;
    assert!(matches!(huge, Err(ControlError::TooLarge(_))), "{huge:?}");
    let (entry, head) = files.read("/huge", 100_000).await.expect("its beginning");
    assert_eq!(entry.size_bytes, 2 << 30);
    assert_eq!(bytes(head).await.expect("read").len(), 100_000);

    let first = files.list("/many", "", 5_000).await.expect("listed");
    assert_eq!(first.entries.len(), 1_000, "a page at most");
    assert!(first.more && first.incomplete.is_empty());
    assert_eq!(first.entries[0].name, "000001");
    let next = files.list("/many", "001000", 2).await.expect("listed");
    assert_eq!(names(&next), ["001001", "001002"]);
    let last = files.list("/many", "099998", 10).await.expect("listed");
    assert_eq!(names(&last), ["099999", "100000"]);
    assert!(!last.more);
    let packed = read(&files, "/many").await;
    assert!(
        matches!(packed, Err(ControlError::TooLarge(_))),
        "more entries than are packed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_written_whole_or_not_at_all() {
    let container = made(&["--volume", "/volume"], TREE).await;
    let host_shadow = std::fs::metadata("/etc/shadow")
        .expect("there")
        .modified()
        .expect("known");
    let data: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    for runs in [true, false] {
        if !runs {
            docker(&["kill", &container.id]);
        }
        let files = files(&container.id).await;
        let new = format!("/data/new {runs}");
        assert_eq!(
            write(&files, &new, &data, false).await,
            Ok(()),
            "runs: {runs}"
        );
        assert_eq!(read(&files, &new).await.expect("read"), data);
        let again = write(&files, &new, b"x", false).await;
        assert!(matches!(again, Err(ControlError::Conflict(_))), "{again:?}");
        assert_eq!(write(&files, &new, b"", true).await, Ok(()));
        assert_eq!(read(&files, &new).await.expect("read"), b"");
        // Rights stay as they were.
        assert_eq!(write(&files, "/data/plain", b"other", true).await, Ok(()));
        let listing = files.list("/data", "", 100).await.expect("listed");
        assert_eq!(named(&listing, "plain").mode, 0o640);
        for (path, because) in [
            ("/data/shadow", "is a link"),
            ("/data/up", "is a link"),
            ("/data/deep", "is a folder"),
            ("/data/pipe", "is a device"),
        ] {
            let refused = write(&files, path, b"x", true).await.expect_err("refused");
            assert!(refused.to_string().contains(because), "{path}: {refused}");
        }
        let nowhere = write(&files, "/nowhere/file", b"x", false).await;
        assert!(
            matches!(nowhere, Err(ControlError::NoFile(_))),
            "{nowhere:?}"
        );
        assert_eq!(write(&files, "/volume/file", b"kept", true).await, Ok(()));
    }
    // More than is taken is said before anything is sent.
    let files = files(&container.id).await;
    let large = files.write("/data/large", 1 << 40, false).await;
    assert!(matches!(large, Err(ControlError::TooLarge(_))), "{large:?}");
    let now = std::fs::metadata("/etc/shadow")
        .expect("there")
        .modified()
        .expect("known");
    assert_eq!(now, host_shadow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let container = made(&[], TREE).await;
    let files = files(&container.id).await;
    for finish in [true, false] {
        let sink = files
            .write("/data/half", 100_000, false)
            .await
            .expect("begun");
        assert!(sink.write(Bytes::from(vec![b'x'; 50_000])).await);
        if finish {
            let broken = sink.finish().await.expect_err("half of it");
            assert!(broken.to_string().contains("broke off"), "{broken}");
        } else {
            drop(sink);
        }
        let mut left = Vec::new();
        for _ in 0..100 {
            let listing = files.list("/data", "", 100).await.expect("listed");
            left = names(&listing)
                .into_iter()
                .filter(|name| name.contains("half") || name.contains("mesoscope"))
                .map(str::to_owned)
                .collect();
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(left.is_empty(), "{left:?}");
    }
    let sink = files.write("/data/more", 3, false).await.expect("begun");
    sink.write(Bytes::from_static(b"four")).await;
    assert!(sink.finish().await.is_err(), "more than was told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_change_meanwhile_never_lead_out() {
    let script = "
        b() { /bin/busybox \"$@\"; }
        b mkdir -p /race/a /race/b /etc; b printf 'of the container' > /etc/shadow
        b cp /etc/shadow /race/a/shadow; b cp /etc/shadow /race/b/shadow
        (cd /race; while :; do b ln -s /etc c; b mv -T c d; b ln -s ../../../../../../etc c; b mv -T c d; b mv a e; b mv e a; done) >/dev/null 2>&1 &
    ";
    let container = made(&[], script).await;
    let host_shadow = std::fs::read("/etc/shadow").expect("root reads it");
    let files = files(&container.id).await;
    let mut read_some = 0;
    for turn in 0..2_000 {
        let path = ["/race/d/shadow", "/race/a/../../../etc/shadow"][turn % 2];
        if let Ok(bytes) = read(&files, path).await {
            assert_ne!(bytes, host_shadow);
            assert_eq!(bytes, b"of the container");
            read_some += 1;
        }
    }
    assert!(read_some > 100, "{read_some}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_written_to_says_why() {
    let container = made(&["--read-only", "--tmpfs", "/tmp:size=64k"], "").await;
    let files = files(&container.id).await;
    let read_only = write(&files, "/file", b"x", false)
        .await
        .expect_err("read-only");
    assert!(read_only.to_string().contains("read-only"), "{read_only}");
    let full = write(&files, "/tmp/file", &[0; 1 << 20], false)
        .await
        .expect_err("full");
    assert!(full.to_string().contains("no room"), "{full}");
    let listing = files.list("/tmp", "", 10).await.expect("listed");
    assert!(listing.entries.is_empty(), "{listing:?}");
    assert_eq!(write(&files, "/tmp/file", b"fits", false).await, Ok(()));
    assert_eq!(read(&files, "/tmp/file").await.expect("read"), b"fits");
    let mounted = write(&files, "/etc/hosts", b"x", true)
        .await
        .expect_err("mounted by itself");
    assert!(
        mounted.to_string().contains("read-only") || mounted.to_string().contains("by itself"),
        "{mounted}"
    );
}
