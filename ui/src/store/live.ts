// Ties the WebSocket and the agents list to the page's state.

import { create } from 'zustand';
import { LiveLink, type LinkState } from '../api/live';
import { aggregatorStatus, listAgents, type Status } from '../api/rest';
import type { AgentInfo, TopologyDiff } from '../api/types';
import { followFilters } from './filters';
import { MetricHistory } from './history';
import { followOverview } from './overview';
import { usePage, viewOptions } from './page';
import { followSearch } from './search';
import { applyDiff, emptyTopology, type Topology } from './topology';

export interface LiveState {
  topology: Topology;
  link: LinkState;
  problem: string;
  agents: AgentInfo[];
  agentsProblem: string;
  status: Status | null;
  // The map stands still.
  paused: boolean;
  // Nodes and edges that came, changed or went since.
  waiting: number;
}

const AGENTS_EVERY_MS = 5_000;

export const useLive = create<LiveState>()(() => ({
  topology: emptyTopology(usePage.getState().view),
  link: { kind: 'connecting' },
  problem: '',
  agents: [],
  agentsProblem: '',
  status: null,
  paused: false,
  waiting: 0,
}));

// The map as it is while the one on the screen stands still.
let behind: Topology | null = null;

// Stops the map where it is, or lets it go on with all that has happened since.
export function setPaused(paused: boolean): void {
  const { topology } = useLive.getState();
  useLive.setState({ paused, waiting: 0, topology: paused ? topology : (behind ?? topology) });
  behind = null;
}

// Takes a difference; false where one before it is missing.
export function takeDiff(diff: TopologyDiff): boolean {
  const { topology, paused, waiting } = useLive.getState();
  const next = applyDiff(behind ?? topology, diff);
  if (!next) return false;
  if (!paused) {
    useLive.setState({ topology: next, problem: '' });
    return true;
  }
  behind = next;
  const { nodes, nodes_removed, edges, edges_removed } = diff;
  // A whole view after a reconnect is no number of changes.
  const changed = diff.reset ? 0 : nodes.length + nodes_removed.length + edges.length + edges_removed.length;
  useLive.setState({ waiting: waiting + changed, problem: '' });
  return true;
}

export const history = new MetricHistory();

let link: LiveLink | undefined;

export function retryNow(): void {
  link?.retryNow();
}

export async function refreshAgents(signal: AbortSignal): Promise<void> {
  try {
    useLive.setState({ agents: await listAgents(signal), agentsProblem: '' });
  } catch (error) {
    if (!signal.aborted) useLive.setState({ agentsProblem: String((error as Error).message) });
  }
}

// Begins to follow the aggregator; the returned function ends it.
export function follow(): () => void {
  const page = usePage.getState();
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  useLive.setState({ topology: emptyTopology(page.view) });
  link = new LiveLink(`${scheme}://${location.host}/api/v1/ws`, page.view, viewOptions(page), {
    onDiff: takeDiff,
    onState: (state) => useLive.setState({ link: state }),
    onProblem: (problem) => useLive.setState({ problem }),
  });
  link.start();

  if (page.time !== null) link.subscribe(page.view, viewOptions(page), page.time);
  const unsubscribe = usePage.subscribe((now, before) => {
    const asked = ['view', 'options', 'hosts', 'namespaces', 'networks', 'labels', 'time'] as const;
    if (asked.every((one) => now[one] === before[one])) return;
    // What is asked for anew is to be seen.
    if (useLive.getState().paused) setPaused(false);
    if (now.view !== before.view) useLive.setState({ topology: emptyTopology(now.view) });
    link?.subscribe(now.view, viewOptions(now), now.time);
  });

  const endSearch = followSearch();
  const endFilters = followFilters();
  const endOverview = followOverview();
  const abort = new AbortController();
  void refreshAgents(abort.signal);
  // Only for a remark on the page; an older aggregator may not have it.
  aggregatorStatus(abort.signal).then(
    (status) => useLive.setState({ status }),
    () => undefined,
  );
  const agentsTimer = setInterval(() => void refreshAgents(abort.signal), AGENTS_EVERY_MS);
  const sampleTimer = setInterval(() => {
    // What was then is no sample of now.
    if (usePage.getState().time === null && !useLive.getState().paused) history.sample(useLive.getState().topology.nodes, performance.now());
  }, 1_000);
  const online = () => link?.retryNow();
  addEventListener('online', online);

  return () => {
    unsubscribe();
    endSearch();
    endFilters();
    endOverview();
    abort.abort();
    clearInterval(agentsTimer);
    clearInterval(sampleTimer);
    removeEventListener('online', online);
    link?.stop();
    link = undefined;
  };
}
