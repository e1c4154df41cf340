//! Values over time, of a host by its agent or of any node by its id.

use axum::Json;
use axum::extract::{Path, Query, State};
use mesoscope_series::{COARSE_STEP_MS, FINE_STEP_MS, Range};
use serde::Serialize;

use super::Api;
use super::error::ApiError;

/// Values of one metric in one answer.
const STEPS_MAX: u64 = 10_000;
const HINT: &str = "metric=KEY (may be repeated; all without it), from and to in Unix milliseconds \
                    (the whole retention without them), step=5s or longer (15s without it)";

type Pairs = Query<Vec<(String, String)>>;

/// Body of an answer.
#[derive(Debug, Serialize)]
pub(super) struct Series {
    id: String,
    from_unix_ms: u64,
    step_ms: u64,
    metrics: Vec<Values>,
}

#[derive(Debug, Serialize)]
struct Values {
    key: &'static str,
    unit: &'static str,
    /// The mean of each step from the first on; null where nothing is known.
    values: Vec<Option<f64>>,
}

/// `GET /api/v1/query/agents/{agent_id}/timeseries`: of the agent's host.
pub(super) async fn of_agent(
    State(api): State<Api>,
    Path(agent_id): Path<String>,
    Query(pairs): Pairs,
) -> Result<Json<Series>, ApiError> {
    if api.core.read().find_agent(&agent_id).is_none() {
        let error = format!("no agent {agent_id:?}");
        let hint = "GET /api/v1/agents/list lists them";
        return Err(ApiError::not_found(error, hint));
    }
    answer(&api, format!("host;{agent_id}"), &pairs)
}

/// `GET /api/v1/query/nodes/{id}/timeseries`: of a host, container or process.
pub(super) async fn of_node(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
) -> Result<Json<Series>, ApiError> {
    answer(&api, id, &pairs)
}

fn answer(api: &Api, id: String, pairs: &[(String, String)]) -> Result<Json<Series>, ApiError> {
    let now_ms = api.core.now_ms();
    let (range, wanted) = parse(pairs, now_ms, api.series.limits().keep_ms)?;
    let Some(answer) = api.series.query(&id, range, now_ms) else {
        let error = format!("{id:?} has no time series");
        let hint = "hosts, containers and processes have some from their first figures on, until the \
                    retention after their end";
        return Err(ApiError::not_found(error, hint));
    };
    if let Some(unknown) = wanted
        .iter()
        .find(|key| answer.metrics.iter().all(|metric| metric.key != **key))
    {
        let keys: Vec<_> = answer.metrics.iter().map(|metric| metric.key).collect();
        let error = format!("{id:?} has no metric {unknown:?}");
        return Err(ApiError::bad_request(
            error,
            format!("one of {}", keys.join(", ")),
        ));
    }
    let metrics = answer.metrics.iter().zip(answer.values);
    let metrics = metrics
        .filter(|(metric, _)| wanted.is_empty() || wanted.contains(&metric.key))
        .map(|(metric, values)| Values {
            key: metric.key,
            unit: metric.unit,
            values,
        });
    Ok(Json(Series {
        id,
        from_unix_ms: range.start_ms(),
        step_ms: range.step_ms,
        metrics: metrics.collect(),
    }))
}

fn parse(
    pairs: &[(String, String)],
    now_ms: u64,
    keep_ms: u64,
) -> Result<(Range, Vec<&str>), ApiError> {
    let bad = |error: String| ApiError::bad_request(error, HINT);
    let (mut from, mut to, mut step_ms) = (None, None, COARSE_STEP_MS);
    let mut metrics = Vec::new();
    for (key, value) in pairs {
        let time = || {
            let parsed = value.parse::<u64>().ok();
            parsed.ok_or_else(|| bad(format!("{key} is not in Unix milliseconds: {value:?}")))
        };
        match key.as_str() {
            "metric" => metrics.push(value.as_str()),
            "from" => from = Some(time()?),
            "to" => to = Some(time()?),
            "step" => {
                let parsed = value.parse::<mesoscope_service::units::Duration>();
                let parsed = parsed.map_err(|_| bad(format!("step is no duration: {value:?}")))?;
                step_ms = u64::try_from(parsed.as_millis()).unwrap_or(u64::MAX);
            }
            _ => return Err(bad(format!("unknown parameter {key:?}"))),
        }
    }
    if !(FINE_STEP_MS..=keep_ms).contains(&step_ms) {
        return Err(bad("step is from 5s to the retention".to_owned()));
    }
    let oldest_ms = now_ms.saturating_sub(keep_ms);
    let to_ms = to.unwrap_or(now_ms).min(now_ms + 1);
    let from_ms = from.unwrap_or(oldest_ms);
    if from_ms >= to_ms {
        return Err(bad("from must be before to and before now".to_owned()));
    }
    let range = Range {
        from_ms: from_ms.max(oldest_ms.min(to_ms)),
        to_ms,
        step_ms,
    };
    if range.steps() > STEPS_MAX {
        let error = format!("{} steps; at most {STEPS_MAX} in one answer", range.steps());
        return Err(bad(error));
    }
    Ok((range, metrics))
}
