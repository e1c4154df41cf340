// Labels that people give to nodes.

import { answer } from './rest';

export type NodeLabels = Record<string, string>;

function path(id: string): string {
  return `/api/v1/nodes/${encodeURIComponent(id)}/labels`;
}

export async function nodeLabels(id: string, signal: AbortSignal): Promise<NodeLabels> {
  const { labels } = (await (await answer(path(id), { signal })).json()) as { labels: NodeLabels };
  return labels;
}

// These and no others.
export async function setNodeLabels(id: string, labels: NodeLabels): Promise<void> {
  await answer(path(id), {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ labels }),
  });
}
