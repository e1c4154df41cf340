import { describe, expect, it } from 'vitest';
import { Tier2State, type AgentInfo, type AgentStatus, type Tier2 } from '../api/types';
import { tier2OfAgent, tier2Words } from './tier2';

const ID = 'c'.repeat(64);

function at(container: boolean, state: number, asked = false, reason = ''): Tier2 {
  return { agent_id: 'a', container_id: container ? ID : '', state, asked, reason };
}

describe('tier 2 of a container', () => {
  it('is turned on and off for this container only', () => {
    const off = tier2Words(at(true, Tier2State.Off), 'node-1', true);
    expect(off).toMatchObject({ state: 'Off', note: '', on: false });
    expect(off.request).toEqual({ label: 'Turn on for this container', enabled: true, containers: [ID] });
    const on = tier2Words(at(true, Tier2State.Container, true), 'node-1', true);
    expect(on).toMatchObject({ state: 'On for this container', note: '', on: true });
    expect(on.request).toEqual({ label: 'Turn off for this container', enabled: false, containers: [ID] });
  });

  it('says what it waits for, and can be withdrawn', () => {
    const reason = 'it takes effect when the container runs';
    const waits = tier2Words(at(true, Tier2State.Off, true, reason), 'node-1', true);
    expect(waits).toMatchObject({
      state: 'Asked for, not on yet',
      note: 'It takes effect when the container runs.',
      on: false,
    });
    expect(waits.request).toMatchObject({ enabled: false, containers: [ID] });
  });

  it('is part of its node where that is on', () => {
    const node = tier2Words(at(true, Tier2State.Node), 'node-1', true);
    expect(node).toMatchObject({ state: 'On for the whole node', on: true });
    expect(node.note).toContain('everything on node-1');
    expect(node.request).toEqual({ label: 'Turn off for the whole node', enabled: false, containers: [] });
  });

  it('names the reason where it is not possible, and offers nothing', () => {
    const reason = 'no cgroup v2 directory to attach to';
    const none = tier2Words(at(true, Tier2State.Unavailable, false, reason), 'node-1', true);
    expect(none).toEqual({
      state: 'Not possible here',
      note: 'No cgroup v2 directory to attach to.',
      on: false,
      request: null,
    });
    expect(tier2Words(at(true, Tier2State.Unavailable, true), 'node-1', false)).toMatchObject({
      state: 'Asked for, not possible now',
      note: 'The agent does not say why.',
    });
    // A newer aggregator's state that this page does not know.
    expect(tier2Words(at(true, 99), 'node-1', true).request).toBeNull();
  });

  it('says when a restart of the aggregator forgets it', () => {
    const on = tier2Words(at(true, Tier2State.Container, true), 'node-1', false);
    expect(on.note).toContain('--data-dir');
    const waits = tier2Words(at(true, Tier2State.Off, true, 'wait'), 'node-1', false);
    expect(waits.note).toMatch(/^Wait\. Forgotten when/);
    expect(tier2Words(at(true, Tier2State.Off), 'node-1', false).note).toBe('');
    // On by the agent's own configuration: that stays.
    expect(tier2Words(at(true, Tier2State.Node), 'node-1', false).note).not.toContain('--data-dir');
  });
});

describe('tier 2 of a host', () => {
  it('is switched for the whole node', () => {
    const state = (value: number, asked = false) => tier2Words(at(false, value, asked, 'why'), 'node-1', true);
    expect(state(Tier2State.Off)).toMatchObject({ state: 'Off', request: { enabled: true, containers: [] } });
    expect(state(Tier2State.Off, true)).toMatchObject({ note: 'Why.', request: { enabled: false } });
    expect(state(Tier2State.Node)).toMatchObject({ on: true, request: { enabled: false, containers: [] } });
    expect(state(Tier2State.Container)).toMatchObject({
      state: 'On for some containers',
      note: 'Not for the rest of node-1.',
      request: { enabled: true, containers: [] },
    });
    expect(state(Tier2State.Unavailable)).toMatchObject({ note: 'Why.', request: null });
  });
});

describe('tier 2 of an agent in a list', () => {
  const agent = (status: Partial<AgentStatus> | null, node = false) =>
    ({
      status: status && { tier2: false, tier2_containers: [], capabilities: [], ...status },
      settings: node ? { tier2: true, tier2_containers: [] } : null,
    }) as unknown as AgentInfo;

  it('is off, on for some containers, or on', () => {
    expect(tier2OfAgent(agent(null))).toBeNull();
    expect(tier2OfAgent(agent({}))).toMatchObject({ state: 'off', request: { enabled: true } });
    expect(tier2OfAgent(agent({}, true))).toMatchObject({ state: 'off (asked for)', request: { enabled: false } });
    expect(tier2OfAgent(agent({ tier2: true }))).toMatchObject({ state: 'on', request: { enabled: false } });
    const some = agent({ tier2: true, tier2_containers: ['a', 'b'] });
    expect(tier2OfAgent(some)).toMatchObject({ state: 'on for 2 containers', request: { enabled: true } });
    const one = agent({ tier2: true, tier2_containers: ['a'] });
    expect(tier2OfAgent(one)?.state).toBe('on for 1 container');
    const without = [{ name: 'connect-pid', available: false, provider: '', reason: 'no right' }];
    expect(tier2OfAgent(agent({ capabilities: without }))).toEqual({ state: 'not possible here', request: null });
  });
});
