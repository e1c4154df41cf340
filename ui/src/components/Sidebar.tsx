import styled from 'styled-components';
import { VIEWS, type View } from '../api/types';
import { count } from '../lib/format';
import { VIEW_INFO } from '../lib/views';
import { shapeOfKind } from '../scene/shape';
import { changeView } from '../store/drill';
import { useOverview } from '../store/overview';
import { optionDefault, optionOf, usePage } from '../store/page';
import { AgentList } from './AgentList';
import { FilterList } from './FilterList';
import { ContainerFilters } from './ContainerFilters';
import { Checkbox, LinkButton, SectionTitle } from './controls';
import { ShapeIcon } from './icons';
import { Legend } from './Legend';
import { NARROW_PX } from './narrow';

export function Sidebar() {
  const open = usePage((page) => page.panel === 'sidebar');
  return (
    <Side aria-label="Views and options" data-open={open}>
      <Scroll>
        <SectionTitle id="views">Topology</SectionTitle>
        <ViewList />
        <ShowTitle />
        <Options />
        <ContainerFilters />
        <FilterList />
        <AgentList />
      </Scroll>
      <Legend />
    </Side>
  );
}

function ViewList() {
  const current = usePage((page) => page.view);
  const overview = useOverview((known) => known.overview);
  return (
    <nav aria-labelledby="views">
      <ul>
        {VIEWS.map((view) => {
          const size = overview?.views.find((one) => one.view === view);
          return (
          <li key={view}>
            <ViewButton
              type="button"
              data-group={VIEW_INFO[view].groups !== undefined}
              title={titleOf(view, size)}
              aria-current={view === current ? 'page' : undefined}
              onClick={() => {
                changeView(view);
                usePage.getState().setPanel(null);
              }}
            >
              <ShapeIcon shape={shapeOfKind(VIEW_INFO[view].kind)} size={13} color="currentColor" />
              <em>{VIEW_INFO[view].name}</em>
              <span>{size === undefined ? '' : count(size.nodes)}</span>
            </ViewButton>
          </li>
          );
        })}
      </ul>
    </nav>
  );
}

function titleOf(view: View, size: { nodes: number; edges: number } | undefined): string {
  const { name, groups } = VIEW_INFO[view];
  const full = groups ? `${VIEW_INFO[groups].name} ${name}` : name;
  return size ? `${full}: ${count(size.nodes)} nodes, ${count(size.edges)} edges` : full;
}

function ShowTitle() {
  const page = usePage();
  const changed = VIEW_INFO[page.view].options.some(([name]) => optionOf(page, name) !== optionDefault(page.view, name));
  return (
    <SectionTitle>
      Show
      {changed && (
        <LinkButton type="button" onClick={page.resetOptions}>
          Reset
        </LinkButton>
      )}
    </SectionTitle>
  );
}

function Options() {
  const page = usePage();
  return (
    <div role="group" aria-label="What the view shows">
      {VIEW_INFO[page.view].options.map(([name, label]) => (
        <Checkbox
          key={name}
          label={label}
          checked={optionOf(page, name)}
          onChange={(on) => page.setOption(name, on)}
        />
      ))}
    </div>
  );
}

const Side = styled.aside`
  width: 204px;
  flex: none;
  display: flex;
  flex-direction: column;
  background: var(--surface);
  border-right: 1px solid var(--line);
  @media (max-width: 900px) {
    width: 164px;
  }
  @media (max-width: ${NARROW_PX}px) {
    display: none;
    &[data-open='true'] {
      display: flex;
      position: absolute;
      z-index: 20;
      inset: 0 auto 0 0;
      width: min(280px, 85vw);
      box-shadow: 8px 0 24px rgb(0 0 0 / 30%);
    }
  }
`;

const Scroll = styled.div`
  flex: 1;
  min-height: 0;
  overflow-y: auto;
  padding: 16px 8px;
  > h2,
  > section > h2 {
    display: flex;
    justify-content: space-between;
    padding: 4px 8px 6px;
  }
  > h2:not(:first-child),
  > section > h2 {
    margin-top: 16px;
  }
`;

const ViewButton = styled.button`
  width: 100%;
  height: 30px;
  padding: 0 8px;
  display: flex;
  align-items: center;
  gap: 8px;
  border: 0;
  border-radius: 6px;
  background: none;
  color: var(--text-2);
  text-align: left;
  &[data-group='true'] {
    padding-left: 24px;
  }
  em {
    flex: 1;
    font-style: normal;
  }
  span {
    font: 12px var(--mono);
    color: var(--text-3);
  }
  &:hover {
    color: var(--text-1);
  }
  &[aria-current] {
    background: var(--raised);
    color: var(--text-1);
    font-weight: 500;
    span {
      color: var(--text-1);
    }
  }
`;
