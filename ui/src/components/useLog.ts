import { useEffect, useRef, useState } from 'react';
import { followLog } from '../api/control';
import { LogLines, plain } from '../lib/log-lines';

// Lines come faster than anybody reads; the page is drawn anew this often.
const DRAW_EVERY_MS = 150;

interface Log {
  lines: readonly string[];
  // Lines before these that the page has let go of.
  forgotten: number;
  // Why no more comes; empty while it is read.
  ended: string;
  again: () => void;
}

// Follows the log of a container until it ends, or the one who looks goes.
export function useLog(id: string): Log {
  const [attempt, setAttempt] = useState(0);
  const [ended, setEnded] = useState('');
  const [drawn, setDrawn] = useState<{ lines: readonly string[]; forgotten: number }>({ lines: [], forgotten: 0 });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  useEffect(() => {
    const log = new LogLines();
    const stop = new AbortController();
    const draw = () => {
      timer.current = undefined;
      setDrawn({ lines: log.all().map(plain), forgotten: log.forgotten });
    };
    const end = (why: string) => {
      if (stop.signal.aborted) return;
      draw();
      setEnded(why);
    };
    setEnded('');
    draw();
    followLog(id, stop.signal, (part) => {
      log.push(part);
      timer.current ??= setTimeout(draw, DRAW_EVERY_MS);
    }).then(
      () => end('The log has ended.'),
      (error: unknown) => end((error as Error).message),
    );
    return () => {
      stop.abort();
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, [id, attempt]);

  return { ...drawn, ended, again: () => setAttempt(attempt + 1) };
}
