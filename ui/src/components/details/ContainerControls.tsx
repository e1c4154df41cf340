import { useEffect, useId, useRef, useState } from 'react';
import styled from 'styled-components';
import { control } from '../../api/control';
import type { ContainerControl, TopologyNode } from '../../api/types';
import { actionsFor, takesCommands, type Action } from '../../lib/control';
import { say } from '../../store/notice';
import { TERMINALS_MAX, useTabs, type TabKind } from '../../store/tabs';
import { Button, SectionTitle } from '../controls';

interface ContainerControlsProps {
  node: TopologyNode;
  control: ContainerControl;
  // Why whoever looks may not; empty where he may.
  refused: string;
  onDone: () => void;
}

// What can be done to a container, asked about first where something is interrupted or lost.
export function ContainerControls({ node, control: { available, reason }, refused, onDone }: ContainerControlsProps) {
  const [asked, setAsked] = useState<Action | null>(null);
  const [busy, setBusy] = useState('');
  const [problem, setProblem] = useState('');
  const question = useId();
  const sure = useRef<HTMLButtonElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const actions = actionsFor(node.state, node.label);

  // A question about a state that has passed is none.
  useEffect(() => setAsked(null), [node.state]);
  useEffect(() => sure.current?.focus(), [asked]);

  // The keyboard goes back to where it came from.
  const answered = () => {
    setAsked(null);
    opener.current?.focus();
  };
  const run = async ({ verb, label }: Action) => {
    setBusy(label);
    setProblem('');
    try {
      await control(node.id, verb);
      onDone();
    } catch (error) {
      setProblem((error as Error).message);
    } finally {
      setBusy('');
    }
  };
  const open = (kind: TabKind) => {
    if (refused) return;
    if (useTabs.getState().open(kind, node.id, node.label)) return;
    say(`${TERMINALS_MAX} terminals are open: close one first.`);
  };
  if (!available) {
    return (
      <section aria-label="Control" data-testid="control">
        <SectionTitle>Control</SectionTitle>
        <Note>Not possible here: {reason}.</Note>
      </section>
    );
  }
  return (
    <section aria-label="Control" data-testid="control">
      <SectionTitle>Control</SectionTitle>
      <Row>
        {actions.map((action) => (
          <Button
            key={action.verb}
            type="button"
            // Stays focusable while it is done, so that the keyboard does not lose its place.
            aria-disabled={busy !== '' || refused !== ''}
            title={refused || undefined}
            onClick={(event) => {
              if (busy || refused) return;
              opener.current = event.currentTarget;
              if (action.question === null) void run(action);
              else setAsked(action);
            }}
          >
            {action.label}
          </Button>
        ))}
        <Button type="button" aria-disabled={refused !== ''} title={refused || undefined} onClick={() => open('log')}>
          Logs
        </Button>
        <Button type="button" aria-disabled={refused !== ''} title={refused || undefined} onClick={() => open('files')}>
          Files
        </Button>
        {takesCommands(node.state) && (
          <>
            <Button type="button" aria-disabled={refused !== ''} title={refused || 'A shell in the container'} onClick={() => open('shell')}>
              Terminal
            </Button>
            <Button type="button" aria-disabled={refused !== ''} title={refused || "The container's own process"} onClick={() => open('attach')}>
              Attach
            </Button>
          </>
        )}
      </Row>
      {asked && (
        <Question
          role="alertdialog"
          aria-labelledby={question}
          onKeyDown={(event) => {
            if (event.key !== 'Escape') return;
            // Escape would close the details.
            event.stopPropagation();
            answered();
          }}
        >
          <p id={question}>{asked.question}</p>
          <Row>
            <Button
              ref={sure}
              type="button"
              $primary
              onClick={() => {
                answered();
                void run(asked);
              }}
            >
              {asked.label}
            </Button>
            <Button type="button" onClick={answered}>
              Cancel
            </Button>
          </Row>
        </Question>
      )}
      {refused && <Note>Not possible: {refused}.</Note>}
      {busy && <Note role="status">{busy}: waiting for the container runtime…</Note>}
      {problem && <Problem role="alert">{problem}</Problem>}
    </section>
  );
}

const Row = styled.div`
  margin-top: 8px;
  display: flex;
  flex-wrap: wrap;
  gap: 6px;
`;

const Question = styled.div`
  margin-top: 10px;
  padding: 10px 12px;
  border: 1px solid color-mix(in srgb, var(--warning) 50%, transparent);
  border-radius: 6px;
  background: color-mix(in srgb, var(--warning) 10%, transparent);
  font-size: 12px;
  overflow-wrap: anywhere;
`;

const Note = styled.p`
  margin-top: 6px;
  font-size: 12px;
  color: var(--text-3);
  overflow-wrap: anywhere;
`;

const Problem = styled.p`
  margin-top: 8px;
  font-size: 12px;
  color: var(--critical-text);
  overflow-wrap: anywhere;
`;
