import { lazy, Suspense, useState } from 'react';
import styled from 'styled-components';
import { promise, redeem, toQuery, type ToolWindow } from '../lib/tool-window';
import { say } from '../store/notice';
import type { Tab, TabKind } from '../store/tabs';
import { GlobalStyle } from '../theme/GlobalStyle';
import { usePalette } from '../theme/useTheme';
import { Button } from './controls';
import { FilesView } from './FilesView';
import { LogView } from './LogView';
import { Notice } from './Notice';
import { SignIn } from './SignIn';

const TerminalView = lazy(() => import('./TerminalView'));
const NAMES = { log: 'Log', files: 'Files', shell: 'Shell', attach: 'Own process' } as const;

function onlyReads(kind: TabKind): kind is 'log' | 'files' {
  return kind === 'log' || kind === 'files';
}

const SIZE = 'popup,width=920,height=560';

// Opens what a tab shows in a window of its own; a shell there is another one.
export function openWindow({ kind, id, label }: Tab): boolean {
  const key = crypto.getRandomValues(new Uint32Array(4)).join('-');
  try {
    promise(localStorage, key);
  } catch {
    // Without storage the window asks before it begins.
  }
  const opened = window.open(toQuery({ kind, id, label, key }), '_blank', SIZE);
  if (!opened) say('The browser does not let the page open a window.');
  return opened !== null;
}

function openedByPage(key: string): boolean {
  try {
    return redeem(localStorage, key);
  } catch {
    return false;
  }
}

// All that such a window has.
export function ToolWindowView({ tool }: { tool: ToolWindow }) {
  usePalette();
  const [begun, setBegun] = useState(() => onlyReads(tool.kind) || openedByPage(tool.key));
  return (
    <>
      <GlobalStyle />
      <title>{`${tool.label}: ${NAMES[tool.kind].toLowerCase()}`}</title>
      <Frame aria-label={`${NAMES[tool.kind]} of ${tool.label}`} data-testid="tool-window">
        {!begun && (
          <Ask>
            <p>
              {NAMES[tool.kind]} of <b>{tool.label}</b>
            </p>
            <Button type="button" $primary autoFocus onClick={() => setBegun(true)}>
              {tool.kind === 'shell' ? 'Open a shell' : 'Attach'}
            </Button>
          </Ask>
        )}
        {begun && tool.kind === 'log' && <LogView id={tool.id} label={tool.label} />}
        {begun && tool.kind === 'files' && <FilesView id={tool.id} label={tool.label} />}
        {begun && !onlyReads(tool.kind) && (
          <Suspense fallback={<Ask role="status">Loading the terminal…</Ask>}>
            <TerminalView id={tool.id} label={tool.label} kind={tool.kind} shown />
          </Suspense>
        )}
      </Frame>
      <Notice />
      <SignIn />
    </>
  );
}

const Frame = styled.main`
  height: 100%;
  display: flex;
  flex-direction: column;
  background: var(--surface);
`;

const Ask = styled.div`
  display: grid;
  gap: 12px;
  justify-items: center;
  margin: auto;
  color: var(--text-2);
`;
