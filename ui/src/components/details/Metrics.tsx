import styled from 'styled-components';
import type { Metric, TopologyNode } from '../../api/types';
import { joined, quantity } from '../../lib/format';
import { line, SPANS, type Point, type Span } from '../../lib/series';
import { HISTORY_SPAN_MS } from '../../store/history';
import { history } from '../../store/live';
import { usePage } from '../../store/page';
import { Segmented } from '../controls';
import { Sparkline } from '../Sparkline';
import { useSeries, useSpan } from '../useSeries';

const CHOICES = Object.entries(SPANS).map(([span, { text }]) => [span as Span, text] as const);

// Each metric over time: what the aggregator kept, continued by what the page has seen since.
export function Metrics({ node }: { node: TopologyNode }) {
  const span = useSpan((chosen) => chosen.span);
  const { stored, absent } = useSeries(node.id, span);
  // In the past there is nothing after the answer.
  const past = usePage((page) => page.time !== null);
  const nowMs = past && stored ? stored.receivedMs : performance.now();
  // Without a series there is only what the page saw.
  const spanMs = absent ? HISTORY_SPAN_MS : SPANS[span].lastMs;
  return (
    <Rows aria-label="Metrics">
      {node.metrics.map((metric) => (
        <Row
          key={metric.key}
          metric={metric}
          points={line(stored, past ? [] : history.of(node.id, metric.key), metric.key, spanMs, nowMs)}
          spanMs={spanMs}
        />
      ))}
      {!absent && (
        <footer>
          <small>Over the last</small>
          <Segmented
            label="Time shown"
            value={span}
            choices={CHOICES}
            onChange={(chosen) => useSpan.setState({ span: chosen })}
          />
        </footer>
      )}
    </Rows>
  );
}

export function Row({ metric, points, spanMs }: { metric: Metric; points: readonly Point[]; spanMs: number }) {
  const { value, unit } = quantity(metric.value, metric.unit);
  const full = metric.max > 0 ? metric.value / metric.max : 0;
  const color = full >= 0.95 ? 'var(--critical)' : full >= 0.8 ? 'var(--warning)' : 'var(--accent)';
  const of = metric.max > 0 ? `of ${joined(quantity(metric.max, metric.unit))}` : undefined;
  return (
    <div>
      <span title={of}>{metric.label || metric.key}</span>
      <Sparkline points={points} spanMs={spanMs} max={metric.max} color={color} />
      <b title={of}>
        {value}
        <small>{unit}</small>
      </b>
    </div>
  );
}

export const Rows = styled.section`
  &&& {
    padding-block: 4px;
  }
  > div {
    display: flex;
    align-items: center;
    height: 37px;
    gap: 10px;
  }
  > div + div,
  > footer {
    border-top: 1px solid var(--line);
  }
  > footer {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding-block: 7px 5px;
  }
  > footer > div {
    height: 22px;
  }
  span {
    flex: 1;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  b {
    width: 86px;
    text-align: right;
    font: 500 14px var(--mono);
    font-variant-numeric: tabular-nums;
    white-space: nowrap;
  }
  small {
    font-size: 11px;
    font-weight: 400;
    color: var(--text-3);
  }
  b > small {
    margin-left: 2px;
  }
`;
