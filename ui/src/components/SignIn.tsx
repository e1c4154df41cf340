import { useEffect, useRef, useState } from 'react';
import styled from 'styled-components';
import { refreshAgents, retryNow } from '../store/live';
import { beginSession, credentials, signInAtProvider, useSession } from '../store/session';
import { Button } from './controls';

function again(): void {
  retryNow();
  void refreshAgents(new AbortController().signal);
}

// Stands over the page while the aggregator lets nobody in. It can't be closed: there is nothing
// behind it.
export function SignIn() {
  const { asked, busy, problem, provider } = useSession();
  return asked ? <SignInForm busy={busy} problem={problem} provider={provider} /> : null;
}

function toProvider(): void {
  void signInAtProvider((address) => location.assign(address));
}

export function SignInForm({ busy, problem, provider }: { busy: boolean; problem: string; provider: string | null }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [name, setName] = useState('');
  const [secret, setSecret] = useState('');
  useEffect(() => dialog.current?.showModal(), []);
  const submit = (event: React.FormEvent) => {
    event.preventDefault();
    if (!busy && secret !== '') void beginSession(credentials(name, secret), again);
  };
  return (
    // Escape closes it nevertheless, the second time: it opens again.
    <Sheet ref={dialog} aria-labelledby="sign-in-title" onClose={() => dialog.current?.showModal()}>
      <form onSubmit={submit}>
        <h1 id="sign-in-title">Sign in</h1>
        {problem !== '' && <p role="alert">{problem}</p>}
        {provider !== null && (
          <>
            <Button $primary type="button" disabled={busy} onClick={toProvider}>
              Sign in with {provider}
            </Button>
            <Or aria-hidden>or</Or>
          </>
        )}
        <label>
          Name
          <input
            autoComplete="username"
            maxLength={64}
            placeholder="none for a token"
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        </label>
        <label>
          Password or API token
          <input
            type="password"
            autoComplete="current-password"
            maxLength={4096}
            required
            value={secret}
            onChange={(event) => setSecret(event.target.value)}
          />
        </label>
        <Button $primary={provider === null} type="submit" disabled={busy}>
          Sign in
        </Button>
      </form>
    </Sheet>
  );
}

const Or = styled.span`
  display: flex;
  align-items: center;
  gap: 10px;
  font-size: 12px;
  color: var(--text-2);
  &::before,
  &::after {
    content: '';
    flex: 1;
    border-top: 1px solid var(--line);
  }
`;

const Sheet = styled.dialog`
  width: min(340px, calc(100vw - 24px));
  padding: 20px;
  border: 1px solid var(--line-strong);
  border-radius: 8px;
  background: var(--surface);
  color: var(--text-1);
  &::backdrop {
    background: rgb(0 0 0 / 50%);
  }
  form {
    display: grid;
    gap: 14px;
  }
  h1 {
    margin: 0;
    font-size: 16px;
  }
  label {
    display: grid;
    gap: 5px;
    font-size: 12px;
    color: var(--text-2);
  }
  input {
    height: 32px;
    padding: 0 9px;
    border: 1px solid var(--line-strong);
    border-radius: 6px;
    background: var(--raised);
    color: var(--text-1);
    font: inherit;
  }
  p {
    margin: 0;
    font-size: 12px;
    color: var(--critical-text);
  }
  button {
    justify-content: center;
    height: 32px;
  }
`;
