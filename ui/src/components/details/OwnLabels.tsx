import { useEffect, useState } from 'react';
import styled from 'styled-components';
import { nodeLabels, setNodeLabels, type NodeLabels } from '../../api/labels';
import { labelFrom } from '../../lib/labels';
import { Button, IconButton, SectionTitle } from '../controls';
import { CloseIcon } from '../icons';

interface OwnLabelsProps {
  id: string;
  // Why whoever looks may not change them; empty where he may.
  refused: string;
  onDone: () => void;
}

// What people call a node, beside what its engine does: given, shown, searched for.
export function OwnLabels({ id, refused, onDone }: OwnLabelsProps) {
  const [labels, setLabels] = useState<NodeLabels>({});
  const [typed, setTyped] = useState('');
  const [problem, setProblem] = useState('');

  useEffect(() => {
    const stop = new AbortController();
    nodeLabels(id, stop.signal).then(setLabels, () => {
      // The details say why nothing comes.
    });
    return () => stop.abort();
  }, [id]);

  const change = async (next: NodeLabels) => {
    setProblem('');
    try {
      await setNodeLabels(id, next);
      setLabels(next);
      setTyped('');
      onDone();
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  const pairs = Object.entries(labels);
  if (refused && pairs.length === 0) return null;
  return (
    <section aria-label="Own labels" data-testid="labels">
      <SectionTitle>Own labels</SectionTitle>
      <List>
        {pairs.map(([key, value]) => (
          <li key={key}>
            {key}={value}
            {!refused && (
              <IconButton
                type="button"
                aria-label={`Take the label ${key} away`}
                onClick={() => void change(Object.fromEntries(pairs.filter(([other]) => other !== key)))}
              >
                <CloseIcon size={12} />
              </IconButton>
            )}
          </li>
        ))}
      </List>
      {!refused && (
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            const label = labelFrom(typed);
            if (label === null) setProblem('A label is written as key=value: team=shop.');
            else void change({ ...labels, [label.key]: label.value });
          }}
        >
          <input aria-label="New label" placeholder="key=value" value={typed} autoComplete="off" spellCheck={false} onChange={(event) => setTyped(event.target.value)} />
          <Button type="submit" disabled={typed.trim() === ''}>
            Add
          </Button>
        </Form>
      )}
      {problem && <Problem role="alert">{problem}</Problem>}
    </section>
  );
}

const List = styled.ul`
  margin: 8px 0 0;
  padding: 0;
  display: flex;
  flex-wrap: wrap;
  gap: 6px;
  list-style: none;
  li {
    display: inline-flex;
    align-items: center;
    padding: 0 0 0 8px;
    min-height: 24px;
    border: 1px solid var(--line);
    border-radius: 6px;
    background: var(--raised);
    font: 12px var(--mono);
    overflow-wrap: anywhere;
  }
  li > button {
    width: 24px;
    height: 24px;
  }
  li:not(:has(button)) {
    padding-right: 8px;
  }
  &:empty {
    display: none;
  }
`;

const Form = styled.form`
  margin-top: 8px;
  display: flex;
  gap: 6px;
  input {
    flex: 1;
    min-width: 0;
    height: 28px;
    padding: 0 10px;
    border: 1px solid var(--line-strong);
    border-radius: 6px;
    background: var(--background);
    color: var(--text-1);
    font: 12px var(--mono);
  }
`;

const Problem = styled.p`
  margin-top: 8px;
  font-size: 12px;
  color: var(--critical-text);
  overflow-wrap: anywhere;
`;
