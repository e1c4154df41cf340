// The REST calls of the page. Every failure becomes an ApiError whose message a person can read.

import type {
  AgentInfo,
  ConnectionDetails,
  NodeDetails,
  NodeRef,
  Overview,
  SearchPage,
  SuggestionList,
  TopologyDiff,
  View,
  ViewOptions,
} from './types';

export class ApiError extends Error {
  readonly status: number;
  // What the aggregator said, without its hint.
  readonly reason: string;

  constructor(message: string, status: number, reason = message) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.reason = reason;
  }
}

let signInAsked = () => {};

// Calls it whenever the aggregator lets nobody in without a sign-in.
export function whenSignInIsAsked(listener: () => void): void {
  signInAsked = listener;
}

// The answer to a request, which must be a success.
export async function answer(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new ApiError('The aggregator does not answer.', 0);
  }
  if (!response.ok) {
    if (response.status === 401) signInAsked();
    const text = (await response.text().catch(() => '')).trim();
    const message = describe(text) || `The aggregator answered ${response.status}.`;
    throw new ApiError(message, response.status, reasonOf(text) ?? message);
  }
  return response;
}

async function call<T>(path: string, init: RequestInit = {}): Promise<T> {
  const text = await (await answer(path, init)).text();
  return (text ? JSON.parse(text) : undefined) as T;
}

function describe(text: string): string {
  try {
    return errorText(JSON.parse(text)) ?? '';
  } catch {
    return text.slice(0, 300);
  }
}

function reasonOf(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return typeof error === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}

// The aggregator's errors are {"error": "...", "hint": "..."}; null for anything else.
export function errorText(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null;
  const { error, hint } = body as { error?: unknown; hint?: unknown };
  if (typeof error !== 'string') return null;
  const sentence = error.charAt(0).toUpperCase() + error.slice(1);
  return typeof hint === 'string' && hint ? `${sentence}: ${hint}` : sentence;
}

// A name with a password, or a token.
export type Credentials = { name: string; password: string } | { token: string };

// Begins a session; the browser keeps its cookie, which no script can read.
export function signIn(credentials: Credentials): Promise<void> {
  return call('/api/v1/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(credentials),
  });
}

// What one may sign in with, beside a token.
export interface SignInWays {
  passwords: boolean;
  // What the provider is called; null where there is none.
  provider: string | null;
}

export function signInWays(): Promise<SignInWays> {
  return call('/api/v1/session/ways');
}

// The address of the provider's page; the browser comes back from there.
export async function beginAtProvider(): Promise<string> {
  return (await call<{ location: string }>('/api/v1/session/oidc', { method: 'POST' })).location;
}

// Who the page's requests come from.
export interface Who {
  name: string;
  role: string;
  // By a session, which can be ended.
  session: boolean;
}

export function whoAmI(): Promise<Who> {
  return call('/api/v1/session');
}

export function signOut(): Promise<void> {
  return call('/api/v1/session', { method: 'DELETE' });
}

// How the aggregator is set up.
export interface Status {
  version: string;
  tls: boolean;
  authentication: boolean;
  insecure_listen: boolean;
  // What operators set survives a restart of the aggregator.
  settings_kept: boolean;
}

export function aggregatorStatus(signal: AbortSignal): Promise<Status> {
  return call('/api/v1/status', { signal });
}

// How far back the map can be shown as it was.
export interface HistoryReach {
  from_unix_ms: number;
  to_unix_ms: number;
  resolution_ms: number;
  retention_ms: number;
  // It reaches less far back than it is to, since its memory is full.
  shortened: boolean;
  now_unix_ms: number;
}

export function historyReach(signal: AbortSignal): Promise<HistoryReach> {
  return call('/api/v1/history', { signal });
}

// Of a moment of the past, where one is looked at; null is now.
function withMoment(query: URLSearchParams, at: number | null): URLSearchParams {
  if (at !== null) query.set('at', String(at));
  return query;
}

// A whole view as it stands, for what needs more than the one that the live link carries.
export function wholeView(
  view: View,
  options: ViewOptions,
  signal: AbortSignal,
  at: number | null = null,
): Promise<TopologyDiff> {
  const { hosts, namespaces = [], networks = [], labels = [], ...rest } = options;
  const query = withMoment(new URLSearchParams({ view }), at);
  for (const [name, on] of Object.entries(rest)) query.set(name, String(on));
  const lists = { host: hosts, namespace: namespaces, network: networks, label: labels };
  for (const [name, list] of Object.entries(lists)) for (const one of list) query.append(name, one);
  return call(`/api/topology?${query.toString()}`, { signal });
}

export function nodeDetails(
  view: string,
  id: string,
  environment: boolean,
  signal: AbortSignal,
  at: number | null = null,
): Promise<NodeDetails> {
  const query = withMoment(new URLSearchParams({ environment: String(environment) }), at);
  return call(`/api/topology/${view}/${encodeURIComponent(id)}?${query.toString()}`, { signal });
}

// How much each view has.
export function overview(signal: AbortSignal): Promise<Overview> {
  return call('/api/v1/views', { signal });
}

// More of a list of a node than its details have; the cursor is how many are known.
export function nodeChildren(
  view: string,
  id: string,
  known: number,
  at: number | null = null,
): Promise<{ children: NodeRef[]; cursor: string | null }> {
  const query = withMoment(new URLSearchParams({ limit: '1000', cursor: String(known) }), at);
  return call(`/api/topology/${view}/${encodeURIComponent(id)}/children?${query.toString()}`);
}

export function nodeConnections(
  view: string,
  id: string,
  known: number,
  at: number | null = null,
): Promise<{ connections: ConnectionDetails[]; cursor: string | null }> {
  const query = withMoment(new URLSearchParams({ limit: '500', cursor: String(known) }), at);
  return call(`/api/topology/${view}/${encodeURIComponent(id)}/connections?${query.toString()}`);
}

// Values of a node over time, as the aggregator keeps them.
export interface StoredSeries {
  // Start of the first step, and the end of the last one, by the aggregator's clock.
  from_unix_ms: number;
  to_unix_ms: number;
  step_ms: number;
  // The mean of each step; null where nothing is known.
  metrics: { key: string; unit: string; values: (number | null)[] }[];
}

export function nodeSeries(
  id: string,
  lastMs: number,
  stepMs: number,
  signal: AbortSignal,
  at: number | null = null,
): Promise<StoredSeries> {
  const query = withMoment(new URLSearchParams({ last: `${lastMs}ms`, step: `${stepMs}ms` }), at);
  return call(`/api/v1/query/nodes/${encodeURIComponent(id)}/timeseries?${query.toString()}`, { signal });
}

const SEARCH_LIMIT = 5_000;
const SEARCH_PAGES_MAX = 8;

// Ids of the nodes of a view that all the searches mean, as far as eight pages reach.
export async function searchNodes(
  searches: readonly string[],
  view: string,
  kernelThreads: boolean,
  signal: AbortSignal,
  at: number | null = null,
): Promise<{ ids: Set<string>; more: boolean }> {
  const ids = new Set<string>();
  let cursor: string | null = null;
  for (let page = 0; page < SEARCH_PAGES_MAX; page += 1) {
    const query = withMoment(new URLSearchParams({ view, limit: String(SEARCH_LIMIT) }), at);
    for (const search of searches) query.append('q', search);
    if (kernelThreads) query.set('kernel_threads', 'true');
    if (cursor !== null) query.set('cursor', cursor);
    const answer: SearchPage = await call(`/api/v1/search?${query.toString()}`, { signal });
    for (const node of answer.nodes) ids.add(node.id);
    cursor = answer.cursor;
    if (cursor === null) break;
  }
  return { ids, more: cursor !== null };
}

// What the word that ends at a character of a search may mean.
export function suggest(search: string, at: number, view: string, signal: AbortSignal): Promise<SuggestionList> {
  const query = new URLSearchParams({ q: search, at: String(at), view });
  return call(`/api/v1/search/complete?${query.toString()}`, { signal });
}

export async function listAgents(signal: AbortSignal): Promise<AgentInfo[]> {
  const answer = await call<{ agents: AgentInfo[] } | AgentInfo[]>('/api/v1/agents/list', { signal });
  return Array.isArray(answer) ? answer : answer.agents;
}

// Turns the costlier observation on or off: for the whole node, or for the named containers and no
// others.
export function setTier2(agentId: string, enabled: boolean, containers: string[] = []): Promise<void> {
  return call(`/api/v1/agents/${encodeURIComponent(agentId)}/tier2`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ enabled, containers }),
  });
}

export function reportRenderTime(ms: number): Promise<void> {
  return call('/api/v1/ui/render_time', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ms }),
  });
}
