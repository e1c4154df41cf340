//! Commands in containers: what is run, one that is waited for, and what the audit says of both.

use std::time::Instant;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use mesoscope_access::{Entry, Identity, Outcome, Role};
use mesoscope_proto::v1::{ControlOutcome, ControlResult, TerminalOpen};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Api;
use super::control::Target;
use super::error::ApiError;
use crate::control::Terminal;

/// Bytes of a command with its arguments: the audit keeps all of it, however it is escaped.
const COMMAND_BYTES_MAX: usize = 2 << 10;
const ARGUMENTS_MAX: usize = 64;
const HINT: &str = "{\"command\": \"ls /tmp | wc -l\"} or {\"command\": [\"/app\", \"--version\"]}; at most \
                    64 arguments and 2048 bytes, none of them zero";
/// Output of a command that is waited for.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// How long a command is waited for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// The best shell there is.
const SHELL: &str = "command -v bash >/dev/null && exec bash || exec sh";

/// What is run in a container.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Command {
    /// A line for its shell, `sh`.
    Line(String),
    /// Program and arguments, without a shell.
    Words(Vec<String>),
}

impl Command {
    /// One word is a line.
    pub(super) fn of(mut words: Vec<String>) -> Self {
        match words.len() {
            0 => Self::Line(String::new()),
            1 => Self::Line(words.remove(0)),
            _ => Self::Words(words),
        }
    }

    /// Program and arguments; `None` where nothing is to be run.
    pub(super) fn words(self) -> Result<Option<Vec<String>>, ApiError> {
        let words = match self {
            Self::Line(line) if line.trim().is_empty() => return Ok(None),
            Self::Words(words) if words.is_empty() => return Ok(None),
            Self::Line(line) => shell(line),
            Self::Words(words) => words,
        };
        let bytes: usize = words.iter().map(String::len).sum();
        let fits = words.len() <= ARGUMENTS_MAX && bytes <= COMMAND_BYTES_MAX;
        if !fits || words.iter().any(|word| word.contains('\0')) {
            let error = "this is no command, or it is too long";
            return Err(ApiError::bad_request(error, HINT));
        }
        Ok(Some(words))
    }
}

fn shell(line: String) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), line]
}

/// What is run where nothing else is asked for.
pub(super) fn default_shell() -> Vec<String> {
    shell(SHELL.to_owned())
}

/// A command.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    command: Command,
}

/// What came of a command.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Ran {
    /// What it ended with; null where it had not ended.
    exit_code: Option<i32>,
    /// Both outputs, as they came; what is no UTF-8 is replaced.
    output: String,
    /// Why it is not all; empty where it is.
    incomplete: String,
}

/// Runs a command in a container and waits for its end.
///
/// Needs the role operator. The command takes no input; at most 1 MiB of output and 60 s.
#[utoipa::path(post, path = "/api/containers/{id}/exec", tag = "containers",
    operation_id = "run_in_container",
    params(("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id")),
    request_body = Run,
    responses(
        (status = 200, description = "It was run", body = Ran),
        (status = 400, description = "Not such a command"),
        (status = 404, description = "No connected agent reports it, or the engine does not have it"),
        (status = 409, description = "It does not run, or the digits fit more than one"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
        (status = 502, description = "The agent went away, or it failed in the engine"),
        (status = 503, description = "A bound is reached, or the agent does not control containers"),
        (status = 504, description = "The agent did not begin in time"),
        (status = 507, description = "It can't be recorded, and was not done"),
    ))]
pub(super) async fn run(
    State(api): State<Api>,
    Path(id): Path<String>,
    Extension(identity): Extension<Identity>,
    body: Result<Json<Run>, JsonRejection>,
) -> Result<Json<Ran>, ApiError> {
    identity.require(Role::Operator)?;
    let Json(run) = body.map_err(|error| ApiError::new(error.status(), error.body_text(), HINT))?;
    let words = run.command.words()?;
    let words = words.ok_or_else(|| ApiError::bad_request("there is no command", HINT))?;
    let target = api.target(&id)?;
    let open = TerminalOpen {
        container_id: target.id.clone(),
        command: words,
        ..TerminalOpen::default()
    };
    // Goes on when the client goes away, so that its outcome is recorded.
    let ran = tokio::spawn(async move {
        let record = Record::begin(&api, &identity, &target, &open).await?;
        let asked = api
            .control
            .open_terminal(&target.agent_id, target.generation, open);
        match asked.await {
            Ok(terminal) => {
                let (ran, outcome) = collect(terminal).await;
                record.end(&api, ran.exit_code, None, outcome).await;
                Ok(Json(ran))
            }
            Err(error) => {
                record
                    .end(&api, None, None, Outcome::Failed(error.to_string()))
                    .await;
                Err(error.into())
            }
        }
    });
    ran.await.map_err(|panicked| {
        let hint = "the aggregator's log says more; report this";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
    })?
}

/// Waits for the end, as long as may be; what goes on then is hung up.
async fn collect(terminal: Terminal) -> (Ran, Outcome) {
    let mut output = Vec::new();
    let reading = async {
        while output.len() < OUTPUT_BYTES_MAX {
            match terminal.next().await {
                Ok(more) => output.extend_from_slice(&more),
                Err(outcome) => return Some(outcome),
            }
        }
        None
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    let (exit_code, incomplete) = match read {
        Ok(Some(outcome)) => match failure(&outcome) {
            None => (outcome.exit_code, String::new()),
            Some(reason) => (None, reason),
        },
        Ok(None) => (None, "it wrote more than 1 MiB, and was hung up".to_owned()),
        Err(_) => (
            None,
            "it did not end within 60 s, and was hung up".to_owned(),
        ),
    };
    output.truncate(OUTPUT_BYTES_MAX);
    let outcome = if incomplete.is_empty() {
        Outcome::Done
    } else {
        Outcome::Failed(incomplete.clone())
    };
    let ran = Ran {
        exit_code,
        output: String::from_utf8_lossy(&output).into_owned(),
        incomplete,
    };
    (ran, outcome)
}

/// Why a terminal broke off; `None` where it ended.
pub(super) fn failure(outcome: &ControlOutcome) -> Option<String> {
    (outcome.result() != ControlResult::Done).then(|| outcome.message.clone())
}

/// What the audit says of something that takes a while: before, and how long it took after.
#[derive(Debug)]
pub(super) struct Record {
    entry: Entry,
    parameters: Value,
    began: Instant,
}

impl Record {
    /// Records that it is about to be done; without that, it must not be.
    pub(super) async fn begin(
        api: &Api,
        identity: &Identity,
        target: &Target,
        open: &TerminalOpen,
    ) -> Result<Self, ApiError> {
        let action = if open.command.is_empty() {
            "container.attach"
        } else {
            "container.exec"
        };
        let parameters = json!({
            "agent": target.agent_id,
            "command": open.command,
            "tty": open.tty,
            "interactive": open.interactive,
        });
        let entry = identity.entry(action, &target.node());
        api.record(entry.clone().with_parameters(parameters.clone()))
            .await?;
        Ok(Self {
            entry,
            parameters,
            began: Instant::now(),
        })
    }

    /// Records how it went, and why it was closed before its end where it was.
    pub(super) async fn end(
        self,
        api: &Api,
        exit_code: Option<i32>,
        closed: Option<&str>,
        outcome: Outcome,
    ) {
        let mut parameters = self.parameters;
        let milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        parameters["duration_ms"] = milliseconds.into();
        parameters["exit_code"] = exit_code.into();
        parameters["closed"] = closed.into();
        let entry = self.entry.with_parameters(parameters);
        api.note(entry.with_outcome(outcome)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> Result<Option<Vec<String>>, ApiError> {
        let run: Run = serde_json::from_str(json).expect("a body");
        run.command.words()
    }

    #[test]
    fn a_line_is_for_the_shell_and_words_are_not() {
        let line = words("{\"command\": \"ls | wc\"}").expect("valid");
        assert_eq!(line, Some(shell("ls | wc".to_owned())));
        let direct = words("{\"command\": [\"/app\", \"-v\"]}").expect("valid");
        assert_eq!(direct, Some(vec!["/app".to_owned(), "-v".to_owned()]));
        for nothing in ["\"\"", "\" \"", "[]"] {
            let nothing = words(&format!("{{\"command\": {nothing}}}"));
            assert_eq!(nothing.expect("valid"), None);
        }
    }

    #[test]
    fn what_the_audit_could_not_keep_is_refused() {
        let long = format!("{{\"command\": \"{}\"}}", "x".repeat(2_048));
        assert!(words(&long).is_err());
        let many = Command::of(vec!["x".to_owned(); 65]);
        assert!(many.words().is_err());
        assert!(words("{\"command\": \"a\\u0000b\"}").is_err());
    }

    #[test]
    fn of_a_query_one_word_is_a_line() {
        let of = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            Command::of(words).words().expect("valid")
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["ls -l"]), Some(shell("ls -l".to_owned())));
        assert_eq!(of(&["ls", "-l"]).map(|words| words.len()), Some(2));
    }
}
