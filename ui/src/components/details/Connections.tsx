import { useState } from 'react';
import styled from 'styled-components';
import { nodeConnections } from '../../api/rest';
import type { ConnectionDetails, Endpoint, NodeDetails } from '../../api/types';
import { bytes, count, joined, microseconds } from '../../lib/format';
import { say } from '../../store/notice';
import { usePage } from '../../store/page';
import { LinkButton, SectionTitle } from '../controls';

const SHOWN = 12;

// The sockets themselves, one by one.
export function Connections({ details, view, id }: { details: NodeDetails; view: string; id: string }) {
  const [all, setAll] = useState(false);
  const [more, setMore] = useState<ConnectionDetails[]>([]);
  const [end, setEnd] = useState(false);
  const connections = [...details.connections, ...more];
  const leftOut = end ? 0 : Math.max(0, details.connections_left_out - more.length);
  const load = async () => {
    try {
      const answer = await nodeConnections(view, id, connections.length, usePage.getState().time);
      setMore([...more, ...answer.connections]);
      setEnd(answer.cursor === null);
    } catch (error) {
      say((error as Error).message);
    }
  };
  if (connections.length === 0) return null;
  const shown = all ? connections : connections.slice(0, SHOWN);
  return (
    <section>
      <SectionTitle>
        Connections <small>{count(connections.length + leftOut)}</small>
      </SectionTitle>
      <List>
        {shown.map((one, i) => (
          <Row key={`${text(one.local)} ${text(one.remote)} ${i}`} connection={one} />
        ))}
      </List>
      {connections.length > SHOWN && (
        <LinkButton type="button" onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show ${count(connections.length)}`}
        </LinkButton>
      )}
      {leftOut > 0 && all && (
        <LinkButton type="button" onClick={() => void load()}>
          List some of {count(leftOut)} more
        </LinkButton>
      )}
    </section>
  );
}

function Row({ connection: one }: { connection: ConnectionDetails }) {
  const out = one.direction === 'out';
  const failed = one.state === 'failed' || one.state === 'reset';
  const facts = [
    one.application || one.protocol,
    one.state !== 'open' && one.state,
    `↑ ${joined(bytes(one.bytes_sent))}`,
    `↓ ${joined(bytes(one.bytes_received))}`,
    one.rtt_us > 0 && microseconds(one.rtt_us),
    one.retransmits > 0 && `${one.retransmits} retransmitted`,
  ].filter(Boolean);
  return (
    <li data-failed={failed}>
      <div>
        <i aria-label={out ? 'outbound' : 'inbound'}>{out ? '→' : '←'}</i>
        <span title={one.peer?.label}>{text(one.remote)}</span>
        <small>{out ? `from :${one.local?.port ?? '?'}` : `at :${one.local?.port ?? '?'}`}</small>
      </div>
      <p>{facts.join(' · ')}</p>
    </li>
  );
}

function text(endpoint: Endpoint | null): string {
  if (!endpoint || endpoint.address === '') return 'unknown';
  const { address, port } = endpoint;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

const List = styled.ul`
  margin-top: 6px;
  font: 12px/1.5 var(--mono);
  font-variant-ligatures: none;
  li {
    padding: 4px 0;
  }
  li + li {
    border-top: 1px solid var(--line);
  }
  div {
    display: flex;
    gap: 8px;
  }
  i {
    font-style: normal;
    color: var(--accent);
  }
  span {
    flex: 1;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  small,
  p {
    font-size: 11px;
    color: var(--text-3);
  }
  p {
    padding-left: 20px;
  }
  li[data-failed='true'] p,
  li[data-failed='true'] i {
    color: var(--critical-text);
  }
  & ~ button {
    display: block;
    margin-top: 6px;
  }
`;
