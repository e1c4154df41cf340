//! Runs commands one after the other, each with a name, a number, its time, and a log.

use std::fs::File;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::output;
use crate::stop::Stop;
use crate::tree;

/// How often a waiting step looks at its command.
const TICK: Duration = Duration::from_millis(50);
/// How long a command's output may stay open after the command has ended.
const GRACE: Duration = Duration::from_secs(2);
/// How often a long step says, where no progress can be drawn, that it is still at it.
const STILL: Duration = Duration::from_secs(60);
/// Lines of a failed step's log that are printed.
const TAIL: usize = 40;

/// How a step went.
#[derive(Debug)]
pub struct Outcome {
    /// Whether its command succeeded.
    pub ok: bool,
    /// Why it failed; empty when it succeeded.
    pub why: String,
    /// How long it took.
    pub elapsed: Duration,
    /// All that it printed.
    pub log: PathBuf,
}

/// Runs the steps of one job.
#[derive(Debug)]
pub struct Steps {
    total: usize,
    done: usize,
    stop: Stop,
}

impl Steps {
    /// A job of `total` steps.
    pub fn new(total: usize, stop: Stop) -> Result<Self> {
        std::fs::create_dir_all(tree::logs()).context("making the folder of the logs")?;
        Ok(Self {
            total,
            done: 0,
            stop,
        })
    }

    /// Runs a step that the job cannot go on without.
    pub fn must(&mut self, name: &str, command: Command, limit: Duration) -> Result<Outcome> {
        let outcome = self.run(name, command, limit)?;
        if !outcome.ok {
            bail!("{name}: {}", outcome.why);
        }
        Ok(outcome)
    }

    /// Runs a step. An error means that it could not be run at all, or that we were asked to stop.
    pub fn run(&mut self, name: &str, mut command: Command, limit: Duration) -> Result<Outcome> {
        self.done += 1;
        let head = format!("[{}/{}] {name}", self.done, self.total);
        let log = tree::logs().join(format!("{}.log", file_name(name)));
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let display = Display::new(&head);

        let started = Instant::now();
        let (reader, writer) = std::io::pipe().context("making a pipe")?;
        if display.drawn() {
            command
                .env("CARGO_TERM_PROGRESS_WHEN", "always")
                .env("CARGO_TERM_PROGRESS_WIDTH", "80");
        }
        let spawned = {
            use std::os::unix::process::CommandExt;
            command
                .env("CARGO_TERM_COLOR", "never")
                .env("NO_COLOR", "1")
                .stdin(Stdio::null())
                .stdout(writer.try_clone().context("sharing a pipe")?)
                .stderr(writer)
                .process_group(0)
                .spawn()
        };
        let program = command.get_program().to_string_lossy().into_owned();
        // The command still holds the pipe's writing ends: the reader would never see the end.
        drop(command);
        let (finished, reading) = mpsc::channel();
        let shown = display.clone();
        std::thread::spawn(move || {
            output::copy(reader, file, |text| shown.message(text));
            let _ = finished.send(());
        });
        let why = match spawned {
            Ok(child) => self.wait(child, started, limit, &display)?,
            Err(error) => Some(format!("{program} could not be started: {error}")),
        };
        let _ = reading.recv_timeout(GRACE);

        let elapsed = started.elapsed();
        display.finish(&head, elapsed, why.as_deref());
        if why.is_some() {
            println!("{}", output::tail(&log, TAIL));
            println!("      full log: {}", log.display());
        }
        Ok(Outcome {
            ok: why.is_none(),
            why: why.unwrap_or_default(),
            elapsed,
            log,
        })
    }

    /// Waits for the command; `Some` is why it failed.
    fn wait(
        &self,
        mut child: Child,
        started: Instant,
        limit: Duration,
        display: &Display,
    ) -> Result<Option<String>> {
        let mut said = started;
        loop {
            if let Some(status) = child.try_wait().context("waiting for a command")? {
                return Ok((!status.success()).then(|| status.to_string()));
            }
            if self.stop.asked() {
                end(&mut child);
                bail!("stopped");
            }
            if started.elapsed() > limit {
                end(&mut child);
                return Ok(Some(format!("took longer than {}", human(limit))));
            }
            if !display.drawn() && said.elapsed() > STILL {
                said = Instant::now();
                println!("      ... {} so far", human(started.elapsed()));
            }
            std::thread::sleep(TICK);
        }
    }
}

/// Ends a command and what it started: politely, then not.
pub fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Some(group) = group else { return };
    let _ = kill_process_group(group, Signal::TERM);
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(10) {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(TICK);
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

/// "1.2 s", "3 min 5 s".
pub fn human(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect()
}

/// One step on the screen: a spinner on a terminal, plain lines elsewhere.
#[derive(Clone, Debug)]
struct Display(Option<ProgressBar>);

impl Display {
    fn new(head: &str) -> Self {
        if !std::io::stderr().is_terminal() || std::env::var_os("CI").is_some() {
            println!("{head} ...");
            return Self(None);
        }
        let style = ProgressStyle::with_template("{spinner} {prefix}  {elapsed}  {wide_msg:.dim}")
            .expect("a template of our own");
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.set_prefix(head.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(Some(bar))
    }

    fn drawn(&self) -> bool {
        self.0.is_some()
    }

    fn message(&self, text: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(text.trim().to_owned());
        }
    }

    fn finish(&self, head: &str, elapsed: Duration, why: Option<&str>) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
        match why {
            None => println!("{head}: ok, {}", human(elapsed)),
            Some(why) => println!("{head}: FAILED after {}: {why}", human(elapsed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_file_names_read_well() {
        assert_eq!(human(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(human(Duration::from_secs(185)), "3 min 5 s");
        assert_eq!(file_name("Page: build (npm)"), "page--build--npm-");
    }

    #[test]
    fn a_step_reports_success_failure_time_limit_and_a_missing_program() {
        let stop = Stop::on_signals().expect("signals");
        let mut steps = Steps::new(4, stop).expect("logs folder");
        let limit = Duration::from_secs(30);
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };

        let outcome = steps
            .run("selftest ok", shell("echo out; echo err >&2"), limit)
            .expect("runs");
        assert!(outcome.ok);
        let log = std::fs::read_to_string(&outcome.log).expect("log");
        assert!(log.contains("out\n") && log.contains("err\n"), "{log}");

        let outcome = steps
            .run("selftest failing", shell("exit 3"), limit)
            .expect("runs");
        assert!(!outcome.ok && outcome.why.contains('3'), "{}", outcome.why);

        // The sleeping grandchild goes too: it is of the command's process group.
        let outcome = steps
            .run(
                "selftest slow",
                shell("sleep 60 & wait"),
                Duration::from_millis(200),
            )
            .expect("runs");
        assert!(outcome.why.contains("took longer"), "{}", outcome.why);
        assert!(outcome.elapsed < Duration::from_secs(20));

        let outcome = steps
            .run("selftest missing", Command::new("no-such-program"), limit)
            .expect("runs");
        assert!(outcome.why.contains("no-such-program"), "{}", outcome.why);
    }
}
