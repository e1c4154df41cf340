// Numbers and times for people. Each returns value and unit apart, so that the unit can be quieter.

export interface Quantity {
  value: string;
  unit: string;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const RATE_UNITS = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s'];

function scaled(value: number, step: number, units: readonly string[]): Quantity {
  let rest = Math.abs(value);
  let power = 0;
  // 999.5 would be written as "1000".
  while (rest >= step - 0.5 * (step / 1000) && power < units.length - 1) {
    rest /= step;
    power += 1;
  }
  const digits = power === 0 || rest >= 100 ? 0 : rest >= 10 ? 1 : 2;
  const text = String(Number(rest.toFixed(digits)));
  return { value: (value < 0 ? '-' : '') + text, unit: units[power]! };
}

export function bytes(value: number): Quantity {
  return scaled(value, 1024, BYTE_UNITS);
}

export function rate(value: number): Quantity {
  return scaled(value, 1000, RATE_UNITS);
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

// CPU is in cores on the wire; people read a percentage of one core.
export function quantity(value: number, unit: string): Quantity {
  switch (unit) {
    case 'cores':
      return { value: percent(value * 100), unit: '%' };
    case '%':
      return { value: percent(value), unit: '%' };
    case 'bytes':
      return bytes(value);
    case 'bytes/s':
      return rate(value);
    case 'count':
      return { value: count(value), unit: '' };
    default:
      return { value: String(Math.round(value * 100) / 100), unit };
  }
}

function percent(value: number): string {
  if (value === 0) return '0';
  if (value < 0.05) return '<0.1';
  return value < 10 ? value.toFixed(1) : String(Math.round(value));
}

export function joined(quantity: Quantity): string {
  if (!quantity.unit) return quantity.value;
  return quantity.unit === '%' ? `${quantity.value}%` : `${quantity.value} ${quantity.unit}`;
}

// The two largest units: "3 d 4 h", "12 min 5 s", "850 ms".
export function duration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return '–';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}

export function microseconds(us: number): string {
  return us < 1000 ? `${us} µs` : `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`;
}

const clockFormat = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
});
const dayFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

export function clock(unixMs: number): string {
  return clockFormat.format(unixMs);
}

export function moment(unixMs: number): string {
  return `${dayFormat.format(unixMs)}, ${clock(unixMs)}`;
}

// A metadata value as its type says.
export function field(value: string, type: string): string {
  if (value === '') return '–';
  const number = Number(value);
  if (!Number.isFinite(number)) return value;
  switch (type) {
    case 'time':
      return number > 0 ? moment(number) : '–';
    case 'bytes':
      return joined(bytes(number));
    default:
      return value;
  }
}

export function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
