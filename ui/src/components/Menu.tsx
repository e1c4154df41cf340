import { useEffect, useId, useRef, useState, type ReactNode } from 'react';
import styled from 'styled-components';
import { IconButton } from './controls';

export interface MenuItem {
  label: string;
  // A choice of several, of which one is in force.
  checked?: boolean;
  // Why it can't be chosen now.
  unavailable?: string | undefined;
  run: () => void;
}

interface Props {
  label: string;
  icon: ReactNode;
  items: readonly MenuItem[];
}

// A button with a list below it: the arrows walk, Enter takes, Escape and a click elsewhere close.
export function Menu({ label, icon, items }: Props) {
  const [open, setOpen] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();

  useEffect(() => {
    if (!open) return;
    const entries = list.current!.querySelectorAll<HTMLElement>('button');
    (list.current!.querySelector<HTMLElement>('[aria-checked="true"]') ?? entries[0])?.focus();
    const elsewhere = (event: Event) => {
      if (!frame.current?.contains(event.target as Node)) setOpen(false);
    };
    addEventListener('pointerdown', elsewhere);
    addEventListener('focusin', elsewhere);
    return () => {
      removeEventListener('pointerdown', elsewhere);
      removeEventListener('focusin', elsewhere);
    };
  }, [open]);

  const close = () => {
    setOpen(false);
    button.current?.focus();
  };

  const onKeyDown = (event: React.KeyboardEvent) => {
    const entries = [...list.current!.querySelectorAll<HTMLElement>('button')];
    const at = entries.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
    if (event.key === 'Escape') close();
    else if (to !== undefined) entries[(to + entries.length) % entries.length]!.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <Frame ref={frame}>
      <IconButton
        ref={button}
        type="button"
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        {icon}
      </IconButton>
      {open && (
        <List ref={list} id={id} role="menu" aria-label={label} onKeyDown={onKeyDown}>
          {items.map((item) => (
            <button
              key={item.label}
              type="button"
              role={item.checked === undefined ? 'menuitem' : 'menuitemradio'}
              aria-checked={item.checked}
              aria-disabled={item.unavailable !== undefined}
              tabIndex={-1}
              onClick={() => {
                if (item.unavailable !== undefined) return;
                close();
                item.run();
              }}
            >
              {item.label}
              {item.unavailable !== undefined && <small>{item.unavailable}</small>}
            </button>
          ))}
        </List>
      )}
    </Frame>
  );
}

const Frame = styled.div`
  position: relative;
  flex: none;
`;

const List = styled.div`
  position: absolute;
  z-index: 30;
  top: 34px;
  right: 0;
  min-width: 200px;
  padding: 4px;
  display: grid;
  border: 1px solid var(--line-strong);
  border-radius: 8px;
  background: var(--surface);
  box-shadow: 0 8px 24px rgb(0 0 0 / 25%);
  button {
    min-height: 30px;
    padding: 5px 10px 5px 28px;
    position: relative;
    border: 0;
    border-radius: 5px;
    background: none;
    color: var(--text-1);
    text-align: left;
    white-space: nowrap;
  }
  button:hover,
  button:focus-visible {
    background: var(--raised);
    outline-offset: -2px;
  }
  button[aria-disabled='true'] {
    color: var(--text-3);
    cursor: default;
  }
  button[aria-checked='true']::before {
    content: '';
    position: absolute;
    left: 11px;
    top: 50%;
    width: 6px;
    height: 6px;
    margin-top: -3px;
    border-radius: 50%;
    background: var(--accent);
  }
  small {
    display: block;
    font-size: 11px;
    color: var(--text-3);
  }
`;
