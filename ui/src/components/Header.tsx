import { useMemo } from 'react';
import styled, { css, keyframes } from 'styled-components';
import type { Health } from '../api/types';
import { clock, count } from '../lib/format';
import { hasHealth } from '../scene/build';
import { setPaused, useLive } from '../store/live';
import { usePage } from '../store/page';
import { IconButton, Segmented } from './controls';
import { Brand, HealthIcon, MenuIcon, PauseIcon, PlayIcon } from './icons';
import { NARROW_PX } from './narrow';
import { PageMenus } from './PageMenus';
import { SearchBox } from './SearchBox';
import { SignOut } from './SignOut';
import { useNow, useTopology } from './useTopology';

export function Header() {
  const metric = usePage((page) => page.metric);
  const mode = usePage((page) => page.mode);
  const { setMetric, setMode } = usePage.getState();
  return (
    <Bar>
      <SidebarButton />
      <Name href="/" aria-label="Mesoscope, start page">
        <Brand />
        <span>Mesoscope</span>
      </Name>
      <SearchBox />
      <HealthPills />
      <Space />
      <Segmented
        label="Metric that fills the nodes"
        value={metric}
        choices={[
          ['cpu', 'CPU'],
          ['memory', 'Memory'],
          ['network', 'Network'],
        ]}
        onChange={setMetric}
      />
      <Segmented
        label="Graph, table or resources"
        value={mode}
        choices={[
          ['graph', 'Graph'],
          ['table', 'Table'],
          ['resources', 'Resources'],
        ]}
        onChange={setMode}
      />
      <PageMenus />
      <SignOut />
      <LinkIndicator />
    </Bar>
  );
}

const PILLS: readonly Health[] = ['critical', 'warning', 'unknown'];

function HealthPills() {
  const { nodes } = useTopology(500);
  const active = usePage((page) => page.health);
  const counts = useMemo(() => {
    const found: Record<string, number> = {};
    for (const node of nodes.values()) {
      if (hasHealth(node)) found[node.health] = (found[node.health] ?? 0) + 1;
    }
    return found;
  }, [nodes]);
  return (
    <Pills role="group" aria-label="Filter by health">
      {PILLS.filter((health) => counts[health] || active === health).map((health) => (
        <Pill
          key={health}
          type="button"
          aria-pressed={active === health}
          aria-label={`${count(counts[health] ?? 0)} ${health}`}
          title={active === health ? 'Show all again' : `Show only ${health}`}
          onClick={() => usePage.getState().setHealth(active === health ? null : health)}
        >
          <HealthIcon health={health} size={14} />
          <b>{count(counts[health] ?? 0)}</b> <span>{health}</span>
        </Pill>
      ))}
    </Pills>
  );
}

// Only where the window is too narrow for the sidebar to stand beside the map.
function SidebarButton() {
  const open = usePage((page) => page.panel === 'sidebar');
  return (
    <Narrow>
      <IconButton
        type="button"
        aria-label="Views, options and agents"
        aria-expanded={open}
        onClick={() => usePage.getState().setPanel(open ? null : 'sidebar')}
      >
        <MenuIcon />
      </IconButton>
    </Narrow>
  );
}

function PauseButton({ paused }: { paused: boolean }) {
  const label = paused ? 'Let the map go on' : 'Stop the map as it is';
  return (
    <IconButton type="button" aria-label={label} title={`${label} (p)`} onClick={() => setPaused(!paused)}>
      {paused ? <PlayIcon size={14} /> : <PauseIcon size={14} />}
    </IconButton>
  );
}

function LinkIndicator() {
  const paused = useLive((live) => live.paused);
  const waiting = useLive((live) => live.waiting);
  const link = useLive((live) => live.link);
  const loaded = useLive((live) => live.topology.loaded);
  const past = usePage((page) => page.time !== null);
  const now = useNow(1_000);
  if (past && link.kind === 'live') {
    return (
      <Indicator role="status" aria-label="The past, not live">
        <Dot $color="var(--accent)" />
        <span>Past</span>
      </Indicator>
    );
  }
  if (paused) {
    return (
      <Indicator role="status" aria-label={`Paused, ${count(waiting)} changes wait`}>
        <Dot $color="var(--warning)" />
        <span>Paused</span>
        <time title="Changes that wait">{waiting === 0 ? '' : `+${count(waiting)}`}</time>
        <PauseButton paused />
      </Indicator>
    );
  }
  if (link.kind === 'live') {
    return (
      <Indicator role="status" aria-label={loaded ? 'Live' : 'Connected, waiting for the map'}>
        <Dot $color={loaded ? 'var(--ok)' : 'var(--warning)'} $breathes />
        <span>{loaded ? 'Live' : 'Loading'}</span>
        <time>{clock(now)}</time>
        {loaded && <PauseButton paused={false} />}
      </Indicator>
    );
  }
  if (link.kind === 'connecting') {
    return (
      <Indicator role="status">
        <Dot $color="var(--warning)" $breathes />
        <span>Connecting…</span>
      </Indicator>
    );
  }
  return (
    <Indicator role="status">
      <Dot $color="var(--critical)" />
      <span>Not connected</span>
    </Indicator>
  );
}

const Bar = styled.header`
  display: flex;
  align-items: center;
  gap: 14px;
  min-height: 48px;
  padding: 0 16px;
  background: var(--surface);
  border-bottom: 1px solid var(--line);
  @media (max-width: 1250px) {
    gap: 10px;
  }
  /* Two rows: the search goes below, then what chooses. */
  @media (max-width: ${NARROW_PX}px) {
    flex-wrap: wrap;
    gap: 8px;
    padding: 8px 10px;
    > [role='search'] {
      order: 2;
      flex: 1 0 100%;
    }
    > [role='radiogroup'] {
      order: 3;
      flex: 1 1 auto;
      button {
        flex: 1;
        padding: 0 7px;
      }
    }
  }
`;

const Narrow = styled.div`
  display: none;
  @media (max-width: ${NARROW_PX}px) {
    display: block;
  }
`;

const Name = styled.a`
  width: 176px;
  display: flex;
  align-items: center;
  gap: 9px;
  font-size: 15px;
  font-weight: 600;
  letter-spacing: -0.01em;
  color: inherit;
  text-decoration: none;
  border-radius: 4px;
  flex: none;
  @media (max-width: 1250px) {
    width: auto;
  }
  @media (max-width: 1100px) {
    span {
      display: none;
    }
  }
`;

const Space = styled.div`
  flex: 1;
`;

const Pills = styled.div`
  flex: none;
  display: flex;
  gap: 6px;
`;

const Pill = styled.button`
  height: 26px;
  padding: 0 10px 0 8px;
  display: inline-flex;
  align-items: center;
  gap: 6px;
  border: 1px solid var(--line-strong);
  border-radius: 13px;
  background: none;
  color: var(--text-2);
  font-size: 12px;
  white-space: nowrap;
  b {
    font-family: var(--mono);
    font-weight: 600;
    color: var(--text-1);
  }
  &:hover {
    background: var(--raised);
  }
  @media (max-width: 1560px) {
    span {
      display: none;
    }
  }
  &[aria-pressed='true'] {
    border-color: var(--accent);
    background: var(--raised);
    color: var(--text-1);
  }
`;

const Indicator = styled.div`
  display: flex;
  align-items: center;
  gap: 7px;
  min-width: 118px;
  flex: none;
  @media (max-width: 1300px) {
    min-width: 0;
    time {
      display: none;
    }
  }
  @media (max-width: ${NARROW_PX}px) {
    span {
      display: none;
    }
  }
  font-size: 12px;
  color: var(--text-2);
  white-space: nowrap;
  time {
    font-family: var(--mono);
    font-variant-numeric: tabular-nums;
  }
`;

const breathe = keyframes`
  50% {
    box-shadow: 0 0 0 5px color-mix(in srgb, currentColor 5%, transparent);
  }
`;

const Dot = styled.i<{ $color: string; $breathes?: boolean }>`
  width: 9px;
  height: 9px;
  border-radius: 50%;
  color: ${({ $color }) => $color};
  background: currentColor;
  box-shadow: 0 0 0 3px color-mix(in srgb, currentColor 22%, transparent);
  animation: ${({ $breathes }) =>
    $breathes
      ? css`
          ${breathe} 2.4s ease-in-out infinite
        `
      : 'none'};
`;
