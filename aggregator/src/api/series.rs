//! Values over time, of a host by its agent or of any node by its id.

use axum::Json;
use axum::extract::{Path, Query, State};
use mesoscope_proto::v1::{self, SeriesAsk};
use mesoscope_series::{COARSE_STEP_MS, FINE_STEP_MS, Range};
use mesoscope_service::units::Duration;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Api, parameters, query};
use crate::series;

/// Steps in one answer.
const LIMIT_DEFAULT: u64 = 1_000;
const LIMIT_MAX: u64 = 10_000;
const HINT: &str = "metric=KEY (may be repeated; all without it), last=1h, or from and to in Unix \
                    milliseconds (the whole retention without them), step=5s or longer (15s without it), \
                    limit=1..10000 steps, cursor=...";

type Pairs = Query<Vec<(String, String)>>;

/// Values over time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Series {
    id: String,
    /// Start of the first step; steps begin at multiples of their length.
    from_unix_ms: u64,
    /// Behind the last step; that may be shorter than the others.
    to_unix_ms: u64,
    step_ms: u64,
    metrics: Vec<Values>,
    /// Where the next answer goes on, when this one ended at its limit.
    cursor: Option<String>,
    /// Aggregators that did not answer: what only they know is not in this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aggregators_missing: Vec<String>,
}

/// Those of one metric.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SeriesValues)]
struct Values {
    key: &'static str,
    unit: &'static str,
    /// The mean of each step from the first on; null where nothing is known.
    values: Vec<Option<f64>>,
}

/// Time series of the agent's host.
#[utoipa::path(get, path = "/api/v1/query/agents/{agent_id}/timeseries", tag = "query",
    operation_id = "series_of_agent",
    params(
        ("agent_id" = String, Path, description = "The agent"),
        ("metric" = Option<Vec<String>>, Query, description = "Keys; all without it"),
        ("last" = Option<String>, Query, description = "How far back: 1h, 90s"),
        parameters::At,
        ("from" = Option<u64>, Query, description = "In place of last: Unix milliseconds"),
        ("to" = Option<u64>, Query, description = "In place of last: Unix milliseconds, not included"),
        ("step" = Option<String>, Query, description = "Length of a step, from 5s to the retention (15s)"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 10_000, description = "Steps in one answer (1000)"),
        ("cursor" = Option<String>, Query, description = "From the answer before"),
    ),
    responses(
        (status = 200, description = "The values", body = Series),
        (status = 400, description = "A parameter that makes no sense, or a metric that it does not have"),
        (status = 404, description = "It has no time series"),
    ))]
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
    answer(&api, format!("host;{agent_id}"), &pairs).await
}

/// Time series of a host, container or process.
#[utoipa::path(get, path = "/api/v1/query/nodes/{id}/timeseries", tag = "query",
    operation_id = "series_of_node",
    params(
        ("id" = String, Path, description = "The node's id, percent-encoded"),
        ("metric" = Option<Vec<String>>, Query, description = "Keys; all without it"),
        ("last" = Option<String>, Query, description = "How far back: 1h, 90s"),
        parameters::At,
        ("from" = Option<u64>, Query, description = "In place of last: Unix milliseconds"),
        ("to" = Option<u64>, Query, description = "In place of last: Unix milliseconds, not included"),
        ("step" = Option<String>, Query, description = "Length of a step, from 5s to the retention (15s)"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 10_000, description = "Steps in one answer (1000)"),
        ("cursor" = Option<String>, Query, description = "From the answer before"),
    ),
    responses(
        (status = 200, description = "The values", body = Series),
        (status = 400, description = "A parameter that makes no sense, or a metric that it does not have"),
        (status = 404, description = "It has no time series"),
    ))]
pub(super) async fn of_node(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
) -> Result<Json<Series>, ApiError> {
    answer(&api, id, &pairs).await
}

/// The same over gRPC.
pub(super) async fn over_grpc(
    api: &Api,
    request: v1::QuerySeriesRequest,
) -> Result<v1::QuerySeriesResponse, ApiError> {
    let numbers = [
        ("from", request.from_unix_ms, ""),
        ("to", request.to_unix_ms, ""),
        ("step", request.step_ms, "ms"),
        ("limit", request.limit.into(), ""),
    ];
    let asked = numbers.iter().filter(|(_, number, _)| *number != 0);
    let pairs = asked.map(|(key, number, unit)| ((*key).to_owned(), format!("{number}{unit}")));
    let metrics = request.metrics.into_iter();
    let pairs = pairs.chain(metrics.map(|metric| ("metric".to_owned(), metric)));
    let cursor = Some(request.cursor).filter(|cursor| !cursor.is_empty());
    let pairs = pairs.chain(cursor.map(|cursor| ("cursor".to_owned(), cursor)));
    let Json(series) = answer(api, request.id, &pairs.collect::<Vec<_>>()).await?;
    let metrics = series.metrics.into_iter().map(|metric| v1::MetricSeries {
        key: metric.key.to_owned(),
        unit: metric.unit.to_owned(),
        values: metric
            .values
            .into_iter()
            .map(|value| value.unwrap_or(f64::NAN))
            .collect(),
    });
    Ok(v1::QuerySeriesResponse {
        from_unix_ms: series.from_unix_ms,
        to_unix_ms: series.to_unix_ms,
        step_ms: series.step_ms,
        metrics: metrics.collect(),
        cursor: series.cursor.unwrap_or_default(),
    })
}

async fn answer(
    api: &Api,
    id: String,
    pairs: &[(String, String)],
) -> Result<Json<Series>, ApiError> {
    let now_ms = api.core.now_ms();
    let (at_ms, pairs) = query::moment(pairs.to_vec())?;
    // What lies behind the moment is yet to come.
    let until_ms = at_ms.map_or(now_ms, |at_ms| at_ms.min(now_ms));
    let asked = parse(&pairs, until_ms, api.series.limits().keep_ms)?;
    let owner = api.core.read().agent_of_container(&id);
    let here = api.series.query(&id, owner, asked.range, now_ms);
    let everywhere = SeriesAsk {
        id: id.clone(),
        from_unix_ms: asked.range.from_ms,
        to_unix_ms: asked.range.to_ms,
        step_ms: asked.range.step_ms,
    };
    let (elsewhere, missing) = api.registry.members().ask_series(&everywhere).await;
    let values = series::merged(here, &elsewhere);
    if values.is_empty() {
        let error = format!("{id:?} has no time series");
        let hint = "hosts, containers and processes have some from their first figures on, until the \
                    retention after their end";
        return Err(ApiError::not_found(error, hint));
    }
    let is_known = |key: &str| values.iter().any(|(metric, _)| metric.key == key);
    if let Some(unknown) = asked.metrics.iter().find(|key| !is_known(key)) {
        let keys: Vec<_> = values.iter().map(|(metric, _)| metric.key).collect();
        let error = format!("{id:?} has no metric {unknown:?}");
        let hint = format!("one of {}", keys.join(", "));
        return Err(ApiError::bad_request(error, hint));
    }
    let metrics = values
        .into_iter()
        .filter(|(metric, _)| asked.metrics.is_empty() || asked.metrics.contains(&metric.key))
        .map(|(metric, values)| Values {
            key: metric.key,
            unit: metric.unit,
            values: values.into_iter().map(|value| value.map(short)).collect(),
        });
    Ok(Json(Series {
        id,
        from_unix_ms: asked.range.start_ms(),
        to_unix_ms: asked.range.to_ms,
        step_ms: asked.range.step_ms,
        metrics: metrics.collect(),
        cursor: asked.cursor,
        aggregators_missing: missing.iter().map(ToString::to_string).collect(),
    }))
}

/// Without the digits that no metric has: its least difference is a ten-thousandth.
fn short(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Asked<'a> {
    range: Range,
    /// All when it is empty.
    metrics: Vec<&'a str>,
    cursor: Option<String>,
}

fn parse(pairs: &[(String, String)], now_ms: u64, keep_ms: u64) -> Result<Asked<'_>, ApiError> {
    let bad = |error: String| ApiError::bad_request(error, HINT);
    let (mut from, mut to, mut last, mut cursor) = (None, None, None, None);
    let (mut step_ms, mut limit) = (COARSE_STEP_MS, LIMIT_DEFAULT);
    let mut metrics = Vec::new();
    for (key, value) in pairs {
        let number = |what: &str| {
            let parsed = value.parse::<u64>().ok();
            parsed.ok_or_else(|| bad(format!("{key} is no {what}: {value:?}")))
        };
        let duration = || -> Result<u64, ApiError> {
            let parsed = value.parse::<Duration>();
            let parsed = parsed.map_err(|_| bad(format!("{key} is no duration: {value:?}")))?;
            Ok(u64::try_from(parsed.as_millis()).unwrap_or(u64::MAX))
        };
        match key.as_str() {
            "metric" => metrics.push(value.as_str()),
            "from" => from = Some(number("time in Unix milliseconds")?),
            "to" => to = Some(number("time in Unix milliseconds")?),
            "last" => last = Some(duration()?),
            "step" => step_ms = duration()?,
            "limit" => limit = number("number")?,
            "cursor" => cursor = Some(number("cursor of an answer")?),
            _ => return Err(bad(format!("unknown parameter {key:?}"))),
        }
    }
    if !(FINE_STEP_MS..=keep_ms).contains(&step_ms) {
        return Err(bad("step is from 5s to the retention".to_owned()));
    }
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(bad(format!("limit is from 1 to {LIMIT_MAX}")));
    }
    if last.is_some() && (from.is_some() || to.is_some()) {
        return Err(bad("last goes without from and to".to_owned()));
    }
    let oldest_ms = now_ms.saturating_sub(keep_ms);
    // The slot that is open now belongs to it.
    let to_ms = to.unwrap_or(u64::MAX).min(now_ms + 1);
    let since = last.map(|last| now_ms.saturating_sub(last));
    let from_ms = cursor.or(from).or(since).unwrap_or(oldest_ms);
    if from_ms >= to_ms {
        return Err(bad("from is not before to, or not before now".to_owned()));
    }
    let mut range = Range {
        from_ms: from_ms.max(oldest_ms.min(to_ms)),
        to_ms,
        step_ms,
    };
    let mut cursor = None;
    if range.steps() > limit {
        range.to_ms = range.start_ms() + limit * step_ms;
        cursor = Some(range.to_ms.to_string());
    }
    Ok(Asked {
        range,
        metrics,
        cursor,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;
    const HOUR_MS: u64 = 3_600_000;

    fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = text
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()));
        owned.collect()
    }

    fn range(text: &[(&str, &str)]) -> (Range, Option<String>) {
        let pairs = pairs(text);
        let asked = parse(&pairs, NOW_MS, HOUR_MS).expect("valid");
        (asked.range, asked.cursor)
    }

    #[test]
    fn without_a_word_it_is_the_retention_in_steps_of_15_s() {
        let (range, cursor) = range(&[]);
        assert_eq!(
            (range.from_ms, range.to_ms, range.step_ms),
            (NOW_MS - HOUR_MS, NOW_MS + 1, 15_000)
        );
        assert_eq!((range.steps(), cursor), (241, None));
    }

    #[test]
    fn what_is_older_than_the_retention_is_left_out() {
        let (long, _) = range(&[("last", "1day")]);
        assert_eq!(long.from_ms, NOW_MS - HOUR_MS);
        let (early, _) = range(&[("from", "0")]);
        assert_eq!(early, long);
        let (gone, _) = range(&[("from", "0"), ("to", "15000")]);
        assert_eq!((gone.to_ms, gone.steps()), (15_000, 0));
    }

    #[test]
    fn cursors_lead_through_all_steps_once() {
        let mut asked = vec![("last", "10m"), ("step", "20s"), ("limit", "7")];
        let (whole, _) = range(&asked[..2]);
        let (mut steps, mut next) = (0, whole.start_ms());
        loop {
            let (page, cursor) = range(&asked);
            assert_eq!(page.start_ms(), next);
            (steps, next) = (steps + page.steps(), page.to_ms);
            let Some(cursor) = cursor else {
                break;
            };
            asked.truncate(3);
            asked.push(("cursor", cursor.leak()));
        }
        assert_eq!((steps, next), (whole.steps(), whole.to_ms));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let future = (NOW_MS + 2).to_string();
        for bad in [
            &[("from", "yesterday")][..],
            &[("to", "-1")],
            &[("from", "2000"), ("to", "2000")],
            &[("from", future.as_str())],
            &[("step", "4s")],
            &[("step", "2h")],
            &[("step", "soon")],
            &[("last", "1h"), ("from", "1")],
            &[("limit", "0")],
            &[("limit", "10001")],
            &[("cursor", "x")],
            &[("order", "desc")],
        ] {
            let pairs = pairs(bad);
            let accepted = parse(&pairs, NOW_MS, HOUR_MS);
            assert!(accepted.is_err(), "{bad:?}: {accepted:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_longer_than_its_limit(
            from in any::<u64>(), to in any::<u64>(), step_s in 0u64..100_000, limit in 0u64..20_000,
        ) {
            let (from, to) = (from.to_string(), to.to_string());
            let (step, limit) = (format!("{step_s}s"), limit.to_string());
            let pairs = pairs(&[("from", &from), ("to", &to), ("step", &step), ("limit", &limit)]);
            if let Ok(asked) = parse(&pairs, NOW_MS, 24 * HOUR_MS) {
                prop_assert!(asked.range.steps() <= LIMIT_MAX);
                prop_assert!(asked.range.from_ms <= asked.range.to_ms);
            }
        }
    }
}
