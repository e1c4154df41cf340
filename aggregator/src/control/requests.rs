//! The requests of one stream that wait for their answers.

use std::collections::HashMap;
use std::sync::Arc;

use mesoscope_proto::v1::control_answer::Answer;
use mesoscope_proto::v1::{ControlAnswer, ControlOutcome, ControlResult, RoutedAnswer};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::log::{Overrun, Pipe};
use super::terminal::Screen;

/// Requests of one agent that wait.
pub(super) const WAITING_MAX: usize = 64;

/// An agent that does not keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("an answer holds nothing, or not what was asked for")]
    Answer,
    #[error(transparent)]
    Overrun(#[from] Overrun),
}

/// Numbers are given once, so that an answer that comes too late meets nobody.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    waiting: HashMap<u64, Waiting>,
}

#[derive(Debug)]
enum Waiting {
    Outcome(oneshot::Sender<ControlOutcome>),
    Log(Arc<Pipe>),
    Terminal(Arc<Screen>),
    /// Another member waits, for its own number.
    Elsewhere(Forward),
}

/// Answers on their way to another member.
#[derive(Debug, Clone)]
pub(super) struct Forward {
    pub(super) agent_id: String,
    pub(super) generation: u64,
    /// The other member's number of the request.
    pub(super) number: u64,
    pub(super) answers: mpsc::Sender<RoutedAnswer>,
    /// Cancelled when the member does not take its answers.
    pub(super) closed: CancellationToken,
}

impl Forward {
    pub(super) fn tell(&self, answer: Answer) {
        let answer = RoutedAnswer {
            agent_id: self.agent_id.clone(),
            generation: self.generation,
            answer: Some(ControlAnswer {
                request: self.number,
                answer: Some(answer),
            }),
        };
        if self.answers.try_send(answer).is_err() {
            self.closed.cancel();
        }
    }
}

impl Requests {
    /// A new request; `None` when too many wait.
    pub(super) fn open(&mut self) -> Option<(u64, oneshot::Receiver<ControlOutcome>)> {
        let (sender, receiver) = oneshot::channel();
        Some((self.insert(Waiting::Outcome(sender))?, receiver))
    }

    /// The same for a log.
    pub(super) fn open_log(&mut self, window_bytes: u32) -> Option<(u64, Arc<Pipe>)> {
        let pipe = Arc::new(Pipe::new(window_bytes));
        Some((self.insert(Waiting::Log(pipe.clone()))?, pipe))
    }

    /// The same for a terminal, or a file.
    pub(super) fn open_terminal(&mut self, window_bytes: u32) -> Option<(u64, Arc<Screen>)> {
        let screen = Arc::new(Screen::new(window_bytes));
        Some((self.insert(Waiting::Terminal(screen.clone()))?, screen))
    }

    /// The same for another member.
    pub(super) fn open_elsewhere(&mut self, forward: Forward) -> Option<u64> {
        self.insert(Waiting::Elsewhere(forward))
    }

    fn insert(&mut self, waiting: Waiting) -> Option<u64> {
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        self.last += 1;
        self.waiting.insert(self.last, waiting);
        Some(self.last)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Nobody waits for it any more. Gives whether an answer was still to come.
    pub(super) fn forget(&mut self, number: u64) -> bool {
        self.waiting.remove(&number).is_some()
    }

    /// Hands an answer to whoever waits for it; nobody may.
    pub(super) fn take(&mut self, answer: ControlAnswer) -> Result<(), Broken> {
        let number = answer.request;
        if let Some(Waiting::Elsewhere(forward)) = self.waiting.get(&number) {
            return match answer.answer {
                None | Some(Answer::Hello(_)) => Err(Broken::Answer),
                Some(told) => {
                    let last = matches!(told, Answer::Outcome(_));
                    forward.tell(told);
                    if last {
                        self.waiting.remove(&number);
                    }
                    Ok(())
                }
            };
        }
        match answer.answer {
            Some(Answer::Outcome(outcome)) => {
                match self.waiting.remove(&number) {
                    // It may have gone at this moment.
                    Some(Waiting::Outcome(sender)) => drop(sender.send(outcome)),
                    Some(Waiting::Log(pipe)) => pipe.end(outcome),
                    Some(Waiting::Terminal(screen)) => screen.end(outcome),
                    Some(Waiting::Elsewhere(_)) | None => {}
                }
                Ok(())
            }
            Some(Answer::Log(chunk)) => match self.waiting.get(&number) {
                Some(Waiting::Log(pipe)) => Ok(pipe.take(chunk)?),
                Some(_) => Err(Broken::Answer),
                None => Ok(()),
            },
            Some(Answer::Terminal(output)) => match self.waiting.get(&number) {
                Some(Waiting::Terminal(screen)) => Ok(screen.take(&output)?),
                Some(_) => Err(Broken::Answer),
                None => Ok(()),
            },
            Some(Answer::Typing(credit)) => match self.waiting.get(&number) {
                Some(Waiting::Terminal(screen)) => {
                    screen.allow(&credit);
                    Ok(())
                }
                Some(_) => Err(Broken::Answer),
                None => Ok(()),
            },
            Some(Answer::File(entry)) => match self.waiting.get(&number) {
                Some(Waiting::Terminal(screen)) => {
                    screen.open(entry);
                    Ok(())
                }
                Some(_) => Err(Broken::Answer),
                None => Ok(()),
            },
            Some(Answer::Hello(_)) | None => Err(Broken::Answer),
        }
    }

    /// The stream has ended: nothing is answered any more, nor asked.
    pub(super) fn end(&mut self) {
        for (_, waiting) in self.waiting.drain() {
            let gone = ControlOutcome {
                result: ControlResult::Unavailable.into(),
                message: "the agent went away".to_owned(),
                ..ControlOutcome::default()
            };
            match waiting {
                // Heard of by the end of the channel.
                Waiting::Outcome(_) => {}
                Waiting::Log(pipe) => pipe.end(gone),
                Waiting::Terminal(screen) => screen.end(gone),
                Waiting::Elsewhere(forward) => forward.tell(Answer::Outcome(gone)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mesoscope_proto::v1::{ControlHello, LogChunk, TerminalCredit, TerminalOutput};

    use super::*;

    fn answer(request: u64, answer: Answer) -> ControlAnswer {
        ControlAnswer {
            request,
            answer: Some(answer),
        }
    }

    fn outcome(request: u64, message: &str) -> ControlAnswer {
        let outcome = ControlOutcome {
            result: ControlResult::Done.into(),
            message: message.to_owned(),
            ..ControlOutcome::default()
        };
        answer(request, Answer::Outcome(outcome))
    }

    fn chunk(request: u64, data: &[u8]) -> ControlAnswer {
        let chunk = LogChunk {
            data: data.to_vec(),
            bytes_left_out: 0,
        };
        answer(request, Answer::Log(chunk))
    }

    #[test]
    fn each_answer_meets_its_request() {
        let mut requests = Requests::default();
        let (first, mut first_answer) = requests.open().expect("room");
        let (second, mut second_answer) = requests.open().expect("room");
        assert!(first != second && first != 0);
        requests.take(outcome(second, "b")).expect("kept to");
        requests.take(outcome(first, "a")).expect("kept to");
        assert_eq!(first_answer.try_recv().expect("answered").message, "a");
        assert_eq!(second_answer.try_recv().expect("answered").message, "b");
        assert_eq!(requests.waiting(), 0);
        // A second one meets nobody, nor does one that was never asked for.
        requests.take(outcome(first, "a")).expect("harmless");
        requests.take(chunk(99, b"x")).expect("harmless");
    }

    #[test]
    fn what_is_forgotten_is_not_answered_and_its_number_not_given_again() {
        let mut requests = Requests::default();
        let (first, _answer) = requests.open().expect("room");
        assert!(requests.forget(first));
        assert!(!requests.forget(first));
        let (second, mut answer) = requests.open().expect("room");
        requests.take(outcome(first, "late")).expect("harmless");
        assert!(answer.try_recv().is_err());
        assert_ne!(first, second);
    }

    #[test]
    fn no_more_wait_than_may() {
        let mut requests = Requests::default();
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| requests.open().expect("room"))
            .collect();
        assert!(requests.open().is_none() && requests.open_log(1).is_none());
        requests.take(outcome(waiting[0].0, "")).expect("kept to");
        assert!(requests.open_log(1).is_some());
    }

    #[test]
    fn an_agent_that_answers_something_else_is_cut_off() {
        let mut requests = Requests::default();
        let (number, _answer) = requests.open().expect("room");
        let (log, _pipe) = requests.open_log(4).expect("room");
        assert_eq!(requests.take(chunk(number, b"x")), Err(Broken::Answer));
        let hello = answer(0, Answer::Hello(ControlHello::default()));
        assert_eq!(requests.take(hello), Err(Broken::Answer));
        assert_eq!(requests.take(ControlAnswer::default()), Err(Broken::Answer));
        for other in [
            Answer::Terminal(TerminalOutput::default()),
            Answer::Typing(TerminalCredit::default()),
        ] {
            assert_eq!(requests.take(answer(log, other)), Err(Broken::Answer));
        }
        let (terminal, _screen) = requests.open_terminal(4).expect("room");
        assert_eq!(requests.take(chunk(terminal, b"x")), Err(Broken::Answer));
        requests
            .take(chunk(log, b"four"))
            .expect("within the window");
        assert_eq!(
            requests.take(chunk(log, b"5")),
            Err(Broken::Overrun(Overrun))
        );
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_heard_by_all_who_wait() {
        let mut requests = Requests::default();
        let (_, answer) = requests.open().expect("room");
        let (_, pipe) = requests.open_log(100).expect("room");
        let (_, screen) = requests.open_terminal(100).expect("room");
        requests.end();
        assert!(screen.next().await.is_err());
        assert!(answer.await.is_err());
        assert_eq!(
            pipe.begun().await.expect_err("ended").message,
            "the agent went away"
        );
        assert_eq!(requests.waiting(), 0);
    }
}
