//! Files of containers: folders listed, files and folders downloaded, files uploaded.

use std::io;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use mesoscope_access::{Identity, Role};
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    ControlOutcome, ControlResult, FileKind, FileList, FileListing, FileRead, FileWrite,
};
use tokio::time::{Interval, MissedTickBehavior};

use super::Api;
use super::access::LetInBy;
use super::answers::OfAFile;
use super::control::{flag, unknown};
use super::error::ApiError;
use super::websocket::CHECK_PERIOD;
use crate::control::{ControlError, Terminal};

/// Bytes of a path: the audit keeps all of it, however it is escaped.
const PATH_BYTES_MAX: usize = 2 << 10;
const LIMIT_DEFAULT: u32 = 200;
const LIMIT_MAX: u32 = 1_000;
/// Bytes of an upload. Agents have the same bound.
const UPLOAD_BYTES_MAX: u64 = 256 << 20;
/// Of an upload that were read and have not gone to the agent.
const HELD_BYTES_MAX: usize = 64 << 10;
const HINT: &str = "path=/FOLDER/FILE of at most 2048 bytes; a list takes after=NAME and limit=1..1000, \
                    reading head=BYTES, writing replace=true|false";

type Pairs = Query<Vec<(String, String)>>;

/// What is asked for in a query.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    path: String,
    after: String,
    limit: u32,
    head: u64,
    replace: bool,
}

/// `keys`: those that this operation takes.
fn asked(pairs: &[(String, String)], keys: &[&str]) -> Result<Asked, ApiError> {
    let mut asked = Asked {
        limit: LIMIT_DEFAULT,
        ..Asked::default()
    };
    for (key, value) in pairs {
        let refused = || unknown(key, value, HINT);
        if !keys.contains(&key.as_str()) {
            return Err(refused());
        }
        match key.as_str() {
            "path" => asked.path.clone_from(value),
            "after" if value.len() <= PATH_BYTES_MAX => asked.after.clone_from(value),
            "limit" => {
                let limit = value.parse().ok();
                let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
                asked.limit = limit.ok_or_else(refused)?;
            }
            "head" => asked.head = value.parse().map_err(|_| refused())?,
            "replace" => asked.replace = flag(value).ok_or_else(refused)?,
            _ => return Err(refused()),
        }
    }
    let path = asked.path.as_str();
    if !path.starts_with('/') || path.len() > PATH_BYTES_MAX || path.contains('\0') {
        let error = format!("{path:?} is no path in a container");
        return Err(ApiError::bad_request(error, HINT));
    }
    Ok(asked)
}

/// What is in a folder of a container, by name.
///
/// Needs the role operator. Links are told and not followed; the folder itself may be one. `more` says
/// that there are further ones: ask again with `after` the last name.
#[utoipa::path(get, path = "/api/containers/{id}/files", tag = "containers",
    operation_id = "list_files",
    params(
        ("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id"),
        ("path" = String, Query, description = "The folder, from the container's root on"),
        ("after" = Option<String>, Query, description = "Only names after this one"),
        ("limit" = Option<u32>, Query, description = "Entries at most (200), up to 1000"),
    ),
    responses(
        (status = 200, description = "Its entries", body = FileListing),
        (status = 400, description = "A parameter that makes no sense"),
        OfAFile,
    ))]
pub(super) async fn list(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
    Extension(identity): Extension<Identity>,
) -> Result<Json<FileListing>, ApiError> {
    identity.require(Role::Operator)?;
    let asked = asked(&pairs, &["path", "after", "limit"])?;
    let target = api.target(&id)?;
    let parameters = serde_json::json!({ "agent": target.agent_id, "path": asked.path });
    let entry = identity.entry("container.files.list", &target.node());
    let message = Message::FileList(FileList {
        container_id: target.id.clone(),
        path: asked.path,
        after: asked.after,
        limit: asked.limit,
    });
    api.audited(entry.with_parameters(parameters), async {
        let listed = api
            .control
            .ask(&target.agent_id, target.generation, message)
            .await;
        let listing = listed.map_err(told)?.listing;
        Ok(Json(listing.unwrap_or_default()))
    })
    .await
}

/// A file of a container; of a folder, a tar of it.
///
/// Needs the role operator. At most 1 GiB and 100,000 entries. Devices, pipes and sockets are never opened,
/// nor the kernel's own file systems.
#[utoipa::path(get, path = "/api/containers/{id}/file", tag = "containers",
    operation_id = "read_file",
    params(
        ("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id"),
        ("path" = String, Query, description = "From the container's root on"),
        ("head" = Option<u64>, Query, description = "Of a file, only so many bytes from its start"),
    ),
    responses(
        (status = 200, description = "Its bytes; an answer that breaks off says that it could not be \
            read further", body = String, content_type = "application/octet-stream"),
        (status = 400, description = "A parameter that makes no sense"),
        (status = 413, description = "More than is carried"),
        OfAFile,
    ))]
pub(super) async fn read(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
    Extension(identity): Extension<Identity>,
    Extension(let_in_by): Extension<LetInBy>,
) -> Result<Response, ApiError> {
    identity.require(Role::Operator)?;
    let asked = asked(&pairs, &["path", "head"])?;
    let target = api.target(&id)?;
    let parameters =
        serde_json::json!({ "agent": target.agent_id, "path": asked.path, "head": asked.head });
    let entry = identity.entry("container.files.read", &target.node());
    let message = FileRead {
        container_id: target.id.clone(),
        path: asked.path,
        head_bytes: asked.head,
        ..FileRead::default()
    };
    let (found, file) = api
        .audited(entry.with_parameters(parameters), async {
            let reading = api
                .control
                .read_file(&target.agent_id, target.generation, message);
            reading.await.map_err(told)
        })
        .await?;
    let folder = found.kind() == FileKind::Folder;
    let (name, kind) = if folder {
        (format!("{}.tar", found.name), "application/x-tar")
    } else {
        (found.name.clone(), "application/octet-stream")
    };
    let mut checks = tokio::time::interval(CHECK_PERIOD);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reading = Reading {
        api,
        let_in_by,
        file,
        checks,
        ended: false,
    };
    let bytes = stream::unfold(reading, async |mut reading| {
        let bytes = reading.next().await?;
        Some((bytes, reading))
    });
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, disposition(&name)),
        (header::CONTENT_ENCODING, "identity".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let mut response = (headers, Body::from_stream(bytes)).into_response();
    if !folder {
        let bytes = match asked.head {
            0 => found.size_bytes,
            head => found.size_bytes.min(head),
        };
        let told = header::HeaderName::from_static("x-file-size");
        let answered = response.headers_mut();
        answered.insert(told, found.size_bytes.into());
        // A file that shrinks meanwhile breaks the answer off, which is what happened.
        answered.insert(header::CONTENT_LENGTH, bytes.into());
    }
    Ok(response)
}

/// To be kept under this name and never shown by the browser itself.
fn disposition(name: &str) -> String {
    use std::fmt::Write as _;
    let mut text = "attachment; filename*=UTF-8''".to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Never fails.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// A file on its way to its reader, who may have to sign in again meanwhile.
struct Reading {
    api: Api,
    let_in_by: LetInBy,
    file: Terminal,
    checks: Interval,
    ended: bool,
}

impl Reading {
    /// What is no whole file breaks off: no text of ours gets into it.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.ended {
            return None;
        }
        let drain = self.api.drain.clone();
        loop {
            let broken = tokio::select! {
                () = drain.cancelled() => "the aggregator is shutting down".to_owned(),
                bytes = self.file.next() => match bytes {
                    Ok(bytes) => return Some(Ok(bytes)),
                    Err(outcome) if outcome.result() == ControlResult::Done => return None,
                    Err(outcome) => outcome.message,
                },
                _ = self.checks.tick() => {
                    if self.let_in_by.still_has(Role::Operator, &self.api).await {
                        continue;
                    }
                    "what was signed in with has ended".to_owned()
                }
            };
            self.ended = true;
            tracing::info!(reason = broken, "a download broke off");
            return Some(Err(io::Error::other(broken)));
        }
    }
}

/// Writes a file of a container: the body is its bytes.
///
/// Needs the role operator. At most 256 MiB. It is there when all of it is, or not at all.
#[utoipa::path(put, path = "/api/containers/{id}/file", tag = "containers",
    operation_id = "write_file",
    params(
        ("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id"),
        ("path" = String, Query, description = "From the container's root on; its folder is there already"),
        ("replace" = Option<bool>, Query, description = "Also where there is such a file (false)"),
    ),
    request_body(content = String, content_type = "application/octet-stream"),
    responses(
        (status = 204, description = "It is there"),
        (status = 400, description = "A parameter that makes no sense, or the body broke off"),
        (status = 411, description = "The body does not say how long it is"),
        (status = 413, description = "More than is carried"),
        OfAFile,
    ))]
pub(super) async fn write(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
    Extension(identity): Extension<Identity>,
    Extension(let_in_by): Extension<LetInBy>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    identity.require(Role::Operator)?;
    let asked = asked(&pairs, &["path", "replace"])?;
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let size_bytes = length.ok_or_else(|| {
        let error = "the body does not say how long it is";
        let hint = "send Content-Length; curl --upload-file FILE does";
        ApiError::new(StatusCode::LENGTH_REQUIRED, error, hint)
    })?;
    if size_bytes > UPLOAD_BYTES_MAX {
        let error =
            format!("{size_bytes} bytes are more than the {UPLOAD_BYTES_MAX} that are taken");
        let hint = "let the container fetch it, or mount it";
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, error, hint));
    }
    let target = api.target(&id)?;
    let parameters = serde_json::json!({
        "agent": target.agent_id,
        "path": asked.path,
        "bytes": size_bytes,
        "replace": asked.replace,
    });
    let entry = identity.entry("container.files.write", &target.node());
    let entry = entry.with_parameters(parameters);
    let message = FileWrite {
        container_id: target.id.clone(),
        path: asked.path,
        size_bytes,
        replace: asked.replace,
    };
    // Goes on when the client goes away, so that its outcome is recorded.
    let writing = tokio::spawn(async move {
        let written = async {
            let file = api
                .control
                .write_file(&target.agent_id, target.generation, message)
                .await
                .map_err(told)?;
            carry(&api, &let_in_by, &file, body).await
        };
        api.audited(entry, written).await
    });
    writing.await.map_err(|panicked| {
        let hint = "the aggregator's log says more; report this";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
    })?
}

/// Hands the body to the agent, as fast as it takes it, and waits for what came of it.
async fn carry(
    api: &Api,
    let_in_by: &LetInBy,
    file: &Terminal,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let mut body = body.into_data_stream();
    let mut held = Vec::new();
    let mut more = true;
    let mut checks = tokio::time::interval(CHECK_PERIOD);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            outcome = file.next() => match outcome {
                // It has nothing to say meanwhile.
                Ok(_) => {}
                Err(outcome) => return ended(outcome),
            },
            () = file.write(&mut held), if !held.is_empty() => {}
            piece = body.next(), if more && held.len() < HELD_BYTES_MAX => match piece {
                Some(Ok(piece)) => held.extend_from_slice(&piece),
                Some(Err(error)) => {
                    let error = format!("the upload broke off: {error}");
                    return Err(ApiError::bad_request(error, "nothing was changed; try again"));
                }
                None => more = false,
            },
            _ = checks.tick() => {
                if !let_in_by.still_has(Role::Operator, api).await {
                    let error = "what was signed in with has ended";
                    let hint = "nothing was changed; sign in and try again";
                    return Err(ApiError::new(StatusCode::UNAUTHORIZED, error, hint));
                }
            }
            () = api.drain.cancelled() => {
                let error = "the aggregator is shutting down";
                let hint = "nothing was changed; try again in a minute";
                return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error, hint));
            }
        }
    }
}

fn ended(outcome: ControlOutcome) -> Result<StatusCode, ApiError> {
    match outcome.result() {
        ControlResult::Done => Ok(StatusCode::NO_CONTENT),
        result => Err(told(ControlError::Refused(result, outcome.message))),
    }
}

/// What the agent says of a file is not about the container's state.
fn told(error: ControlError) -> ApiError {
    match error {
        ControlError::Refused(ControlResult::Conflict, message) => {
            let hint = "nothing was changed; another path, or another way to it";
            ApiError::new(StatusCode::CONFLICT, message, hint)
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)], keys: &[&str]) -> Result<Asked, ApiError> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        asked(&pairs, keys)
    }

    #[test]
    fn what_is_asked_for_is_a_path_from_the_root_on() {
        let plain = query(&[("path", "/etc")], &["path"]).expect("valid");
        assert_eq!((plain.path.as_str(), plain.limit), ("/etc", 200));
        for bad in ["", "etc", "/a\0b", &format!("/{}", "x".repeat(2_048))] {
            assert!(query(&[("path", bad)], &["path"]).is_err(), "{bad:?}");
        }
        assert!(query(&[], &["path"]).is_err());
        let keys = ["path", "limit", "head", "replace"];
        for bad in [
            ("limit", "0"),
            ("limit", "1001"),
            ("head", "-1"),
            ("replace", "maybe"),
            ("after", "x"),
        ] {
            let refused = query(&[("path", "/"), bad], &keys).expect_err("refused");
            assert!(refused.reason().contains(bad.0), "{bad:?}");
        }
    }

    #[test]
    fn a_name_can_not_become_another_header() {
        let name = "a\"b\r\nset-cookie: x=1; ü.txt";
        let told = disposition(name);
        assert_eq!(
            told,
            "attachment; filename*=UTF-8''a%22b%0D%0Aset-cookie%3A%20x%3D1%3B%20%C3%BC.txt"
        );
    }
}
