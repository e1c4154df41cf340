import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { nodeSeries, type StoredSeries } from '../api/rest';
import { Sparkline } from '../components/Sparkline';
import type { Sample } from '../store/history';
import { line, stretches, type Point } from './series';

const HOUR_MS = 3_600_000;

// Four steps of half a minute, the last one open.
function answer(values: (number | null)[]): StoredSeries {
  return {
    from_unix_ms: 900_000,
    to_unix_ms: 900_000 + 30_000 * 3 + 10_000,
    step_ms: 30_000,
    metrics: [{ key: 'cpu', unit: 'cores', values }],
  };
}

const seen = (...samples: [number, number | null][]): Sample[] =>
  samples.map(([timeMs, value]) => ({ timeMs, value }));

describe('line', () => {
  const stored = { answer: answer([1, null, 3, 4]), receivedMs: 50_000 };

  it('puts the middle of each step at its age', () => {
    expect(line(stored, [], 'cpu', HOUR_MS, 50_000)).toEqual([
      { ageMs: 85_000, value: 1 },
      { ageMs: 55_000, value: null },
      { ageMs: 25_000, value: 3 },
      { ageMs: 5_000, value: 4 },
    ]);
  });

  it('goes on with what the page saw after the answer', () => {
    const live = seen([49_000, 9], [50_500, 5], [51_500, 6]);
    const points = line(stored, live, 'cpu', HOUR_MS, 52_000);
    expect(points.map(({ value }) => value)).toEqual([1, null, 3, 4, 5, 6]);
    expect(points.slice(-3).map(({ ageMs }) => ageMs)).toEqual([7_000, 1_500, 500]);
  });

  it('leaves a gap where neither knows', () => {
    const points = line(stored, seen([150_000, 5]), 'cpu', HOUR_MS, 150_000);
    expect(points.map(({ value }) => value)).toEqual([1, null, 3, 4, null, 5]);
  });

  it('is what the page saw where nothing is stored', () => {
    const live = seen([1_000, 1], [2_000, 2], [3_000, null]);
    const values = (points: Point[]) => points.map(({ value }) => value);
    expect(values(line(null, live, 'cpu', HOUR_MS, 3_000))).toEqual([1, 2, null]);
    expect(values(line(stored, live, 'load', HOUR_MS, 51_000))).toEqual([1, 2, null]);
  });

  it('ends at the span', () => {
    expect(line(stored, [], 'cpu', 30_000, 50_000)).toHaveLength(2);
    expect(line(stored, [], 'cpu', HOUR_MS, 50_000 + 2 * HOUR_MS)).toEqual([]);
  });
});

describe('Sparkline', () => {
  const draw = (points: Point[], max = 0) =>
    renderToStaticMarkup(createElement(Sparkline, { points, spanMs: 1_000, max, color: 'red', width: 100 }));

  it('draws each stretch by itself, now at the right', () => {
    const points = [1_000, 750, 500, 250, 0].map((ageMs, i) => ({ ageMs, value: i === 2 ? null : i }));
    expect(stretches(points).map((stretch) => stretch.length)).toEqual([2, 2]);
    const drawn = draw(points);
    expect(drawn.match(/<polyline/g)).toHaveLength(2);
    expect(drawn).toMatch(/points="0\.0,\S+ 25\.0,\S+"/);
    expect(drawn).toMatch(/points="75\.0,\S+ 100\.0,\S+"/);
    expect(drawn).not.toContain('NaN');
  });

  it('draws nothing of nothing, a dot of one value, and the limit when it is near', () => {
    expect(draw([])).not.toMatch(/<(polyline|circle)/);
    expect(draw([{ ageMs: 0, value: 0 }])).toContain('<circle');
    expect(draw([{ ageMs: 0, value: 1 }], 2)).toContain('stroke-dasharray');
    expect(draw([{ ageMs: 0, value: 1 }], 200)).not.toContain('stroke-dasharray');
  });
});

describe('nodeSeries', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('asks for a span by the id as it is', async () => {
    const asked = vi.fn(() => Promise.resolve(new Response(JSON.stringify(answer([1])))));
    vi.stubGlobal('fetch', asked);
    const signal = new AbortController().signal;
    const told = await nodeSeries('process;a/b;7;1', HOUR_MS, 30_000, signal);
    expect(told.metrics[0]?.values).toEqual([1]);
    expect(asked).toHaveBeenCalledWith(
      '/api/v1/query/nodes/process%3Ba%2Fb%3B7%3B1/timeseries?last=3600000ms&step=30000ms',
      { signal },
    );
  });

  it('fails with what the aggregator says', async () => {
    const body = '{"error":"no time series","hint":"wait"}';
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(body, { status: 404 })));
    const failed = nodeSeries('host;a', HOUR_MS, 30_000, new AbortController().signal);
    await expect(failed).rejects.toMatchObject({ status: 404, reason: 'no time series' });
  });
});
