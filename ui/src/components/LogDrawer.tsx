import styled from 'styled-components';
import { useLogs } from '../store/logs';
import { IconButton } from './controls';
import { CloseIcon } from './icons';
import { LogView } from './LogView';
import { NARROW_PX } from './narrow';

// The open logs below the map. Those behind go on being read.
export function LogDrawer() {
  const { tabs, active, show, close } = useLogs();
  if (tabs.length === 0) return null;
  const step = (by: number, from: HTMLElement) => {
    const at = tabs.findIndex(({ id }) => id === active);
    const next = (at + by + tabs.length) % tabs.length;
    show(tabs[next]!.id);
    from.closest('[role="tablist"]')?.querySelectorAll<HTMLElement>('[role="tab"]')[next]?.focus();
  };
  return (
    <Drawer aria-label="Logs" data-testid="logs">
      <Tabs role="tablist" aria-label="Open logs">
        {tabs.map(({ id, label }) => (
          <Tab key={id} data-active={id === active}>
            <button
              type="button"
              role="tab"
              aria-selected={id === active}
              tabIndex={id === active ? 0 : -1}
              onClick={() => show(id)}
              onKeyDown={(event) => {
                if (event.key === 'ArrowRight') step(1, event.currentTarget);
                else if (event.key === 'ArrowLeft') step(-1, event.currentTarget);
              }}
            >
              {label}
            </button>
            <IconButton type="button" aria-label={`Close the log of ${label}`} onClick={() => close(id)}>
              <CloseIcon />
            </IconButton>
          </Tab>
        ))}
      </Tabs>
      {tabs.map(({ id, label }) => (
        <Pane key={id} role="tabpanel" aria-label={`Log of ${label}`} hidden={id !== active}>
          <LogView id={id} label={label} />
        </Pane>
      ))}
    </Drawer>
  );
}

const Drawer = styled.section`
  flex: none;
  height: 38%;
  min-height: 160px;
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
