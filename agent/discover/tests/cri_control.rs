//! Control of containers of the real containerd by the CRI, a private one with its own folders and socket.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::containerd::Containerd;
use common::cri_client::{self, Kubelet};
use mesoscope_discover::control::ControlError;
use mesoscope_discover::cri::{CriControl, CriLog, CriOutput};
use mesoscope_discover::docker::{LogsAsked, TerminalAsked};
use mesoscope_proto::v1::ContainerVerb;
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_secs(30);

async fn text(mut log: CriLog, until: &str) -> String {
    let mut all = String::new();
    while until.is_empty() || !all.contains(until) {
        let next = tokio::time::timeout(PATIENCE, log.next()).await;
        let next = next.unwrap_or_else(|_| panic!("nothing after {all:?}"));
        match next.expect("a log") {
            Some(more) => all.push_str(&String::from_utf8_lossy(&more)),
            None => break,
        }
    }
    all
}

async fn output(output: &mut CriOutput, until: &str) -> String {
    let mut all = String::new();
    while until.is_empty() || !all.contains(until) {
        let next = tokio::time::timeout(PATIENCE, output.next()).await;
        let next = next.unwrap_or_else(|_| panic!("nothing after {all:?}"));
        match next.expect("an output") {
            Some(more) => all.push_str(&String::from_utf8_lossy(&more)),
            None => break,
        }
    }
    all
}

fn command(words: &[&str], tty: bool) -> TerminalAsked {
    TerminalAsked {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        tty,
        interactive: true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_of_the_real_containerd_is_controlled_as_far_as_the_interface_allows() {
    common::make_image();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("containerd.sock");
    let _containerd = Containerd::start(folder.path(), &socket);
    let control = CriControl::new(Some(socket.clone()));
    let began = Instant::now();
    while matches!(
        control.inspect("x").await,
        Err(ControlError::Unavailable(_))
    ) {
        assert!(began.elapsed() < PATIENCE, "containerd does not answer");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let missing = control
        .act("0123456789abcdef", ContainerVerb::Stop, false)
        .await;
    assert_eq!(
        missing,
        Err(ControlError::NotFound("0123456789ab".to_owned()))
    );

    cri_client::import_image(folder.path(), &socket);
    let mut kubelet = Kubelet::connect(&socket).await;
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).expect("a folder");
    let pod = kubelet.run_pod_with_logs("web-0", "shop", &logs).await;
    let script = "echo one; echo two >&2; i=0; while [ $i -lt 3000 ]; do /bin/busybox sleep 0.2; i=$((i+1)); echo tick $i; done";
    let id = kubelet
        .create_container(&pod, &["/bin/sh", "-c", script], "0.log")
        .await;

    // Made and not started: the interface starts it.
    assert_eq!(control.act(&id, ContainerVerb::Start, false).await, Ok(()));
    let again = control.act(&id, ContainerVerb::Start, false).await;
    assert!(matches!(again, Err(ControlError::Conflict(_))), "{again:?}");
    for verb in [
        ContainerVerb::Pause,
        ContainerVerb::Unpause,
        ContainerVerb::Restart,
    ] {
        let refused = control
            .act(&id, verb, false)
            .await
            .expect_err("no word for it");
        assert!(
            refused.to_string().contains("no word"),
            "{verb:?}: {refused}"
        );
    }
    let inspection = control.inspect(&id).await.expect("inspected");
    let inspection: serde_json::Value = serde_json::from_str(&inspection).expect("JSON");
    assert_eq!(inspection["state"], "CONTAINER_RUNNING");
    assert!(
        inspection["info"]["runtimeSpec"]
            .to_string()
            .contains("GREETING=hello")
    );

    let followed = LogsAsked {
        follow: true,
        ..LogsAsked::default()
    };
    let log = control.logs(&id, followed).await.expect("a log");
    let seen = text(log, "tick 3\n").await;
    assert!(seen.contains("one\n") && seen.contains("two\n"), "{seen:?}");
    let last = LogsAsked {
        tail: Some(1),
        timestamps: true,
        ..LogsAsked::default()
    };
    let last = text(control.logs(&id, last).await.expect("a log"), "").await;
    assert!(
        last.starts_with("20") && last.contains(" tick "),
        "{last:?}"
    );

    let mut ran = control
        .terminal(
            &id,
            command(&["/bin/sh", "-c", "echo out; echo err >&2; exit 7"], false),
        )
        .await
        .expect("run");
    let said = output(&mut ran.output, "").await;
    assert!(said.contains("out\n") && said.contains("err\n"), "{said:?}");
    assert_eq!(ran.process.exit_code().await, Some(7));
    let mut shell = control
        .terminal(&id, command(&["/bin/sh"], true))
        .await
        .expect("a shell");
    shell.process.resize(91, 34).await;
    shell
        .input
        .write(b"busybox stty size; echo $GREETING; exit 3\r")
        .await
        .expect("typed");
    let said = output(&mut shell.output, "").await;
    assert!(said.contains("34 91") && said.contains("hello"), "{said:?}");
    assert_eq!(shell.process.exit_code().await, Some(3));
    let mut none = control
        .terminal(&id, command(&["/nowhere"], false))
        .await
        .expect("asked");
    let failed = loop {
        match none.output.next().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(failed.is_err(), "{failed:?}");
    // Its own process, of which nothing is stopped when it is left.
    let mut own = control
        .terminal(&id, command(&[], true))
        .await
        .expect("attached");
    output(&mut own.output, "tick").await;
    drop(own);

    let slot = Arc::new(Semaphore::new(1))
        .acquire_owned()
        .await
        .expect("one");
    let files = control.files(&id, Arc::new(slot)).await.expect("files");
    let listing = files.list("/bin", "", 100).await.expect("listed");
    assert!(listing.entries.iter().any(|entry| entry.name == "busybox"));
    let sink = files.write("/note", 5, false).await.expect("begun");
    sink.write("hello".into()).await;
    assert_eq!(sink.finish().await, Ok(()));
    let mut seen = control
        .terminal(&id, command(&["/bin/cat", "/note"], false))
        .await
        .expect("run");
    assert_eq!(output(&mut seen.output, "").await, "hello");

    let runs = control.act(&id, ContainerVerb::Remove, false).await;
    assert!(matches!(runs, Err(ControlError::Conflict(_))), "{runs:?}");
    let log = control.logs(&id, followed).await.expect("a log");
    assert_eq!(control.act(&id, ContainerVerb::Kill, false).await, Ok(()));
    // A log that is followed ends with its container.
    text(log, "").await;
    let dead = control.terminal(&id, command(&["/bin/sh"], true)).await;
    assert!(
        matches!(dead, Err(ControlError::Conflict(_))),
        "it does not run"
    );
    let ended = control.act(&id, ContainerVerb::Start, false).await;
    assert!(matches!(ended, Err(ControlError::Conflict(_))), "{ended:?}");
    assert_eq!(control.act(&id, ContainerVerb::Remove, false).await, Ok(()));
    let gone = control.inspect(&id).await;
    assert!(matches!(gone, Err(ControlError::NotFound(_))), "{gone:?}");
    kubelet.remove_pod(&pod).await;
}
