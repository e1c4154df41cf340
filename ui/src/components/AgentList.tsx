import { useState } from 'react';
import styled from 'styled-components';
import type { AgentInfo } from '../api/types';
import { bytes, duration, joined } from '../lib/format';
import { TIER2_COSTS, TIER2_GIVES, tier2OfAgent } from '../lib/tier2';
import { useLive } from '../store/live';
import { usePage } from '../store/page';
import { Button, SectionTitle } from './controls';
import { ChevronIcon, HealthIcon } from './icons';
import { useTier2Switch } from './useTier2Switch';

// Fewer are seen at a glance.
const SEARCHED_FROM = 12;
const SHOWN_MAX = 60;

// The agents: whether each is there and whole, what it costs, and what it lacks and why.
export function AgentList() {
  const agents = useLive((live) => live.agents);
  const problem = useLive((live) => live.agentsProblem);
  const [search, setSearch] = useState('');
  const found = agentsFound(agents, agents.length > SEARCHED_FROM ? search : '');
  const shown = found.slice(0, SHOWN_MAX);
  return (
    <>
      <SectionTitle>Agents</SectionTitle>
      {problem && <Note>{problem}</Note>}
      {!problem && agents.length === 0 && <Note>No agent has reported yet.</Note>}
      {agents.length > SEARCHED_FROM && (
        <Search
          type="search"
          aria-label="Search in the agents"
          placeholder={`Search ${agents.length.toLocaleString('en-US')} agents`}
          value={search}
          onChange={(event) => setSearch(event.target.value)}
        />
      )}
      <ul>
        {shown.map((agent) => (
          <AgentRow key={agent.agent_id} agent={agent} />
        ))}
      </ul>
      {found.length > shown.length && <Note>and {(found.length - shown.length).toLocaleString('en-US')} more</Note>}
      {agents.length > 0 && found.length === 0 && <Note>No agent has such a name.</Note>}
    </>
  );
}

// Those whose name holds the text, and first those with something to tell.
export function agentsFound(agents: readonly AgentInfo[], search: string): AgentInfo[] {
  const text = search.trim().toLowerCase();
  const found = agents.filter(({ hostname, agent_id: id }) => `${hostname} ${id}`.toLowerCase().includes(text));
  const unwell = (agent: AgentInfo) => agentHealth(agent)[0] !== 'ok';
  return [...found.filter(unwell), ...found.filter((agent) => !unwell(agent))];
}

function agentHealth(agent: AgentInfo): [health: string, words: string] {
  if (!agent.connected) return ['unknown', 'offline'];
  if (!agent.complete) return ['warning', 'incomplete'];
  if (agent.status && agent.status.governor !== 'normal' && agent.status.governor !== '') {
    return ['warning', `governor: ${agent.status.governor}`];
  }
  return ['ok', 'connected'];
}

function AgentRow({ agent }: { agent: AgentInfo }) {
  const [open, setOpen] = useState(false);
  const [health, words] = agentHealth(agent);
  const missing = agent.status?.capabilities.filter((one) => !one.available).length ?? 0;
  return (
    <li>
      <Row type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Chevron $open={open}>
          <ChevronIcon size={12} />
        </Chevron>
        <span title={agent.hostname}>{agent.hostname || agent.agent_id}</span>
        {missing > 0 && <small title={`${missing} capabilities are missing`}>{missing} off</small>}
        <span title={words} style={{ flex: 'none', display: 'flex' }}>
          <HealthIcon health={health} size={12} />
        </span>
      </Row>
      {open && <AgentCard agent={agent} words={words} />}
    </li>
  );
}

function AgentCard({ agent, words }: { agent: AgentInfo; words: string }) {
  const { status } = agent;
  const filtered = usePage((page) => page.hosts.includes(agent.agent_id));
  return (
    <Card>
      <dl>
        <dt>State</dt>
        <dd>{words}</dd>
        {status && (
          <>
            <dt>Costs</dt>
            <dd>
              {status.cpu_percent.toFixed(1)}% cpu, {joined(bytes(status.rss_bytes))}
            </dd>
            <dt>Lost</dt>
            <dd>{status.events_lost_total.toLocaleString('en-US')} events</dd>
            <dt>Tier 2</dt>
            <dd>{tier2OfAgent(agent)?.state}</dd>
          </>
        )}
        <dt>Up</dt>
        <dd>{agent.connected ? duration(Date.now() - agent.connected_unix_ms) : '–'}</dd>
        <dt>Version</dt>
        <dd>{agent.version || '–'}</dd>
      </dl>
      <Ladder>
        {status?.capabilities.map((one) => (
          <li key={one.name} data-available={one.available} title={one.reason}>
            <span>{one.name}</span>
            <em>{one.available ? one.provider : 'off'}</em>
            {one.reason && <p>{one.reason}</p>}
          </li>
        ))}
      </Ladder>
      <Tier2Button agent={agent} />
      <Button type="button" aria-pressed={filtered} onClick={() => usePage.getState().toggleHost(agent.agent_id)}>
        {filtered ? 'Show all hosts' : 'Only this host'}
      </Button>
    </Card>
  );
}

// Tier 2 costs while it is on, so that a person decides.
export function Tier2Button({ agent, named }: { agent: AgentInfo; named?: boolean }) {
  const { busy, problem, press } = useTier2Switch(agent.agent_id);
  const tier2 = tier2OfAgent(agent);
  const request = tier2?.request;
  if (!request || !agent.connected) return null;
  return (
    <>
      <Button
        type="button"
        aria-disabled={busy}
        onClick={() => press(request)}
        title={`${TIER2_GIVES}; costs ${TIER2_COSTS}`}
      >
        {named ? `Turn tier 2 ${request.enabled ? 'on' : 'off'} for ${agent.hostname}` : `Tier 2: ${request.label.toLowerCase()}`}
      </Button>
      {problem && <Note role="alert">{problem}</Note>}
    </>
  );
}

const Note = styled.p`
  padding: 2px 8px;
  font-size: 12px;
  color: var(--text-3);
`;

const Row = styled.button`
  width: 100%;
  height: 28px;
  padding: 0 8px 0 4px;
  display: flex;
  align-items: center;
  gap: 6px;
  border: 0;
  border-radius: 6px;
  background: none;
  color: var(--text-2);
  text-align: left;
  > span:nth-child(2) {
    flex: 1;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  small {
    font: 11px var(--mono);
    color: var(--text-3);
    white-space: nowrap;
  }
  &:hover {
    color: var(--text-1);
  }
`;

const Chevron = styled.i<{ $open: boolean }>`
  color: var(--text-3);
  transform: rotate(${({ $open }) => ($open ? 90 : 0)}deg);
  transition: transform 0.15s;
`;

const Search = styled.input`
  width: calc(100% - 16px);
  height: 28px;
  margin: 2px 8px 6px;
  padding: 0 9px;
  border: 1px solid var(--line-strong);
  border-radius: 6px;
  background: var(--background);
  color: var(--text-1);
  font-size: 12px;
`;

const Card = styled.div`
  margin: 2px 4px 8px;
  padding: 10px;
  border: 1px solid var(--line);
  border-radius: 8px;
  background: var(--background);
  font-size: 12px;
  display: grid;
  grid-template-columns: minmax(0, 1fr);
  gap: 8px;
  dl {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr);
    gap: 2px 10px;
  }
  dt {
    color: var(--text-3);
  }
  dd {
    font: 11px/1.6 var(--mono);
    text-align: right;
    overflow-wrap: anywhere;
  }
  button {
    justify-content: center;
    padding: 0 8px;
  }
`;

const Ladder = styled.ul`
  display: grid;
  gap: 3px;
  border-top: 1px solid var(--line);
  padding-top: 8px;
  li {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    gap: 0 6px;
    color: var(--text-2);
  }
  em {
    font: 11px/1.6 var(--mono);
    color: var(--ok-text);
  }
  li[data-available='false'] em {
    color: var(--text-3);
  }
  p {
    width: 100%;
    font-size: 11px;
    color: var(--text-3);
    overflow-wrap: anywhere;
  }
  li[data-available='true'] p {
    display: none;
  }
`;
