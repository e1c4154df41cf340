// What leaves the page as a file: the table as CSV, the view as JSON.

import type { TopologyEdge, TopologyNode } from '../api/types';
import type { Linked } from '../store/persist';
import type { Topology } from '../store/topology';
import type { Row } from './table';

// Spreadsheets run a cell that begins with one of these as a formula, and names of processes are
// anybody's to choose (OWASP, "CSV Injection"): such a text gets an apostrophe before it.
const FORMULA = /^[=+\-@\t\r\n]/;

function cell(value: string | number | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const inert = FORMULA.test(value.trimStart()) || FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}

function moment(unixMs: number): string {
  return unixMs > 0 ? new Date(unixMs).toISOString() : '';
}

type CsvColumn = readonly [title: string, value: (row: Row) => string | number | undefined];

const COLUMNS: readonly CsvColumn[] = [
  ['name', ({ node }) => node.label],
  ['about', ({ node }) => node.label_minor],
  ['kind', ({ node }) => node.kind],
  ['host', ({ node }) => node.group_label],
  ['state', ({ node }) => node.state],
  ['health', ({ node }) => node.health],
  ['health_reason', ({ node }) => node.health_reason],
  ['cpu_cores', ({ cpu }) => cpu],
  ['memory_bytes', ({ memory }) => memory],
  ['traffic_bytes_per_s', ({ traffic }) => traffic],
  ['connections_in', ({ inbound }) => inbound],
  ['connections_out', ({ outbound }) => outbound],
  ['first_seen', ({ seen }) => moment(seen)],
  ['id', ({ node }) => node.id],
];

// RFC 4180, with plain numbers in base units and moments in UTC.
export function csvOf(rows: readonly Row[]): string {
  const lines = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, value]) => cell(value(row))))];
  return lines.map((line) => `${line.join(',')}\r\n`).join('');
}

export interface ExportedView {
  mesoscope_view: 1;
  taken_unix_ms: number;
  address: string;
  view: string;
  search: string;
  // Saved searches in force beside it.
  pins: readonly string[];
  health: string | null;
  hosts: string[];
  nodes_hidden: number;
  incomplete: Topology['incomplete'];
  nodes: TopologyNode[];
  edges: TopologyEdge[];
}

// What is seen, with the messages of the API as they came. Edges stay where both of their ends do.
export function viewOf(
  topology: Topology,
  only: ReadonlySet<string> | null,
  { search, pins, health, hosts }: Pick<Linked, 'search' | 'pins' | 'health' | 'hosts'>,
  address: string,
  takenUnixMs: number,
): ExportedView {
  const kept = (id: string) => topology.nodes.has(id) && (only === null || only.has(id));
  return {
    mesoscope_view: 1,
    taken_unix_ms: takenUnixMs,
    address,
    view: topology.view,
    search,
    pins,
    health,
    hosts,
    nodes_hidden: topology.nodesHidden,
    incomplete: topology.incomplete,
    nodes: [...topology.nodes.values()].filter(({ id }) => kept(id)),
    edges: [...topology.edges.values()].filter(({ source, target }) => kept(source) && kept(target)),
  };
}

// "mesoscope-containers-2026-11-21T19-04-05Z.csv": sorts by time and is a name on every system.
export function fileName(view: string, ending: string, unixMs: number): string {
  const time = new Date(unixMs).toISOString().replace(/\.\d+/, '').replaceAll(':', '-');
  return `mesoscope-${view}-${time}.${ending}`;
}
