import { useState } from 'react';
import styled from 'styled-components';
import { GapKind, type Incomplete } from '../api/types';
import { clock } from '../lib/format';
import { useLive } from '../store/live';
import { Tier2Button } from './AgentList';
import { IconButton, LinkButton } from './controls';
import { CloseIcon, HealthIcon, InfoIcon } from './icons';

// What the map does not show, and what to do: gaps in plain sight, capabilities that are only off in a
// quieter line that can be put away.
export function Banner() {
  const incomplete = useLive((live) => live.topology.incomplete);
  const problem = useLive((live) => live.problem);
  const insecure = useLive((live) => live.status?.insecure_listen ?? false);
  const gaps = incomplete.filter(({ gap }) => gap?.kind !== GapKind.Capability);
  const hints = incomplete.filter(({ gap }) => gap?.kind === GapKind.Capability);
  return (
    <section aria-label="What the map does not show">
      {problem && (
        <Warning role="alert">
          <HealthIcon health="critical" />
          <p>{problem}</p>
        </Warning>
      )}
      {insecure && (
        <Warning role="status">
          <HealthIcon health="warning" />
          <p>
            This aggregator listens beyond this machine without authentication (--insecure-listen): everybody who
            reaches it sees this map.
          </p>
        </Warning>
      )}
      {gaps.length > 0 && <Gaps gaps={gaps} />}
      {hints.length > 0 && <Hints hints={hints} />}
    </section>
  );
}

// More agents than these are switched one by one in the list on the left.
const TIER2_BUTTONS_MAX = 6;

function key({ agent_id: agent, gap, message }: Incomplete): string {
  return `${agent}|${gap?.kind}|${gap?.what}|${gap?.cgroup_id}|${message}`;
}

function Gaps({ gaps }: { gaps: readonly Incomplete[] }) {
  const [open, setOpen] = useState(false);
  const shown = open ? gaps : gaps.slice(0, 1);
  return (
    <Warning role="status">
      <HealthIcon health="warning" />
      <ul>
        {shown.map((one) => (
          <li key={key(one)}>
            {!names(one) && <b>{one.hostname || one.agent_id}</b>} {text(one)}
            <When item={one} />
          </li>
        ))}
      </ul>
      {gaps.length > 1 && (
        <LinkButton type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? 'Show less' : `and ${gaps.length - 1} more`}
        </LinkButton>
      )}
    </Warning>
  );
}

function text({ message, gap }: Incomplete): string {
  return message || gap?.detail || `does not report: ${gap?.what ?? 'unknown'}`;
}

// The sentences of the aggregator mostly name the host themselves.
function names(item: Incomplete): boolean {
  return item.hostname !== '' && text(item).includes(item.hostname);
}

// The same sentence once for all hosts that it holds for.
function merged(items: readonly Incomplete[]): { words: string; hosts: string[] }[] {
  const found = new Map<string, string[]>();
  for (const item of items) {
    const hosts = found.get(text(item)) ?? [];
    if (!names(item)) hosts.push(item.hostname || item.agent_id);
    found.set(text(item), hosts);
  }
  return [...found].map(([words, hosts]) => ({ words, hosts }));
}

function When({ item: { gap, message } }: { item: Incomplete }) {
  if (!gap || gap.since_unix_ns <= 0 || /\bsince\b/i.test(message)) return null;
  const since = clock(gap.since_unix_ns / 1e6);
  return <time>{gap.until_unix_ns > 0 ? `${since} to ${clock(gap.until_unix_ns / 1e6)}` : `since ${since}`}</time>;
}

function Hints({ hints }: { hints: readonly Incomplete[] }) {
  const [open, setOpen] = useState(false);
  const [put, setPut] = useState('');
  const agents = useLive((live) => live.agents);
  // Comes back when there is something new to say.
  const all = hints.map(key).sort().join();
  if (put === all) return null;
  const what = [...new Set(hints.map(({ gap }) => gap!.what.replaceAll('-', ' ')))].filter(Boolean);
  const withTier2Off = agents.filter(
    (agent) => agent.status && !agent.status.tier2 && hints.some((hint) => hint.agent_id === agent.agent_id),
  );
  return (
    <Hint>
      <InfoIcon size={14} />
      {open ? (
        <ul>
          {merged(hints).map(({ words, hosts }) => (
            <li key={words}>
              {hosts.length > 0 && <b>{hosts.join(', ')}</b>} {words}
            </li>
          ))}
          {withTier2Off.length > 0 && (
            <Buttons>
              {withTier2Off.slice(0, TIER2_BUTTONS_MAX).map((agent) => (
                <Tier2Button key={agent.agent_id} agent={agent} named />
              ))}
            </Buttons>
          )}
        </ul>
      ) : (
        <p>
          {hints.length === 1 ? text(hints[0]!) : `Not collected: ${what.slice(0, 4).join(', ')}`}
          {hints.length > 1 && what.length > 4 && ` and ${what.length - 4} more`}
        </p>
      )}
      <LinkButton type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? 'Show less' : 'How to turn it on'}
      </LinkButton>
      <IconButton type="button" aria-label="Put this hint away" onClick={() => setPut(all)}>
        <CloseIcon size={12} />
      </IconButton>
    </Hint>
  );
}

const Strip = styled.div`
  display: flex;
  align-items: flex-start;
  gap: 10px;
  padding: 7px 16px;
  border-bottom: 1px solid var(--line);
  > svg {
    margin-top: 2px;
  }
  ul,
  p {
    flex: 1;
    min-width: 0;
    max-height: 180px;
    overflow: auto;
  }
  li + li {
    margin-top: 3px;
  }
  b {
    font-weight: 600;
    margin-right: 4px;
  }
`;

const Buttons = styled.li`
  display: flex;
  flex-wrap: wrap;
  gap: 6px;
  padding: 4px 0;
`;

const Warning = styled(Strip)`
  background: color-mix(in srgb, var(--warning) 11%, var(--surface));
  border-bottom-color: color-mix(in srgb, var(--warning) 35%, var(--surface));
  color: var(--text-1);
  time {
    margin-left: 8px;
    font: 11px var(--mono);
    color: var(--warning-text);
  }
`;

const Hint = styled(Strip)`
  padding-block: 4px;
  background: var(--surface);
  color: var(--text-2);
  font-size: 12px;
  align-items: center;
  > svg {
    margin-top: 0;
    color: var(--text-3);
  }
  p {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  > button:last-child {
    width: 22px;
    height: 22px;
  }
`;
