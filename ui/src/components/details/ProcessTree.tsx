import { useState } from 'react';
import styled from 'styled-components';
import type { NodeDetails } from '../../api/types';
import { count } from '../../lib/format';
import { usePage } from '../../store/page';
import { LinkButton, SectionTitle } from '../controls';

const SHOWN = 15;
// Deeper ones stand as far in as this one.
const DEPTH_MAX = 12;

// The processes of a container or host, each below its parent; those that have ended are pale.
export function ProcessTree({ details }: { details: NodeDetails }) {
  const [all, setAll] = useState(false);
  const { processes, processes_left_out: leftOut } = details;
  if (processes.length === 0) return null;
  return (
    <section aria-label="Processes">
      <SectionTitle>
        Processes <small>{count(processes.length + leftOut)}</small>
      </SectionTitle>
      <List>
        {(all ? processes : processes.slice(0, SHOWN)).map((one) => (
          <li key={one.id} aria-level={one.depth + 1} style={{ paddingLeft: Math.min(one.depth, DEPTH_MAX) * 12 }}>
            <button
              type="button"
              data-ended={one.ended}
              title={[one.command, one.exit].filter(Boolean).join(' · ')}
              onClick={() => usePage.getState().setView('processes', one.id)}
            >
              <span>{one.label}</span>
              <small>{one.ended ? one.exit || 'ended' : one.pid}</small>
            </button>
          </li>
        ))}
      </List>
      {processes.length > SHOWN && (
        <LinkButton type="button" onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show ${count(processes.length)}`}
        </LinkButton>
      )}
      {leftOut > 0 && all && <p>{count(leftOut)} more are not listed.</p>}
    </section>
  );
}

const List = styled.ul`
  margin: 6px -6px 0;
  font: 12px/1.5 var(--mono);
  button {
    width: 100%;
    padding: 2px 6px;
    display: flex;
    gap: 8px;
    border: 0;
    border-radius: 4px;
    background: none;
    text-align: left;
  }
  button:hover {
    background: var(--raised);
  }
  span {
    flex: 1;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  small {
    color: var(--text-3);
  }
  [data-ended='true'] span {
    color: var(--text-3);
    text-decoration: line-through;
  }
  & + button {
    margin-top: 6px;
  }
`;
