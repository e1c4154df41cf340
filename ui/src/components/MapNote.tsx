import styled from 'styled-components';
import { count } from '../lib/format';
import { usePage, type FillMetric } from '../store/page';
import { NARROW_PX } from './narrow';
import { useTopology } from './useTopology';

const FILLS: Record<FillMetric, string> = { cpu: 'CPU', memory: 'memory', network: 'network traffic' };

// One line on how to read the map.
export function MapNote() {
  const { nodes, nodesHidden, loaded } = useTopology(1_000);
  const metric = usePage((page) => page.metric);
  if (!loaded || nodes.size === 0) return null;
  const hidden = nodesHidden > 0 ? `${count(nodesHidden)} hidden by the options. ` : '';
  return (
    <Note>
      <svg width="104" height="10" aria-hidden>
        <g stroke="currentColor" strokeLinecap="round">
          <path d="M2 5h20" strokeWidth="1" />
          <path d="M29 5h20" strokeWidth="2.5" />
          <path d="M57 5h18" strokeWidth="4" />
          <path d="M84 5h16" strokeWidth="6" />
        </g>
      </svg>
      <span>
        {nodes.size > 2_000
          ? `${count(nodes.size)} nodes. Zoom in for names and single connections. ${hidden}`
          : `1 kB/s to 100 MB/s. Fill shows ${FILLS[metric]}. ${hidden}`}
      </span>
    </Note>
  );
}

const Note = styled.div`
  position: absolute;
  left: 58px;
  bottom: 14px;
  height: 30px;
  max-width: calc(100% - 250px);
  @media (max-width: ${NARROW_PX}px) {
    max-width: calc(100% - 72px);
    svg {
      display: none;
    }
  }
  padding: 0 12px;
  display: flex;
  align-items: center;
  gap: 10px;
  border: 1px solid var(--line-strong);
  border-radius: 8px;
  background: color-mix(in srgb, var(--surface) 92%, transparent);
  color: var(--text-3);
  font-size: 12px;
  pointer-events: none;
  span {
    color: var(--text-2);
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
`;
