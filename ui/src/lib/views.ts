// What the views are called, how they belong together, and what each may show or leave out.

import type { NodeDetails, NodeRef, View } from '../api/types';
import type { OptionName } from '../store/page';

interface ViewInfo {
  name: string;
  // The kind of its nodes, for its icon.
  kind: string;
  // The view whose nodes it groups.
  groups?: View;
  options: readonly (readonly [OptionName, string])[];
}

const UNCONNECTED = ['unconnected', 'Without connections'] as const;
const ENDED = ['ended', 'Ended'] as const;
const OF_PROCESSES = [UNCONNECTED, ENDED, ['kernel_threads', 'Kernel threads']] as const;
const OF_CONTAINERS = [
  UNCONNECTED,
  ENDED,
  ['system', 'System containers'],
  ['uncontained', 'Outside of containers'],
] as const;

export const VIEW_INFO: Record<View, ViewInfo> = {
  processes: { name: 'Processes', kind: 'process', options: OF_PROCESSES },
  'processes-by-name': { name: 'by name', kind: 'program', groups: 'processes', options: OF_PROCESSES },
  containers: { name: 'Containers', kind: 'container', options: OF_CONTAINERS },
  'containers-by-image': { name: 'by image', kind: 'image', groups: 'containers', options: OF_CONTAINERS },
  'containers-by-hostname': { name: 'by host name', kind: 'hostname', groups: 'containers', options: OF_CONTAINERS },
  services: { name: 'Services', kind: 'endpoint', options: [UNCONNECTED, ENDED] },
  hosts: { name: 'Hosts', kind: 'host', options: [UNCONNECTED, ['ended', 'Offline']] },
};

// What the nodes of a view are called in a sentence.
export function nodesOf(view: string): string {
  return (
    {
      'processes-by-name': 'programs',
      'containers-by-image': 'images',
      'containers-by-hostname': 'host names',
    }[view] ?? view
  );
}

// What the selected node is in another view: what it is part of, or the first of its parts.
export function counterpart(details: NodeDetails, view: View): string | null {
  const refs: readonly NodeRef[] = [...(details.node?.parents ?? []), ...details.children];
  const found = refs.find((ref) => ref.view === view)?.id;
  return found ?? (view === 'processes' ? details.processes[0]?.id : undefined) ?? null;
}
