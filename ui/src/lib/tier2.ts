// Tier 2 in words: how it stands at a container or host, and what can be done about it there.

import { Tier2State, type AgentInfo, type Tier2 } from '../api/types';

export const TIER2_GIVES = 'UDP bytes, DNS answers, and the names in HTTP, gRPC and TLS';
export const TIER2_COSTS = 'up to 10 % of packet-bound work';

// What a press of the button asks for; no containers: the whole node.
export interface Tier2Request {
  label: string;
  enabled: boolean;
  containers: string[];
}

export interface Tier2Words {
  state: string;
  note: string;
  on: boolean;
  request: Tier2Request | null;
}

// `host` is the name of the node, `kept` whether settings survive a restart of the aggregator.
export function tier2Words(tier2: Tier2, host: string, kept: boolean): Tier2Words {
  const words = tier2.container_id ? ofContainer(tier2, host) : ofHost(tier2, host);
  const set = tier2.asked && words.request !== null;
  const forgotten = 'Forgotten when the aggregator restarts: it has no --data-dir.';
  return set && !kept ? { ...words, note: joined(words.note, forgotten) } : words;
}

function ofContainer({ state, container_id: id, asked, reason }: Tier2, host: string): Tier2Words {
  const turn = (enabled: boolean): Tier2Request => ({
    label: `Turn ${enabled ? 'on' : 'off'} for this container`,
    enabled,
    containers: [id],
  });
  switch (state) {
    case Tier2State.Off:
      return asked
        ? { state: 'Asked for, not on yet', note: sentence(reason), on: false, request: turn(false) }
        : { state: 'Off', note: '', on: false, request: turn(true) };
    case Tier2State.Container:
      return { state: 'On for this container', note: '', on: true, request: turn(false) };
    case Tier2State.Node:
      return {
        state: 'On for the whole node',
        note: `It is on for everything on ${host}, and can only be turned off for all of it.`,
        on: true,
        request: wholeNode(false),
      };
    default:
      return impossible(asked, reason);
  }
}

function ofHost({ state, asked, reason }: Tier2, host: string): Tier2Words {
  switch (state) {
    case Tier2State.Off:
      return asked
        ? { state: 'Asked for, not on yet', note: sentence(reason), on: false, request: wholeNode(false) }
        : { state: 'Off', note: '', on: false, request: wholeNode(true) };
    case Tier2State.Container:
      return {
        state: 'On for some containers',
        note: `Not for the rest of ${host}.`,
        on: true,
        request: wholeNode(true),
      };
    case Tier2State.Node:
      return { state: 'On for the whole node', note: '', on: true, request: wholeNode(false) };
    default:
      return impossible(asked, reason);
  }
}

function wholeNode(enabled: boolean): Tier2Request {
  return { label: `Turn ${enabled ? 'on' : 'off'} for the whole node`, enabled, containers: [] };
}

function impossible(asked: boolean, reason: string): Tier2Words {
  const note = sentence(reason) || 'The agent does not say why.';
  return { state: asked ? 'Asked for, not possible now' : 'Not possible here', note, on: false, request: null };
}

// How it stands with an agent as a whole, for lists; null while that is not known.
export function tier2OfAgent({ status, settings }: AgentInfo): { state: string; request: Tier2Request | null } | null {
  if (!status) return null;
  // The per-packet hooks attach where those on connect() do.
  const hooks = status.capabilities.find((one) => one.name === 'connect-pid');
  if (hooks && !hooks.available) return { state: 'not possible here', request: null };
  const containers = status.tier2_containers.length;
  if (status.tier2 && containers === 0) return { state: 'on', request: wholeNode(false) };
  const asked = settings?.tier2 ? ' (asked for)' : '';
  if (containers === 0) return { state: `off${asked}`, request: wholeNode(asked === '') };
  const state = `on for ${containers} ${containers === 1 ? 'container' : 'containers'}${asked}`;
  return { state, request: wholeNode(true) };
}

function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  const begun = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

function joined(...sentences: string[]): string {
  return sentences.filter(Boolean).join(' ');
}
