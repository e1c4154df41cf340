// What can be done to a container in its state, and the words for it.

export type Verb = 'start' | 'stop' | 'restart' | 'pause' | 'unpause' | 'kill' | 'remove';

export interface Action {
  verb: Verb;
  label: string;
  // What is asked before it is done; null: nothing is interrupted or lost by it.
  question: string | null;
}

export const LABELS: Record<Verb, string> = {
  start: 'Start',
  stop: 'Stop',
  restart: 'Restart',
  pause: 'Pause',
  unpause: 'Unpause',
  kill: 'Kill',
  remove: 'Remove',
};

export const CONSEQUENCES: Partial<Record<Verb, string>> = {
  stop: 'It is asked to end, and killed when it does not in its time.',
  restart: 'It is stopped and started again; its connections end.',
  pause: 'All its processes stand still until it is unpaused.',
  kill: 'It ends at once, without a chance to finish its work.',
  remove: 'Its log and what it wrote outside of volumes are lost for good.',
};

const BY_STATE: Record<string, readonly Verb[]> = {
  created: ['start', 'remove'],
  running: ['stop', 'restart', 'pause', 'kill'],
  paused: ['unpause', 'stop', 'kill'],
  restarting: ['stop', 'kill'],
  exited: ['start', 'remove'],
  dead: ['remove'],
  removed: [],
};

// Why whoever looks may not do any of it; empty where he may, or where nobody knows yet: the aggregator
// decides.
export function mayNot(who: { name: string; role: string } | null): string {
  if (who?.role !== 'viewer') return '';
  return `${who.name} is let in as a viewer, who may look only; an operator or admin may do this`;
}

// Whether a command can be run in it. In a state that is not known, the container runtime says.
export function takesCommands(state: string): boolean {
  return state === 'running' || BY_STATE[state] === undefined;
}

// In the order in which they are needed. Of a state that is not known, what never loses anything.
export function actionsFor(state: string, name: string): Action[] {
  const verbs = BY_STATE[state] ?? ['start', 'stop'];
  return verbs.map((verb) => {
    const consequence = CONSEQUENCES[verb];
    const question = consequence === undefined ? null : `${LABELS[verb]} ${name}? ${consequence}`;
    return { verb, label: LABELS[verb], question };
  });
}
