// One action on many containers: which of them it fits, and what came of each.

import type { TopologyNode } from '../api/types';
import { actionsFor, LABELS, type Verb } from './control';

export interface BulkAction {
  verb: Verb;
  label: string;
  // Those whose state allows it; the others are left alone.
  nodes: TopologyNode[];
}

// A line of the answer.
export interface Told {
  container: string;
  status: number;
  error: string;
  hint: string;
}

const ORDER: readonly Verb[] = ['start', 'stop', 'restart', 'pause', 'unpause', 'kill', 'remove'];

export function bulkActions(nodes: readonly TopologyNode[]): BulkAction[] {
  return ORDER.flatMap((verb) => {
    const fitting = nodes.filter((node) => actionsFor(node.state, node.label).some((action) => action.verb === verb));
    return fitting.length > 0 ? [{ verb, label: LABELS[verb], nodes: fitting }] : [];
  });
}

export function isDone({ status }: Told): boolean {
  return status >= 200 && status < 300;
}

// "Stopping 3 containers: 1 done, 1 failed"
export function summary(label: string, of: number, told: readonly Told[], ended: boolean): string {
  const done = told.filter(isDone).length;
  const failed = told.length - done;
  const unheard = of - told.length;
  const parts = [`${done} done`];
  if (failed > 0) parts.push(`${failed} failed`);
  if (unheard > 0) parts.push(ended ? `${unheard} not heard of` : `${unheard} to go`);
  return `${label} ${of} ${of === 1 ? 'container' : 'containers'}: ${parts.join(', ')}`;
}
