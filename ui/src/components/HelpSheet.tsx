import { useEffect, useRef } from 'react';
import styled from 'styled-components';
import { SHORTCUTS } from '../lib/shortcuts';
import { usePage } from '../store/page';
import { IconButton } from './controls';
import { CloseIcon } from './icons';

const SEARCHES: readonly (readonly [string, string])[] = [
  ['redis node-a', 'both words, anywhere'],
  ['image:redis', 'a field holds it'],
  ['cpu > 2%', 'a comparison'],
  ['image:/^redis:7/', 'a regular expression'],
  ['redis OR nginx', 'also NOT, and brackets'],
];

// The keys and the language of the search. The browser keeps the focus inside and gives it back.
export function HelpSheet() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const close = () => usePage.getState().setPanel(null);
  return (
    <Sheet
      ref={dialog}
      data-help
      aria-labelledby="help-title"
      onClose={close}
      // A click on the dialog itself is one beside its contents.
      onClick={(event) => event.target === event.currentTarget && close()}
    >
      <div>
        <Head>
          <h1 id="help-title">Keys and search</h1>
          <IconButton type="button" aria-label="Close" onClick={close}>
            <CloseIcon />
          </IconButton>
        </Head>
        <Columns>
          {SHORTCUTS.map(({ title, shortcuts }) => (
            <section key={title}>
              <h2>{title}</h2>
              <dl>
                {shortcuts.map(({ keys, what }) => (
                  <div key={what}>
                    <dt>
                      {keys.map((key) => (
                        <kbd key={key}>{key}</kbd>
                      ))}
                    </dt>
                    <dd>{what}</dd>
                  </div>
                ))}
              </dl>
            </section>
          ))}
          <section>
            <h2>Search</h2>
            <dl>
              {SEARCHES.map(([search, what]) => (
                <div key={search}>
                  <dt>
                    <code>{search}</code>
                  </dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        </Columns>
      </div>
    </Sheet>
  );
}

const Sheet = styled.dialog`
  width: min(780px, calc(100vw - 24px));
  max-height: calc(100dvh - 24px);
  padding: 0;
  border: 1px solid var(--line-strong);
  border-radius: 8px;
  background: var(--surface);
  color: var(--text-1);
  box-shadow: 0 16px 48px rgb(0 0 0 / 40%);
  &::backdrop {
    background: rgb(0 0 0 / 55%);
  }
  > div {
    padding: 16px 24px 24px;
  }
`;

const Head = styled.header`
  display: flex;
  align-items: center;
  justify-content: space-between;
  h1 {
    font-size: 18px;
    font-weight: 600;
    letter-spacing: -0.015em;
  }
`;

const Columns = styled.div`
  columns: 2;
  column-gap: 36px;
  @media (max-width: 720px) {
    columns: 1;
  }
  section {
    break-inside: avoid;
    padding-top: 14px;
  }
  h2 {
    padding-bottom: 6px;
    font-size: 11px;
    font-weight: 600;
    color: var(--text-3);
  }
  dl > div {
    display: grid;
    grid-template-columns: minmax(104px, auto) minmax(0, 1fr);
    align-items: center;
    gap: 12px;
    min-height: 28px;
    padding: 2px 0;
  }
  dt {
    display: flex;
    gap: 4px;
  }
  dd {
    font-size: 12px;
    color: var(--text-2);
  }
  kbd,
  code {
    font: 11px var(--mono);
  }
  kbd {
    min-width: 22px;
    padding: 2px 6px;
    border: 1px solid var(--line-strong);
    border-radius: 4px;
    background: var(--background);
    text-align: center;
  }
`;
