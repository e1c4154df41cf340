import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { useEffect, useRef, useState } from 'react';
import styled from 'styled-components';
import { TerminalLink, terminalPath } from '../api/terminal';
import { pauseBefore } from '../lib/retry';
import { contrastOf, terminalTheme } from '../theme/terminal';
import { fonts, palettes } from '../theme/tokens';
import { useThemeName } from '../theme/useTheme';
import { Button } from './controls';

interface Props {
  id: string;
  label: string;
  kind: 'shell' | 'attach';
  shown: boolean;
}

const KEPT_LINES = 10_000;
// Back from the alternate screen, mouse and paste modes off, cursor shown, plain text, a new line.
const LEAVE_MODES = '\x1b[?1047l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[0m\r\n';

// One terminal. What has ended is not resumed: the process went with it. Where the connection is lost, a
// new one is opened on the same screen once there is one.
export default function TerminalView({ id, label, kind, shown }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const screen = useRef<Terminal>(null);
  const theme = useThemeName();
  const [attempt, setAttempt] = useState(0);
  const [state, setState] = useState({ ended: '', waiting: false });
  // That were lost without being open between.
  const failures = useRef(0);

  useEffect(() => {
    const terminal = new Terminal({
      fontFamily: fonts.mono,
      fontSize: 13,
      scrollback: KEPT_LINES,
      disableStdin: true,
      // A process without a terminal ends its lines with a line feed alone.
      convertEol: kind === 'attach',
    });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    terminal.open(box.current!);
    screen.current = terminal;
    const fitted = () => {
      // It has no size while another tab is in front.
      if (box.current && box.current.clientHeight > 0) fit.fit();
    };
    fitted();
    terminal.attachCustomKeyEventHandler((event) => {
      if (event.type !== 'keydown' || !event.ctrlKey) return true;
      if (event.shiftKey && event.key === 'ArrowUp') {
        event.preventDefault();
        box.current?.closest('section')?.querySelector<HTMLElement>('[aria-selected="true"]')?.focus();
        return false;
      }
      // What is selected is copied by the browser, instead of interrupting the program.
      return !(event.key === 'c' && terminal.hasSelection());
    });
    const sized = new ResizeObserver(fitted);
    sized.observe(box.current!);
    return () => {
      sized.disconnect();
      terminal.dispose();
      screen.current = null;
    };
  }, [id, kind]);

  useEffect(() => {
    const terminal = screen.current!;
    let retry: ReturnType<typeof setTimeout> | undefined;
    setState({ ended: '', waiting: false });
    const link = new TerminalLink(
      terminalPath(id, kind),
      { columns: terminal.cols, rows: terminal.rows },
      {
        onOpen: () => {
          failures.current = 0;
          terminal.options.disableStdin = false;
          terminal.focus();
        },
        onOutput: (bytes) => terminal.write(bytes),
        onEnd: (why, lost) => {
          terminal.options.disableStdin = true;
          // Modes of a program that is gone: its own screen, the mouse, a hidden cursor.
          terminal.write(LEAVE_MODES);
          if (!lost) return setState({ ended: why, waiting: false });
          failures.current += 1;
          const pauseMs = pauseBefore(failures.current);
          const what = kind === 'shell' ? 'A new shell is opened' : 'It is attached to again';
          setState({ ended: `${why} ${what} once it can be; trying every ${Math.ceil(pauseMs / 1000)} s.`, waiting: true });
          retry = setTimeout(() => setAttempt((before) => before + 1), pauseMs);
        },
      },
    );
    const heard = [
      terminal.onData((typed) => link.type(typed)),
      terminal.onBinary((typed) => link.type(Uint8Array.from(typed, (byte) => byte.charCodeAt(0)))),
      terminal.onResize(({ cols, rows }) => link.resize({ columns: cols, rows })),
    ];
    return () => {
      clearTimeout(retry);
      for (const one of heard) one.dispose();
      link.close();
    };
  }, [id, kind, attempt]);

  useEffect(() => {
    if (!screen.current) return;
    screen.current.options.theme = terminalTheme(palettes[theme]);
    screen.current.options.minimumContrastRatio = contrastOf(theme);
  }, [theme]);

  useEffect(() => {
    if (shown) screen.current?.focus();
  }, [shown]);

  const { ended, waiting } = state;
  return (
    <>
      {ended !== '' && (
        <Ended role="alert">
          <span>
            {ended} {kind === 'shell' && !waiting ? 'A shell can’t be resumed.' : ''}
          </span>
          <Button type="button" onClick={() => setAttempt(attempt + 1)}>
            {waiting ? 'Try now' : kind === 'shell' ? 'Open a new one' : 'Attach again'}
          </Button>
        </Ended>
      )}
      <Frame>
        <div ref={box} aria-label={`Terminal of ${label}; Ctrl+Shift+Up leaves it`} role="group" />
      </Frame>
    </>
  );
}

const Ended = styled.div`
  flex: none;
  display: flex;
  align-items: center;
  flex-wrap: wrap;
  gap: 10px;
  padding: 6px 12px;
  font-size: 12px;
  color: var(--text-2);
  overflow-wrap: anywhere;
`;

const Frame = styled.div`
  flex: 1;
  min-height: 0;
  padding: 6px 0 0 10px;
  background: var(--background);
  > div {
    height: 100%;
  }
`;
