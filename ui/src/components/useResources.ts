import { useEffect, useState } from 'react';
import { wholeView } from '../api/rest';
import { useLive } from '../store/live';
import { usePage } from '../store/page';
import type { Reported } from '../lib/resources';

const AGAIN_MS = 5_000;
// Up to so many processes in all, those of every host are shown; else of the hosts that are opened.
const PROCESSES_MAX = 2_000;

interface Resources {
  reported: Reported | null;
  problem: string;
  // The processes of every host are there.
  all: boolean;
}

// Three views at once, asked for every few seconds: the live link carries one of them.
export function useResources(hosts: readonly string[], opened: readonly string[]): Resources {
  const [state, setState] = useState<Omit<Resources, 'all'>>({ reported: null, problem: '' });
  const all = useLive((live) => live.agents.reduce((sum, agent) => sum + agent.processes, 0) <= PROCESSES_MAX);
  const at = usePage((page) => page.time);
  const chosen = hosts.join('\n');
  const wanted = (all ? hosts : opened).join('\n');
  const none = !all && opened.length === 0;
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const list = (joined: string) => (joined === '' ? [] : joined.split('\n'));
    // Whatever runs uses something, also what belongs to the system.
    const options = { unconnected: true, ended: false, system: true };
    const ask = async () => {
      try {
        const [found, containers, processes] = await Promise.all([
          wholeView('hosts', { ...options, ended: true, hosts: list(chosen) }, abort.signal, at),
          wholeView('containers', { ...options, hosts: list(chosen) }, abort.signal, at),
          none ? null : wholeView('processes', { ...options, hosts: list(wanted) }, abort.signal, at),
        ]);
        const reported = { hosts: found.nodes, containers: containers.nodes, processes: processes?.nodes ?? [] };
        setState({ reported, problem: '' });
      } catch (error) {
        if (abort.signal.aborted) return;
        // What was known stays in sight.
        setState(({ reported }) => ({ reported, problem: (error as Error).message }));
      }
      if (!abort.signal.aborted && at === null) timer = setTimeout(() => void ask(), AGAIN_MS);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [chosen, wanted, none, at]);
  return { ...state, all };
}
