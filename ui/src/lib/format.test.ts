import { describe, expect, it } from 'vitest';
import { bytes, duration, field, joined, microseconds, quantity, rate, shortened } from './format';

describe('format', () => {
  it('scales bytes by 1024 and rates by 1000', () => {
    expect(joined(bytes(0))).toBe('0 B');
    expect(joined(bytes(1024))).toBe('1 KiB');
    expect(joined(bytes(432 * 1024 * 1024))).toBe('432 MiB');
    expect(joined(rate(2_600_000))).toBe('2.6 MB/s');
    expect(joined(rate(999))).toBe('999 B/s');
    expect(joined(rate(999_950))).toBe('1 MB/s');
    expect(joined(rate(1_250))).toBe('1.25 kB/s');
  });

  it('writes cores as percent of one core', () => {
    expect(joined(quantity(0.97, 'cores'))).toBe('97%');
    expect(joined(quantity(0.0123, 'cores'))).toBe('1.2%');
    expect(joined(quantity(0.00001, 'cores'))).toBe('<0.1%');
    expect(joined(quantity(218, 'count'))).toBe('218');
  });

  it('keeps the two largest units of a duration', () => {
    expect(duration(850)).toBe('850 ms');
    expect(duration(125_000)).toBe('2 min 5 s');
    expect(duration(3 * 86_400_000 + 4 * 3_600_000 + 12 * 60_000)).toBe('3 d 4 h');
    expect(duration(3_600_000)).toBe('1 h');
    expect(duration(NaN)).toBe('–');
  });

  it('writes fields by their type and leaves what does not fit the type alone', () => {
    expect(field('1048576', 'bytes')).toBe('1 MiB');
    expect(field('unlimited', 'bytes')).toBe('unlimited');
    // Pids and the like are numbers that nobody groups.
    expect(field('12345', 'number')).toBe('12345');
    expect(field('0', 'time')).toBe('–');
    expect(field('4242', 'id')).toBe('4242');
    expect(field('', 'text')).toBe('–');
  });

  it('shortens with one ellipsis', () => {
    expect(shortened('payment-gateway', 8)).toBe('payment…');
    expect(shortened('api', 8)).toBe('api');
    expect(microseconds(340)).toBe('340 µs');
    expect(microseconds(2_340)).toBe('2.3 ms');
  });
});
