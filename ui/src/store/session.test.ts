import { afterEach, describe, expect, it, vi } from 'vitest';
import { listAgents } from '../api/rest';
import { beginSession, credentials, endSession, refreshWho, useSession } from './session';

function answers(status: number, body: unknown) {
  const fetched = vi.fn<typeof fetch>(() => Promise.resolve(new Response(JSON.stringify(body), { status })));
  vi.stubGlobal('fetch', fetched);
  return fetched;
}

afterEach(() => {
  vi.unstubAllGlobals();
  useSession.setState({ asked: false, busy: false, problem: '', who: null });
});

describe('the session', () => {
  it('is asked for when the aggregator answers 401', async () => {
    answers(401, { error: 'authentication is needed', hint: 'sign in' });
    await expect(listAgents(new AbortController().signal)).rejects.toThrow('Authentication is needed');
    expect(useSession.getState().asked).toBe(true);
  });

  it('begins with what was typed, and the page goes on', async () => {
    useSession.setState({ asked: true });
    const fetched = answers(200, { name: 'ada', role: 'operator' });
    const again = vi.fn();
    await beginSession(credentials('ada', ' secret '), again);
    const [path, init] = fetched.mock.calls[0]!;
    expect(path).toBe('/api/v1/session');
    expect(JSON.parse(String(init?.body))).toEqual({ name: 'ada', password: ' secret ' });
    expect(again).toHaveBeenCalledOnce();
    expect(useSession.getState()).toMatchObject({ asked: false, busy: false, problem: '' });
  });

  it('says why it did not begin', async () => {
    useSession.setState({ asked: true });
    answers(401, { error: 'what was shown opens nothing here', hint: 'send a header' });
    const again = vi.fn();
    await beginSession(credentials('', ' mesoscope_1 '), again);
    expect(again).not.toHaveBeenCalled();
    expect(useSession.getState()).toMatchObject({ asked: true, busy: false, problem: 'What was shown opens nothing here.' });
  });

  it('is of somebody, until it is ended', async () => {
    const ada = { name: 'ada', role: 'operator', session: true };
    answers(200, ada);
    await refreshWho();
    expect(useSession.getState().who).toEqual(ada);
    const fetched = vi.fn<typeof fetch>(() => Promise.resolve(new Response(null, { status: 204 })));
    vi.stubGlobal('fetch', fetched);
    const leave = vi.fn();
    await endSession(leave);
    expect(fetched.mock.calls[0]).toEqual(['/api/v1/session', { method: 'DELETE' }]);
    expect(leave).toHaveBeenCalledOnce();
    answers(401, { error: 'authentication is needed', hint: 'sign in' });
    await refreshWho();
    expect(useSession.getState()).toMatchObject({ who: null, asked: true });
  });

  it('stays where it could not be ended', async () => {
    answers(403, { error: 'a page of another origin asks', hint: '' });
    const leave = vi.fn();
    await expect(endSession(leave)).rejects.toThrow('another origin');
    expect(leave).not.toHaveBeenCalled();
    expect(useSession.getState().busy).toBe(false);
  });

  it('takes a token where no name is given', () => {
    expect(credentials(' ', ' mesoscope_1\n')).toEqual({ token: 'mesoscope_1' });
  });
});
