import { useState } from 'react';
import { setTier2 } from '../api/rest';
import type { Tier2Request } from '../lib/tier2';
import { refreshAgents } from '../store/live';

interface Tier2Switch {
  busy: boolean;
  problem: string;
  press: (request: Tier2Request) => void;
}

// Asks an agent's aggregator to switch tier 2; `done` is called once it has answered.
export function useTier2Switch(agentId: string, done?: () => void): Tier2Switch {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const press = async ({ enabled, containers }: Tier2Request) => {
    if (busy) return;
    setBusy(true);
    setProblem('');
    try {
      await setTier2(agentId, enabled, containers);
      done?.();
      await refreshAgents(new AbortController().signal);
    } catch (error) {
      setProblem((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, press: (request) => void press(request) };
}
