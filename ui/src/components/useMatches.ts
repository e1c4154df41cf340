import { useMemo } from 'react';
import { matchedNodes } from '../store/filter';
import { usePage } from '../store/page';
import { useSearch } from '../store/search';
import type { Topology } from '../store/topology';

// The nodes that the search, the pinned searches and the health filter mean; null when nothing is set.
export function useMatches(topology: Topology): Set<string> | null {
  const search = usePage((page) => page.search);
  const pins = usePage((page) => page.pins);
  const health = usePage((page) => page.health);
  const answer = useSearch();
  return useMemo(
    () => matchedNodes(topology, { search, pins, health }, answer),
    [topology, search, pins, health, answer],
  );
}
