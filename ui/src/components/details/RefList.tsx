import { useState } from 'react';
import styled from 'styled-components';
import { isView, type NodeRef } from '../../api/types';
import { VIEW_INFO } from '../../lib/views';
import { shapeOfKind } from '../../scene/shape';
import { usePage } from '../../store/page';
import { LinkButton, SectionTitle } from '../controls';
import { ShapeIcon } from '../icons';

const SHOWN = 10;

// The same thing in other views; a click goes there.
export function RefList({ title, refs }: { title: string; refs: readonly NodeRef[] }) {
  const [all, setAll] = useState(false);
  if (refs.length === 0) return null;
  return (
    <section>
      <SectionTitle>
        {title} {refs.length > 1 && <small>{refs.length}</small>}
      </SectionTitle>
      <List>
        {(all ? refs : refs.slice(0, SHOWN)).map((ref) => (
          <li key={`${ref.view} ${ref.id}`}>
            <button type="button" onClick={() => isView(ref.view) && usePage.getState().setView(ref.view, ref.id)}>
              <ShapeIcon shape={shapeOfKind(isView(ref.view) ? VIEW_INFO[ref.view].kind : '')} size={12} color="var(--text-3)" />
              <span>{ref.label}</span>
            </button>
          </li>
        ))}
      </List>
      {refs.length > SHOWN && (
        <LinkButton type="button" onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${refs.length}`}
        </LinkButton>
      )}
    </section>
  );
}

const List = styled.ul`
  margin: 8px 0 0;
  display: flex;
  flex-wrap: wrap;
  gap: 6px;
  li {
    max-width: 100%;
  }
  button {
    max-width: 100%;
    height: 24px;
    padding: 0 8px 0 6px;
    display: flex;
    align-items: center;
    gap: 6px;
    border: 1px solid var(--line-strong);
    border-radius: 4px;
    background: none;
    font-size: 12px;
  }
  button:hover {
    background: var(--raised);
  }
  span {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  & + button {
    margin-top: 8px;
  }
`;
