// The few controls that the page is made of.

import styled, { css } from 'styled-components';

export const Button = styled.button<{ $primary?: boolean }>`
  height: 28px;
  padding: 0 12px;
  display: inline-flex;
  align-items: center;
  gap: 6px;
  border-radius: 6px;
  border: 1px solid var(--line-strong);
  background: var(--surface);
  color: var(--text-1);
  font-weight: 500;
  font-size: 12px;
  white-space: nowrap;
  &:hover:not(:disabled) {
    background: var(--raised);
  }
  &:disabled,
  &[aria-disabled='true'] {
    opacity: 0.5;
    cursor: default;
  }
  ${({ $primary }) =>
    $primary &&
    css`
      background: var(--accent);
      border-color: var(--accent);
      color: var(--on-accent);
      &:hover:not(:disabled) {
        background: var(--accent);
        filter: brightness(1.08);
      }
    `}
`;

export const IconButton = styled.button`
  width: 28px;
  height: 28px;
  display: inline-grid;
  place-items: center;
  border: 0;
  border-radius: 6px;
  background: none;
  color: var(--text-2);
  &:hover {
    background: var(--raised);
    color: var(--text-1);
  }
`;

export const LinkButton = styled.button`
  border: 0;
  padding: 0;
  background: none;
  color: var(--accent);
  font-weight: 500;
  border-radius: 3px;
  &:hover {
    text-decoration: underline;
    text-underline-offset: 2px;
  }
`;

const SegmentedGroup = styled.div`
  flex: none;
  display: inline-flex;
  height: 28px;
  border: 1px solid var(--line-strong);
  border-radius: 6px;
  background: var(--surface);
  overflow: hidden;
`;

const Segment = styled.button`
  border: 0;
  padding: 0 11px;
  background: none;
  color: var(--text-2);
  font-size: 12px;
  font-weight: 500;
  & + & {
    border-left: 1px solid var(--line);
  }
  &:hover {
    color: var(--text-1);
  }
  &[aria-checked='true'] {
    background: var(--raised);
    color: var(--text-1);
    box-shadow: inset 0 -2px 0 var(--accent);
  }
  &:focus-visible {
    outline-offset: -2px;
  }
`;

interface SegmentedProps<T extends string> {
  label: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}

// One choice of a few; the arrow keys move it, as in a radio group.
export function Segmented<T extends string>({ label, value, choices, onChange }: SegmentedProps<T>) {
  const step = (by: number, from: HTMLElement) => {
    const at = choices.findIndex(([choice]) => choice === value);
    const next = (at + by + choices.length) % choices.length;
    onChange(choices[next]![0]);
    (from.parentElement?.children[next] as HTMLElement | undefined)?.focus();
  };
  return (
    <SegmentedGroup role="radiogroup" aria-label={label}>
      {choices.map(([choice, text]) => (
        <Segment
          key={choice}
          type="button"
          role="radio"
          aria-checked={choice === value}
          tabIndex={choice === value ? 0 : -1}
          onClick={() => onChange(choice)}
          onKeyDown={(event) => {
            if (event.key === 'ArrowRight' || event.key === 'ArrowDown') step(1, event.currentTarget);
            else if (event.key === 'ArrowLeft' || event.key === 'ArrowUp') step(-1, event.currentTarget);
            else return;
            event.preventDefault();
          }}
        >
          {text}
        </Segment>
      ))}
    </SegmentedGroup>
  );
}

const CheckLabel = styled.label`
  display: flex;
  align-items: center;
  gap: 9px;
  min-height: 28px;
  padding: 0 8px;
  border-radius: 6px;
  color: var(--text-2);
  cursor: pointer;
  &:hover {
    color: var(--text-1);
  }
  input {
    appearance: none;
    width: 14px;
    height: 14px;
    margin: 0;
    border: 1px solid var(--line-strong);
    border-radius: 4px;
    background: var(--surface);
    display: grid;
    place-items: center;
    cursor: pointer;
  }
  input:checked {
    background: var(--accent);
    border-color: var(--accent);
  }
  input:checked::after {
    content: '';
    width: 7px;
    height: 3.5px;
    margin-top: -2px;
    border: solid var(--on-accent);
    border-width: 0 0 1.75px 1.75px;
    transform: rotate(-45deg);
  }
`;

export function Checkbox({ label, checked, onChange }: { label: string; checked: boolean; onChange: (on: boolean) => void }) {
  return (
    <CheckLabel>
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />
      {label}
    </CheckLabel>
  );
}

export const SectionTitle = styled.h2`
  font-size: 11px;
  font-weight: 600;
  color: var(--text-3);
  letter-spacing: 0.01em;
`;

export const Mono = styled.span`
  font-family: var(--mono);
  font-variant-numeric: tabular-nums;
`;

export const VisuallyHidden = styled.span`
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
`;
