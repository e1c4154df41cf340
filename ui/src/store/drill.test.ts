import { afterEach, describe, expect, it, vi } from 'vitest';
import { changeView } from './drill';
import { usePage } from './page';

const details = {
  node: { parents: [{ view: 'hosts', id: 'host;a', label: 'a' }] },
  children: [],
  processes: [],
};

function answers(body: unknown, status = 200) {
  const fetched = vi.fn(() => Promise.resolve(new Response(JSON.stringify(body), { status })));
  vi.stubGlobal('fetch', fetched);
  return fetched;
}

afterEach(() => vi.unstubAllGlobals());

describe('changeView', () => {
  it('selects what the node is in the other view', async () => {
    answers(details);
    usePage.setState({ view: 'containers', selected: 'container;c' });
    changeView('hosts');
    expect(usePage.getState()).toMatchObject({ view: 'hosts', selected: null });
    await vi.waitFor(() => expect(usePage.getState().selected).toBe('host;a'));
  });

  it('keeps what is on no agent, and what was chosen meanwhile', async () => {
    const fetched = answers(details);
    usePage.setState({ view: 'containers', selected: 'pseudo;internet;in' });
    changeView('hosts');
    expect(usePage.getState().selected).toBe('pseudo;internet;in');
    expect(fetched).not.toHaveBeenCalled();
    usePage.setState({ view: 'containers', selected: 'container;c' });
    changeView('hosts');
    usePage.getState().select('host;b');
    await vi.waitFor(() => expect(fetched).toHaveBeenCalled());
    await Promise.resolve();
    expect(usePage.getState().selected).toBe('host;b');
  });

  it('selects nothing when the node is gone', async () => {
    const fetched = answers({ error: 'no such node', hint: '' }, 404);
    usePage.setState({ view: 'containers', selected: 'container;c' });
    changeView('processes');
    await vi.waitFor(() => expect(fetched).toHaveBeenCalled());
    expect(usePage.getState()).toMatchObject({ view: 'processes', selected: null });
  });
});
