import { useEffect, useRef, useState } from 'react';
import { followLog } from '../api/control';
import { ApiError } from '../api/rest';
import { clock } from '../lib/format';
import { LogLines, plain } from '../lib/log-lines';
import { pauseBefore, passes } from '../lib/retry';

// Lines come faster than anybody reads; the page is drawn anew this often.
const DRAW_EVERY_MS = 150;

interface Log {
  lines: readonly string[];
  // Lines before these that the page has let go of.
  forgotten: number;
  // Why no more comes; empty while it is read.
  ended: string;
  // It is tried again by itself.
  waiting: boolean;
  again: () => void;
}

// Follows the log of a container until it ends, or the one who looks goes. Where its agent or the
// aggregator goes away, it goes on from the last line once they are there again.
export function useLog(id: string): Log {
  const [attempt, setAttempt] = useState(0);
  const [state, setState] = useState({ ended: '', waiting: false });
  const [drawn, setDrawn] = useState<{ lines: readonly string[]; forgotten: number }>({ lines: [], forgotten: 0 });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  useEffect(() => {
    const log = new LogLines();
    const stop = new AbortController();
    let retry: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      timer.current = undefined;
      setDrawn({ lines: log.all().map(plain), forgotten: log.forgotten });
    };
    const read = async (failures: number) => {
      let began = false;
      // Why it ended; null where it did by itself.
      let lost: string | null = null;
      try {
        await followLog(id, log.since, stop.signal, (part) => {
          if (!began && failures > 0) {
            log.resume(`the connection was lost; the log goes on at ${clock(Date.now())}`);
            setState({ ended: '', waiting: false });
          }
          began = true;
          log.push(part);
          timer.current ??= setTimeout(draw, DRAW_EVERY_MS);
        });
        if (log.brokeOff) lost = 'The agent or the aggregator went away.';
      } catch (error) {
        if (stop.signal.aborted) return;
        const { message, status } = error as ApiError;
        if (!passes(status)) {
          draw();
          setState({ ended: message, waiting: false });
          return;
        }
        lost = message;
      }
      if (stop.signal.aborted) return;
      draw();
      if (lost === null) {
        setState({ ended: 'The log has ended.', waiting: false });
        return;
      }
      const failed = began ? 1 : failures + 1;
      const pauseMs = pauseBefore(failed);
      setState({ ended: `${lost} Trying again every ${Math.ceil(pauseMs / 1000)} s; the lines so far stay.`, waiting: true });
      retry = setTimeout(() => void read(failed), pauseMs);
    };
    setState({ ended: '', waiting: false });
    draw();
    void read(0);
    return () => {
      stop.abort();
      clearTimeout(retry);
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, [id, attempt]);

  return { ...drawn, ...state, again: () => setAttempt(attempt + 1) };
}
