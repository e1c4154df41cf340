import { renderToStaticMarkup } from 'react-dom/server';
import { afterEach, describe, expect, it } from 'vitest';
import { usePage } from '../store/page';
import { goLive, stepTime, useTime } from '../store/time';
import { PastSign } from './TimeBar';

const NOW = Date.UTC(2026, 10, 21, 12);

afterEach(() => {
  usePage.setState({ time: null });
  useTime.setState({ reach: null });
});

describe('a step through time', () => {
  it('leads into the past, back to live, and nowhere without a history', () => {
    stepTime(-10_000);
    expect(usePage.getState().time).toBeNull();
    const reach = {
      from_unix_ms: NOW - 600_000,
      to_unix_ms: NOW,
      resolution_ms: 2_000,
      retention_ms: 3_600_000,
      shortened: false,
      now_unix_ms: NOW,
    };
    useTime.setState({ reach });
    stepTime(-10_000);
    expect(usePage.getState().time).toBe(NOW - 10_000);
    stepTime(-10_000);
    expect(usePage.getState().time).toBe(NOW - 20_000);
    stepTime(60_000);
    expect(usePage.getState().time).toBeNull();
    stepTime(-60_000);
    goLive();
    expect(usePage.getState().time).toBeNull();
  });
});

describe('the sign of the past', () => {
  const sign = (shown: number | null, failed = false) =>
    renderToStaticMarkup(<PastSign time={NOW - 299_000} shown={shown} failed={failed} now={NOW} />);

  it('names the moment that is shown, which may be another than was asked for', () => {
    const markup = sign(NOW - 300_000);
    expect(markup).toContain('You look at the past');
    expect(markup).toContain('5 min ago');
    expect(markup).toContain('Back to live');
  });

  it('does not call the map past before it is', () => {
    expect(sign(null)).toContain('Looking up the map');
    expect(sign(null, true)).toContain('can’t be shown');
  });
});
