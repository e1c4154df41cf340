import styled from 'styled-components';
import type { Field, Section, TopologyNode } from '../../api/types';
import { field as formatted } from '../../lib/format';
import { LinkButton, SectionTitle } from '../controls';

interface SectionsProps {
  node: TopologyNode | null;
  sections: readonly Section[];
  environment: boolean;
  onEnvironment: () => void;
}

const ENVIRONMENT = 'Environment';

// Tables of metadata. The environment may hold secrets: it is not even asked for until somebody wants it.
export function Sections({ node, sections, environment, onEnvironment }: SectionsProps) {
  // Until the details have come, what the map itself knows.
  const shown = sections.length > 0 || !node ? sections : [{ title: 'Facts', fields: node.metadata }];
  const hasEnvironment = node?.kind === 'container';
  const revealed = shown.some((section) => section.title === ENVIRONMENT);
  return (
    <>
      {shown
        .filter((section) => section.fields.length > 0 || section.title === ENVIRONMENT)
        .map((section) => (
          <section key={section.title}>
            <SectionTitle>
              {section.title}
              {section.title === ENVIRONMENT && environment && (
                <LinkButton type="button" onClick={onEnvironment}>
                  Hide
                </LinkButton>
              )}
            </SectionTitle>
            <Fields fields={section.fields} />
          </section>
        ))}
      {hasEnvironment && !revealed && (
        <section>
          <SectionTitle>{ENVIRONMENT}</SectionTitle>
          {environment ? (
            <Quiet>No environment is known of this container.</Quiet>
          ) : (
            <LinkButton type="button" onClick={onEnvironment}>
              Reveal (may hold secrets)
            </LinkButton>
          )}
        </section>
      )}
    </>
  );
}

export function Fields({ fields }: { fields: readonly Field[] }) {
  if (fields.length === 0) return <Quiet>Nothing is known.</Quiet>;
  return (
    <Table>
      {fields.map((field, i) => (
        <div key={`${field.key} ${i}`}>
          <dt title={field.label || field.key}>{field.label || field.key}</dt>
          <dd>{formatted(field.value, field.type)}</dd>
        </div>
      ))}
    </Table>
  );
}

const Table = styled.dl`
  margin-top: 6px;
  font-size: 12px;
  > div {
    display: grid;
    grid-template-columns: 104px minmax(0, 1fr);
    gap: 10px;
    padding: 2.5px 0;
  }
  dt {
    color: var(--text-3);
    overflow: hidden;
    text-overflow: ellipsis;
  }
  dd {
    font: 12px/1.5 var(--mono);
    font-variant-ligatures: none;
    overflow-wrap: anywhere;
    max-height: 7.5em;
    overflow-y: auto;
  }
  && + button {
    margin-top: 6px;
  }
`;

const Quiet = styled.p`
  margin-top: 4px;
  font-size: 12px;
  color: var(--text-3);
`;
