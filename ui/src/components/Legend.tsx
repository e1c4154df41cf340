import { useMemo } from 'react';
import styled from 'styled-components';
import { Shape } from '../scene/scene';
import { roles, shapeOf } from '../scene/shape';
import { usePage } from '../store/page';
import { ShapeIcon } from './icons';
import { useTopology } from './useTopology';

const ROLES: Partial<Record<Shape, string>> = { [Shape.Cylinder]: 'Data store', [Shape.Pill]: 'Queue' };
const KINDS: Record<string, string> = {
  process: 'Process',
  container: 'Container',
  host: 'Host',
  uncontained: 'Uncontained',
  internet: 'Internet',
};

// Only the shapes that the view has.
export function Legend() {
  const mode = usePage((page) => page.mode);
  const { nodes, edges } = useTopology(2_000);
  const present = useMemo(() => {
    const role = roles(edges.values());
    const shapes = new Map<string, Shape>();
    for (const node of nodes.values()) {
      const shape = shapeOf(node, role);
      shapes.set(ROLES[shape] ?? KINDS[node.kind] ?? 'Remote', shape);
    }
    return [...shapes].sort(([, a], [, b]) => a - b);
  }, [nodes, edges]);
  if (mode !== 'graph' || present.length === 0) return null;
  return (
    <List aria-label="Shapes">
      {present.map(([name, shape]) => (
        <li key={name}>
          <ShapeIcon shape={shape} />
          {name}
        </li>
      ))}
    </List>
  );
}

const List = styled.ul`
  display: grid;
  grid-template-columns: max-content max-content;
  justify-content: space-between;
  gap: 7px 8px;
  margin: 0 8px;
  padding: 12px 8px 14px;
  border-top: 1px solid var(--line);
  font-size: 12px;
  color: var(--text-2);
  li {
    display: flex;
    align-items: center;
    gap: 6px;
    white-space: nowrap;
  }
`;
