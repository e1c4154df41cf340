import { useCallback, useEffect, useState } from 'react';
import { ApiError, nodeDetails } from '../api/rest';
import type { NodeDetails } from '../api/types';
import { usePage } from '../store/page';

const AGAIN_MS = 2_000;
// What has ended and is forgotten seldom comes back.
const GONE_AGAIN_MS = 15_000;

interface Answer {
  id: string;
  details: NodeDetails | null;
  problem: string;
}

// Everything known of a node, asked for again while it is shown, and at once when `again` is called.
export function useDetails(
  view: string,
  id: string,
  environment: boolean,
): Omit<Answer, 'id'> & { again: () => void } {
  const [answer, setAnswer] = useState<Answer>({ id, details: null, problem: '' });
  const at = usePage((page) => page.time);
  const [round, setRound] = useState(0);
  const again = useCallback(() => setRound((before) => before + 1), []);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      let again = AGAIN_MS;
      try {
        const details = await nodeDetails(view, id, environment, abort.signal, at);
        setAnswer({ id, details, problem: '' });
      } catch (error) {
        if (abort.signal.aborted) return;
        if (error instanceof ApiError && error.status === 404) again = GONE_AGAIN_MS;
        // What was known stays in sight.
        setAnswer((before) => ({
          id,
          details: before.id === id ? before.details : null,
          problem: (error as Error).message,
        }));
      }
      // The past does not change.
      if (!abort.signal.aborted && at === null) timer = setTimeout(() => void ask(), again);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [view, id, environment, round, at]);
  const { details, problem } = answer.id === id ? answer : { details: null, problem: '' };
  return { details, problem, again };
}
