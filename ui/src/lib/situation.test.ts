import { describe, expect, it } from 'vitest';
import type { AgentInfo } from '../api/types';
import { applyDiff, emptyTopology } from '../store/topology';
import { diff, node } from './samples';
import { situation } from './situation';

const whole = (fields: Parameters<typeof diff>[0] = {}) =>
  applyDiff(emptyTopology('containers'), diff({ reset: true, ...fields }))!;
const agent = (connected: boolean) => ({ agent_id: 'a', hostname: 'a', connected }) as AgentInfo;
const base = {
  link: { kind: 'live' } as const,
  topology: whole(),
  agents: [agent(true)],
  matches: null,
  narrowed: false,
  uplink: 'http://map:4041',
};

describe('the situation', () => {
  it('is none while there is something to see, also when the link is lost', () => {
    const topology = whole({ nodes: [node('a')] });
    expect(situation({ ...base, topology })).toBeNull();
    expect(situation({ ...base, topology, link: { kind: 'waiting', retryAtMs: 0, attempt: 1 } })).toBeNull();
  });

  it('tells waiting from a fault', () => {
    const topology = emptyTopology('containers');
    expect(situation({ ...base, topology })?.tone).toBe('wait');
    const lost = situation({ ...base, topology, link: { kind: 'waiting', retryAtMs: 0, attempt: 1 } });
    expect(lost).toMatchObject({ tone: 'fault', remedy: 'retry' });
  });

  it('says how to start the first agent, and where it reports to', () => {
    expect(situation({ ...base, agents: [] })?.command).toContain('--aggregator http://map:4041');
  });

  it('names the agents when they are all gone, and the options when they hide everything', () => {
    expect(situation({ ...base, agents: [agent(false)] })?.title).toBe('The agent is offline');
    expect(situation({ ...base, agents: [agent(false), agent(false)] })?.title).toBe('All 2 agents are offline');
    expect(situation({ ...base, topology: whole({ nodes_hidden: 1_200 }) })?.title).toBe('All 1,200 containers are hidden');
    expect(situation(base)).toMatchObject({ title: 'No containers yet', remedy: 'show-processes' });
  });

  it('offers to lift what leaves nothing', () => {
    const topology = whole({ nodes: [node('a')] });
    expect(situation({ ...base, topology, matches: 0 })?.remedy).toBe('clear-filters');
    expect(situation({ ...base, narrowed: true })?.remedy).toBe('clear-filters');
  });
});
