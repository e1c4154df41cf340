import { useEffect, useMemo, useRef } from 'react';
import styled from 'styled-components';
import { count } from '../lib/format';
import { matchedNodes } from '../store/filter';
import { usePage } from '../store/page';
import { IconButton } from './controls';
import { CloseIcon, SearchIcon } from './icons';
import { useTopology } from './useTopology';

// "/" goes to it; Enter walks through the matches; Escape clears it, then leaves.
export function SearchBox() {
  const input = useRef<HTMLInputElement>(null);
  const search = usePage((page) => page.search);
  const view = usePage((page) => page.view);
  const topology = useTopology(500);
  const found = useMemo(
    () => (search ? matchedNodes(topology, { search, health: null }) : null),
    [topology, search],
  );

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.matches('input, textarea');
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);

  const onKeyDown = (event: React.KeyboardEvent) => {
    const page = usePage.getState();
    if (event.key === 'Escape') {
      event.preventDefault();
      if (search) page.setSearch('');
      else input.current?.blur();
    } else if (event.key === 'Enter' && found?.size) {
      const ids = [...found];
      const at = ids.indexOf(page.selected ?? '');
      const step = event.shiftKey ? -1 : 1;
      page.select(ids[(at + step + ids.length) % ids.length]!);
    }
  };

  return (
    <Frame role="search">
      <SearchIcon size={15} />
      <input
        ref={input}
        type="text"
        value={search}
        placeholder={`Search ${view} by name, image, pid, label, …`}
        aria-label="Search the map"
        aria-describedby="search-found"
        spellCheck={false}
        autoComplete="off"
        onChange={(event) => usePage.getState().setSearch(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <Found id="search-found" role="status">
        {found && `${count(found.size)} found`}
      </Found>
      {search ? (
        <IconButton type="button" aria-label="Clear the search" onClick={() => usePage.getState().setSearch('')}>
          <CloseIcon size={13} />
        </IconButton>
      ) : (
        <kbd>/</kbd>
      )}
    </Frame>
  );
}

const Frame = styled.div`
  display: flex;
  align-items: center;
  gap: 8px;
  flex: 0 1 380px;
  min-width: 110px;
  height: 30px;
  padding: 0 4px 0 10px;
  border: 1px solid var(--line-strong);
  border-radius: 6px;
  background: var(--background);
  color: var(--text-3);
  &:focus-within {
    border-color: var(--accent);
    box-shadow: 0 0 0 1px var(--accent);
  }
  input {
    flex: 1;
    min-width: 0;
    border: 0;
    outline: 0;
    background: none;
    color: var(--text-1);
  }
  input::placeholder {
    color: var(--text-3);
  }
  kbd {
    width: 18px;
    height: 18px;
    margin-right: 4px;
    display: grid;
    place-items: center;
    border: 1px solid var(--line-strong);
    border-radius: 4px;
    font: 11px var(--mono);
  }
`;

const Found = styled.span`
  font-size: 11px;
  white-space: nowrap;
`;
