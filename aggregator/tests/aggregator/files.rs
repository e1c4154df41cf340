//! Files of containers over REST, carried by an agent's own stream.

use mesoscope_proto::v1::control_answer::Answer as Said;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    ControlOutcome, ControlResult, FileEntry, FileKind, FileListing, TerminalCredit, TerminalOutput,
};
use serde_json::{Value, json};

use super::binary::{Aggregator, eventually};
use super::control::{Control, connected, id};

fn path(rest: &str) -> String {
    format!("/api/containers/{}/{rest}", id('1'))
}

fn file(name: &str, size_bytes: u64) -> FileEntry {
    FileEntry {
        name: name.to_owned(),
        kind: FileKind::File.into(),
        size_bytes,
        mode: 0o644,
        ..FileEntry::default()
    }
}

/// The next request that is no credit.
async fn asked(control: &mut Control) -> (u64, Message) {
    loop {
        let asked = control.asked().await.expect("asked");
        if !matches!(asked.1, Message::Credit(_)) {
            return asked;
        }
    }
}

async fn audit(aggregator: &Aggregator, action: &str) -> Vec<Value> {
    let answer = aggregator.json("/api/v1/audit").await;
    let entries = answer["entries"].as_array().expect("a list").iter().rev();
    entries
        .filter(|entry| entry["action"] == action)
        .cloned()
        .collect()
}

#[tokio::test]
async fn a_folder_is_listed_and_hostile_names_stay_names() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    let name = "<img src=x onerror=alert(1)>\n\"; rm -rf /";
    let listed = async {
        let (number, message) = asked(&mut control).await;
        let Message::FileList(list) = message else {
            panic!("{message:?}");
        };
        assert_eq!((&*list.path, &*list.after, list.limit), ("/a b", "x", 7));
        let listing = FileListing {
            entries: vec![file(name, 3)],
            more: true,
            incomplete: String::new(),
        };
        let outcome = ControlOutcome {
            result: ControlResult::Done.into(),
            listing: Some(listing),
            ..ControlOutcome::default()
        };
        control.say(number, Said::Outcome(outcome)).await;
    };
    let path = path("files?path=%2Fa%20b&after=x&limit=7");
    let (answer, ()) = tokio::join!(aggregator.get(&path), listed);
    assert_eq!(answer.status, 200, "{answer:?}");
    let listing = answer.json();
    assert_eq!(listing["entries"][0]["name"], name);
    assert_eq!(listing["more"], true);
    let entries = audit(&aggregator, "container.files.list").await;
    assert_eq!(entries[0]["outcome"], "started");
    assert_eq!(entries[0]["parameters"]["path"], "/a b");
    assert_eq!(entries[1]["outcome"], "done");
}

#[tokio::test]
async fn a_file_comes_whole_or_breaks_off_and_no_faster_than_it_is_read() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    let read = async {
        let (number, message) = asked(&mut control).await;
        let Message::FileRead(read) = message else {
            panic!("{message:?}");
        };
        assert_eq!((&*read.path, read.head_bytes), ("/etc/a\"b", 0));
        let window = usize::try_from(read.window_bytes).expect("small");
        let size = u64::try_from(window * 4).expect("small");
        control.say(number, Said::File(file("a\"b", size))).await;
        let chunk = vec![b'x'; window / 4];
        let mut credit = window;
        for _ in 0..16 {
            while credit < chunk.len() {
                match control.asked().await.expect("credit") {
                    (of, Message::Credit(more)) if of == number => {
                        credit += usize::try_from(more.bytes).expect("small");
                    }
                    other => panic!("{other:?}"),
                }
            }
            credit -= chunk.len();
            let output = TerminalOutput {
                data: chunk.clone(),
            };
            control.say(number, Said::Terminal(output)).await;
        }
        control.end(number, ControlResult::Done, "").await;
        window * 4
    };
    let whole = path("file?path=%2Fetc%2Fa%22b");
    let (answer, bytes) = tokio::join!(aggregator.get(&whole), read);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), bytes);
    let size = bytes.to_string();
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment; filename*=UTF-8''a%22b"),
        ("content-length", &size),
        ("x-file-size", &size),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let entries = audit(&aggregator, "container.files.read").await;
    assert_eq!(entries[0]["parameters"]["path"], "/etc/a\"b");

    // What can't be opened is said before anything is answered.
    for (result, status) in [
        (ControlResult::NoFile, 404),
        (ControlResult::Conflict, 409),
        (ControlResult::TooLarge, 413),
        (ControlResult::Busy, 503),
        (ControlResult::Failed, 502),
    ] {
        let refused = async {
            let (number, _) = asked(&mut control).await;
            control.end(number, result, "in the agent's words").await;
        };
        let (answer, ()) = tokio::join!(aggregator.get(&whole), refused);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains("in the agent's words"), "{answer:?}");
    }
    for bad in [
        "file",
        "file?path=etc",
        "file?path=/&head=x",
        "file?path=/&x=1",
        "files?path=",
    ] {
        let answer = aggregator.get(&path(bad)).await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
    }
}

#[tokio::test]
async fn a_file_is_written_as_fast_as_the_agent_takes_it() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    let body = "0123456789".repeat(30_000);
    let take = async {
        let (number, message) = asked(&mut control).await;
        let Message::FileWrite(write) = message else {
            panic!("{message:?}");
        };
        assert_eq!(
            (&*write.path, write.size_bytes, write.replace),
            ("/tmp/x", 300_000, true)
        );
        control.say(number, Said::File(FileEntry::default())).await;
        let mut taken = String::new();
        let mut credit = 0;
        while taken.len() < 300_000 {
            if credit == 0 {
                credit = 7_000;
                let more = TerminalCredit { bytes: 7_000 };
                control.say(number, Said::Typing(more)).await;
            }
            let (of, message) = asked(&mut control).await;
            let Message::Input(input) = message else {
                panic!("{message:?}");
            };
            assert_eq!(of, number);
            assert!(input.data.len() <= credit, "more than was allowed");
            credit -= input.data.len();
            taken.push_str(std::str::from_utf8(&input.data).expect("UTF-8"));
        }
        assert_eq!(
            aggregator
                .metric("mesoscope_bound_used{bound=\"control_files\"}")
                .await,
            1.0
        );
        control.end(number, ControlResult::Done, "").await;
        taken
    };
    let target = path("file?path=/tmp/x&replace=true");
    let put = aggregator.request("PUT", &target, &[], &body);
    let (answer, taken) = tokio::join!(put, take);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(taken == body);
    let entries = audit(&aggregator, "container.files.write").await;
    assert_eq!(
        entries[0]["parameters"],
        json!({ "agent": "a", "path": "/tmp/x", "bytes": 300_000, "replace": true })
    );
    assert_eq!(entries[1]["outcome"], "done");

    // Before all of it was taken, too.
    let full = async {
        let (number, _) = asked(&mut control).await;
        control.say(number, Said::File(FileEntry::default())).await;
        let said = "/tmp/x: there is no room left for it";
        control.end(number, ControlResult::Conflict, said).await;
    };
    let put = aggregator.request("PUT", &target, &[], &body);
    let (answer, ()) = tokio::join!(put, full);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.body.contains("no room left"), "{answer:?}");
    let entries = audit(&aggregator, "container.files.write").await;
    assert!(
        entries[3]["outcome"].to_string().contains("no room left"),
        "{entries:?}"
    );
    eventually("nothing is under way", async || {
        let used = aggregator
            .metric("mesoscope_bound_used{bound=\"control_files\"}")
            .await;
        (used == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_can_not_be_recorded_or_is_not_allowed_is_not_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("audit"), "no folder").expect("written");
    let data_dir = folder.path().to_str().expect("UTF-8");
    let aggregator = Aggregator::start(&["--data-dir", data_dir]);
    let (_agent, mut control) = connected(&aggregator).await;
    for (method, rest) in [
        ("GET", "files?path=/"),
        ("GET", "file?path=/x"),
        ("PUT", "file?path=/x"),
    ] {
        let answer = aggregator.request(method, &path(rest), &[], "x").await;
        assert_eq!(answer.status, 507, "{method} {rest}: {answer:?}");
        // A page of another site can't write in somebody's name.
        let foreign = [("origin", "http://evil.example")];
        let answer = aggregator.request(method, &path(rest), &foreign, "x").await;
        assert!([403, 507].contains(&answer.status), "{answer:?}");
        assert!(method == "GET" || answer.status == 403, "{answer:?}");
    }
    let patience = std::time::Duration::from_millis(300);
    let none = tokio::time::timeout(patience, control.requests.message()).await;
    assert!(none.is_err(), "the agent was asked");
}
