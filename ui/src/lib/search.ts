// Which nodes a search means: every word must occur in the label, the second line, the group or the
// metadata. `key:value` looks into one metadata field ("image:redis", "pid:1").

import type { TopologyNode } from '../api/types';

export function matcher(search: string): ((node: TopologyNode) => boolean) | null {
  const terms = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (terms.length === 0) return null;
  return (node) => terms.every((term) => matches(node, term));
}

function matches(node: TopologyNode, term: string): boolean {
  const colon = term.indexOf(':');
  if (colon > 0 && colon < term.length - 1) {
    const key = term.slice(0, colon);
    const value = term.slice(colon + 1);
    const known = { state: node.state, health: node.health, kind: node.kind, host: node.group_label }[key];
    if (known?.toLowerCase().includes(value)) return true;
    if (node.metadata.some((field) => named(field, key) && field.value.toLowerCase().includes(value))) return true;
  }
  return (
    node.label.toLowerCase().includes(term) ||
    node.label_minor.toLowerCase().includes(term) ||
    node.group_label.toLowerCase().includes(term) ||
    node.metadata.some((field) => field.value.toLowerCase().includes(term))
  );
}

function named(field: { key: string; label: string }, key: string): boolean {
  return field.key.toLowerCase() === key || field.label.toLowerCase() === key;
}
