// Which nodes the search, the pinned searches and the health filter mean.

import { matcher, searchesOf, words } from '../lib/search';
import { hasHealth } from '../scene/build';
import type { PageState } from './page';
import { asked, type SearchAnswer } from './search';
import type { Topology } from './topology';

// Ids of the matching nodes, or null when nothing is asked for, or no answer is there yet.
export function matchedNodes(
  topology: Topology,
  { search, pins, health }: Pick<PageState, 'search' | 'pins' | 'health'>,
  answer: Pick<SearchAnswer, 'search' | 'view' | 'ids'>,
): Set<string> | null {
  const searches = searchesOf({ pins, search });
  const found = finder(searches, answer.view === topology.view ? answer : { search: '', ids: null });
  if (!found && !health) return null;
  const ids = new Set<string>();
  for (const node of topology.nodes.values()) {
    if (health && !(node.health === health && hasHealth(node))) continue;
    if (!found || found(node)) ids.add(node.id);
  }
  return ids;
}

type Finder = (node: Parameters<ReturnType<typeof matcher>>[0]) => boolean;

function finder(searches: readonly string[], answer: Pick<SearchAnswer, 'search' | 'ids'>): Finder | null {
  if (searches.length === 0) return null;
  const { ids } = answer;
  const plain = searches.map(words);
  if (plain.includes(null)) return ids && ((node) => ids.has(node.id));
  const search = asked(searches);
  const here = matcher(plain.flatMap((terms) => terms ?? []));
  // The answer to other words would mark what is not meant.
  return ids && answer.search === search ? (node) => here(node) || ids.has(node.id) : here;
}
