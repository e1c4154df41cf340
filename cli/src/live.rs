//! Streams that come back after the aggregator was away.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Streaming};

use crate::arguments::Server;
use crate::connect::{Client, Failure, connect};

/// Longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// After this long without the aggregator we give up.
const PATIENCE: Duration = Duration::from_secs(300);

/// A request that begins a stream.
pub trait Begin {
    /// What the stream carries.
    type Message;
    /// Asks for the stream.
    async fn begin(&self, client: &mut Client) -> Result<Streaming<Self::Message>, tonic::Status>;
}

/// A stream that is begun again when it breaks.
pub struct Live<'a, B: Begin> {
    server: &'a Server,
    request: B,
    stream: Streaming<B::Message>,
    /// The stream broke, and has not been begun again yet.
    away: bool,
    /// Say nothing on standard error: the screen is drawn on.
    quiet: bool,
}

/// What a stream gives.
pub enum Item<M> {
    /// A message.
    Message(M),
    /// The stream broke; the next item says that it is back.
    Away,
    /// The aggregator is back: what happened in between is not known.
    Returned,
}

impl<'a, B: Begin> Live<'a, B> {
    /// Connects; that the aggregator can't be reached now is an error.
    pub async fn begin(server: &'a Server, request: B, quiet: bool) -> Result<Self, Failure> {
        let stream = open(server, &request).await?;
        Ok(Self {
            server,
            request,
            stream,
            away: false,
            quiet,
        })
    }

    /// The next message.
    pub async fn next(&mut self) -> Result<Item<B::Message>, Failure> {
        if self.away {
            self.again().await?;
            self.away = false;
            self.say("the aggregator is back");
            return Ok(Item::Returned);
        }
        let why = match self.stream.message().await {
            Ok(Some(message)) => return Ok(Item::Message(message)),
            Ok(None) => "it ended the stream".to_owned(),
            Err(status) if is_final(status.code()) => {
                return Err(Failure::of(&status, self.server));
            }
            Err(status) => status.message().to_owned(),
        };
        self.say(&format!("the aggregator is away ({why}); trying again"));
        self.away = true;
        Ok(Item::Away)
    }

    async fn again(&mut self) -> Result<(), Failure> {
        let lost = Instant::now();
        let mut wait = Duration::from_millis(100);
        while lost.elapsed() < PATIENCE {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
            match open(self.server, &self.request).await {
                Ok(stream) => {
                    self.stream = stream;
                    return Ok(());
                }
                Err(Failure::Unreachable { .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Lost {
            server: self.server.url.clone(),
            minutes: PATIENCE.as_secs() / 60,
        })
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

async fn open<B: Begin>(server: &Server, request: &B) -> Result<Streaming<B::Message>, Failure> {
    let mut client = connect(server).await?;
    request
        .begin(&mut client)
        .await
        .map_err(|status| Failure::of(&status, server))
}

/// Trying again would end the same way.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::Unauthenticated
            | Code::PermissionDenied
            | Code::Unimplemented
            | Code::NotFound
    )
}
