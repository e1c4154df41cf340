// Ties the WebSocket and the agents list to the page's state.

import { create } from 'zustand';
import { LiveLink, type LinkState } from '../api/live';
import { aggregatorStatus, listAgents, type Status } from '../api/rest';
import type { AgentInfo } from '../api/types';
import { MetricHistory } from './history';
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
}

const AGENTS_EVERY_MS = 5_000;

export const useLive = create<LiveState>()(() => ({
  topology: emptyTopology(usePage.getState().view),
  link: { kind: 'connecting' },
  problem: '',
  agents: [],
  agentsProblem: '',
  status: null,
}));

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
    onDiff: (diff) => {
      const next = applyDiff(useLive.getState().topology, diff);
      if (next) useLive.setState({ topology: next, problem: '' });
      return next !== null;
    },
    onState: (state) => useLive.setState({ link: state }),
    onProblem: (problem) => useLive.setState({ problem }),
  });
  link.start();

  const unsubscribe = usePage.subscribe((now, before) => {
    if (now.view === before.view && now.options === before.options && now.hosts === before.hosts) return;
    if (now.view !== before.view) useLive.setState({ topology: emptyTopology(now.view) });
    link?.subscribe(now.view, viewOptions(now));
  });

  const endSearch = followSearch();
  const abort = new AbortController();
  void refreshAgents(abort.signal);
  // Only for a remark on the page; an older aggregator may not have it.
  aggregatorStatus(abort.signal).then(
    (status) => useLive.setState({ status }),
    () => undefined,
  );
  const agentsTimer = setInterval(() => void refreshAgents(abort.signal), AGENTS_EVERY_MS);
  const sampleTimer = setInterval(() => {
    history.sample(useLive.getState().topology.nodes, performance.now());
  }, 1_000);
  const online = () => link?.retryNow();
  addEventListener('online', online);

  return () => {
    unsubscribe();
    endSearch();
    abort.abort();
    clearInterval(agentsTimer);
    clearInterval(sampleTimer);
    removeEventListener('online', online);
    link?.stop();
    link = undefined;
  };
}
