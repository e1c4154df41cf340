import { useId, useState } from 'react';
import styled from 'styled-components';
import { removeFilter, saveFilter, type SavedFilter } from '../api/filters';
import { say } from '../store/notice';
import { refreshFilters, useFilters } from '../store/filters';
import { PINS_MAX, usePage } from '../store/page';
import { useSession } from '../store/session';
import { Button, Checkbox, IconButton, LinkButton, SectionTitle } from './controls';
import { CloseIcon, PinIcon } from './icons';

const NAME_MAX = 64;

// Saved filters: pressed, one is in force beside the others and the search.
export function FilterList() {
  const { filters, kept, problem } = useFilters();
  const pins = usePage((page) => page.pins);
  const search = usePage((page) => page.search.trim());
  const mayShare = useMayShare();
  const [saving, setSaving] = useState(false);
  return (
    <section aria-label="Saved filters">
      <SectionTitle>
        Filters
        {search !== '' && !saving && (
          <LinkButton type="button" onClick={() => setSaving(true)}>
            Save the search
          </LinkButton>
        )}
      </SectionTitle>
      {saving && search !== '' && <SaveForm search={search} kept={kept} onDone={() => setSaving(false)} />}
      {problem && <Note role="alert">{problem}</Note>}
      {!problem && filters.length === 0 && !saving && (
        <Note>Search for something and save it here, to have it at hand and to combine several.</Note>
      )}
      <ul>
        {filters.map((filter) => (
          <FilterRow
            key={filter.id}
            filter={filter}
            pinned={pins.includes(filter.search.trim())}
            removable={mayShare || !filter.shared}
          />
        ))}
      </ul>
    </section>
  );
}

function toggle(search: string): void {
  if (!usePage.getState().togglePin(search.trim())) say(`${PINS_MAX} filters are in force: lift one first.`);
}

// Only operators and admins change what everyone sees.
function useMayShare(): boolean {
  return useSession(({ who }) => who === null || who.role !== 'viewer');
}

interface FilterRowProps {
  filter: SavedFilter;
  pinned: boolean;
  removable: boolean;
}

export function FilterRow({ filter, pinned, removable }: FilterRowProps) {
  const [asked, setAsked] = useState(false);
  const remove = async () => {
    try {
      await removeFilter(filter.id);
      say(`The filter ${filter.name} is removed.`);
    } catch (error) {
      say((error as Error).message);
    }
    setAsked(false);
    await refreshFilters();
  };
  return (
    <li>
      <Row>
        <Pin
          type="button"
          aria-pressed={pinned}
          title={filter.search}
          onClick={() => toggle(filter.search)}
        >
          <PinIcon size={13} />
          <span>{filter.name}</span>
          {filter.shared && <small>shared</small>}
        </Pin>
        {removable && (
          <IconButton type="button" aria-label={`Remove the filter ${filter.name}`} onClick={() => setAsked(!asked)}>
            <CloseIcon size={11} />
          </IconButton>
        )}
      </Row>
      {asked && (
        <Question>
          <Button type="button" autoFocus onClick={() => void remove()}>
            {filter.shared ? 'Remove for everyone' : 'Remove'}
          </Button>
          <LinkButton type="button" onClick={() => setAsked(false)}>
            Keep it
          </LinkButton>
        </Question>
      )}
    </li>
  );
}

function SaveForm({ search, kept, onDone }: { search: string; kept: boolean; onDone: () => void }) {
  const [name, setName] = useState('');
  const [shared, setShared] = useState(false);
  const [problem, setProblem] = useState('');
  const mayShare = useMayShare();
  const id = useId();
  const save = async () => {
    try {
      await saveFilter({ name: name.trim(), search, shared });
      onDone();
      say(`The filter ${name.trim()} is saved.`);
      await refreshFilters();
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  return (
    <Form
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        event.stopPropagation();
        onDone();
      }}
    >
      <label htmlFor={id}>
        Name of <code>{search}</code>
      </label>
      <input
        id={id}
        autoFocus
        required
        maxLength={NAME_MAX}
        value={name}
        autoComplete="off"
        onChange={(event) => setName(event.target.value)}
      />
      {mayShare && <Checkbox label="For everyone" checked={shared} onChange={setShared} />}
      {!kept && <Note>Kept until the aggregator ends: it has no --data-dir.</Note>}
      {problem && <Note role="alert">{problem}</Note>}
      <Question>
        <Button type="submit" $primary>
          Save
        </Button>
        <LinkButton type="button" onClick={onDone}>
          Cancel
        </LinkButton>
      </Question>
    </Form>
  );
}

const Row = styled.div`
  display: flex;
  align-items: center;
  > button:last-child:not(:first-child) {
    flex: none;
    opacity: 0;
  }
  &:hover > button,
  > button:focus-visible:last-child {
    opacity: 1 !important;
  }
  @media (hover: none) {
    > button:last-child:not(:first-child) {
      opacity: 1;
    }
  }
`;

const Pin = styled.button`
  flex: 1;
  min-width: 0;
  min-height: 28px;
  padding: 0 8px;
  display: flex;
  align-items: center;
  gap: 8px;
  border: 0;
  border-radius: 6px;
  background: none;
  color: var(--text-2);
  text-align: left;
  span {
    flex: 1;
    min-width: 0;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  small {
    font-size: 11px;
    color: var(--text-3);
  }
  &:hover {
    color: var(--text-1);
  }
  &[aria-pressed='true'] {
    background: var(--raised);
    color: var(--text-1);
    svg {
      color: var(--accent);
      fill: currentColor;
    }
  }
`;

const Question = styled.div`
  display: flex;
  align-items: center;
  gap: 12px;
  padding: 2px 8px 6px;
`;

const Form = styled.form`
  display: grid;
  gap: 6px;
  margin: 0 0 8px;
  padding: 8px 0 2px;
  border: 1px solid var(--line);
  border-radius: 6px;
  label {
    padding: 0 8px;
    font-size: 12px;
    color: var(--text-2);
  }
  code {
    font: 12px var(--mono);
    color: var(--text-1);
    overflow-wrap: anywhere;
  }
  > input {
    margin: 0 8px;
    height: 28px;
    min-width: 0;
    padding: 0 8px;
    border: 1px solid var(--line-strong);
    border-radius: 6px;
    background: var(--background);
    color: var(--text-1);
  }
`;

const Note = styled.p`
  padding: 0 8px 4px;
  font-size: 12px;
  color: var(--text-3);
  overflow-wrap: anywhere;
`;
