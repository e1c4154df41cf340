import styled from 'styled-components';
import { shownName } from '../lib/files';
import { bytes, joined } from '../lib/format';
import { Button } from './controls';

export interface Shown {
  path: string;
  size: number;
  // Null where it is no text.
  text: string | null;
  // There is more of it.
  cut: boolean;
}

// What is in a file, as text and never as anything else.
export function ShownFile({ shown, onBack, onSave }: { shown: Shown; onBack: () => void; onSave: () => void }) {
  return (
    <>
      <Bar>
        <Button type="button" autoFocus onClick={onBack}>
          Back
        </Button>
        <strong>{shownName(shown.path)}</strong>
        <span role="status">{about(shown)}</span>
        <Button type="button" onClick={onSave}>
          Download
        </Button>
      </Bar>
      {shown.text !== null && (
        <Text tabIndex={0} aria-label={`Contents of ${shownName(shown.path)}`}>
          {shown.text}
        </Text>
      )}
    </>
  );
}

export function about({ size, text, cut }: Shown): string {
  const all = joined(bytes(size));
  if (text === null) return `${all}, not text: download it to look at it.`;
  if (cut) return `The first ${joined(bytes(new TextEncoder().encode(text).length))} of ${all}.`;
  return size === 0 ? 'It is empty.' : all;
}

const Bar = styled.div`
  flex: none;
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 10px;
  padding: 6px 12px;
  font-size: 12px;
  strong {
    font: 500 12px var(--mono);
    overflow-wrap: anywhere;
  }
  span {
    margin-right: auto;
    color: var(--text-3);
  }
`;

const Text = styled.pre`
  flex: 1;
  min-height: 0;
  margin: 0;
  padding: 8px 12px;
  overflow: auto;
  background: var(--background);
  border-top: 1px solid var(--line);
  font: 12px / 18px var(--mono);
  font-variant-ligatures: none;
  color: var(--text-1);
`;
