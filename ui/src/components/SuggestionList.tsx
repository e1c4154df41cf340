import { useEffect, useRef } from 'react';
import styled from 'styled-components';
import type { Suggestion } from '../api/types';
import { count } from '../lib/format';

interface Props {
  id: string;
  suggestions: readonly Suggestion[];
  // Index of the one that Enter takes; -1 for none.
  active: number;
  onTake: (suggestion: Suggestion) => void;
}

export function optionId(list: string, index: number): string {
  return `${list}-${index}`;
}

export function SuggestionList({ id, suggestions, active, onTake }: Props) {
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.children[active]?.scrollIntoView({ block: 'nearest' });
  }, [active]);
  return (
    <List ref={list} id={id} role="listbox" aria-label="Suggestions">
      {suggestions.map((suggestion, i) => (
        <li
          key={suggestion.text}
          id={optionId(id, i)}
          role="option"
          aria-selected={i === active}
          // The input keeps the focus.
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => onTake(suggestion)}
        >
          <code>{suggestion.text}</code>
          <span>{suggestion.label}</span>
          <small>{count(suggestion.nodes)}</small>
        </li>
      ))}
    </List>
  );
}

export const Dropdown = styled.div`
  position: absolute;
  z-index: 30;
  top: 34px;
  left: -1px;
  right: -1px;
  min-width: 260px;
  border: 1px solid var(--line-strong);
  border-radius: 6px;
  background: var(--surface);
  color: var(--text-2);
  font-size: 12px;
  box-shadow: 0 8px 24px rgb(0 0 0 / 25%);
`;

const List = styled.ul`
  max-height: 272px;
  margin: 0;
  padding: 4px;
  overflow-y: auto;
  list-style: none;
  li {
    display: flex;
    align-items: baseline;
    gap: 10px;
    padding: 5px 8px;
    border-radius: 4px;
    cursor: pointer;
  }
  li:hover,
  li[aria-selected='true'] {
    background: var(--raised);
  }
  li[aria-selected='true'] {
    box-shadow: inset 2px 0 0 var(--accent);
  }
  code {
    min-width: 0;
    overflow: hidden;
    font-family: var(--mono);
    color: var(--text-1);
    text-overflow: ellipsis;
    white-space: pre;
  }
  span {
    flex: 1;
    overflow: hidden;
    color: var(--text-3);
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  small {
    font-family: var(--mono);
    font-size: 11px;
    color: var(--text-3);
  }
`;
