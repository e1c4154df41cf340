import styled from 'styled-components';
import type { NodeLink } from '../../api/types';
import { SectionTitle } from '../controls';
import { WindowIcon } from '../icons';

// Where else the node may be looked at. Nothing but the web: the templates are the operator's, the rest
// is from the node.
export function Links({ links }: { links: readonly NodeLink[] }) {
  const safe = links.filter(({ url }) => /^https?:\/\//.test(url));
  if (safe.length === 0) return null;
  return (
    <section aria-label="Elsewhere">
      <SectionTitle>Elsewhere</SectionTitle>
      <List>
        {safe.map(({ label, url }) => (
          <li key={`${label} ${url}`}>
            <a href={url} target="_blank" rel="noopener noreferrer">
              {label} <WindowIcon size={11} />
            </a>
          </li>
        ))}
      </List>
    </section>
  );
}

const List = styled.ul`
  margin-top: 8px;
  display: flex;
  flex-wrap: wrap;
  gap: 6px 14px;
  a {
    display: inline-flex;
    align-items: center;
    gap: 5px;
    color: var(--accent);
    font-size: 12px;
    text-decoration: none;
  }
  a:hover {
    text-decoration: underline;
  }
`;
