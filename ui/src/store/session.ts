// Whether the aggregator asks for a sign-in, and the sign-in itself.

import { create } from 'zustand';
import { ApiError, signIn, signOut, whenSignInIsAsked, whoAmI, type Credentials, type Who } from '../api/rest';

export interface SessionState {
  asked: boolean;
  busy: boolean;
  // Why the last attempt failed.
  problem: string;
  // Null where it is not known yet.
  who: Who | null;
}

export const useSession = create<SessionState>()(() => ({ asked: false, busy: false, problem: '', who: null }));

whenSignInIsAsked(() => useSession.setState({ asked: true, who: null }));

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
