import { useEffect, useState } from 'react';
import { useLive } from '../store/live';
import type { Topology } from '../store/topology';

// The view, at most once per interval: text that changes ten times a second cannot be read.
export function useTopology(everyMs: number): Topology {
  const [topology, setTopology] = useState(() => useLive.getState().topology);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let shownMs = performance.now();
    const show = () => {
      timer = undefined;
      shownMs = performance.now();
      setTopology(useLive.getState().topology);
    };
    show();
    const unsubscribe = useLive.subscribe((now, before) => {
      if (now.topology === before.topology) return;
      const urgent = now.topology.view !== before.topology.view || now.topology.loaded !== before.topology.loaded;
      if (urgent) {
        clearTimeout(timer);
        show();
      } else timer ??= setTimeout(show, Math.max(0, everyMs - (performance.now() - shownMs)));
    });
    return () => {
      clearTimeout(timer);
      unsubscribe();
    };
  }, [everyMs]);
  return topology;
}

// Renders again every so often, for clocks and ages.
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
