import { useEffect, useId, useMemo, useRef, useState } from 'react';
import styled from 'styled-components';
import { controlMany } from '../api/control';
import type { TopologyNode } from '../api/types';
import { bulkActions, isDone, summary, type BulkAction, type Told } from '../lib/bulk';
import { CONSEQUENCES, mayNot } from '../lib/control';
import { canBeMarked, useMarks } from '../store/marks';
import { useSession } from '../store/session';
import { Button, LinkButton } from './controls';
import { useTopology } from './useTopology';

interface Run {
  action: BulkAction;
  told: Told[];
  // Why it broke off; null while it goes on, empty when it is through.
  ended: string | null;
}

// What can be done to all marked containers, asked about once, and what came of each.
export function BulkBar() {
  const topology = useTopology(1_000);
  const ids = useMarks((marks) => marks.ids);
  const refused = useSession(({ who }) => mayNot(who));
  const [asked, setAsked] = useState<BulkAction | null>(null);
  const [run, setRun] = useState<Run | null>(null);
  const nodes = useMemo(
    () => [...ids].map((id) => topology.nodes.get(id)).filter((node): node is TopologyNode => node !== undefined && canBeMarked(node)),
    [ids, topology],
  );
  const actions = useMemo(() => bulkActions(nodes), [nodes]);

  // Another view has other nodes; what is gone is not marked any more.
  useEffect(() => {
    if (topology.loaded) useMarks.getState().keep((id) => topology.nodes.has(id));
  }, [topology]);
  useEffect(() => {
    if (ids.size === 0) setAsked(null);
  }, [ids]);

  const start = async (action: BulkAction) => {
    setAsked(null);
    const told: Told[] = [];
    setRun({ action, told, ended: null });
    try {
      await controlMany(action.verb, action.nodes.map(({ id }) => id), (one) => {
        told.push(one);
        setRun({ action, told: [...told], ended: null });
      });
      setRun({ action, told: [...told], ended: '' });
    } catch (error) {
      setRun({ action, told: [...told], ended: (error as Error).message });
    }
  };
  if (ids.size === 0 && run === null) return null;
  return (
    <Bar aria-label="Marked containers" data-testid="bulk">
      {ids.size > 0 && (
        <Row>
          <strong role="status">
            {nodes.length} {nodes.length === 1 ? 'container' : 'containers'} marked
          </strong>
          {actions.map((action) => (
            <Button
              key={action.verb}
              type="button"
              aria-disabled={refused !== '' || run?.ended === null}
              title={refused || undefined}
              onClick={() => {
                if (!refused && run?.ended !== null) setAsked(action);
              }}
            >
              {action.label} {action.nodes.length}
            </Button>
          ))}
          <LinkButton type="button" onClick={() => useMarks.getState().clear()}>
            Unmark all
          </LinkButton>
          {refused && <small>Not possible: {refused}.</small>}
        </Row>
      )}
      {asked && <Question action={asked} left={nodes.length - asked.nodes.length} onYes={() => void start(asked)} onNo={() => setAsked(null)} />}
      {run && <Outcome run={run} onClose={() => setRun(null)} />}
    </Bar>
  );
}

function Question({ action, left, onYes, onNo }: { action: BulkAction; left: number; onYes: () => void; onNo: () => void }) {
  const title = useId();
  const sure = useRef<HTMLButtonElement>(null);
  useEffect(() => sure.current?.focus(), [action]);
  const { label, nodes, verb } = action;
  return (
    <Box
      role="alertdialog"
      aria-labelledby={title}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        event.stopPropagation();
        onNo();
      }}
    >
      <p id={title}>
        {label} {nodes.length === 1 ? 'this container' : `these ${nodes.length} containers`}? {CONSEQUENCES[verb]}
        {left > 0 && ` The state of the other ${left} does not allow it; they are left alone.`}
      </p>
      <List tabIndex={0} aria-label="They are">
        {nodes.map((node) => (
          <li key={node.id}>
            {node.label} <small>{node.group_label}</small>
          </li>
        ))}
      </List>
      <Row>
        <Button ref={sure} type="button" $primary onClick={onYes}>
          {label} {nodes.length}
        </Button>
        <Button type="button" onClick={onNo}>
          Cancel
        </Button>
      </Row>
    </Box>
  );
}

function Outcome({ run: { action, told, ended }, onClose }: { run: Run; onClose: () => void }) {
  const names = new Map(action.nodes.map(({ id, label }) => [id, label]));
  const failed = told.filter((one) => !isDone(one));
  return (
    <Box>
      <Row>
        <span role="status">{summary(action.label, action.nodes.length, told, ended !== null)}</span>
        {ended !== null && (
          <LinkButton type="button" onClick={onClose}>
            Close
          </LinkButton>
        )}
      </Row>
      {ended && <p role="alert">{ended} What had begun goes on; look at the states on the map.</p>}
      {failed.length > 0 && (
        <List role="alert">
          {failed.map(({ container, error, hint }) => (
            <li key={container}>
              {names.get(container) ?? container}: {error} <small>{hint}</small>
            </li>
          ))}
        </List>
      )}
    </Box>
  );
}

const Bar = styled.section`
  flex: none;
  padding: 8px 16px;
  border-top: 1px solid var(--line-strong);
  background: var(--surface);
  font-size: 12px;
`;

const Row = styled.div`
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 8px;
  small {
    color: var(--text-3);
  }
`;

const Box = styled.div`
  margin-top: 8px;
  max-width: 720px;
  overflow-wrap: anywhere;
  [role='alert'] {
    color: var(--critical-text);
  }
`;

const List = styled.ul`
  max-height: 132px;
  margin: 6px 0 8px;
  padding: 0 0 0 18px;
  overflow-y: auto;
  small {
    color: var(--text-3);
  }
`;
