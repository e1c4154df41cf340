// Which nodes the search and the health filter mean.

import { matcher } from '../lib/search';
import { hasHealth } from '../scene/build';
import type { PageState } from './page';
import type { Topology } from './topology';

// Ids of the matching nodes, or null when nothing is asked for.
export function matchedNodes(
  topology: Topology,
  { search, health }: Pick<PageState, 'search' | 'health'>,
): Set<string> | null {
  const found = matcher(search);
  if (!found && !health) return null;
  const ids = new Set<string>();
  for (const node of topology.nodes.values()) {
    if (health && !(node.health === health && hasHealth(node))) continue;
    if (!found || found(node)) ids.add(node.id);
  }
  return ids;
}
