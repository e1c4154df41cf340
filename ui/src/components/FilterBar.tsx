import styled from 'styled-components';
import { shortened } from '../lib/format';
import { nameOf, useFilters } from '../store/filters';
import { useLive } from '../store/live';
import { isFiltered, usePage } from '../store/page';
import { LinkButton } from './controls';
import { CloseIcon } from './icons';

const TEXT_MAX = 40;
const HOSTS_SHOWN = 4;
const CONTAINER_CHIPS = [
  ['Namespace', 'namespaces'],
  ['Network', 'networks'],
  ['Label', 'labels'],
] as const;

// What narrows the view at the moment, each to be lifted: a link may have brought it along.
export function FilterBar() {
  const page = usePage();
  const filters = useFilters((saved) => saved.filters);
  const agents = useLive((live) => live.agents);
  if (!isFiltered(page)) return null;
  const hostname = (id: string) => agents.find((agent) => agent.agent_id === id)?.hostname || id;
  const more = page.hosts.length - HOSTS_SHOWN;
  return (
    <Bar aria-label="What narrows the view">
      <ul>
        {page.search.trim() !== '' && (
          <Chip name="Search" text={shortened(page.search.trim(), TEXT_MAX)} onLift={() => page.setSearch('')} />
        )}
        {page.pins.map((pin) => (
          <Chip
            key={pin}
            name="Filter"
            text={shortened(nameOf(filters, pin) ?? pin, TEXT_MAX)}
            onLift={() => page.togglePin(pin)}
          />
        ))}
        {page.health && <Chip name="State" text={page.health} onLift={() => page.setHealth(null)} />}
        {page.hosts.slice(0, HOSTS_SHOWN).map((id) => (
          <Chip key={id} name="Host" text={shortened(hostname(id), TEXT_MAX)} onLift={() => page.toggleHost(id)} />
        ))}
        {CONTAINER_CHIPS.flatMap(([name, filter]) =>
          page[filter].map((value) => (
            <Chip
              key={`${filter} ${value}`}
              name={name}
              text={shortened(value, TEXT_MAX)}
              onLift={() => page.toggleContainers(filter, value)}
            />
          )),
        )}
        {more > 0 && <li>and {more} more hosts</li>}
      </ul>
      <LinkButton type="button" onClick={page.clearFilters}>
        Lift all
      </LinkButton>
    </Bar>
  );
}

function Chip({ name, text, onLift }: { name: string; text: string; onLift: () => void }) {
  return (
    <li>
      <button type="button" aria-label={`Lift ${name.toLowerCase()} ${text}`} onClick={onLift}>
        <span>{name}</span> {text} <CloseIcon size={11} />
      </button>
    </li>
  );
}

const Bar = styled.section`
  display: flex;
  align-items: center;
  gap: 12px;
  padding: 5px 16px;
  border-bottom: 1px solid var(--line);
  background: var(--surface);
  font-size: 12px;
  color: var(--text-2);
  ul {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 6px;
    min-width: 0;
  }
  li button {
    display: flex;
    align-items: center;
    gap: 6px;
    min-height: 24px;
    padding: 0 8px;
    border: 1px solid var(--line-strong);
    border-radius: 12px;
    background: none;
    color: var(--text-1);
  }
  li button:hover {
    background: var(--raised);
  }
  li span {
    color: var(--text-3);
  }
  > button {
    flex: none;
  }
`;
