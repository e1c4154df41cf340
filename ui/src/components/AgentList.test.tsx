import { describe, expect, it } from 'vitest';
import type { AgentInfo } from '../api/types';
import { agentsFound } from './AgentList';

const agent = (hostname: string, more: Partial<AgentInfo> = {}) =>
  ({ agent_id: `id-${hostname}`, hostname, connected: true, complete: true, status: null, ...more }) as AgentInfo;

describe('the agents', () => {
  const all = [agent('edge-1'), agent('edge-2', { connected: false }), agent('Shop-1'), agent('shop-2', { complete: false })];
  const names = (search: string) => agentsFound(all, search).map(({ hostname }) => hostname);

  it('are found by a part of their name or id, however it is written', () => {
    expect(names('SHOP')).toEqual(['shop-2', 'Shop-1']);
    expect(names('id-edge-1')).toEqual(['edge-1']);
    expect(names('nothing')).toEqual([]);
  });

  it('begin with those that are away or incomplete', () => {
    expect(names('  ')).toEqual(['edge-2', 'shop-2', 'edge-1', 'Shop-1']);
  });
});
