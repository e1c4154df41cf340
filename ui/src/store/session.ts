// Whether the aggregator asks for a sign-in, and the sign-in itself.

import { create } from 'zustand';
import { ApiError, signIn, whenSignInIsAsked, type Credentials } from '../api/rest';

export interface SessionState {
  asked: boolean;
  busy: boolean;
  // Why the last attempt failed.
  problem: string;
}

export const useSession = create<SessionState>()(() => ({ asked: false, busy: false, problem: '' }));

whenSignInIsAsked(() => useSession.setState({ asked: true }));

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
