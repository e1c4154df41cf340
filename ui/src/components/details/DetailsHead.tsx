import styled from 'styled-components';
import type { TopologyNode } from '../../api/types';
import { kindName } from '../../lib/describe';
import { hasHealth } from '../../scene/build';
import { shapeOfKind } from '../../scene/shape';
import { usePage } from '../../store/page';
import { IconButton } from '../controls';
import { CloseIcon, HealthIcon, ShapeIcon } from '../icons';

// What it is, its name, and how it is.
export function DetailsHead({ node, gone }: { node: TopologyNode | null; gone: boolean }) {
  return (
    <Head>
      <Kind>
        {node && <ShapeIcon shape={shapeOfKind(node.kind)} size={15} color={healthVariable(node.health)} />}
        <span>{node ? subtitle(node) : 'Unknown node'}</span>
        <IconButton type="button" aria-label="Close the details" onClick={() => usePage.getState().select(null)}>
          <CloseIcon />
        </IconButton>
      </Kind>
      <h1>{node?.label ?? 'Not on the map'}</h1>
      {node?.label_minor && <Minor>{node.label_minor}</Minor>}
      <Chips>
        {node?.state && !node.pseudo && node.state !== 'running' && <Chip data-health="unknown">{node.state}</Chip>}
        {node && node.health !== '' && hasHealth(node) && (
          <Chip data-health={node.health}>
            <HealthIcon health={node.health} size={13} />
            {healthWords(node)}
          </Chip>
        )}
        {gone && <Chip data-health="unknown">no longer in this view</Chip>}
      </Chips>
    </Head>
  );
}

export function healthVariable(health: string): string {
  return ['ok', 'warning', 'critical'].includes(health) ? `var(--${health})` : 'var(--unknown)';
}

function subtitle(node: TopologyNode): string {
  return node.group_label && !node.pseudo ? `${kindName(node.kind)} on ${node.group_label}` : kindName(node.kind);
}

function healthWords({ health, health_reason: reason }: TopologyNode): string {
  const name = { ok: 'Healthy', warning: 'Warning', critical: 'Critical' }[health] ?? 'Unknown';
  return reason ? `${name}: ${reason}` : name;
}

const Head = styled.header`
  position: sticky;
  top: 0;
  z-index: 1;
  padding: 12px 16px 14px;
  background: var(--surface);
  h1 {
    margin-top: 2px;
    font-size: 18px;
    font-weight: 600;
    line-height: 1.25;
    letter-spacing: -0.015em;
    overflow-wrap: anywhere;
  }
`;

const Kind = styled.div`
  display: flex;
  align-items: center;
  gap: 7px;
  color: var(--text-2);
  font-size: 12px;
  span {
    flex: 1;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  button {
    margin: -4px -6px -4px 0;
  }
`;

const Minor = styled.p`
  margin-top: 3px;
  font: 12px var(--mono);
  color: var(--text-3);
  overflow-wrap: anywhere;
`;

const Chips = styled.div`
  display: flex;
  flex-wrap: wrap;
  gap: 6px;
  margin-top: 9px;
  &:empty {
    display: none;
  }
`;

const Chip = styled.span`
  display: inline-flex;
  align-items: center;
  gap: 6px;
  padding: 2px 9px 2px 6px;
  border: 1px solid var(--line-strong);
  border-radius: 4px;
  font-size: 12px;
  font-weight: 500;
  color: var(--text-2);
  &[data-health='ok'] {
    color: var(--ok-text);
  }
  &[data-health='warning'] {
    color: var(--warning-text);
    border-color: color-mix(in srgb, var(--warning) 50%, transparent);
    background: color-mix(in srgb, var(--warning) 12%, transparent);
  }
  &[data-health='critical'] {
    color: var(--critical-text);
    border-color: color-mix(in srgb, var(--critical) 60%, transparent);
    background: color-mix(in srgb, var(--critical) 16%, transparent);
  }
`;
