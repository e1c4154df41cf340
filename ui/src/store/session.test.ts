import { afterEach, describe, expect, it, vi } from 'vitest';
import { listAgents } from '../api/rest';
import {
  beginSession,
  credentials,
  endSession,
  refreshProvider,
  refreshWho,
  returnFromProvider,
  signInAtProvider,
  useSession,
} from './session';

function answers(status: number, body: unknown) {
  const fetched = vi.fn<typeof fetch>(() => Promise.resolve(new Response(JSON.stringify(body), { status })));
  vi.stubGlobal('fetch', fetched);
  return fetched;
}

afterEach(() => {
  vi.unstubAllGlobals();
  useSession.setState({ asked: false, busy: false, problem: '', who: null, provider: null });
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

class Kept implements Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> {
  readonly values = new Map<string, string>();
  getItem = (key: string) => this.values.get(key) ?? null;
  setItem = (key: string, value: string) => void this.values.set(key, value);
  removeItem = (key: string) => void this.values.delete(key);
}

describe('the sign-in by a provider', () => {
  it('is offered where there is one', async () => {
    answers(200, { required: true, passwords: false, provider: 'Example' });
    await refreshProvider();
    expect(useSession.getState().provider).toBe('Example');
    answers(500, {});
    await refreshProvider();
    expect(useSession.getState().provider).toBe('Example');
  });

  it('goes to the provider and comes back to what was looked at', async () => {
    const kept = new Kept();
    vi.stubGlobal('sessionStorage', kept);
    vi.stubGlobal('location', { hash: '#view=hosts' });
    const fetched = answers(200, { location: 'https://sso.example/auth?state=1' });
    const go = vi.fn();
    await signInAtProvider(go);
    expect(fetched.mock.calls[0]).toEqual(['/api/v1/session/oidc', { method: 'POST' }]);
    expect(go).toHaveBeenCalledWith('https://sso.example/auth?state=1');
    const back = returnFromProvider(new URL('https://map.example/'), kept as unknown as Storage);
    expect(back).toEqual({ hash: '#view=hosts', problem: '' });
    expect(kept.values.size).toBe(0);
  });

  it('says why the provider can not be asked, and other ways stay open', async () => {
    answers(502, { error: 'Example does not answer as it should', hint: 'sign in another way' });
    const go = vi.fn();
    await signInAtProvider(go);
    expect(go).not.toHaveBeenCalled();
    expect(useSession.getState()).toMatchObject({ busy: false, problem: 'Example does not answer as it should.' });
  });

  it('says why it failed in its own words, whatever the address holds', () => {
    const problem = (address: string) =>
      returnFromProvider(new URL(address), new Kept() as unknown as Storage).problem;
    expect(problem('https://map.example/?sign-in=no-role')).toContain('in no group');
    expect(problem('https://map.example/?sign-in=Call%20555')).toBe('The sign-in failed.');
    expect(problem('https://map.example/?sign-in=toString')).toBe('The sign-in failed.');
    expect(problem('https://map.example/?other=1#view=hosts')).toBe('');
  });
});
