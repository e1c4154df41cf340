import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import styled from 'styled-components';
import type { Suggestion } from '../api/types';
import { completed } from '../lib/complete';
import { count } from '../lib/format';
import { nodesOf } from '../lib/views';
import { matchedNodes } from '../store/filter';
import { usePage } from '../store/page';
import { useSearch } from '../store/search';
import { IconButton } from './controls';
import { CloseIcon, SearchIcon } from './icons';
import { Dropdown, optionId, SuggestionList } from './SuggestionList';
import { useSuggestions, type Typed } from './useSuggestions';
import { useTopology } from './useTopology';

const LIST = 'search-suggestions';

// "/" goes to it. The arrows choose a suggestion and Enter or Tab takes it; without one, Enter walks
// through the matches. Escape closes the suggestions, then clears the search, then leaves.
export function SearchBox() {
  const input = useRef<HTMLInputElement>(null);
  const caret = useRef<number | null>(null);
  const search = usePage((page) => page.search);
  const pins = usePage((page) => page.pins);
  const view = usePage((page) => page.view);
  const answer = useSearch();
  const topology = useTopology(500);
  const [typed, setTyped] = useState<Typed | null>(null);
  const [active, setActive] = useState(-1);
  const list = useSuggestions(typed, view);
  const suggestions = list?.suggestions ?? [];
  const found = useMemo(
    () => (search.trim() ? matchedNodes(topology, { search, pins, health: null }, answer) : null),
    [topology, search, pins, answer],
  );
  const problem = search.trim() ? answer.problem : '';

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

  // A suggestion may have been put before other words.
  useLayoutEffect(() => {
    if (caret.current === null) return;
    input.current?.setSelectionRange(caret.current, caret.current);
    caret.current = null;
  }, [search]);

  useEffect(() => setActive(-1), [list]);

  const change = (text: string, at: number) => {
    usePage.getState().setSearch(text);
    setTyped({ text, caret: at });
  };

  const take = (suggestion: Suggestion) => {
    const next = completed(search, list!, suggestion);
    caret.current = next.caret;
    change(next.text, next.caret);
    // A whole value needs no further word.
    if (suggestion.kind === 'value') setTyped(null);
  };

  const clear = () => {
    usePage.getState().setSearch('');
    setTyped(null);
  };

  const onKeyDown = (event: React.KeyboardEvent) => {
    const page = usePage.getState();
    const chosen = suggestions[active];
    if (event.key === 'Escape') {
      event.preventDefault();
      if (suggestions.length > 0) setTyped(null);
      else if (search) clear();
      else input.current?.blur();
    } else if (suggestions.length > 0 && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
      event.preventDefault();
      // One more place than suggestions: none.
      const places = suggestions.length + 1;
      const step = event.key === 'ArrowDown' ? 1 : -1;
      setActive(((active + 1 + step + places) % places) - 1);
    } else if (chosen && (event.key === 'Enter' || event.key === 'Tab')) {
      event.preventDefault();
      take(chosen);
    } else if (event.key === 'Enter' && found?.size) {
      setTyped(null);
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
        role="combobox"
        value={search}
        placeholder={`Search ${nodesOf(view)}: redis, image:nginx, cpu > 2%, …`}
        aria-label="Search the map"
        aria-describedby="search-found search-problem"
        aria-invalid={problem !== ''}
        aria-autocomplete="list"
        aria-expanded={suggestions.length > 0}
        aria-controls={LIST}
        aria-activedescendant={active >= 0 ? optionId(LIST, active) : undefined}
        spellCheck={false}
        autoComplete="off"
        onChange={(event) => change(event.target.value, event.target.selectionStart ?? event.target.value.length)}
        onKeyDown={onKeyDown}
        onBlur={() => setTyped(null)}
      />
      <Found id="search-found" role="status">
        {found && !problem && `${count(found.size)}${answer.more ? '+' : ''} found`}
      </Found>
      {search ? (
        <IconButton type="button" aria-label="Clear the search" onClick={clear}>
          <CloseIcon size={13} />
        </IconButton>
      ) : (
        <kbd>/</kbd>
      )}
      {suggestions.length > 0 && (
        <Dropdown>
          <SuggestionList id={LIST} suggestions={suggestions} active={active} onTake={take} />
        </Dropdown>
      )}
      {/* Half a search is no mistake yet: suggestions go before. */}
      {problem && suggestions.length === 0 && (
        <Dropdown>
          <Problem id="search-problem" role="alert">
            {problem}
          </Problem>
        </Dropdown>
      )}
    </Frame>
  );
}

const Frame = styled.div`
  position: relative;
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

const Problem = styled.p`
  margin: 0;
  padding: 8px 10px;
  color: var(--text-1);
  border-left: 3px solid var(--critical);
  border-radius: 5px;
  overflow-wrap: anywhere;
`;
