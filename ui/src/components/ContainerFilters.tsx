import styled from 'styled-components';
import type { ContainerFilter } from '../api/types';
import { VIEW_INFO } from '../lib/views';
import { useOverview } from '../store/overview';
import { usePage } from '../store/page';
import { Checkbox, SectionTitle } from './controls';

export interface FilterChoice {
  name: string;
  value: string;
}

// Of which containers the view shows something: by namespace, network, and the filters of the
// aggregator's configuration. Nothing chosen: of all.
export function ContainerFilters() {
  const overview = useOverview((known) => known.overview);
  const view = usePage((page) => page.view);
  const namespaces = usePage((page) => page.namespaces);
  const networks = usePage((page) => page.networks);
  const labels = usePage((page) => page.labels);
  if (!overview || VIEW_INFO[view].kind === 'host') return null;
  const named = (names: readonly string[]) => names.map((name) => ({ name, value: name }));
  const offered = overview.label_filters.map(({ name, label }) => ({ name, value: label }));
  return (
    <>
      <ChoiceList title="Namespaces" filter="namespaces" choices={named(overview.namespaces)} chosen={namespaces} />
      <ChoiceList title="Networks" filter="networks" choices={named(overview.networks)} chosen={networks} />
      <ChoiceList title="Labels" filter="labels" choices={offered} chosen={labels} />
    </>
  );
}

interface ChoiceListProps {
  title: string;
  filter: ContainerFilter;
  choices: readonly FilterChoice[];
  chosen: readonly string[];
}

// A link may have brought what is not among the choices: it is listed, so that it can be lifted.
export function ChoiceList({ title, filter, choices, chosen }: ChoiceListProps) {
  const known = new Set(choices.map(({ value }) => value));
  const others = chosen.filter((value) => !known.has(value)).map((value) => ({ name: value, value }));
  const all = [...choices, ...others];
  if (all.length === 0) return null;
  return (
    <section aria-label={title}>
      <SectionTitle>{title}</SectionTitle>
      <List>
        {all.map(({ name, value }) => (
          <Checkbox
            key={value}
            label={name}
            checked={chosen.includes(value)}
            onChange={() => usePage.getState().toggleContainers(filter, value)}
          />
        ))}
      </List>
    </section>
  );
}

const List = styled.div`
  max-height: 200px;
  overflow-y: auto;
  label {
    overflow-wrap: anywhere;
  }
`;
