import { useEffect, useState } from 'react';
import { nodeDetails } from '../api/rest';
import type { NodeDetails } from '../api/types';

const AGAIN_MS = 2_000;

interface Answer {
  id: string;
  details: NodeDetails | null;
  problem: string;
}

// Everything known of a node, asked for again while it is shown.
export function useDetails(view: string, id: string, environment: boolean): Omit<Answer, 'id'> {
  const [answer, setAnswer] = useState<Answer>({ id, details: null, problem: '' });
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const details = await nodeDetails(view, id, environment, abort.signal);
        setAnswer({ id, details, problem: '' });
      } catch (error) {
        if (abort.signal.aborted) return;
        // What was known stays in sight.
        setAnswer((before) => ({
          id,
          details: before.id === id ? before.details : null,
          problem: (error as Error).message,
        }));
      }
      if (!abort.signal.aborted) timer = setTimeout(() => void ask(), AGAIN_MS);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [view, id, environment]);
  return answer.id === id ? answer : { details: null, problem: '' };
}
