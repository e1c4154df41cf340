import { useMemo, useState } from 'react';
import styled from 'styled-components';
import { joined, quantity } from '../lib/format';
import { resourceBoxes, type Box, type HostBox, type Resource, type Scale } from '../lib/resources';
import { usePage } from '../store/page';
import { healthVariable } from './details/DetailsHead';
import { LinkButton, Segmented } from './controls';
import { HealthIcon } from './icons';
import { SituationNote } from './SituationNote';
import { useMatches } from './useMatches';
import { useResources } from './useResources';
import { useTopology } from './useTopology';

// A small host beside a large one still has room for its name.
const WIDTH_MIN = 0.3;
// A label in a narrower box could not be read.
const LABEL_MIN_PX = 40;
const SIGN_MIN_PX = 16;

// Who uses which share of each host: hosts as wide as they are large, in them containers and processes.
export function ResourceView() {
  const metric = usePage((page) => page.metric);
  const hosts = usePage((page) => page.hosts);
  const [opened, setOpened] = useState<readonly string[]>([]);
  const [scale, setScale] = useState<Scale>('capacity');
  const { reported, problem, all } = useResources(hosts, opened);
  const resource: Resource = metric === 'memory' ? 'memory' : 'cpu';
  const boxes = useMemo(() => (reported ? resourceBoxes(reported, resource, scale) : null), [reported, resource, scale]);
  if (!boxes) {
    return (
      <Frame>
        {problem ? (
          <Problem role="alert">{problem} It is asked again in a few seconds.</Problem>
        ) : (
          <Wait role="status">Asking for hosts, containers and processes…</Wait>
        )}
      </Frame>
    );
  }
  if (boxes.length === 0) {
    return (
      <Frame>
        <SituationNote />
      </Frame>
    );
  }
  const largest = Math.max(...boxes.map(({ capacity }) => capacity));
  const toggle = (id: string) =>
    setOpened(opened.includes(id) ? opened.filter((one) => one !== id) : [...opened, id]);
  return (
    <Frame data-testid="resources">
      {problem && <Problem role="alert">{problem} What is shown is as it was.</Problem>}
      <Top>
        <Segmented
          label="What the width of a host is"
          value={scale}
          choices={[
            ['capacity', resource === 'cpu' ? 'All its cores' : 'All its memory'],
            ['used', 'What is used'],
          ]}
          onChange={setScale}
        />
        <p>
          A box is as wide as what it uses: containers above, their processes below.{' '}
          {metric === 'network' && 'Network has no size to divide: this is CPU.'}
        </p>
      </Top>
      <ul>
        {boxes.map((host) => {
          const agent = host.id.replace(/^host;/, '');
          return (
            <HostRow
              key={host.id}
              host={host}
              width={scale === 'capacity' && largest > 0 ? Math.max(WIDTH_MIN, host.capacity / largest) : 1}
              opened={all ? null : opened.includes(agent)}
              onToggle={() => toggle(agent)}
            />
          );
        })}
      </ul>
    </Frame>
  );
}

// Of a whole host cores say more than hundreds of percent.
function amount(value: number, unit: string): string {
  return unit === 'cores' ? String(Number(value.toFixed(1))) : joined(quantity(value, unit));
}

// Colour is not alone: these have their sign too.
const SAID = new Set(['warning', 'critical', 'unknown']);

function words({ label, health, value, unit }: Box): string {
  return [label, joined(quantity(value, unit)), ...(SAID.has(health) ? [health] : [])].join(', ');
}

interface HostRowProps {
  host: HostBox;
  width: number;
  // Null where its processes are there anyway.
  opened: boolean | null;
  onToggle: () => void;
}

function HostRow({ host, width, opened, onToggle }: HostRowProps) {
  const { label, used, capacity, unit, boxes } = host;
  const topology = useTopology(2_000);
  const matches = useMatches(topology);
  const view = usePage((page) => page.view);
  const selected = usePage((page) => page.selected);
  const deep = boxes.some(({ depth }) => depth === 2);
  const faded = (box: Box) => matches !== null && box.view === view && !matches.has(box.id);
  return (
    <Row style={{ width: `${width * 100}%` }}>
      <Head>
        <HealthIcon health={host.health} size={13} />
        <LinkButton type="button" onClick={() => usePage.getState().setView('hosts', host.id)}>
          {label}
        </LinkButton>
        <span>
          {used === undefined ? 'no figures' : amount(used, unit)}
          {capacity > 0 && ` of ${amount(capacity, unit)}`} {unit === 'cores' && 'cores'}
        </span>
        {opened !== null && (
          <LinkButton type="button" aria-expanded={opened} onClick={onToggle}>
            {opened ? 'Without processes' : 'With processes'}
          </LinkButton>
        )}
      </Head>
      <Area $deep={deep} role="group" aria-label={`What runs on ${label}`}>
        {boxes.map((box) => (
          <BoxButton
            key={box.key}
            type="button"
            aria-label={words(box)}
            title={words(box)}
            aria-disabled={box.id === ''}
            aria-pressed={box.id !== '' && box.id === selected}
            data-depth={box.depth}
            data-faded={faded(box)}
            style={{
              left: `${box.from * 100}%`,
              width: `${(box.to - box.from) * 100}%`,
              color: box.health ? healthVariable(box.health) : 'var(--text-3)',
            }}
            onClick={() => box.id !== '' && usePage.getState().setView(box.view, box.id)}
          >
            {SAID.has(box.health) && (
              <i>
                <HealthIcon health={box.health} size={12} />
              </i>
            )}
            <span>
              {box.label} <em>{joined(quantity(box.value, box.unit))}</em>
            </span>
          </BoxButton>
        ))}
      </Area>
    </Row>
  );
}

const Frame = styled.div`
  flex: 1;
  min-height: 0;
  overflow-y: auto;
  padding: 14px 16px 24px;
  background: var(--background);
`;

const Wait = styled.p`
  padding: 64px 24px;
  text-align: center;
  font-size: 15px;
  color: var(--text-3);
`;

const Problem = styled.p`
  padding: 8px 0;
  color: var(--critical-text);
`;

const Top = styled.div`
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 8px 14px;
  padding-bottom: 6px;
  p {
    font-size: 12px;
    color: var(--text-3);
  }
`;

const Row = styled.li`
  min-width: min(100%, 300px);
  padding: 10px 0;
`;

const Head = styled.div`
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 2px 8px;
  padding-bottom: 6px;
  > button:nth-of-type(1) {
    min-width: 0;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    color: var(--text-1);
    font-weight: 600;
  }
  > span {
    flex: 1;
    font: 12px var(--mono);
    color: var(--text-2);
    white-space: nowrap;
  }
  > button:nth-of-type(2) {
    font-size: 12px;
  }
`;

const BOX_PX = 34;

// What is not used stays empty, with a border all around.
const Area = styled.div<{ $deep: boolean }>`
  position: relative;
  height: ${({ $deep }) => ($deep ? 2 : 1) * BOX_PX + 8}px;
  border: 1px solid var(--line-strong);
  border-radius: 6px;
  background: var(--surface);
  overflow: hidden;
`;

const BoxButton = styled.button`
  position: absolute;
  top: 3px;
  height: ${BOX_PX - 1}px;
  padding: 0 1px 0 0;
  border: 0;
  background: none;
  container-type: inline-size;
  &[data-depth='2'] {
    top: ${BOX_PX + 3}px;
  }
  &::before {
    content: '';
    position: absolute;
    inset: 0 1px 0 0;
    border: 1px solid color-mix(in srgb, currentColor 70%, transparent);
    border-radius: 3px;
    background: color-mix(in srgb, currentColor 24%, transparent);
  }
  &[data-depth='2']::before {
    background: color-mix(in srgb, currentColor 12%, transparent);
  }
  &:hover::before,
  &[aria-pressed='true']::before {
    border-color: var(--accent);
    box-shadow: inset 0 0 0 1px var(--accent);
  }
  &[aria-disabled='true'] {
    cursor: default;
  }
  &[data-faded='true'] {
    opacity: 0.3;
  }
  &:focus-visible {
    outline-offset: -3px;
  }
  i,
  span {
    display: none;
  }
  i {
    position: absolute;
    z-index: 1;
    top: 2px;
    right: 3px;
  }
  @container (min-width: ${SIGN_MIN_PX}px) {
    i {
      display: block;
    }
  }
  @container (min-width: ${LABEL_MIN_PX}px) {
    span {
      display: block;
    }
  }
  span {
    position: relative;
    padding: 0 6px;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    text-align: left;
    font-size: 12px;
    color: var(--text-1);
  }
  em {
    font: 11px var(--mono);
    color: var(--text-2);
  }
`;
