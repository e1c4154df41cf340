import { useMemo, useRef, useState } from 'react';
import styled from 'styled-components';
import { count, duration, joined, quantity, rate } from '../lib/format';
import { sortRows, tableRows, type ColumnKey, type Row, type Sort } from '../lib/table';
import { nodesOf } from '../lib/views';
import { hasEnded } from '../scene/build';
import { metricOf } from '../scene/metric';
import { shapeOfKind } from '../scene/shape';
import { canBeMarked, range, useMarks } from '../store/marks';
import { usePage } from '../store/page';
import { healthVariable } from './details/DetailsHead';
import { HealthIcon, ShapeIcon } from './icons';
import { NARROW_PX } from './narrow';
import { SituationNote } from './SituationNote';
import { useMatches } from './useMatches';
import { useTopology } from './useTopology';

const ROW_PX = 34;
const OVERSCAN = 8;

interface Column {
  key: ColumnKey;
  title: string;
  width: string;
  number?: boolean;
  // Also where the window is narrow.
  core?: boolean;
}

const COLUMNS: readonly Column[] = [
  { key: 'label', title: 'Name', width: 'minmax(220px, 2.2fr)', core: true },
  { key: 'group', title: 'Host', width: 'minmax(90px, 1fr)' },
  { key: 'health', title: 'State', width: 'minmax(120px, 1.4fr)', core: true },
  { key: 'cpu', title: 'CPU', width: '88px', number: true, core: true },
  { key: 'memory', title: 'Memory', width: '104px', number: true, core: true },
  { key: 'traffic', title: 'Traffic', width: '104px', number: true },
  { key: 'inbound', title: 'In', width: '72px', number: true },
  { key: 'outbound', title: 'Out', width: '72px', number: true },
  { key: 'seen', title: 'Age', width: '110px', number: true },
];
const TEMPLATE = COLUMNS.map((column) => column.width).join(' ');
const NARROW_TEMPLATE = 'minmax(0, 1.7fr) minmax(0, 1fr) 58px 82px';
// The cells of the other columns, by their place.
const NOT_CORE = COLUMNS.flatMap(({ core }, i) => (core ? [] : [`> div:nth-child(${i + 1})`])).join(', ');

// Every node of the view, sortable; only the rows in sight are in the document.
export function TableView() {
  const topology = useTopology(1_000);
  const matches = useMatches(topology);
  const selected = usePage((page) => page.selected);
  const sort = usePage((page) => page.sort);
  const marks = useMarks((all) => all.ids);
  const { setSort } = usePage.getState();
  const [scroll, setScroll] = useState({ top: 0, height: 800 });
  const body = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => sortRows(tableRows(topology, matches), sort), [topology, matches, sort]);
  const first = Math.max(0, Math.floor(scroll.top / ROW_PX) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((scroll.top + scroll.height) / ROW_PX) + OVERSCAN);
  const now = topology.timeUnixMs || Date.now();

  // By its place in the table: a range is one in the order that is seen.
  const mark = (id: string, asRange: boolean) => {
    const { last, add, toggle } = useMarks.getState();
    if (!asRange) return toggle(id);
    const order = rows.filter((row) => canBeMarked(row.node)).map((row) => row.node.id);
    add(range(order, last, id));
  };
  const onScroll = () => {
    const { scrollTop: top, clientHeight: height } = body.current!;
    setScroll({ top, height });
  };

  return (
    <Frame role="table" aria-label={`${nodesOf(topology.view)}, ${rows.length} rows`} aria-rowcount={rows.length + 1} data-testid="table">
      <HeadRow role="row" aria-rowindex={1}>
        {COLUMNS.map((column) => (
          <HeadCell key={column.key} column={column} sort={sort} onSort={setSort} />
        ))}
      </HeadRow>
      <Body ref={body} onScroll={onScroll} role="rowgroup">
        <div role="presentation" style={{ height: rows.length * ROW_PX, position: 'relative' }}>
          {rows.slice(first, last).map((row, i) => (
            <TableRow key={row.node.id} row={row} at={first + i} now={now} selected={row.node.id === selected} marked={marks.has(row.node.id)} onMark={mark} />
          ))}
        </div>
        {rows.length === 0 && <SituationNote />}
      </Body>
    </Frame>
  );
}

function HeadCell({ column, sort, onSort }: { column: Column; sort: Sort; onSort: (sort: Sort) => void }) {
  const active = sort.column === column.key;
  // Numbers are looked at from the top first.
  const next = active ? !sort.descending : Boolean(column.number) || column.key === 'health';
  return (
    <div
      role="columnheader"
      data-number={column.number}
      aria-sort={active ? (sort.descending ? 'descending' : 'ascending') : 'none'}
    >
      <button type="button" onClick={() => onSort({ column: column.key, descending: next })}>
        {column.title}
        <i aria-hidden>{active ? (sort.descending ? '↓' : '↑') : ''}</i>
      </button>
    </div>
  );
}

interface TableRowProps {
  row: Row;
  at: number;
  now: number;
  selected: boolean;
  marked: boolean;
  onMark: (id: string, asRange: boolean) => void;
}

function TableRow({ row, at, now, selected, marked, onMark }: TableRowProps) {
  const { node } = row;
  const ended = hasEnded(node);
  const select = () => usePage.getState().select(node.id);
  const marks = canBeMarked(node);
  return (
    <BodyRow
      role="row"
      aria-rowindex={at + 2}
      aria-selected={selected}
      data-ended={ended}
      tabIndex={0}
      style={{ transform: `translateY(${at * ROW_PX}px)` }}
      onClick={(event) => {
        if (marks && (event.ctrlKey || event.metaKey || event.shiftKey)) onMark(node.id, event.shiftKey);
        else select();
      }}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget) return;
        if (event.key === 'Enter') select();
        if (event.key === ' ' && marks) {
          event.preventDefault();
          onMark(node.id, event.shiftKey);
        }
        const sibling = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
        if (!sibling) return;
        event.preventDefault();
        (event.currentTarget[sibling as 'nextElementSibling'] as HTMLElement | null)?.focus();
      }}
    >
      <div role="cell">
        {marks && (
          <input
            type="checkbox"
            aria-label={`Mark ${node.label}`}
            checked={marked}
            readOnly
            onClick={(event) => {
              event.stopPropagation();
              onMark(node.id, event.shiftKey);
            }}
          />
        )}
        <ShapeIcon shape={shapeOfKind(node.kind)} color={node.pseudo || ended ? 'var(--text-3)' : healthVariable(node.health)} />
        <strong>{node.label}</strong>
        <small>{node.label_minor}</small>
      </div>
      <div role="cell">{node.group_label}</div>
      <div role="cell" title={node.health_reason}>
        {!node.pseudo && <HealthIcon health={node.health === 'ok' && ended ? 'ended' : node.health} size={13} />}
        <span>{node.pseudo ? '–' : node.health === 'ok' || !node.health_reason ? node.state : node.health_reason}</span>
      </div>
      <div role="cell" data-number>{value(row, 'cpu')}</div>
      <div role="cell" data-number>{value(row, 'memory')}</div>
      <div role="cell" data-number>{row.traffic > 0 ? joined(rate(row.traffic)) : '–'}</div>
      <div role="cell" data-number>{row.inbound > 0 ? count(row.inbound) : '–'}</div>
      <div role="cell" data-number>{row.outbound > 0 ? count(row.outbound) : '–'}</div>
      <div role="cell" data-number>{row.seen > 0 ? duration(now - row.seen) : '–'}</div>
    </BodyRow>
  );
}

function value({ node }: Row, key: string): string {
  const metric = metricOf(node, key);
  return metric ? joined(quantity(metric.value, metric.unit)) : '–';
}

const Frame = styled.div`
  flex: 1;
  min-height: 0;
  display: flex;
  flex-direction: column;
  background: var(--background);
`;

const HeadRow = styled.div`
  display: grid;
  grid-template-columns: ${TEMPLATE};
  padding: 0 16px;
  border-bottom: 1px solid var(--line);
  background: var(--surface);
  scrollbar-gutter: stable;
  > div {
    padding: 0 8px;
  }
  button {
    height: 32px;
    padding: 0;
    border: 0;
    background: none;
    font-size: 11px;
    font-weight: 600;
    color: var(--text-3);
  }
  button:hover,
  [aria-sort='ascending'] button,
  [aria-sort='descending'] button {
    color: var(--text-1);
  }
  i {
    font-style: normal;
  }
  i:not(:empty) {
    margin-left: 4px;
  }
  [data-number='true'] {
    text-align: right;
  }
  @media (max-width: ${NARROW_PX}px) {
    grid-template-columns: ${NARROW_TEMPLATE};
    padding: 0 6px;
    ${NOT_CORE} {
      display: none;
    }
    > div {
      padding: 0 4px;
    }
  }
`;

const Body = styled.div`
  flex: 1;
  min-height: 0;
  overflow: auto;
`;

const BodyRow = styled.div`
  position: absolute;
  inset: 0 0 auto;
  height: ${ROW_PX}px;
  display: grid;
  grid-template-columns: ${TEMPLATE};
  align-items: center;
  padding: 0 16px;
  border-bottom: 1px solid var(--line);
  cursor: pointer;
  user-select: none;
  input {
    flex: none;
    margin: 0;
    accent-color: var(--accent);
  }
  &:hover {
    background: var(--surface);
  }
  &[aria-selected='true'] {
    background: color-mix(in srgb, var(--accent) 14%, var(--background));
    box-shadow: inset 2px 0 0 var(--accent);
  }
  &:focus-visible {
    outline-offset: -2px;
  }
  > div {
    padding: 0 8px;
    display: flex;
    align-items: center;
    gap: 8px;
    min-width: 0;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    color: var(--text-2);
  }
  > div > span {
    min-width: 0;
    overflow: hidden;
    text-overflow: ellipsis;
  }
  strong {
    font-weight: 500;
    color: var(--text-1);
    overflow: hidden;
    text-overflow: ellipsis;
  }
  strong {
    flex: 0 1 auto;
  }
  &[data-ended='true'] > div,
  &[data-ended='true'] strong {
    color: var(--text-3);
  }
  small {
    flex: 1 1 0;
    min-width: 0;
    font: 11px var(--mono);
    color: var(--text-3);
    overflow: hidden;
    text-overflow: ellipsis;
  }
  > [data-number] {
    justify-content: flex-end;
    font: 12px var(--mono);
    font-variant-numeric: tabular-nums;
  }
  @media (max-width: ${NARROW_PX}px) {
    grid-template-columns: ${NARROW_TEMPLATE};
    padding: 0 6px;
    ${NOT_CORE} {
      display: none;
    }
    > div {
      padding: 0 4px;
    }
  }
`;
