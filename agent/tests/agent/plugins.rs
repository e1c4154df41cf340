//! Plugins of the real agent: the examples in Rust and in Python, run as nobody; hostile ones; manifests
//! that come, change and go.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::control_answer::Answer as Said;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{ControlResult, PluginFacts, PluginPress, PluginStatus};

use super::engine::{Container, SOCKET};
use super::support::{Agent, Aggregator, binary};

/// Debian's nobody.
const NOBODY: u32 = 65_534;

/// Folders that others can look into, with the programs of plugins.
struct Folders {
    root: tempfile::TempDir,
}

impl Folders {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        open(root.path());
        for name in ["manifests", "run", "bin"] {
            let folder = root.path().join(name);
            std::fs::create_dir(&folder).expect("a folder");
            open(&folder);
        }
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn arguments(&self) -> [String; 4] {
        let text = |name| self.path(name).display().to_string();
        [
            "--plugins-dir".into(),
            text("manifests"),
            "--plugins-run-dir".into(),
            text("run"),
        ]
    }

    /// Puts a program where nobody can run it.
    fn install(&self, from: &Path, name: &str) {
        let to = self.path("bin").join(name);
        std::fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        open(&to);
    }

    /// Writes a manifest as a whole, as an editor or a package manager does.
    fn write(&self, file: &str, text: &str) {
        let text = text.replace(
            "/usr/local/lib/mesoscope/plugins",
            &self.path("bin").display().to_string(),
        );
        let new = self.path("manifests").join("new");
        std::fs::write(&new, text).expect("written");
        std::fs::rename(new, self.path("manifests").join(file)).expect("renamed");
    }

    fn agent(&self, port: u16, more: &[&str]) -> Agent {
        let url = format!("http://127.0.0.1:{port}");
        let own = self.arguments();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        Agent::start(&url, &[&["--rung", "none"], own.as_slice(), more].concat())
    }
}

fn open(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("ours");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins")
}

/// The example in Rust, which a run of all tests has built already.
fn rust_example() -> PathBuf {
    let agent = binary();
    let folder = agent.parent().expect("in a folder").join("examples");
    let program = folder.join("kernel-tables");
    if !program.exists() {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let arguments = [
            "build",
            "-p",
            "mesoscope-plugin",
            "--example",
            "kernel-tables",
        ];
        let built = Command::new(cargo).args(arguments).status();
        assert!(built.expect("cargo").success());
    }
    program
}

fn example(file: &str) -> String {
    std::fs::read_to_string(repository().join("examples").join(file)).expect("checked in")
}

/// The last word on a node by a plugin.
fn facts(heard: &super::support::Heard, plugin: &str, container: &str) -> Option<PluginFacts> {
    let mut told = heard.changes.iter().rev();
    told.find_map(|(_, _, change)| match change {
        Kind::PluginFacts(facts) if facts.plugin == plugin && facts.container_id == container => {
            Some(facts.clone())
        }
        _ => None,
    })
}

async fn says(
    aggregator: &Aggregator,
    plugin: &str,
    container: &str,
    what: impl Fn(&PluginFacts) -> bool,
) -> PluginFacts {
    let look = |heard: &super::support::Heard| facts(heard, plugin, container).filter(&what);
    aggregator.wait("what a plugin says", look).await
}

async fn status(
    aggregator: &Aggregator,
    name: &str,
    what: impl Fn(&PluginStatus) -> bool,
) -> PluginStatus {
    let look = |heard: &super::support::Heard| {
        let mut told = heard.changes.iter().rev();
        let last = told.find_map(|(_, _, change)| match change {
            Kind::AgentStatus(status) => Some(status),
            _ => None,
        })?;
        let mut plugins = last.plugins.iter();
        plugins
            .find(|plugin| plugin.name == name && what(plugin))
            .cloned()
    };
    aggregator.wait("how a plugin is", look).await
}

async fn press(
    aggregator: &Aggregator,
    request: u64,
    press: PluginPress,
) -> (ControlResult, String) {
    aggregator
        .wait("control", |heard| heard.controls.last().cloned())
        .await;
    aggregator.ask(request, Message::Press(press)).await;
    let look = move |heard: &super::support::Heard| {
        heard.answers.iter().find_map(|(number, said)| match said {
            Said::Outcome(outcome) if *number == request => {
                Some((outcome.result(), outcome.message.clone()))
            }
            _ => None,
        })
    };
    aggregator.wait("an outcome", look).await
}

/// Processes with this in their command line.
fn running(part: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("procfs").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(part)
    })
    .collect()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn proc_line(pid: u32, file: &str, begins: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it runs");
    let found = text.lines().find_map(|line| line.strip_prefix(begins));
    found
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_in_rust_runs_as_nobody_and_its_control_is_pressed() {
    let folders = Folders::new();
    folders.install(&rust_example(), "kernel-tables");
    folders.write("kernel-tables.yaml", &example("kernel-tables.yaml"));
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let mut agent = folders.agent(port, &[]);

    let facts = says(&aggregator, "kernel-tables", "", |_| true).await;
    assert_eq!(facts.label, "Kernel tables");
    let files = facts
        .metrics
        .iter()
        .find(|metric| metric.key == "files")
        .expect("told");
    assert!(files.value > 0.0 && files.max > files.value, "{files:?}");
    assert_eq!(facts.tables[0].columns, ["Table", "Now", "Peak", "Limit"]);
    let status = status(&aggregator, "kernel-tables", |status| {
        status.state == "running"
    })
    .await;
    assert_eq!(
        (status.nodes, status.refused_total, status.starts_total),
        (1, 0, 1)
    );
    assert!(!status.version.is_empty());

    let program = folders
        .path("bin")
        .join("kernel-tables")
        .display()
        .to_string();
    let pids = running(&program);
    let [pid] = pids[..] else {
        panic!("one process: {pids:?}");
    };
    let nobody = format!("{NOBODY} {NOBODY} {NOBODY} {NOBODY}");
    assert_eq!(proc_line(pid, "status", "Uid:"), nobody);
    assert_eq!(proc_line(pid, "status", "Gid:"), nobody);
    assert_eq!(proc_line(pid, "status", "Groups:"), "");
    assert_eq!(proc_line(pid, "status", "NoNewPrivs:"), "1");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(proc_line(pid, "status", set), "0000000000000000", "{set}");
    }
    assert_eq!(
        proc_line(pid, "limits", "Max data size"),
        "134217728 134217728 bytes"
    );
    assert_eq!(proc_line(pid, "limits", "Max open files"), "128 128 files");
    assert_eq!(proc_line(pid, "limits", "Max processes"), "64 64 processes");

    let forget = |control: &str| PluginPress {
        plugin: "kernel-tables".into(),
        control: control.into(),
        ..PluginPress::default()
    };
    let (result, message) = press(&aggregator, 1, forget("forget-peaks")).await;
    assert_eq!(
        (result, message.as_str()),
        (ControlResult::Done, "the peaks are counted anew")
    );
    let (result, message) = press(&aggregator, 2, forget("reboot")).await;
    assert_eq!(result, ControlResult::NotFound, "{message}");
    let elsewhere = PluginPress {
        container_id: "c".repeat(64),
        ..forget("forget-peaks")
    };
    assert_eq!(
        press(&aggregator, 3, elsewhere).await.0,
        ControlResult::NotFound
    );

    // A killed agent leaves no plugin behind.
    agent.kill();
    until("the plugin outlives its agent", || {
        running(&program).is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_in_python_checks_a_container_and_no_other() {
    let folders = Folders::new();
    folders.install(
        &repository().join("examples/http-check.py"),
        "http-check.py",
    );
    folders.write(
        "http-check.yaml",
        &example("http-check.yaml").replace("10s", "4s"),
    );
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let _agent = folders.agent(port, &["--docker-socket", SOCKET]);
    let serves = ["/bin/busybox", "httpd", "-f", "-p", "8080"];
    let labels = [
        "--label",
        "http-check.port=8080",
        "--label",
        "http-check.path=/none",
    ];
    let web = Container::run(&labels, &serves);
    let other = Container::run(&[], &["/bin/sleep", "600"]);

    let facts = says(&aggregator, "http-check", &web.id, |facts| {
        !facts.metrics.is_empty()
    })
    .await;
    let value = |key: &str| {
        let field = facts.metadata.iter().find(|field| field.key == key);
        field.expect("told").value.clone()
    };
    assert_eq!(value("http"), "404 Not Found");
    assert!(value("checked").parse::<u64>().expect("a time") > 1_600_000_000_000);
    assert_eq!(facts.metrics[0].unit, "ms");
    let others = aggregator.look(|heard| self::facts(heard, "http-check", &other.id));
    assert_eq!(others, None);

    let forget = PluginPress {
        plugin: "http-check".into(),
        container_id: web.id.clone(),
        control: "forget".into(),
        ..PluginPress::default()
    };
    let (result, message) = press(&aggregator, 1, forget).await;
    assert_eq!(result, ControlResult::Done, "{message}");
    assert!(message.ends_with("checks are forgotten"), "{message}");

    // What is said of a container goes with it.
    let id = web.id.clone();
    drop(web);
    says(&aggregator, "http-check", &id, |facts| {
        facts.metadata.is_empty()
    })
    .await;
}

fn hostile(how: &str) -> String {
    format!(
        "{{api: 1, name: hostile, user: nobody, interval: 1s, timeout: 500ms, \
         command: [/usr/bin/python3, /usr/local/lib/mesoscope/plugins/hostile.py, {how}], \
         limits: {{processes: 24, memory: 96MiB}}, nodes: {{host: true}}, \
         metadata: [{{key: good, label: Good}}], metrics: [{{key: figure, label: Figure}}], \
         controls: [{{key: go, label: Go}}]}}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hostile_plugin_does_is_refused_and_named() {
    let folders = Folders::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/hostile.py");
    folders.install(&script, "hostile.py");
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let _agent = folders.agent(port, &[]);

    // Nodes, keys, figures and controls that are not its own are refused one by one, the rest taken.
    folders.write("hostile.yaml", &hostile("lie"));
    let facts = says(&aggregator, "hostile", "", |_| true).await;
    assert_eq!(facts.metadata.len(), 1);
    assert_eq!(facts.metadata[0].value, "yes");
    assert!(facts.metrics.is_empty());
    let keys: Vec<_> = facts
        .controls
        .iter()
        .map(|control| control.key.as_str())
        .collect();
    assert_eq!(keys, ["go"]);
    let told = status(&aggregator, "hostile", |status| status.refused_total >= 5).await;
    assert!(
        told.reason.contains("not in the manifest"),
        "{}",
        told.reason
    );
    let about = aggregator.look(|heard| {
        let told = heard.changes.iter();
        let about = told.filter_map(|(_, _, change)| match change {
            Kind::PluginFacts(facts) => Some((facts.container_id.clone(), facts.process)),
            _ => None,
        });
        about.collect::<Vec<_>>()
    });
    assert!(
        about.iter().all(|about| *about == (String::new(), None)),
        "{about:?}"
    );

    for (how, reason) in [
        ("slow", "no answer within 500 ms"),
        ("huge", "larger than"),
        ("garbage", "no HTTP"),
        ("another", "it is \"another\""),
        (
            "\"link\", /var/run/docker.sock",
            "no socket, or a link to one",
        ),
        ("memory", "it ended"),
    ] {
        folders.write("hostile.yaml", &hostile(how));
        let failing = status(&aggregator, "hostile", |status| {
            status.state == "failing" && status.reason.contains(reason)
        });
        failing.await;
    }
    // What it said while it behaved has been taken away.
    says(&aggregator, "hostile", "", |facts| {
        facts.metadata.is_empty()
    })
    .await;

    folders.write("hostile.yaml", &hostile("bomb"));
    let script = folders.path("bin").join("hostile.py").display().to_string();
    until("nothing is started", || running(&script).len() > 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let many = running(&script).len();
    assert!(many <= 24, "{many} processes");
    std::fs::remove_file(folders.path("manifests").join("hostile.yaml")).expect("there");
    until("its children outlive it", || running(&script).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_come_change_and_go_without_a_restart() {
    let folders = Folders::new();
    folders.install(&rust_example(), "kernel-tables");
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let mut agent = folders.agent(port, &[]);
    let manifest = example("kernel-tables.yaml").replace("10s", "1s");
    folders.write("a.yaml", &manifest);
    says(&aggregator, "kernel-tables", "", |facts| {
        facts.label == "Kernel tables"
    })
    .await;

    folders.write(
        "a.yaml",
        &manifest.replace("label: Kernel tables", "label: Tables"),
    );
    says(&aggregator, "kernel-tables", "", |facts| {
        facts.label == "Tables"
    })
    .await;

    // What can't be used changes nothing, and is named.
    folders.write("a.yaml", "api: 1\nname: kernel-tables\n");
    folders.write("b.yaml", &manifest.replace("user: nobody", "user: root"));
    let told = status(&aggregator, "kernel-tables", |status| {
        status.reason.contains("a.yaml")
    })
    .await;
    assert_eq!(told.state, "running");
    let told = status(&aggregator, "b.yaml", |status| status.state == "refused").await;
    assert!(told.reason.contains("never as root"), "{}", told.reason);

    let program = folders
        .path("bin")
        .join("kernel-tables")
        .display()
        .to_string();
    assert_eq!(running(&program).len(), 1);
    std::fs::remove_file(folders.path("manifests").join("a.yaml")).expect("there");
    says(&aggregator, "kernel-tables", "", |facts| {
        facts.metadata.is_empty()
    })
    .await;
    until("the program goes on", || running(&program).is_empty()).await;

    folders.write("c.yaml", &manifest);
    says(&aggregator, "kernel-tables", "", |facts| {
        !facts.metadata.is_empty()
    })
    .await;
    assert!(agent.terminate().success());
    assert!(running(&program).is_empty(), "it outlives the agent");
}
