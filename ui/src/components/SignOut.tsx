import { useEffect } from 'react';
import type { Who } from '../api/rest';
import { say } from '../store/notice';
import { endSession, refreshWho, useSession } from '../store/session';
import { IconButton } from './controls';
import { SignOutIcon } from './icons';

export function SignOut() {
  const { asked, busy, who } = useSession();
  useEffect(() => {
    if (!asked) void refreshWho();
  }, [asked]);
  return <SignOutButton busy={busy} who={who} />;
}

// Only where there is a session to end: who needs none, or shows a certificate, stays who he is.
export function SignOutButton({ busy, who }: { busy: boolean; who: Who | null }) {
  if (!who?.session) return null;
  const label = `Sign out ${who.name} (${who.role})`;
  return (
    <IconButton
      type="button"
      aria-label={label}
      title={label}
      aria-disabled={busy}
      onClick={() => {
        if (busy) return;
        endSession(() => location.reload()).catch((error: unknown) => say((error as Error).message));
      }}
    >
      <SignOutIcon />
    </IconButton>
  );
}
