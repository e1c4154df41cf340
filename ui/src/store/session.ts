// Whether the aggregator asks for a sign-in, and the sign-in itself.

import { create } from 'zustand';
import {
  ApiError,
  beginAtProvider,
  signIn,
  signInWays,
  signOut,
  whenSignInIsAsked,
  whoAmI,
  type Credentials,
  type Who,
} from '../api/rest';

export interface SessionState {
  asked: boolean;
  busy: boolean;
  // Why the last attempt failed.
  problem: string;
  // Null where it is not known yet.
  who: Who | null;
  // What the provider is called that one may sign in with; null where there is none.
  provider: string | null;
}

export const useSession = create<SessionState>()(() => ({ asked: false, busy: false, problem: '', who: null, provider: null }));

whenSignInIsAsked(() => {
  const { asked } = useSession.getState();
  useSession.setState({ asked: true, who: null });
  if (!asked) void refreshProvider();
});

// Asks what one may sign in with; the form with a token is there in any case.
export async function refreshProvider(): Promise<void> {
  const ways = await signInWays().catch(() => null);
  if (ways !== null) useSession.setState({ provider: ways.provider });
}

// Where the page was when it went to the provider.
const LEFT = 'mesoscope.left';

// Goes to the provider's page.
export async function signInAtProvider(go: (address: string) => void): Promise<void> {
  useSession.setState({ busy: true, problem: '' });
  try {
    const address = await beginAtProvider();
    sessionStorage.setItem(LEFT, location.hash);
    go(address);
  } catch (error) {
    useSession.setState({ busy: false, problem: words(error) });
  }
}

// The aggregator names the reason by one of these words; what others wrote is not shown.
const REASONS = new Map(Object.entries({
  unreachable: 'The provider does not answer as it should. Sign in another way, or try again later.',
  refused: 'The provider did not let you in.',
  invalid: "The provider's answer can't be trusted. The aggregator's log says why.",
  'no-role': 'You are in no group that may look at this map. Ask whoever runs it.',
  expired: 'That sign-in took too long or was begun in another window. Try again.',
  busy: 'Too many are signing in at this moment. Try again.',
  throttled: 'Too many sign-ins failed from your address. Wait a minute.',
}));

// Back from the provider: the page shows what it showed before, and why one is not signed in.
export function returnFromProvider(address: URL, stored: Storage): { hash: string; problem: string } {
  const left = stored.getItem(LEFT) ?? '';
  stored.removeItem(LEFT);
  const reason = address.searchParams.get('sign-in');
  const problem = reason === null ? '' : (REASONS.get(reason) ?? 'The sign-in failed.');
  return { hash: address.hash || left, problem };
}

// To be called before the page reads its address.
export function settleReturn(): void {
  const { hash, problem } = returnFromProvider(new URL(location.href), sessionStorage);
  if (problem === '' && hash === location.hash) return;
  history.replaceState(null, '', `${location.pathname}${hash}`);
  if (problem === '') return;
  useSession.setState({ asked: true, problem });
  void refreshProvider();
}

// A name with a password, or nothing with a token.
export function credentials(name: string, secret: string): Credentials {
  const trimmed = name.trim();
  return trimmed === '' ? { token: secret.trim() } : { name: trimmed, password: secret };
}

// The reason alone: its hint is for programs.
function words(error: unknown): string {
  const reason = error instanceof ApiError ? error.reason : String(error);
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
}

// Begins a session; what the page follows is then asked for anew by `again`.
export async function beginSession(shown: Credentials, again: () => void): Promise<void> {
  useSession.setState({ busy: true, problem: '' });
  try {
    await signIn(shown);
    useSession.setState({ asked: false, busy: false });
    again();
  } catch (error) {
    useSession.setState({ busy: false, problem: words(error) });
  }
}

// Asks who the page is let in as; nobody, where that fails.
export async function refreshWho(): Promise<void> {
  const who = await whoAmI().catch(() => null);
  useSession.setState({ who });
}

// Ends the session. What it has shown goes with the page, which `leave` loads anew.
export async function endSession(leave: () => void): Promise<void> {
  useSession.setState({ busy: true });
  try {
    await signOut();
    leave();
  } finally {
    useSession.setState({ busy: false });
  }
}
