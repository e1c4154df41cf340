import { useEffect, useMemo, useRef, useState } from 'react';
import styled from 'styled-components';
import { matching, visible } from '../lib/log-lines';
import { saveBlob } from '../lib/save';
import { Button, Checkbox } from './controls';
import { useLog } from './useLog';

const LINE_PX = 18;

// One log: follows its end until somebody scrolls up, and shows only what holds the searched text.
export function LogView({ id, label }: { id: string; label: string }) {
  const { lines, forgotten, ended, waiting, again } = useLog(id);
  const [search, setSearch] = useState('');
  const [follow, setFollow] = useState(true);
  const [scroll, setScroll] = useState({ top: 0, height: 400 });
  const box = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => matching(lines, search), [lines, search]);
  const [from, to] = visible(shown.length, LINE_PX, scroll.top, scroll.height);

  useEffect(() => {
    if (follow) box.current?.scrollTo(0, box.current.scrollHeight);
  }, [follow, shown]);

  const scrolled = ({ scrollTop, clientHeight, scrollHeight }: HTMLElement) => {
    setScroll({ top: scrollTop, height: clientHeight });
    setFollow(scrollTop + clientHeight >= scrollHeight - LINE_PX);
  };
  return (
    <>
      <Bar>
        <Search
          type="search"
          aria-label={`Search in the log of ${label}`}
          placeholder="Search in this log"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
        />
        <Count role="status">{countWords(shown.length, lines.length, forgotten, search)}</Count>
        <Checkbox label="Follow" checked={follow} onChange={setFollow} />
        <Button type="button" disabled={lines.length === 0} onClick={() => save(lines, label)}>
          Export
        </Button>
        {ended && (
          <Button type="button" onClick={again}>
            {waiting ? 'Try now' : 'Read again'}
          </Button>
        )}
      </Bar>
      {ended && <Ended role="alert">{ended}</Ended>}
      <Box ref={box} tabIndex={0} aria-label={`Lines of ${label}`} onScroll={(event) => scrolled(event.currentTarget)}>
        <Lines style={{ height: shown.length * LINE_PX }}>
          <pre style={{ top: from * LINE_PX }}>{shown.slice(from, to).join('\n')}</pre>
        </Lines>
      </Box>
    </>
  );
}

export function countWords(shown: number, lines: number, forgotten: number, search: string): string {
  const all = `${lines.toLocaleString('en')} ${lines === 1 ? 'line' : 'lines'}`;
  const kept = forgotten > 0 ? `the last ${all}` : all;
  return search.trim() === '' ? kept : `${shown.toLocaleString('en')} of ${kept}`;
}

function save(lines: readonly string[], label: string): void {
  const text = new Blob([`${lines.join('\n')}\n`], { type: 'text/plain' });
  saveBlob(text, `${label.replace(/[^\w.-]+/g, '_')}.log`);
}

const Bar = styled.div`
  flex: none;
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 8px;
  padding: 6px 12px;
`;

const Search = styled.input`
  flex: 1 1 160px;
  min-width: 0;
  max-width: 320px;
  height: 28px;
  padding: 0 10px;
  border: 1px solid var(--line-strong);
  border-radius: 6px;
  background: var(--background);
  color: var(--text-1);
  font-size: 12px;
`;

const Count = styled.span`
  margin-right: auto;
  font-size: 12px;
  color: var(--text-3);
  font-variant-numeric: tabular-nums;
`;

const Ended = styled.p`
  flex: none;
  padding: 0 12px 6px;
  font-size: 12px;
  color: var(--text-2);
  overflow-wrap: anywhere;
`;

const Box = styled.div`
  flex: 1;
  min-height: 0;
  overflow: auto;
  background: var(--background);
  border-top: 1px solid var(--line);
`;

const Lines = styled.div`
  position: relative;
  min-width: max-content;
  pre {
    position: absolute;
    left: 0;
    margin: 0;
    padding: 0 12px;
    font: 12px / ${LINE_PX}px var(--mono);
    font-variant-ligatures: none;
    color: var(--text-1);
    white-space: pre;
  }
`;
