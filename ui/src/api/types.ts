// The messages of proto/mesoscope/v1 as the aggregator writes them in JSON: snake_case names, every
// field present, enums as numbers, absent messages as null.

// In the order in which they are listed, groups below what they group.
export const VIEWS = [
  'processes',
  'processes-by-name',
  'containers',
  'containers-by-image',
  'containers-by-hostname',
  'services',
  'hosts',
] as const;
export type View = (typeof VIEWS)[number];

export interface ViewOptions {
  unconnected?: boolean;
  ended?: boolean;
  kernel_threads?: boolean;
  system?: boolean;
  uncontained?: boolean;
  hosts: readonly string[];
  // Only containers of these, and what is in them; none: all.
  namespaces?: readonly string[];
  networks?: readonly string[];
  // Only containers with all of these: "key=value", or "key".
  labels?: readonly string[];
}

// The lists of `ViewOptions` that choose containers, by their name in a link.
export const CONTAINER_FILTERS = { namespace: 'namespaces', network: 'networks', label: 'labels' } as const;
export type ContainerFilter = (typeof CONTAINER_FILTERS)[keyof typeof CONTAINER_FILTERS];

// How much each view has, and what its options choose from.
export interface Overview {
  // Whatever the options leave out, and without what no agent sees.
  views: { view: string; nodes: number; edges: number }[];
  namespaces: string[];
  networks: string[];
  // By the configuration of the aggregator.
  label_filters: { name: string; label: string }[];
}

// A page about a node elsewhere.
export interface NodeLink {
  label: string;
  url: string;
}

export interface Metric {
  key: string;
  label: string;
  value: number;
  unit: string;
  max: number;
}

export interface Field {
  key: string;
  label: string;
  value: string;
  type: string;
}

export interface NodeRef {
  view: string;
  id: string;
  label: string;
}

export type Health = 'ok' | 'warning' | 'critical' | 'unknown';

export interface TopologyNode {
  id: string;
  kind: string;
  label: string;
  label_minor: string;
  group: string;
  group_label: string;
  state: string;
  health: string;
  health_reason: string;
  pseudo: boolean;
  metadata: Field[];
  metrics: Metric[];
  parents: NodeRef[];
  first_seen_unix_ms: number;
  x: number;
  y: number;
  children: number;
}

export interface TopologyEdge {
  id: string;
  source: string;
  target: string;
  protocol: string;
  application: string;
  connections_open: number;
  connections_total: number;
  failures_total: number;
  bytes_forward: number;
  bytes_back: number;
  rtt_us: number;
  retransmits_total: number;
  first_seen_unix_ms: number;
  last_seen_unix_ms: number;
  ports: number[];
  connections_per_s: number;
  bytes_forward_per_s: number;
  bytes_back_per_s: number;
}

export const GapKind = {
  Unspecified: 0,
  Lost: 1,
  Throttled: 2,
  Spool: 3,
  Governor: 4,
  Capability: 5,
} as const;

export interface Gap {
  kind: number;
  what: string;
  since_unix_ns: number;
  until_unix_ns: number;
  count: number;
  cgroup_id: number;
  container_id: string;
  detail: string;
}

export interface Incomplete {
  agent_id: string;
  hostname: string;
  gap: Gap | null;
  message: string;
}

export interface TopologyDiff {
  view: string;
  sequence: number;
  reset: boolean;
  time_unix_ms: number;
  nodes: TopologyNode[];
  nodes_removed: string[];
  edges: TopologyEdge[];
  edges_removed: string[];
  incomplete: Incomplete[];
  incomplete_changed: boolean;
  nodes_hidden: number;
  // The view as it was at `time_unix_ms`, and not as it is.
  past?: boolean;
  // What changes all the time of nodes and edges that are otherwise as told before.
  node_figures: NodeFigures[];
  edge_figures: EdgeFigures[];
  // Nodes that are drawn elsewhere now.
  places: { id: string; x: number; y: number }[];
  // Figures of one thing come at most this often.
  figures_period_ms: number;
}

export interface NodeFigures {
  id: string;
  children: number;
  // The values of the node's metrics, in their order.
  values: number[];
}

// What is 0 is left out.
export type EdgeFigures = { id: string } & Partial<EdgeCounts>;

export type EdgeCounts = Pick<
  TopologyEdge,
  | 'connections_open'
  | 'connections_total'
  | 'failures_total'
  | 'bytes_forward'
  | 'bytes_back'
  | 'rtt_us'
  | 'retransmits_total'
  | 'last_seen_unix_ms'
  | 'connections_per_s'
  | 'bytes_forward_per_s'
  | 'bytes_back_per_s'
>;

export interface Capability {
  name: string;
  available: boolean;
  provider: string;
  reason: string;
}

export interface AgentStatus {
  time_unix_ns: number;
  cpu_percent: number;
  rss_bytes: number;
  governor: string;
  capabilities: Capability[];
  events_total: number;
  events_lost_total: number;
  // On: for these containers, or where there are none, for the whole node.
  tier2: boolean;
  tier2_containers: string[];
}

// What an operator asked of an agent.
export interface Configure {
  tier2: boolean;
  tier2_containers: string[];
}

export interface AgentInfo {
  agent_id: string;
  hostname: string;
  version: string;
  connected: boolean;
  connected_unix_ms: number;
  last_seen_unix_ms: number;
  generation: number;
  status: AgentStatus | null;
  processes: number;
  containers: number;
  connections: number;
  complete: boolean;
  availability: number;
  // Null while the agent's own configuration rules.
  settings: Configure | null;
}

export interface Endpoint {
  address: string;
  port: number;
}

export interface ConnectionDetails {
  direction: string;
  local: Endpoint | null;
  remote: Endpoint | null;
  protocol: string;
  application: string;
  state: string;
  peer: NodeRef | null;
  bytes_sent: number;
  bytes_received: number;
  rtt_us: number;
  retransmits: number;
  opened_unix_ms: number;
  closed_unix_ms: number;
}

export interface Section {
  title: string;
  fields: Field[];
}

export const Tier2State = {
  Unspecified: 0,
  Off: 1,
  Container: 2,
  Node: 3,
  Unavailable: 4,
} as const;

// Per-packet hooks at a container or host.
export interface Tier2 {
  agent_id: string;
  // Empty for a host.
  container_id: string;
  state: number;
  asked: boolean;
  reason: string;
}

export interface NodeDetails {
  node: TopologyNode | null;
  sections: Section[];
  children: NodeRef[];
  connections: ConnectionDetails[];
  connections_left_out: number;
  tier2: Tier2 | null;
  // Of containers only.
  control: ContainerControl | null;
  // Of containers and hosts, each behind its parent.
  processes: ProcessEntry[];
  processes_left_out: number;
  // By their names.
  plugins: PluginFacts[];
  children_left_out: number;
  // By the configuration of the aggregator.
  links: NodeLink[];
}

// What a plugin says of a node.
export interface PluginFacts {
  plugin: string;
  label: string;
  metadata: Field[];
  metrics: Metric[];
  tables: PluginTable[];
  controls: PluginControl[];
}

export interface PluginTable {
  key: string;
  label: string;
  columns: string[];
  rows: { cells: string[] }[];
}

export interface PluginControl {
  key: string;
  label: string;
  // The question before it; empty for one made of its label.
  confirm: string;
}

export interface ProcessEntry {
  id: string;
  label: string;
  pid: number;
  depth: number;
  ended: boolean;
  exit: string;
  command: string;
}

// Whether people can start, stop and read the log of a container from here.
export interface ContainerControl {
  available: boolean;
  reason: string;
}

export interface SearchPage {
  nodes: { view: string; id: string; label: string; label_minor: string; field: Field | null }[];
  cursor: string | null;
}

export interface Suggestion {
  text: string;
  kind: 'key' | 'value';
  // What people call the key; empty for values.
  label: string;
  // How many nodes have it, of those looked at.
  nodes: number;
}

export interface SuggestionList {
  // The characters that a suggestion takes the place of.
  from: number;
  to: number;
  suggestions: Suggestion[];
}

export function isView(text: string): text is View {
  return (VIEWS as readonly string[]).includes(text);
}
