import { describe, expect, it } from 'vitest';
import { node } from '../lib/samples';
import { HISTORY_NODES_MAX, HISTORY_SAMPLES, MetricHistory } from './history';

const withCpu = (id: string, value: number) =>
  node(id, { metrics: [{ key: 'cpu', label: 'CPU', value, unit: 'cores', max: 0 }] });

describe('MetricHistory', () => {
  it('keeps the newest samples with their times, oldest first', () => {
    const history = new MetricHistory();
    for (let i = 0; i < HISTORY_SAMPLES + 5; i += 1) {
      history.sample(new Map([['a', withCpu('a', i)]]), i * 1_000);
    }
    const samples = history.of('a', 'cpu');
    expect(samples).toHaveLength(HISTORY_SAMPLES);
    expect(samples[0]).toEqual({ timeMs: 5_000, value: 5 });
    expect(samples.at(-1)).toEqual({ timeMs: (HISTORY_SAMPLES + 4) * 1_000, value: HISTORY_SAMPLES + 4 });
  });

  it('takes at most one sample a second', () => {
    const history = new MetricHistory();
    for (const ms of [0, 200, 400]) history.sample(new Map([['a', withCpu('a', ms)]]), ms);
    expect(history.of('a', 'cpu')).toEqual([{ timeMs: 0, value: 0 }]);
  });

  it('tells when a metric was not there', () => {
    const history = new MetricHistory();
    const memory = { key: 'memory', label: 'Memory', value: 7, unit: 'bytes', max: 0 };
    history.sample(new Map([['a', withCpu('a', 1)]]), 0);
    history.sample(new Map([['a', node('a', { metrics: [memory] })]]), 1_000);
    expect(history.of('a', 'cpu').map(({ value }) => value)).toEqual([1, null]);
    expect(history.of('a', 'memory').map(({ value }) => value)).toEqual([null, 7]);
    expect(history.of('a', 'load')).toEqual([]);
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
