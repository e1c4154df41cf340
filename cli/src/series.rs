//! `series`: values over time.

use mesoscope_proto::v1::{MetricSeries, QuerySeriesRequest, QuerySeriesResponse};

use crate::arguments::{Series, Server};
use crate::connect::{Failure, connect};
use crate::output::Output;
use crate::text::{printable, time};

/// Prints the values, a line for each step.
pub async fn run(server: &Server, options: &Series, mut output: Output) -> Result<(), Failure> {
    let mut client = connect(server).await?;
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis());
    let from_unix_ms = options.last.map_or(0, |last| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        millis(now.unwrap_or_default().saturating_sub(last.into())).unwrap_or(0)
    });
    let mut request = QuerySeriesRequest {
        id: options.id.clone(),
        metrics: options.metric.clone(),
        from_unix_ms,
        step_ms: millis(options.step.into()).unwrap_or(u64::MAX),
        ..QuerySeriesRequest::default()
    };
    let mut titles = Vec::new();
    let mut rows = Vec::new();
    loop {
        let answer = client.query_series(request.clone()).await;
        let answer = answer.map_err(|status| Failure::of(&status, server))?;
        let answer = answer.into_inner();
        if options.json {
            output.json(&answer)?;
        } else {
            titles = answer.metrics.iter().map(title).collect();
            rows.extend(steps(&answer));
        }
        if answer.cursor.is_empty() {
            break;
        }
        request.cursor = answer.cursor;
    }
    if !options.json {
        let mut head = vec!["FROM"];
        head.extend(titles.iter().map(String::as_str));
        output.table(&head, rows)?;
    }
    Ok(())
}

/// A row for each step.
fn steps(answer: &QuerySeriesResponse) -> Vec<Vec<String>> {
    let count = answer
        .metrics
        .iter()
        .map(|metric| metric.values.len())
        .max();
    let mut at_ms = answer.from_unix_ms;
    let row = |step: usize| {
        let mut row = vec![time(at_ms.saturating_mul(1_000_000))];
        row.extend(answer.metrics.iter().map(|metric| value(metric, step)));
        at_ms = at_ms.saturating_add(answer.step_ms);
        row
    };
    (0..count.unwrap_or(0)).map(row).collect()
}

fn title(metric: &MetricSeries) -> String {
    printable(&format!("{} [{}]", metric.key, metric.unit))
}

/// The value of a step, "-" where it is not known.
fn value(metric: &MetricSeries, step: usize) -> String {
    match metric.values.get(step) {
        Some(value) if !value.is_nan() => value.to_string(),
        _ => "-".to_owned(),
    }
}
