import { describe, expect, it } from 'vitest';
import { VIEWS, type NodeDetails } from '../api/types';
import { counterpart, nodesOf, VIEW_INFO } from './views';

const details = {
  node: { parents: [{ view: 'hosts', id: 'host;a', label: 'a' }, { view: 'containers-by-image', id: 'image;web', label: 'web' }] },
  children: [{ view: 'services', id: 'endpoint;tcp;80;host;a', label: 'web:80' }],
  processes: [{ id: 'process;a;1;1' }],
} as unknown as NodeDetails;

describe('views', () => {
  it('are named, groups behind what they group', () => {
    for (const view of VIEWS) {
      const { groups } = VIEW_INFO[view];
      if (groups) expect(VIEWS.indexOf(groups)).toBeLessThan(VIEWS.indexOf(view));
    }
    expect(nodesOf('containers-by-image')).toBe('images');
    expect(nodesOf('hosts')).toBe('hosts');
  });

  it('finds the same thing up and down', () => {
    expect(counterpart(details, 'hosts')).toBe('host;a');
    expect(counterpart(details, 'containers-by-image')).toBe('image;web');
    expect(counterpart(details, 'services')).toBe('endpoint;tcp;80;host;a');
    expect(counterpart(details, 'processes')).toBe('process;a;1;1');
    expect(counterpart(details, 'processes-by-name')).toBeNull();
  });
});
