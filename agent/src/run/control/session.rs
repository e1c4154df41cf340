//! One stream to the aggregator: its requests, each bounded and answered.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use mesoscope_discover::docker::{LogsAsked, TerminalAsked};
use mesoscope_proto::v1::control_client::ControlClient;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    ContainerAction, ContainerInspect, ContainerLogs, ControlAnswer, ControlOutcome,
    ControlRequest, ControlResult, FileList, FileRead, FileWrite, PluginPress, TerminalOpen,
    control_answer::Answer,
};
use rustc_hash::FxHashMap;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use super::Control;
use super::files;
use super::pace::Pace;
use super::pump::{CHUNK_BYTES, FOLLOW_PATIENCE, Pump, READ_PATIENCE, outcome};
use super::terminal::{self, Typing};

/// Answers that wait for the transport at most.
const OUTBOUND_MAX: usize = 16;
/// Bytes of a log or terminal that may be under way, whatever the aggregator allows.
const WINDOW_BYTES_MAX: usize = 1 << 20;
/// Requests are small.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// Serves until the stream ends; gives why, and whether the aggregator was there.
pub(super) async fn run(
    control: &Control,
    endpoint: &Endpoint,
    pace: &Arc<Mutex<Pace>>,
    began: Instant,
) -> (Status, bool) {
    let channel = match endpoint.connect().await {
        Ok(channel) => channel,
        Err(error) => return (Status::unavailable(error.to_string()), false),
    };
    let (answers, answered) = mpsc::channel(OUTBOUND_MAX);
    let hello = ControlAnswer {
        request: 0,
        answer: Some(Answer::Hello(control.hello.clone())),
    };
    // A fresh channel has room.
    let _ = answers.try_send(hello);
    let mut stream = Request::new(ReceiverStream::new(answered));
    if let Some(bearer) = &control.bearer {
        let headers = stream.metadata_mut();
        headers.insert("authorization", bearer.header());
    }
    let mut client = ControlClient::new(channel).max_decoding_message_size(REQUEST_BYTES_MAX);
    let mut requests = match client.serve(stream).await {
        Ok(requests) => requests.into_inner(),
        Err(status) => return (status, false),
    };
    let mut session = Session {
        control,
        pace,
        began,
        answers,
        flows: FxHashMap::default(),
        pumps: JoinSet::new(),
    };
    let mut lived = false;
    loop {
        tokio::select! {
            request = requests.message() => match request {
                Ok(Some(request)) => {
                    lived = true;
                    session.take(request).await;
                }
                Ok(None) => {
                    return (Status::unavailable("the aggregator closed the stream"), lived);
                }
                Err(status) => return (status, lived),
            },
            Some(ended) = session.pumps.join_next() => {
                // A cancelled one was taken out before.
                if let Ok(request) = ended {
                    session.flows.remove(&request);
                }
            }
        }
    }
}

struct Session<'a> {
    control: &'a Control,
    pace: &'a Arc<Mutex<Pace>>,
    began: Instant,
    answers: mpsc::Sender<ControlAnswer>,
    /// Logs, terminals and files under way.
    flows: FxHashMap<u64, Flow>,
    /// They end with the session.
    pumps: JoinSet<u64>,
}

struct Flow {
    credit: Arc<Semaphore>,
    /// Of a terminal.
    typing: Option<Arc<Typing>>,
    pump: AbortHandle,
}

impl Session<'_> {
    async fn take(&mut self, request: ControlRequest) {
        let number = request.request;
        match request.message {
            Some(Message::Action(action)) => self.act(number, action).await,
            Some(Message::Inspect(inspect)) => self.inspect(number, inspect).await,
            Some(Message::Logs(logs)) => self.log(number, logs).await,
            Some(Message::Credit(credit)) => {
                if let Some(flow) = self.flows.get(&number) {
                    let room = WINDOW_BYTES_MAX.saturating_sub(flow.credit.available_permits());
                    let bytes = usize::try_from(credit.bytes).unwrap_or(room);
                    flow.credit.add_permits(bytes.min(room));
                }
            }
            Some(Message::Cancel(_)) => {
                if let Some(flow) = self.flows.remove(&number) {
                    flow.pump.abort();
                }
            }
            Some(Message::Terminal(open)) => self.terminal(number, open).await,
            Some(Message::FileList(asked)) => self.list_files(number, asked).await,
            Some(Message::FileRead(asked)) => self.read_file(number, asked).await,
            Some(Message::FileWrite(asked)) => self.write_file(number, asked).await,
            Some(Message::Input(input)) => {
                let typed = self.typing(number).map(|typing| typing.take(&input.data));
                if typed.is_some_and(|typed| typed.is_err())
                    && let Some(flow) = self.flows.remove(&number)
                {
                    flow.pump.abort();
                    self.answer(number, terminal::overrun()).await;
                }
            }
            Some(Message::Resize(size)) => {
                if let Some(typing) = self.typing(number) {
                    typing.resize(&size);
                }
            }
            Some(Message::Press(press)) => self.press(number, press).await,
            None => {
                let unknown =
                    "this agent does not know what is asked for; it is older than the aggregator";
                self.answer(number, failed(ControlResult::Failed, unknown))
                    .await;
            }
        }
    }

    /// Goes on when the stream breaks: what has begun is not undone, nor left half-way.
    async fn act(&self, number: u64, action: ContainerAction) {
        let Ok(slot) = self.control.slots.actions.clone().try_acquire_owned() else {
            return self.busy(number).await;
        };
        let verb = action.verb();
        tracing::info!(
            container = action.container_id,
            ?verb,
            action.force,
            "asked by the aggregator"
        );
        let (engines, answers) = (self.control.engines.clone(), self.answers.clone());
        tokio::spawn(async move {
            let done = engines.act(&action.container_id, verb, action.force).await;
            answer(&answers, number, outcome(done)).await;
            drop(slot);
        });
    }

    /// Goes on when the stream breaks, like an action.
    async fn press(&self, number: u64, press: PluginPress) {
        let Ok(slot) = self.control.slots.actions.clone().try_acquire_owned() else {
            return self.busy(number).await;
        };
        let Some(plugins) = self.control.plugins.clone() else {
            let none = "this agent has no plugins (--plugins-dir)";
            return self
                .answer(number, failed(ControlResult::NotFound, none))
                .await;
        };
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let told = match plugins.press(&press).await {
                Ok(message) => ControlOutcome {
                    message,
                    ..outcome(Ok(()))
                },
                Err((result, why)) => failed(result, &why),
            };
            answer(&answers, number, told).await;
            drop(slot);
        });
    }

    async fn inspect(&self, number: u64, inspect: ContainerInspect) {
        let Ok(slot) = self.control.slots.actions.clone().try_acquire_owned() else {
            return self.busy(number).await;
        };
        let (engines, answers) = (self.control.engines.clone(), self.answers.clone());
        tokio::spawn(async move {
            let told = match engines.inspect(&inspect.container_id).await {
                Ok(inspection) => ControlOutcome {
                    inspection,
                    ..outcome(Ok(()))
                },
                Err(error) => outcome(Err(error)),
            };
            answer(&answers, number, told).await;
            drop(slot);
        });
    }

    async fn log(&mut self, number: u64, asked: ContainerLogs) {
        let Ok(slot) = self.control.slots.logs.clone().try_acquire_owned() else {
            return self.busy(number).await;
        };
        let credit = window(asked.window_bytes);
        let pump = Pump {
            request: number,
            answers: self.answers.clone(),
            credit: credit.clone(),
            pace: self.pace.clone(),
            began: self.began,
            follow: asked.follow,
            patience: if asked.follow {
                FOLLOW_PATIENCE
            } else {
                READ_PATIENCE
            },
        };
        let engines = self.control.engines.clone();
        let pump = self.pumps.spawn(async move {
            let logs = LogsAsked {
                follow: asked.follow,
                tail: asked.tail,
                since_unix_s: asked.since_unix_s,
                timestamps: asked.timestamps,
            };
            let answers = pump.answers.clone();
            let told = match engines.logs(&asked.container_id, logs).await {
                Ok(mut log) => pump.run(&mut log).await,
                Err(error) => outcome(Err(error)),
            };
            answer(&answers, number, told).await;
            drop(slot);
            number
        });
        let flow = Flow {
            credit,
            typing: None,
            pump,
        };
        self.flows.insert(number, flow);
    }

    async fn terminal(&mut self, number: u64, open: TerminalOpen) {
        let Ok(slot) = self.control.slots.terminals.clone().try_acquire_owned() else {
            return self.busy(number).await;
        };
        tracing::info!(
            container = open.container_id,
            own_process = open.command.is_empty(),
            "a terminal is asked for by the aggregator"
        );
        let credit = window(open.window_bytes);
        let typing = Arc::new(Typing::default());
        typing.resize(&open.size.unwrap_or_default());
        let session = terminal::Session {
            request: number,
            answers: self.answers.clone(),
            credit: credit.clone(),
            pace: self.pace.clone(),
            began: self.began,
            typing: typing.clone(),
        };
        let engines = self.control.engines.clone();
        let pump = self.pumps.spawn(async move {
            let asked = TerminalAsked {
                command: open.command,
                tty: open.tty,
                interactive: open.interactive,
            };
            let answers = session.answers.clone();
            let told = match engines.terminal(&open.container_id, &asked).await {
                Ok(terminal) => session.run(terminal).await,
                Err(error) => outcome(Err(error)),
            };
            answer(&answers, number, told).await;
            drop(slot);
            number
        });
        let flow = Flow {
            credit,
            typing: Some(typing),
            pump,
        };
        self.flows.insert(number, flow);
    }

    async fn list_files(&mut self, number: u64, asked: FileList) {
        let Ok(slot) = self.control.slots.files.clone().try_acquire_owned() else {
            return self.busy(number).await;
        };
        let (engines, answers) = (self.control.engines.clone(), self.answers.clone());
        self.pumps.spawn(async move {
            let told = files::list(&engines, asked, files::slot(slot)).await;
            answer(&answers, number, told).await;
            number
        });
    }

    async fn read_file(&mut self, number: u64, asked: FileRead) {
        let Ok(slot) = self.control.slots.files.clone().try_acquire_owned() else {
            return self.busy(number).await;
        };
        tracing::info!(
            container = asked.container_id,
            path = asked.path,
            "a file is asked for by the aggregator"
        );
        let engines = self.control.engines.clone();
        let window_bytes = asked.window_bytes;
        self.flow(number, window_bytes, |session| async move {
            session.read_file(&engines, asked, files::slot(slot)).await
        });
    }

    async fn write_file(&mut self, number: u64, asked: FileWrite) {
        let Ok(slot) = self.control.slots.files.clone().try_acquire_owned() else {
            return self.busy(number).await;
        };
        tracing::info!(
            container = asked.container_id,
            path = asked.path,
            asked.size_bytes,
            "a file is written for the aggregator"
        );
        let engines = self.control.engines.clone();
        self.flow(number, 0, |session| async move {
            session.write_file(&engines, asked, files::slot(slot)).await
        });
    }

    /// What goes on for a while and takes or gives bytes.
    fn flow<F>(&mut self, number: u64, window_bytes: u32, work: impl FnOnce(terminal::Session) -> F)
    where
        F: Future<Output = ControlOutcome> + Send + 'static,
    {
        let credit = window(window_bytes);
        let typing = Arc::new(Typing::default());
        let answers = self.answers.clone();
        let work = work(terminal::Session {
            request: number,
            answers: answers.clone(),
            credit: credit.clone(),
            pace: self.pace.clone(),
            began: self.began,
            typing: typing.clone(),
        });
        let pump = self.pumps.spawn(async move {
            let told = work.await;
            answer(&answers, number, told).await;
            number
        });
        let flow = Flow {
            credit,
            typing: Some(typing),
            pump,
        };
        self.flows.insert(number, flow);
    }

    fn typing(&self, number: u64) -> Option<&Typing> {
        self.flows.get(&number)?.typing.as_deref()
    }

    async fn busy(&self, number: u64) {
        let text = "as much as this agent allows is under way already";
        self.answer(number, failed(ControlResult::Busy, text)).await;
    }

    async fn answer(&self, number: u64, told: ControlOutcome) {
        answer(&self.answers, number, told).await;
    }
}

/// What an aggregator takes at first, within reason.
fn window(bytes: u32) -> Arc<Semaphore> {
    let window = usize::try_from(bytes).unwrap_or(WINDOW_BYTES_MAX);
    Arc::new(Semaphore::new(window.clamp(CHUNK_BYTES, WINDOW_BYTES_MAX)))
}

fn failed(result: ControlResult, message: &str) -> ControlOutcome {
    ControlOutcome {
        result: result.into(),
        message: message.to_owned(),
        ..ControlOutcome::default()
    }
}

async fn answer(answers: &mpsc::Sender<ControlAnswer>, number: u64, told: ControlOutcome) {
    let told = ControlAnswer {
        request: number,
        answer: Some(Answer::Outcome(told)),
    };
    // The stream may have ended; then nobody waits for it.
    let _ = answers.send(told).await;
}
