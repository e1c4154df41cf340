//! Answers that several operations share, told to the document once.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::RefOr;
use utoipa::openapi::response::{Response, ResponseBuilder};

/// Why nothing came of a request to the engine of a container.
pub(super) struct OfTheEngine;

/// Why nothing came of a request for a file of a container.
pub(super) struct OfAFile;

/// Why no terminal opened.
pub(super) struct OfATerminal;

impl IntoResponses for OfTheEngine {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        told(&[
            (
                "404",
                "No connected agent reports it, or the engine does not have it",
            ),
            (
                "409",
                "Its state does not allow it, or the digits fit more than one",
            ),
            ("502", "The agent went away, or it failed in the engine"),
            (
                "503",
                "A bound is reached, or the agent does not control containers",
            ),
            ("504", "No answer in time; it may still be done"),
            ("507", "It can't be recorded, and was not done"),
        ])
    }
}

impl IntoResponses for OfAFile {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        told(&[
            (
                "404",
                "No connected agent reports the container, or it has no such file",
            ),
            (
                "409",
                "It is something else, may not be written, or the digits fit more than one",
            ),
            ("502", "The agent went away, or may not itself"),
            (
                "503",
                "A bound is reached, a disk does not answer, or the agent does not control containers",
            ),
            ("504", "No answer in time; it may still be done"),
            ("507", "It can't be recorded, and was not done"),
        ])
    }
}

impl IntoResponses for OfATerminal {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        told(&[
            (
                "101",
                "The WebSocket is open; what goes wrong from here on is said in it",
            ),
            (
                "400",
                "A parameter that makes no sense, or no upgrade was asked for",
            ),
            ("404", "No connected agent reports it"),
            ("409", "The digits fit more than one"),
            ("426", "The connection can't be upgraded"),
        ])
    }
}

fn told(answers: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let answer = |&(status, meaning): &(&str, &str)| {
        let response = ResponseBuilder::new().description(meaning).build();
        (status.to_owned(), RefOr::T(response))
    };
    answers.iter().map(answer).collect()
}
