import styled from 'styled-components';
import { VIEWS, type View } from '../api/types';
import { count } from '../lib/format';
import { useLive } from '../store/live';
import { optionOf, usePage, type OptionName } from '../store/page';
import { AgentList } from './AgentList';
import { Checkbox, SectionTitle } from './controls';
import { Legend } from './Legend';
import { NARROW_PX } from './narrow';
import { useTopology } from './useTopology';

const NAMES: Record<View, string> = { processes: 'Processes', containers: 'Containers', hosts: 'Hosts' };

const OPTIONS: Record<View, readonly (readonly [OptionName, string])[]> = {
  processes: [
    ['unconnected', 'Without connections'],
    ['ended', 'Ended'],
    ['kernel_threads', 'Kernel threads'],
  ],
  containers: [
    ['unconnected', 'Without connections'],
    ['ended', 'Ended'],
  ],
  hosts: [
    ['unconnected', 'Without connections'],
    ['ended', 'Offline'],
  ],
};

export function Sidebar() {
  const open = usePage((page) => page.panel === 'sidebar');
  return (
    <Side aria-label="Views and options" data-open={open}>
      <Scroll>
        <SectionTitle id="views">Topology</SectionTitle>
        <ViewList />
        <SectionTitle>Show</SectionTitle>
        <Options />
        <AgentList />
      </Scroll>
      <Legend />
    </Side>
  );
}

// How many of each there are: what the agents report, and what is on the map where nobody says.
function useCounts(): Record<View, number | undefined> {
  const agents = useLive((live) => live.agents);
  const { view, nodes, nodesHidden, loaded } = useTopology(500);
  const known = agents.length > 0;
  const counts: Record<View, number | undefined> = {
    processes: known ? agents.reduce((sum, agent) => sum + agent.processes, 0) : undefined,
    containers: known ? agents.reduce((sum, agent) => sum + agent.containers, 0) : undefined,
    hosts: known ? agents.length : undefined,
  };
  if (!known && loaded) {
    let own = nodesHidden;
    for (const node of nodes.values()) if (!node.pseudo) own += 1;
    counts[view as View] = own;
  }
  return counts;
}

function ViewList() {
  const current = usePage((page) => page.view);
  const counts = useCounts();
  return (
    <nav aria-labelledby="views">
      <ul>
        {VIEWS.map((view) => (
          <li key={view}>
            <ViewButton
              type="button"
              aria-current={view === current ? 'page' : undefined}
              onClick={() => {
                usePage.getState().setView(view);
                usePage.getState().setPanel(null);
              }}
            >
              {NAMES[view]}
              <span>{counts[view] === undefined ? '' : count(counts[view])}</span>
            </ViewButton>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Options() {
  const page = usePage();
  return (
    <div role="group" aria-label="What the view shows">
      {OPTIONS[page.view].map(([name, label]) => (
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
  > h2 {
    padding: 4px 8px 6px;
  }
  > h2:not(:first-child) {
    margin-top: 16px;
  }
`;

const ViewButton = styled.button`
  width: 100%;
  height: 30px;
  padding: 0 8px;
  display: flex;
  align-items: center;
  justify-content: space-between;
  border: 0;
  border-radius: 6px;
  background: none;
  color: var(--text-2);
  text-align: left;
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
