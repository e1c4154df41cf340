import styled from 'styled-components';
import { clock } from '../lib/format';
import { offlineAgents } from '../lib/situation';
import { retryNow, useLive } from '../store/live';
import { LinkButton } from './controls';
import { HealthIcon } from './icons';
import { useNow, useTopology } from './useTopology';

const NAMED_MAX = 3;

// What is seen may be old: the aggregator is gone, or some agents are.
export function LinkBanner() {
  const link = useLive((live) => live.link);
  const agents = useLive((live) => live.agents);
  const { loaded, nodes, timeUnixMs } = useTopology(1_000);
  const now = useNow(1_000);
  if (!loaded || nodes.size === 0) return null;
  if (link.kind !== 'live') {
    const seconds = link.kind === 'waiting' ? Math.max(0, Math.ceil((link.retryAtMs - now) / 1_000)) : 0;
    return (
      <Strip role="alert" data-tone="critical">
        <HealthIcon health="critical" />
        <p>
          <b>Not connected to the aggregator.</b> What you see is of {clock(timeUnixMs)}.{' '}
          {/* Not read aloud each second. */}
          <span aria-hidden>
            {link.kind === 'waiting' && seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying again…'}
          </span>
        </p>
        {link.kind === 'waiting' && (
          <LinkButton type="button" onClick={retryNow}>
            Try now
          </LinkButton>
        )}
      </Strip>
    );
  }
  const offline = offlineAgents(agents);
  if (offline.length === 0) return null;
  const named = offline.slice(0, NAMED_MAX).map(({ hostname, agent_id: id }) => hostname || id);
  const more = offline.length - named.length;
  return (
    <Strip role="status" data-tone="warning">
      <HealthIcon health="unknown" />
      <p>
        <b>
          {offline.length === 1 ? 'An agent is' : `${offline.length} agents are`} offline: {named.join(', ')}
          {more > 0 && ` and ${more} more`}.
        </b>{' '}
        What was watched there is shown as it was at {clock(Math.min(...offline.map((agent) => agent.last_seen_unix_ms)))}
        {offline.length > 1 && ' or later'}. See there: <code>systemctl status mesoscope-agent</code>
      </p>
    </Strip>
  );
}

const Strip = styled.div`
  display: flex;
  align-items: flex-start;
  gap: 10px;
  padding: 7px 16px;
  border-bottom: 1px solid var(--line);
  color: var(--text-1);
  &[data-tone='critical'] {
    background: color-mix(in srgb, var(--critical) 16%, var(--surface));
  }
  &[data-tone='warning'] {
    background: color-mix(in srgb, var(--unknown) 16%, var(--surface));
  }
  > svg {
    margin-top: 2px;
  }
  p {
    flex: 1;
    min-width: 0;
    overflow-wrap: anywhere;
  }
  b {
    font-weight: 600;
  }
  code {
    font: 12px var(--mono);
    user-select: all;
  }
`;
