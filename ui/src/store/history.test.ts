import { describe, expect, it } from 'vitest';
import { node } from '../lib/samples';
import { HISTORY_NODES_MAX, HISTORY_SAMPLES, MetricHistory } from './history';

const withCpu = (id: string, value: number) =>
  node(id, { metrics: [{ key: 'cpu', label: 'CPU', value, unit: 'cores', max: 0 }] });

describe('MetricHistory', () => {
  it('keeps the newest samples, oldest first', () => {
    const history = new MetricHistory();
    for (let i = 0; i < HISTORY_SAMPLES + 5; i += 1) {
      history.sample(new Map([['a', withCpu('a', i)]]), i * 1_000);
    }
    const values = history.of('a', 'cpu');
    expect(values).toHaveLength(HISTORY_SAMPLES);
    expect(values[0]).toBe(5);
    expect(values.at(-1)).toBe(HISTORY_SAMPLES + 4);
  });

  it('takes at most one sample a second', () => {
    const history = new MetricHistory();
    for (const ms of [0, 200, 400]) history.sample(new Map([['a', withCpu('a', ms)]]), ms);
    expect(history.of('a', 'cpu')).toEqual([0]);
  });

  it('forgets what is gone and is bounded', () => {
    const history = new MetricHistory();
    history.sample(new Map([['a', withCpu('a', 1)]]), 0);
    history.sample(new Map(), 1_000);
    expect(history.size).toBe(0);
    const many = Array.from({ length: HISTORY_NODES_MAX + 10 }, (_, i) => withCpu(`n${i}`, 1));
    history.sample(new Map(many.map((one) => [one.id, one])), 2_000);
    expect(history.size).toBe(HISTORY_NODES_MAX);
  });
});
