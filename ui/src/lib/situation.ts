// Why there is nothing to see, and what to do about it.

import type { LinkState } from '../api/live';
import type { AgentInfo } from '../api/types';
import { count } from './format';
import { nodesOf } from './views';
import type { Topology } from '../store/topology';

export type Remedy = 'retry' | 'show-hidden' | 'clear-filters' | 'show-processes';

export interface Situation {
  // A wait is no fault: it is shown without alarm.
  tone: 'wait' | 'plain' | 'fault';
  title: string;
  text: string;
  // What to type at a node.
  command?: string;
  remedy?: Remedy;
}

interface Seen {
  link: LinkState;
  topology: Topology;
  agents: readonly AgentInfo[];
  // How many nodes the search and the filters leave; null without any.
  matches: number | null;
  narrowed: boolean;
  // Where agents report to, as far as the page knows.
  uplink: string;
}

// Null when there is something to see.
export function situation({ link, topology, agents, matches, narrowed, uplink }: Seen): Situation | null {
  const { view, loaded, nodes, nodesHidden } = topology;
  if (!loaded) {
    if (link.kind !== 'waiting') return { tone: 'wait', title: 'Waiting for the map…', text: 'The aggregator has been asked for it.' };
    return {
      tone: 'fault',
      title: 'The aggregator does not answer',
      text: 'The page tries again by itself. If it stays like this, see on its machine whether it runs, and what its log says.',
      command: 'systemctl status mesoscope-aggregator',
      remedy: 'retry',
    };
  }
  if (nodes.size > 0) {
    if (matches !== 0) return null;
    return {
      tone: 'plain',
      title: 'Nothing matches',
      text: `None of the ${count(nodes.size)} nodes of this view is what the search and the filters ask for.`,
      remedy: 'clear-filters',
    };
  }
  if (narrowed) {
    return {
      tone: 'plain',
      title: `No ${nodesOf(view)} of what is chosen`,
      text: 'The view is narrowed to some hosts, namespaces, networks or labels.',
      remedy: 'clear-filters',
    };
  }
  if (nodesHidden > 0) {
    return {
      tone: 'plain',
      title: `All ${count(nodesHidden)} ${nodesOf(view)} are hidden`,
      text: 'The options of this view leave out what has no connections or has ended.',
      remedy: 'show-hidden',
    };
  }
  if (agents.length === 0) {
    return {
      tone: 'plain',
      title: 'No agent has reported yet',
      text: 'Start one on each node that you want to see. The map fills by itself within seconds.',
      command: `sudo mesoscope-agent --aggregator ${uplink}`,
    };
  }
  if (!agents.some(({ connected }) => connected)) {
    return {
      tone: 'fault',
      title: agents.length === 1 ? 'The agent is offline' : `All ${agents.length} agents are offline`,
      text: 'Nothing is known of their nodes at the moment. See on a node whether its agent runs, and whether it reaches the aggregator.',
      command: 'systemctl status mesoscope-agent',
    };
  }
  return {
    tone: 'plain',
    title: `No ${nodesOf(view)} yet`,
    text: 'They appear here as soon as an agent reports them.',
    ...(view.startsWith('containers') && { remedy: 'show-processes' as const }),
  };
}

// Agents that have gone, which the map still shows as they were.
export function offlineAgents(agents: readonly AgentInfo[]): AgentInfo[] {
  return agents.filter(({ connected }) => !connected);
}
