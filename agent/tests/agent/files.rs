//! Files of a real container through the real agent: an aggregator's end asks, the agent lists, sends and
//! takes them, no faster than it is allowed to.

use mesoscope_proto::v1::control_answer::Answer as Said;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    ControlCancel, ControlOutcome, ControlResult, FileKind, FileList, FileRead, FileWrite,
    LogCredit, TerminalInput,
};

use super::engine::{Container, SOCKET};
use super::support::{Agent, Aggregator};

const WINDOW: u32 = 64 << 10;

async fn outcome(aggregator: &Aggregator, request: u64) -> ControlOutcome {
    let find = move |answers: &[(u64, Said)]| {
        answers.iter().find_map(|(number, said)| match said {
            Said::Outcome(outcome) if *number == request => Some(outcome.clone()),
            _ => None,
        })
    };
    aggregator
        .wait("an outcome", move |heard| find(&heard.answers))
        .await
}

/// Bytes of a file so far.
fn bytes(answers: &[(u64, Said)], request: u64) -> Vec<u8> {
    let mut all = Vec::new();
    for (number, said) in answers {
        if let (true, Said::Terminal(output)) = (*number == request, said) {
            all.extend_from_slice(&output.data);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_listed_sent_and_taken_through_the_agent() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let url = format!("http://127.0.0.1:{port}");
    let _agent = Agent::start(&url, &["--rung", "none", "--docker-socket", SOCKET]);
    let script = "dd if=/dev/zero of=/large bs=1000 count=500 2>/dev/null; sleep 600";
    let container = Container::run(&[], &["/bin/sh", "-c", script]);
    aggregator
        .wait("control", |heard| {
            (!heard.controls.is_empty()).then_some(())
        })
        .await;
    let container_id = container.id.clone();
    let list = |path: &str| {
        Message::FileList(FileList {
            container_id: container_id.clone(),
            path: path.to_owned(),
            limit: 100,
            ..FileList::default()
        })
    };
    let mut number = 0;
    // Until all of it is written.
    loop {
        number += 1;
        aggregator.ask(number, list("/")).await;
        let told = outcome(&aggregator, number).await;
        assert_eq!(told.result(), ControlResult::Done, "{told:?}");
        let listing = told.listing.expect("a listing");
        let mut entries = listing.entries.iter();
        if entries.any(|entry| entry.name == "large" && entry.size_bytes == 500_000) {
            break;
        }
        assert!(number < 200, "{listing:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    aggregator.ask(1_000, list("/nowhere")).await;
    let missing = outcome(&aggregator, 1_000).await;
    assert_eq!(missing.result(), ControlResult::NoFile, "{missing:?}");

    let read = |path: &str| {
        Message::FileRead(FileRead {
            container_id: container_id.clone(),
            path: path.to_owned(),
            window_bytes: WINDOW,
            head_bytes: 0,
        })
    };
    aggregator.ask(1_001, read("/large")).await;
    let window = usize::try_from(WINDOW).expect("small");
    let found = aggregator
        .wait("the window", move |heard| {
            let full = bytes(&heard.answers, 1_001).len() + (16 << 10) > window;
            heard.answers.iter().find_map(|(number, said)| match said {
                Said::File(entry) if *number == 1_001 && full => Some(entry.clone()),
                _ => None,
            })
        })
        .await;
    assert_eq!((found.kind(), found.size_bytes), (FileKind::File, 500_000));
    // Nobody takes anything: no more comes.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let held = aggregator.look(|heard| bytes(&heard.answers, 1_001).len());
    assert!(held <= window, "{held}");
    let more = Message::Credit(LogCredit { bytes: 500_000 });
    aggregator.ask(1_001, more).await;
    let told = outcome(&aggregator, 1_001).await;
    assert_eq!(told.result(), ControlResult::Done, "{told:?}");
    assert!(aggregator.look(|heard| bytes(&heard.answers, 1_001)) == vec![0; 500_000]);

    let write = Message::FileWrite(FileWrite {
        container_id: container_id.clone(),
        path: "/note".to_owned(),
        size_bytes: 11,
        replace: false,
    });
    aggregator.ask(1_002, write.clone()).await;
    let allowed = |request: u64| {
        aggregator.wait("room", move |heard| {
            heard.answers.iter().find_map(|(number, said)| match said {
                Said::Typing(credit) if *number == request => Some(credit.bytes),
                _ => None,
            })
        })
    };
    assert!(allowed(1_002).await >= 11);
    for part in ["hello ", "world"] {
        let input = Message::Input(TerminalInput { data: part.into() });
        aggregator.ask(1_002, input).await;
    }
    let told = outcome(&aggregator, 1_002).await;
    assert_eq!(told.result(), ControlResult::Done, "{told:?}");
    aggregator.ask(1_003, read("/note")).await;
    outcome(&aggregator, 1_003).await;
    assert_eq!(
        aggregator.look(|heard| bytes(&heard.answers, 1_003)),
        b"hello world"
    );
    aggregator.ask(1_004, write).await;
    let there = outcome(&aggregator, 1_004).await;
    assert_eq!(there.result(), ControlResult::Conflict, "{there:?}");

    // Four at once; a cancelled one makes room.
    for request in 2_000..2_004 {
        aggregator.ask(request, read("/large")).await;
    }
    aggregator
        .wait("four under way", |heard| {
            let opened =
                |(number, said): &&(u64, Said)| *number >= 2_000 && matches!(said, Said::File(_));
            (heard.answers.iter().filter(opened).count() == 4).then_some(())
        })
        .await;
    aggregator.ask(2_004, read("/note")).await;
    let busy = outcome(&aggregator, 2_004).await;
    assert_eq!(busy.result(), ControlResult::Busy, "{busy:?}");
    aggregator
        .ask(2_000, Message::Cancel(ControlCancel {}))
        .await;
    let mut request = 3_000;
    loop {
        request += 1;
        aggregator.ask(request, read("/note")).await;
        let told = outcome(&aggregator, request).await;
        if told.result() == ControlResult::Done {
            break;
        }
        assert!(
            told.result() == ControlResult::Busy && request < 3_200,
            "{told:?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
