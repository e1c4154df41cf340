// A search of words alone, which the page answers itself and at once: every word must occur in the
// label, the second line, the group or the metadata. All else of the language (docs/search.md), and
// what the page does not hold (labels, addresses, ids), is the aggregator's.

import type { Field, TopologyNode } from '../api/types';

const KEYWORDS = ['AND', 'OR', 'NOT'];

// The words of a search that has nothing but words; null for every other.
export function words(search: string): string[] | null {
  const parts = search.split(/\s+/).filter(Boolean);
  const plain = (part: string) => !/[:"()=<>]|^[!/]/.test(part) && !KEYWORDS.includes(part);
  return parts.every(plain) ? parts.map((part) => part.toLowerCase()) : null;
}

// What a node must match: each pinned search, and the one in the search box.
export function searchesOf({ pins, search }: { pins: readonly string[]; search: string }): string[] {
  return [...pins, search].map((one) => one.trim()).filter((one) => one !== '');
}

export function matcher(terms: readonly string[]): (node: TopologyNode) => boolean {
  return (node) => terms.every((term) => matches(node, term));
}

function matches(node: TopologyNode, term: string): boolean {
  return (
    node.label.toLowerCase().includes(term) ||
    node.label_minor.toLowerCase().includes(term) ||
    node.group_label.toLowerCase().includes(term) ||
    node.metadata.some((field) => holds(field, term))
  );
}

// As the aggregator does: nobody means the digits of a moment or a size, and numbers count whole.
function holds(field: Field, term: string): boolean {
  if (field.type === 'time' || field.type === 'bytes') return false;
  if (field.type === 'number') return field.value === term;
  return field.value.toLowerCase().includes(term);
}
