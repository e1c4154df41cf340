import { useState } from 'react';
import { nodeChildren } from '../../api/rest';
import { VIEWS, type NodeDetails, type NodeRef } from '../../api/types';
import { count } from '../../lib/format';
import { VIEW_INFO } from '../../lib/views';
import { say } from '../../store/notice';
import { usePage } from '../../store/page';
import { LinkButton } from '../controls';
import { RefList } from './RefList';

// What is in a node, by view. Its details have the first 2,000; more come on request.
export function Children({ details, view, id }: { details: NodeDetails; view: string; id: string }) {
  const [more, setMore] = useState<NodeRef[]>([]);
  const [end, setEnd] = useState(false);
  const left = end ? 0 : details.children_left_out - more.length;
  const load = async () => {
    try {
      const answer = await nodeChildren(view, id, details.children.length + more.length, usePage.getState().time);
      setMore([...more, ...answer.children]);
      setEnd(answer.cursor === null);
    } catch (error) {
      say((error as Error).message);
    }
  };
  return (
    <>
      {listed(details, more).map(([title, refs]) => (
        <RefList key={title} title={title} refs={refs} />
      ))}
      {left > 0 && (
        <p>
          <LinkButton type="button" onClick={() => void load()}>
            List some of {count(left)} more
          </LinkButton>
        </p>
      )}
    </>
  );
}

// The processes that the tree shows are not listed again.
export function listed(details: NodeDetails, more: readonly NodeRef[]): [string, NodeRef[]][] {
  const known = new Set(details.children.map((ref) => `${ref.view} ${ref.id}`));
  const all = [...details.children, ...more.filter((ref) => !known.has(`${ref.view} ${ref.id}`))];
  const lists = VIEWS.map((view): [string, NodeRef[]] => [VIEW_INFO[view].name, all.filter((ref) => ref.view === view)]);
  const inTree = details.processes.length > 0;
  return lists.filter(([title, refs]) => refs.length > 0 && !(inTree && title === VIEW_INFO.processes.name));
}
