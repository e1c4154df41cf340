import styled from 'styled-components';
import { situation, type Remedy, type Situation } from '../lib/situation';
import { VIEW_INFO } from '../lib/views';
import { retryNow, useLive } from '../store/live';
import { usePage } from '../store/page';
import { useSession } from '../store/session';
import { Button } from './controls';
import { HealthIcon, InfoIcon } from './icons';
import { useMatches } from './useMatches';
import { useTopology } from './useTopology';

const REMEDIES: Record<Remedy, readonly [label: string, run: () => void]> = {
  retry: ['Try now', retryNow],
  'clear-filters': ['Lift the search and the filters', () => usePage.getState().clearFilters()],
  'show-processes': ['Show the processes', () => usePage.getState().setView('processes')],
  'show-hidden': [
    'Show them',
    () => {
      const page = usePage.getState();
      for (const [name] of VIEW_INFO[page.view].options) page.setOption(name, true);
    },
  ],
};

export function useSituation(): Situation | null {
  const link = useLive((live) => live.link);
  const agents = useLive((live) => live.agents);
  const tls = useLive((live) => live.status?.tls ?? location.protocol === 'https:');
  const chosen = usePage(
    ({ hosts, namespaces, networks, labels }) => hosts.length + namespaces.length + networks.length + labels.length,
  );
  const topology = useTopology(1_000);
  const matches = useMatches(topology);
  const uplink = `${tls ? 'https' : 'http'}://${location.hostname}:4041`;
  return situation({ link, topology, agents, matches: matches?.size ?? null, narrowed: chosen > 0, uplink });
}

// In place of what there is not to see. `over` lies on the map, which shows what does not match faded.
export function SituationNote({ over }: { over?: boolean }) {
  const now = useSituation();
  // Who is not let in is asked to sign in, and needs no other reason.
  const asked = useSession((session) => session.asked);
  if (!now || asked) return null;
  const remedy = now.remedy && REMEDIES[now.remedy];
  return (
    <Place data-over={over ?? false} data-remedy={now.remedy}>
      <Card role={now.tone === 'fault' ? 'alert' : 'status'} data-testid="situation">
        <h2>
          {now.tone === 'fault' ? <HealthIcon health="critical" /> : <InfoIcon />}
          {now.title}
        </h2>
        <p>{now.text}</p>
        {now.command && <code>{now.command}</code>}
        {remedy && (
          <Button type="button" onClick={remedy[1]}>
            {remedy[0]}
          </Button>
        )}
      </Card>
    </Place>
  );
}

const Place = styled.div`
  display: grid;
  place-items: center;
  padding: 32px 16px;
  &[data-over='true'] {
    position: absolute;
    inset: 0;
    pointer-events: none;
  }
  /* The map below still shows what does not match. */
  &[data-over='true'][data-remedy='clear-filters'] {
    place-items: start center;
    padding-top: 20px;
  }
`;

const Card = styled.div`
  pointer-events: auto;
  max-width: 440px;
  padding: 20px 22px;
  display: grid;
  justify-items: start;
  gap: 10px;
  border: 1px solid var(--line);
  border-radius: 8px;
  background: var(--surface);
  color: var(--text-2);
  h2 {
    display: flex;
    align-items: center;
    gap: 8px;
    font-size: 15px;
    font-weight: 600;
    color: var(--text-1);
  }
  code {
    max-width: 100%;
    padding: 7px 10px;
    border: 1px solid var(--line);
    border-radius: 6px;
    background: var(--background);
    color: var(--text-1);
    font: 12px/1.5 var(--mono);
    overflow-wrap: anywhere;
    user-select: all;
  }
`;
