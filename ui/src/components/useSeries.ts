import { useEffect, useState } from 'react';
import { create } from 'zustand';
import { ApiError, nodeSeries } from '../api/rest';
import { SPANS, type Span, type Stored } from '../lib/series';
import { HISTORY_SPAN_MS } from '../store/history';
import { usePage } from '../store/page';

// What the page sees itself reaches over the time between two answers.
const AGAIN_MS = HISTORY_SPAN_MS * (2 / 3);
const RETRY_MS = 15_000;

// How much time the details show; the same for all nodes.
export const useSpan = create<{ span: Span }>()(() => ({ span: '1h' }));

interface Answer {
  key: string;
  stored: Stored | null;
  // The aggregator keeps no series of this node.
  absent: boolean;
}

// The stored values of a node, asked for when it is opened and again now and then.
export function useSeries(id: string, span: Span): Omit<Answer, 'key'> {
  const at = usePage((page) => page.time);
  const key = `${span} ${at} ${id}`;
  const [answer, setAnswer] = useState<Answer>({ key, stored: null, absent: false });
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const { lastMs, stepMs } = SPANS[span];
    const ask = async () => {
      let again = AGAIN_MS;
      try {
        const stored = { answer: await nodeSeries(id, lastMs, stepMs, abort.signal, at), receivedMs: performance.now() };
        setAnswer({ key, stored, absent: false });
      } catch (error) {
        if (abort.signal.aborted) return;
        again = RETRY_MS;
        // While the aggregator does not answer, what was known stays in sight.
        if (error instanceof ApiError && error.status === 404) setAnswer({ key, stored: null, absent: true });
      }
      // The past does not change.
      if (!abort.signal.aborted && at === null) timer = setTimeout(() => void ask(), again);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, id, span, at]);
  const { stored, absent } = answer.key === key ? answer : { stored: null, absent: false };
  return { stored, absent };
}
