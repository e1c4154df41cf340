import { useEffect, useId, useRef, useState } from 'react';
import styled from 'styled-components';
import { press } from '../../api/control';
import type { PluginControl, PluginFacts, PluginTable, TopologyNode } from '../../api/types';
import { line } from '../../lib/series';
import { say } from '../../store/notice';
import { HISTORY_SPAN_MS, MetricHistory } from '../../store/history';
import { Button, SectionTitle } from '../controls';
import { Row as MetricRow, Rows as MetricRows } from './Metrics';
import { Fields } from './Sections';

interface PluginSectionProps {
  view: string;
  node: TopologyNode;
  facts: PluginFacts;
  // Why whoever looks may not use its controls; empty where he may.
  refused: string;
  onDone: () => void;
}

// What one plugin says of a node. All of it is text of a stranger's: nothing here depends on which plugin.
export function PluginSection({ view, node, facts, refused, onDone }: PluginSectionProps) {
  const [history] = useState(() => new MetricHistory());
  const nowMs = performance.now();
  useEffect(() => {
    history.sample(new Map([[node.id, { id: node.id, metrics: facts.metrics }]]), performance.now());
  }, [history, node.id, facts]);
  return (
    <>
      <section data-testid="plugin">
        <SectionTitle>
          {facts.label}
          <Quiet title={`Told by the plugin ${facts.plugin} of this node's agent`}>plugin</Quiet>
        </SectionTitle>
        {facts.metadata.length > 0 && <Fields fields={facts.metadata} />}
        {facts.controls.length > 0 && (
          <Controls view={view} node={node} facts={facts} refused={refused} onDone={onDone} />
        )}
      </section>
      {facts.metrics.length > 0 && (
        <MetricRows aria-label={`Metrics of ${facts.label}`}>
          {facts.metrics.map((metric) => (
            <MetricRow
              key={metric.key}
              metric={metric}
              points={line(null, history.of(node.id, metric.key), metric.key, HISTORY_SPAN_MS, nowMs)}
              spanMs={HISTORY_SPAN_MS}
            />
          ))}
        </MetricRows>
      )}
      {facts.tables.map((table) => (
        <Table key={table.key} table={table} />
      ))}
    </>
  );
}

function Table({ table }: { table: PluginTable }) {
  return (
    <section>
      <SectionTitle>{table.label}</SectionTitle>
      {table.rows.length === 0 ? (
        <Note>Nothing is in it.</Note>
      ) : (
        // Wider than the panel, it moves by itself, and the keyboard must reach it for that.
        <Scroll tabIndex={0} role="region" aria-label={table.label}>
          <table>
            <thead>
              <tr>
                {table.columns.map((column, at) => (
                  <th key={at} scope="col">
                    {column}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {table.rows.map(({ cells }, at) => (
                <tr key={at}>
                  {cells.map((cell, column) => (
                    <td key={column}>{cell}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </section>
  );
}

// Every control is asked about first: what it does, only its plugin knows.
function Controls({ view, node, facts, refused, onDone }: PluginSectionProps) {
  const [asked, setAsked] = useState<PluginControl | null>(null);
  const [busy, setBusy] = useState('');
  const [problem, setProblem] = useState('');
  const question = useId();
  const sure = useRef<HTMLButtonElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  useEffect(() => sure.current?.focus(), [asked]);

  const answered = () => {
    setAsked(null);
    opener.current?.focus();
  };
  const run = async ({ key, label }: PluginControl) => {
    setBusy(label);
    setProblem('');
    try {
      const message = await press(view, node.id, facts.plugin, key);
      say(message === '' ? `${label}: done.` : `${facts.label}: ${message}`);
      onDone();
    } catch (error) {
      setProblem((error as Error).message);
    } finally {
      setBusy('');
    }
  };
  return (
    <>
      <Buttons>
        {facts.controls.map((control) => (
          <Button
            key={control.key}
            type="button"
            // Stays focusable while it is done, so that the keyboard does not lose its place.
            aria-disabled={busy !== '' || refused !== ''}
            title={refused || undefined}
            onClick={(event) => {
              if (busy || refused) return;
              opener.current = event.currentTarget;
              setAsked(control);
            }}
          >
            {control.label}
          </Button>
        ))}
      </Buttons>
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
          <p id={question}>{asked.confirm || `${asked.label}: ask ${facts.label} to do it at ${node.label}?`}</p>
          <Buttons>
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
          </Buttons>
        </Question>
      )}
      {refused && <Note>Not possible: {refused}.</Note>}
      {busy && <Note role="status">{busy}: waiting for the plugin…</Note>}
      {problem && <Problem role="alert">{problem}</Problem>}
    </>
  );
}

const Quiet = styled.small`
  margin-left: 6px;
  font-weight: 400;
  color: var(--text-3);
`;

const Buttons = styled.div`
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

const Scroll = styled.div`
  margin-top: 6px;
  overflow: auto;
  max-height: 260px;
  table {
    border-collapse: collapse;
    font: 12px/1.5 var(--mono);
    font-variant-ligatures: none;
    font-variant-numeric: tabular-nums;
  }
  th {
    position: sticky;
    top: 0;
    background: var(--surface);
    font: 12px var(--sans, inherit);
    color: var(--text-3);
    text-align: left;
  }
  th,
  td {
    padding: 2.5px 14px 2.5px 0;
    white-space: nowrap;
  }
`;
