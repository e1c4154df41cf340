import { lazy, Suspense, useState } from 'react';
import styled from 'styled-components';
import { useTabs, whatOf } from '../store/tabs';
import { IconButton } from './controls';
import { FilesView } from './FilesView';
import { CloseIcon, WindowIcon } from './icons';
import { LogView } from './LogView';
import { NARROW_PX } from './narrow';
import { openWindow } from './ToolWindowView';

// Its library is as large as the rest of the page.
const TerminalView = lazy(() => import('./TerminalView'));

const LOWEST = 15;
const HIGHEST = 85;

const within = (percent: number) => Math.min(HIGHEST, Math.max(LOWEST, percent));

// Logs, files and terminals below the map. Those behind go on.
export function TabDrawer() {
  const { tabs, active, show, close } = useTabs();
  const [height, setHeight] = useState(38);
  if (tabs.length === 0) return null;
  const step = (by: number, from: HTMLElement) => {
    const at = tabs.findIndex(({ key }) => key === active);
    const next = (at + by + tabs.length) % tabs.length;
    show(tabs[next]!.key);
    from.closest('[role="tablist"]')?.querySelectorAll<HTMLElement>('[role="tab"]')[next]?.focus();
  };
  return (
    <Drawer aria-label="Logs and terminals" data-testid="drawer" style={{ '--height': `${height}%` } as React.CSSProperties}>
      <Handle height={height} setHeight={setHeight} />
      <Tabs role="tablist" aria-label="Open logs and terminals">
        {tabs.map((tab) => (
          <Tab key={tab.key} data-active={tab.key === active}>
            <button
              type="button"
              role="tab"
              aria-selected={tab.key === active}
              tabIndex={tab.key === active ? 0 : -1}
              onClick={() => show(tab.key)}
              onKeyDown={(event) => {
                if (event.key === 'ArrowRight') step(1, event.currentTarget);
                else if (event.key === 'ArrowLeft') step(-1, event.currentTarget);
              }}
            >
              {tab.label} <small>{whatOf(tab)}</small>
            </button>
            <IconButton
              type="button"
              aria-label={`Open the ${whatOf(tab)} of ${tab.label} in a window of its own`}
              title={tab.kind === 'shell' ? 'Another shell, in a window of its own' : 'In a window of its own'}
              onClick={() => {
                // A shell ends with its tab.
                if (openWindow(tab) && tab.kind !== 'shell') close(tab.key);
              }}
            >
              <WindowIcon size={13} />
            </IconButton>
            <IconButton type="button" aria-label={`Close the ${whatOf(tab)} of ${tab.label}`} onClick={() => close(tab.key)}>
              <CloseIcon />
            </IconButton>
          </Tab>
        ))}
      </Tabs>
      {tabs.map((tab) => (
        <Pane key={tab.key} role="tabpanel" aria-label={`${tab.label}: ${whatOf(tab)}`} hidden={tab.key !== active}>
          {tab.kind === 'log' && <LogView id={tab.id} label={tab.label} />}
          {tab.kind === 'files' && <FilesView id={tab.id} label={tab.label} />}
          {(tab.kind === 'shell' || tab.kind === 'attach') && (
            <Suspense fallback={<Waiting role="status">Loading the terminal…</Waiting>}>
              <TerminalView id={tab.id} label={tab.label} kind={tab.kind} shown={tab.key === active} />
            </Suspense>
          )}
        </Pane>
      ))}
    </Drawer>
  );
}

// Pulled, or moved with the arrows.
function Handle({ height, setHeight }: { height: number; setHeight: (percent: number) => void }) {
  return (
    <Grip
      role="separator"
      aria-orientation="horizontal"
      aria-label="Height of logs and terminals"
      aria-valuenow={Math.round(height)}
      aria-valuemin={LOWEST}
      aria-valuemax={HIGHEST}
      tabIndex={0}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) => {
        const around = event.currentTarget.parentElement?.parentElement?.getBoundingClientRect();
        if (!around || !event.currentTarget.hasPointerCapture(event.pointerId)) return;
        setHeight(within(((around.bottom - event.clientY) / around.height) * 100));
      }}
      onKeyDown={(event) => {
        const by = { ArrowUp: 5, ArrowDown: -5 }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        setHeight(within(height + by));
      }}
    />
  );
}

const Drawer = styled.section`
  flex: none;
  height: var(--height);
  min-height: 120px;
  position: relative;
  display: flex;
  flex-direction: column;
  background: var(--surface);
  border-top: 1px solid var(--line-strong);
  @media (max-width: ${NARROW_PX}px) {
    position: fixed;
    z-index: 17;
    inset: auto 0 0 0;
    height: 70%;
    border-radius: 12px 12px 0 0;
    box-shadow: 0 -8px 24px rgb(0 0 0 / 30%);
  }
`;

const Grip = styled.div`
  position: absolute;
  z-index: 1;
  top: -4px;
  left: 0;
  right: 0;
  height: 8px;
  cursor: row-resize;
  touch-action: none;
  &:hover {
    background: color-mix(in srgb, var(--accent) 40%, transparent);
  }
  @media (max-width: ${NARROW_PX}px) {
    display: none;
  }
`;

const Tabs = styled.div`
  flex: none;
  display: flex;
  overflow-x: auto;
  border-bottom: 1px solid var(--line);
`;

const Tab = styled.div`
  flex: none;
  display: flex;
  align-items: center;
  border-right: 1px solid var(--line);
  &[data-active='true'] {
    background: var(--raised);
    box-shadow: inset 0 2px 0 var(--accent);
  }
  > [role='tab'] {
    max-width: 220px;
    padding: 7px 2px 7px 12px;
    border: 0;
    background: none;
    color: var(--text-1);
    font-size: 12px;
    font-weight: 500;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  small {
    font-size: 11px;
    font-weight: 400;
    color: var(--text-3);
  }
`;

const Pane = styled.div`
  flex: 1;
  min-height: 0;
  display: flex;
  flex-direction: column;
  &[hidden] {
    display: none;
  }
`;

const Waiting = styled.p`
  padding: 12px;
  font-size: 12px;
  color: var(--text-3);
`;
