// A map that is the same every time: 84 containers of a shop on nine hosts, with what the aggregator
// would answer about them. For pictures that can be compared; the real services are in the other tests.

import type { AgentInfo, Health, NodeDetails, TopologyDiff, TopologyEdge, TopologyNode, View } from '../../src/api/types';
import type { StoredSeries } from '../../src/api/rest';

// A Monday in November, 14:02:31 UTC.
export const NOW_MS = Date.UTC(2026, 10, 23, 14, 2, 31);
const HOUR_MS = 3_600_000;
const MIB = 2 ** 20;
const CELL_PX = 66;
// Between groups, of the places below.
const SPREAD = 0.82;

// Where its group is, and what runs there: name, image and how many.
const HOSTS: [name: string, x: number, y: number, services: [string, string, number][]][] = [
  ['identity-1', -620, -330, [['auth-api', 'shop/auth', 3], ['session-cache', 'redis', 1], ['users-db', 'postgres', 1], ['mfa', 'shop/mfa', 2]]],
  ['edge-1', -700, 190, [['gateway', 'envoyproxy/envoy', 4], ['rate-limiter', 'shop/limiter', 4], ['cdn-origin', 'nginx', 4], ['tls-terminator', 'haproxy', 2]]],
  ['checkout-1', -180, -140, [['checkout-web', 'shop/checkout', 3], ['cart-api', 'shop/cart', 3], ['order-writer', 'shop/orders', 3], ['promo-engine', 'shop/promo', 2], ['cart-cache', 'redis', 1]]],
  ['payments-1', 330, -370, [['payment-gateway', 'shop/payments', 2], ['fraud-score', 'shop/fraud', 2], ['card-vault', 'shop/vault', 1], ['ledger-db', 'postgres', 1], ['ledger', 'shop/ledger', 2]]],
  ['catalog-1', -110, 400, [['catalog-api', 'shop/catalog', 4], ['search-api', 'shop/search', 3], ['search-index', 'elasticsearch', 2], ['facet-cache', 'memcached', 1], ['reindex-worker', 'shop/reindex', 2], ['images', 'shop/images', 2]]],
  ['spark-1', 370, 80, [['spark-exec', 'spark', 7], ['spark-driver', 'spark', 1], ['spark-history', 'spark', 1]]],
  ['streaming-1', 830, 190, [['kafka', 'kafka', 3], ['schema-registry', 'shop/schema', 1], ['connect', 'shop/connect', 2]]],
  ['observability-1', 820, -240, [['prometheus', 'prom/prometheus', 2], ['log-shipper', 'shop/logs', 3], ['grafana', 'grafana/grafana', 1], ['alertmanager', 'prom/alertmanager', 2]]],
  ['batch-1', 470, 480, [['invoice-run', 'shop/invoices', 2], ['mailer', 'shop/mail', 2], ['exports', 'shop/exports', 1]]],
];

// Whom they call, by what, and how many kilobytes a second in all.
const CALLS: [from: string, to: string, application: string, kilobytes: number][] = [
  ['tls-terminator', 'gateway', 'http', 2_600],
  ['cdn-origin', 'gateway', 'http', 900],
  ['gateway', 'rate-limiter', 'http', 160],
  ['gateway', 'checkout-web', 'http', 1_400],
  ['gateway', 'catalog-api', 'http', 2_100],
  ['gateway', 'auth-api', 'http', 310],
  ['auth-api', 'users-db', 'postgresql', 120],
  ['auth-api', 'session-cache', 'redis', 90],
  ['auth-api', 'mfa', 'http', 14],
  ['checkout-web', 'cart-api', 'http', 420],
  ['checkout-web', 'promo-engine', 'http', 44],
  ['cart-api', 'cart-cache', 'redis', 230],
  ['cart-api', 'order-writer', 'http', 180],
  ['order-writer', 'payment-gateway', 'http', 5_200],
  ['order-writer', 'kafka', 'kafka', 640],
  ['payment-gateway', 'fraud-score', 'http', 1_450],
  ['payment-gateway', 'card-vault', 'http', 197],
  ['payment-gateway', 'ledger', 'http', 260],
  ['ledger', 'ledger-db', 'postgresql', 1_400],
  ['catalog-api', 'search-api', 'http', 720],
  ['catalog-api', 'facet-cache', 'memcached', 310],
  ['catalog-api', 'images', 'http', 3_800],
  ['search-api', 'search-index', 'elasticsearch', 980],
  ['reindex-worker', 'search-index', 'elasticsearch', 2_200],
  ['reindex-worker', 'kafka', 'kafka', 410],
  ['spark-exec', 'kafka', 'kafka', 1_900],
  ['spark-driver', 'spark-exec', '', 35],
  ['connect', 'kafka', 'kafka', 520],
  ['connect', 'schema-registry', 'http', 3],
  ['fraud-score', 'kafka', 'kafka', 130],
  ['log-shipper', 'prometheus', 'http', 22],
  ['grafana', 'prometheus', 'http', 66],
  ['prometheus', 'alertmanager', 'http', 1],
  ['prometheus', 'gateway', 'http', 12],
  ['invoice-run', 'ledger-db', 'postgresql', 74],
  ['invoice-run', 'mailer', 'http', 9],
  ['exports', 'kafka', 'kafka', 88],
];

const UNWELL: Record<string, [Health, string]> = {
  'payment-gateway-1': ['critical', 'CPU throttled 38 % of the last 5 min'],
  'reindex-worker-2': ['critical', 'killed for want of memory twice in the last hour'],
  'fraud-score-1': ['warning', '92 % of its memory is used'],
  'kafka-2': ['warning', 'connections to 1 of 3 peers fail'],
  'search-api-2': ['warning', 'restarted 4 times in the last hour'],
};

// 0 to 1, the same for the same text.
export function chance(text: string): number {
  let hash = 2_166_136_261;
  for (const letter of text) hash = Math.imul(hash ^ letter.charCodeAt(0), 16_777_619) >>> 0;
  return (Math.imul(hash ^ (hash >>> 15), 2_246_822_519) >>> 0) / 2 ** 32;
}

// Cells of a hexagonal grid, from the middle outwards.
function cells(count: number): [number, number][] {
  const found: [number, number][] = [];
  for (let row = -5; row <= 5; row += 1) {
    for (let column = -5; column <= 5; column += 1) {
      found.push([(column + (row % 2 === 0 ? 0 : 0.5)) * CELL_PX, row * CELL_PX * 0.866]);
    }
  }
  const distance = ([x, y]: [number, number]) => Math.hypot(x, y) + Math.atan2(y, x) / 100;
  return found.sort((a, b) => distance(a) - distance(b)).slice(0, count);
}

const idOf = (name: string) =>
  [0, 1, 2, 3, 4, 5, 6, 7].map((part) => Math.floor(chance(`${name} ${part}`) * 2 ** 32).toString(16).padStart(8, '0')).join('');

function container(host: string, name: string, image: string, x: number, y: number): TopologyNode {
  const [health, reason] = UNWELL[name] ?? ['ok', ''];
  const cpu = health === 'critical' ? 0.97 : chance(name) ** 3 * 0.9 + 0.002;
  const limit = (128 << Math.floor(chance(`limit ${name}`) * 4)) * MIB;
  const metric = (key: string, label: string, value: number, unit: string, max = 0) => ({ key, label, value, unit, max });
  return {
    id: `container;${idOf(name)}`,
    kind: 'container',
    label: name,
    label_minor: `${image}:${image.includes('shop') ? '4.18' : '7.4'}`,
    group: host,
    group_label: host,
    state: 'running',
    health,
    health_reason: reason,
    pseudo: false,
    metadata: [
      { key: 'id', label: 'ID', value: idOf(name).slice(0, 12), type: 'id' },
      { key: 'image', label: 'Image', value: image, type: 'text' },
      { key: 'runtime', label: 'Runtime', value: 'docker', type: 'text' },
      { key: 'started', label: 'Started', value: String(NOW_MS - 76 * HOUR_MS), type: 'time' },
    ],
    metrics: [
      metric('cpu', 'CPU', cpu, 'cores', 1),
      metric('memory', 'Memory', limit * (0.2 + 0.7 * chance(`memory ${name}`)), 'bytes', limit),
      metric('network_in', 'Network in', 2.6e6 * chance(`in ${name}`), 'bytes/s'),
      metric('network_out', 'Network out', 1.8e6 * chance(`out ${name}`), 'bytes/s'),
      metric('open_files', 'Open files', Math.round(20 + 300 * chance(`files ${name}`)), 'count'),
    ],
    parents: [{ view: 'hosts', id: `host;${host}`, label: host }],
    first_seen_unix_ms: NOW_MS - 76 * HOUR_MS,
    x,
    y,
    children: 1 + Math.floor(chance(`children ${name}`) * 5),
  };
}

function outside(name: string, minor: string, x: number, y: number): TopologyNode {
  const node = container('', name, '', x, y);
  return { ...node, id: `service;${name}`, kind: name === 'The Internet' ? 'internet' : 'service', label_minor: minor, health: 'unknown', pseudo: true, metrics: [], metadata: [], parents: [], children: 0 };
}

function edge(source: TopologyNode, target: TopologyNode, application: string, bytesPerSecond: number): TopologyEdge {
  const failing = target.label === 'kafka-2' && source.label.startsWith('kafka');
  const forward = bytesPerSecond * (0.2 + 0.6 * chance(`${source.label}>${target.label}`));
  return {
    id: `${source.id}>${target.id}>${application}`,
    source: source.id,
    target: target.id,
    protocol: 'tcp',
    application,
    connections_open: 1 + Math.floor(12 * chance(`open ${source.label} ${target.label}`)),
    connections_total: 4_096,
    failures_total: failing ? 4_000 : 0,
    bytes_forward: forward * 3_600,
    bytes_back: (bytesPerSecond - forward) * 3_600,
    rtt_us: 180 + 900 * chance(`rtt ${source.label} ${target.label}`),
    retransmits_total: 3,
    first_seen_unix_ms: NOW_MS - 5 * HOUR_MS,
    last_seen_unix_ms: NOW_MS,
    ports: [8080],
    connections_per_s: 3.2,
    bytes_forward_per_s: forward,
    bytes_back_per_s: bytesPerSecond - forward,
  };
}

export const containers: TopologyNode[] = HOSTS.flatMap(([host, x, y, services]) => {
  const names = services.flatMap(([service, image, count]) =>
    Array.from({ length: count }, (_, i) => [count > 1 ? `${service}-${i + 1}` : service, image] as const),
  );
  const free = cells(names.length);
  return names.map(([name, image], i) => container(host, name, image, x * SPREAD + free[i]![0], y * SPREAD + free[i]![1]));
});

const world = [outside('The Internet', 'inbound', -830, -20), outside('api.cards.example', 'Service', 560, -440)];

function members(service: string): TopologyNode[] {
  return containers.filter(({ label }) => label.replace(/-\d+$/, '') === service);
}

// Each calls two of those that it may call, as a load balancer would have it.
const edges: TopologyEdge[] = CALLS.flatMap(([from, to, application, kilobytes]) => {
  const [sources, targets] = [members(from), members(to)];
  return sources.flatMap((source, i) => {
    const chosen = [...new Set([targets[i % targets.length]!, targets[(i + 1) % targets.length]!])];
    return chosen.map((target) => {
      const share = (kilobytes * 1_000) / (sources.length * chosen.length);
      return edge(source, target, application, share * (0.6 + 0.8 * chance(`${source.label}-${target.label}`)));
    });
  });
}).concat(
  members('tls-terminator').map((one) => edge(world[0]!, one, 'tls', 1.4e6)),
  members('payment-gateway').map((one) => edge(one, world[1]!, 'tls', 3e5)),
  [edge(members('kafka')[0]!, members('kafka')[1]!, 'kafka', 0), edge(members('kafka')[2]!, members('kafka')[1]!, 'kafka', 0)],
);

const hosts: TopologyNode[] = HOSTS.map(([host, x, y, services]) => {
  const of = containers.filter(({ group }) => group === host);
  const sum = (key: string) => of.reduce((total, node) => total + (node.metrics.find((one) => one.key === key)?.value ?? 0), 0);
  const node = container('', host, '', x / 2, y / 2);
  const metric = (key: string, label: string, value: number, unit: string, max: number) => ({ key, label, value, unit, max });
  return {
    ...node,
    id: `host;${host}`,
    kind: 'host',
    label_minor: '6.1.0-28-amd64',
    group_label: '',
    metrics: [
      metric('cpu', 'CPU', sum('cpu') * 1.3 + 0.2, 'cores', 8),
      metric('memory', 'Memory', sum('memory') + 900 * MIB, 'bytes', 16_384 * MIB),
    ],
    metadata: [],
    parents: [],
    children: of.length + services.length,
  };
});

const processes: TopologyNode[] = containers.map((one) => ({
  ...one,
  id: `process;${one.group};${one.label}`,
  kind: 'process',
  label: one.label.replace(/-\d+$/, ''),
  label_minor: `/app/${one.label.replace(/-\d+$/, '')} --config /etc/app.toml`,
  metrics: one.metrics.map((metric) => ({ ...metric, value: metric.value * 0.94, max: 0 })),
  parents: [{ view: 'containers', id: one.id, label: one.label }, ...one.parents],
  children: 0,
}));

// A view as the aggregator sends it first.
export function whole(view: View, nodes?: TopologyNode[]): TopologyDiff {
  const known: Partial<Record<View, [TopologyNode[], TopologyEdge[]]>> = {
    containers: [[...containers, ...world], edges],
    hosts: [hosts, []],
    processes: [processes, []],
  };
  const [all, lines] = known[view] ?? [[], []];
  return {
    view,
    sequence: 1,
    reset: true,
    time_unix_ms: NOW_MS,
    nodes: nodes ?? all,
    nodes_removed: [],
    edges: nodes ? [] : lines,
    edges_removed: [],
    incomplete: [],
    incomplete_changed: true,
    nodes_hidden: 0,
    node_figures: [],
    edge_figures: [],
    places: [],
    figures_period_ms: 0,
  };
}

export const agents: AgentInfo[] = HOSTS.map(([host]) => ({
  agent_id: host,
  hostname: host,
  version: '0.1.0',
  connected: true,
  connected_unix_ms: NOW_MS - 80 * HOUR_MS,
  last_seen_unix_ms: NOW_MS - 400,
  generation: 1,
  status: {
    time_unix_ns: NOW_MS * 1e6,
    cpu_percent: 0.4,
    rss_bytes: 38 * MIB,
    governor: 'normal',
    capabilities: [{ name: 'process-events', available: true, provider: 'tp_btf', reason: '' }],
    events_total: 81_223,
    events_lost_total: 0,
    tier2: true,
    tier2_containers: [],
  },
  processes: 40 + Math.floor(120 * chance(host)),
  containers: containers.filter(({ group }) => group === host).length,
  connections: 310,
  complete: true,
  availability: 1,
  settings: null,
}));

export function detailsOf(view: string, id: string): NodeDetails | null {
  const node = [...containers, ...hosts, ...processes].find((one) => one.id === id);
  if (!node) return null;
  const name = node.label;
  const text = (key: string, label: string, value: string, type = 'text') => ({ key, label, value, type });
  return {
    node,
    sections: [
      {
        title: 'Container',
        fields: [
          text('id', 'ID', idOf(name), 'id'),
          text('image', 'Image', node.label_minor),
          text('command', 'Command', `/app/${name.replace(/-\d+$/, '')} --config /etc/app.toml`),
          text('addresses', 'Addresses', `10.4.${Math.floor(chance(name) * 200)}.17`, 'address'),
          text('started', 'Started', String(NOW_MS - 76 * HOUR_MS), 'time'),
          text('restarts', 'Restarts', '2', 'number'),
        ],
      },
      { title: 'Labels', fields: [text('team', 'team', 'shop'), text('tier', 'tier', 'backend')] },
    ],
    children: [],
    children_left_out: 0,
    links: [],
    connections: [],
    connections_left_out: 0,
    tier2: { agent_id: node.group, container_id: id.split(';')[1]!, state: 3, asked: true, reason: '' },
    control: view === 'containers' ? { available: true, reason: '' } : null,
    processes: [
      { id: `process;${node.group};${name}`, label: 'tini', pid: 4_101, depth: 0, ended: false, exit: '', command: 'tini -- /app/run' },
      { id: `process;${node.group};a`, label: name.replace(/-\d+$/, ''), pid: 4_117, depth: 1, ended: false, exit: '', command: '/app/run --config /etc/app.toml' },
      { id: `process;${node.group};b`, label: 'worker', pid: 4_131, depth: 2, ended: false, exit: '', command: '/app/worker --queue high' },
    ],
    processes_left_out: 0,
    plugins: [],
  };
}

export function seriesOf(id: string, lastMs: number, stepMs: number): StoredSeries {
  const node = [...containers, ...hosts].find((one) => one.id === id);
  const steps = Math.round(lastMs / stepMs);
  const metrics = (node?.metrics ?? []).map(({ key, unit, value }) => {
    const at = (i: number) => {
      const wave = Math.sin(i / 7 + 9 * chance(`${id} ${key}`)) * 0.12 + Math.sin(i / 2.3) * 0.05;
      return value * (0.82 + 0.18 * (i / steps) + wave * (1 - i / steps) + 0.06 * (chance(`${key} ${i}`) - 0.5));
    };
    return { key, unit, values: Array.from({ length: steps }, (_, i) => at(i)) };
  });
  return { from_unix_ms: NOW_MS - lastMs, to_unix_ms: NOW_MS, step_ms: stepMs, metrics };
}

const LINES = [
  'POST /charge 201 84 ms order=8841-22 amount=49.90 EUR',
  'fraud score 0.07 for order=8841-22 in 31 ms',
  'POST /charge 201 79 ms order=8841-23 amount=12.00 EUR',
  'POST /refund 202 41 ms order=8790-02 amount=19.99 EUR',
  'the vault answered after 212 ms, slower than 200 ms',
  'POST /charge 201 90 ms order=8841-25 amount=129.00 EUR',
  'POST /charge 402 22 ms order=8841-26 card declined by its bank',
  'ledger entry 99120431 is written',
];

export function logText(): string {
  return Array.from({ length: 64 }, (_, i) => {
    const time = new Date(NOW_MS - (64 - i) * 1_370).toISOString().replace('Z', '000000Z');
    return `${time} ${LINES[(i * 5) % LINES.length]}\n`;
  }).join('');
}
