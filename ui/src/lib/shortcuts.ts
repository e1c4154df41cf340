// The keys of the page, once: for what they do and for the sheet that lists them. The letters are those
// of Weave Scope where it had the same thing.

export type Action =
  | 'help'
  | 'graph'
  | 'table'
  | 'resources'
  | 'metric-before'
  | 'metric-after'
  | 'earlier'
  | 'later'
  | 'live'
  | 'fit'
  | 'clear'
  | 'pause'
  | 'copy-link'
  | 'theme';

export interface Shortcut {
  keys: readonly string[];
  what: string;
  // Without one, what has the focus answers the key itself.
  action?: Action;
}

export const SHORTCUTS: readonly { title: string; shortcuts: readonly Shortcut[] }[] = [
  {
    title: 'Everywhere',
    shortcuts: [
      { keys: ['?'], what: 'This sheet', action: 'help' },
      { keys: ['/'], what: 'Go to the search' },
      { keys: ['Esc'], what: 'Close what is open, then lift the filter, then the search' },
      { keys: ['g'], what: 'Graph', action: 'graph' },
      { keys: ['t'], what: 'Table', action: 'table' },
      { keys: ['r'], what: 'Resources', action: 'resources' },
      { keys: ['1', '…', '9'], what: 'The views, in the order of the list' },
      { keys: ['<'], what: 'Metric before', action: 'metric-before' },
      { keys: ['>'], what: 'Next metric', action: 'metric-after' },
      { keys: [','], what: 'Look 10 s earlier', action: 'earlier' },
      { keys: ['.'], what: 'Look 10 s later', action: 'later' },
      { keys: ['n'], what: 'Back to live', action: 'live' },
      { keys: ['q'], what: 'Lift the search and the filters', action: 'clear' },
      { keys: ['p'], what: 'Stop the map, or let it go on', action: 'pause' },
      { keys: ['l'], what: 'Copy a link to what is seen', action: 'copy-link' },
      { keys: ['c'], what: 'Next theme', action: 'theme' },
    ],
  },
  {
    title: 'On the map',
    shortcuts: [
      { keys: ['f', '0'], what: 'Show everything', action: 'fit' },
      { keys: ['+', '-'], what: 'Nearer, further' },
      { keys: ['←', '↑', '→', '↓'], what: 'To the next node in that direction' },
      { keys: ['Tab'], what: 'To the next node in reading order' },
      { keys: ['Shift', '←'], what: 'Move the map' },
      { keys: ['Enter'], what: 'Details of the node' },
    ],
  },
  {
    title: 'In the search and the table',
    shortcuts: [
      { keys: ['↓', 'Tab'], what: 'Choose and take a suggestion' },
      { keys: ['Enter'], what: 'Next match; with Shift the one before' },
      { keys: ['↑', '↓'], what: 'Row before, next row' },
    ],
  },
];

const ACTIONS = new Map(
  SHORTCUTS.flatMap(({ shortcuts }) => shortcuts).flatMap(({ keys, action }) =>
    action ? keys.map((key) => [key, action] as const) : [],
  ),
);

interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

// What a key means where nobody types: an action, or the number of a view from 0.
export function meaning({ key, ctrlKey, metaKey, altKey }: Pressed): Action | number | null {
  if (ctrlKey || metaKey || altKey) return null;
  if (/^[1-9]$/.test(key)) return Number(key) - 1;
  return ACTIONS.get(key) ?? null;
}

// The next of some choices, in a circle.
export function next<T>(choices: readonly T[], now: T, by = 1): T {
  return choices[(choices.indexOf(now) + by + choices.length) % choices.length]!;
}
