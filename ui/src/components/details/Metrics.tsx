import styled from 'styled-components';
import type { Metric, TopologyNode } from '../../api/types';
import { joined, quantity } from '../../lib/format';
import { history } from '../../store/live';
import { Sparkline } from '../Sparkline';

// Each metric with its last minute and a half.
export function Metrics({ node }: { node: TopologyNode }) {
  return (
    <Rows aria-label="Metrics">
      {node.metrics.map((metric) => (
        <Row key={metric.key} node={node} metric={metric} />
      ))}
    </Rows>
  );
}

function Row({ node, metric }: { node: TopologyNode; metric: Metric }) {
  const { value, unit } = quantity(metric.value, metric.unit);
  const full = metric.max > 0 ? metric.value / metric.max : 0;
  const color = full >= 0.95 ? 'var(--critical)' : full >= 0.8 ? 'var(--warning)' : 'var(--accent)';
  const of = metric.max > 0 ? `of ${joined(quantity(metric.max, metric.unit))}` : undefined;
  return (
    <div>
      <span title={of}>{metric.label || metric.key}</span>
      <Sparkline values={history.of(node.id, metric.key)} max={metric.max} color={color} />
      <b title={of}>
        {value}
        <small>{unit}</small>
      </b>
    </div>
  );
}

const Rows = styled.section`
  &&& {
    padding-block: 4px;
  }
  > div {
    display: flex;
    align-items: center;
    height: 37px;
    gap: 10px;
  }
  > div + div {
    border-top: 1px solid var(--line);
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
    margin-left: 2px;
    font-size: 11px;
    font-weight: 400;
    color: var(--text-3);
  }
`;
