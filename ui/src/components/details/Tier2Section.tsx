import { useId } from 'react';
import styled from 'styled-components';
import type { Tier2 } from '../../api/types';
import { TIER2_COSTS, TIER2_GIVES, tier2Words } from '../../lib/tier2';
import { useLive } from '../../store/live';
import { Button, SectionTitle } from '../controls';
import { useTier2Switch } from '../useTier2Switch';

interface Tier2SectionProps {
  tier2: Tier2;
  onSwitched: () => void;
}

// How tier 2 stands at this container or host, what it gives and costs, and the switch.
export function Tier2Section({ tier2, onSwitched }: Tier2SectionProps) {
  const about = useId();
  const kept = useLive((live) => live.status?.settings_kept ?? true);
  const host = useLive((live) => live.agents.find((agent) => agent.agent_id === tier2.agent_id)?.hostname);
  const { busy, problem, press } = useTier2Switch(tier2.agent_id, onSwitched);
  const { state, note, on, request } = tier2Words(tier2, host || tier2.agent_id, kept);
  return (
    <section aria-label="Tier 2" data-testid="tier2">
      <SectionTitle>Tier 2: looking into packets</SectionTitle>
      <State role="status" data-on={on}>
        {busy ? 'Asking the agent…' : state}
      </State>
      {note && <Note>{note}</Note>}
      <Note id={about}>
        Gives {TIER2_GIVES}. Costs {TIER2_COSTS} while it is on.
      </Note>
      {request && (
        // Stays focusable while it asks, so that the keyboard does not lose its place.
        <Button type="button" aria-describedby={about} aria-disabled={busy} onClick={() => press(request)}>
          {request.label}
        </Button>
      )}
      {problem && <Problem role="alert">{problem}</Problem>}
    </section>
  );
}

const State = styled.p`
  margin-top: 6px;
  font-weight: 500;
  &[data-on='true'] {
    color: var(--ok-text);
  }
`;

const Note = styled.p`
  margin-top: 4px;
  font-size: 12px;
  color: var(--text-3);
  overflow-wrap: anywhere;
  & + button {
    margin-top: 8px;
  }
`;

const Problem = styled.p`
  margin-top: 8px;
  font-size: 12px;
  color: var(--critical-text);
  overflow-wrap: anywhere;
`;
