import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import type { NodeDetails } from '../../api/types';
import { listed } from './Children';
import { Links } from './Links';

describe('links elsewhere', () => {
  it('lead to the web and nowhere else, with no word of where they come from', () => {
    const links = [
      { label: 'Grafana', url: 'https://grafana.example/d/x?var-host=a' },
      { label: 'Odd', url: 'javascript:alert(1)' },
    ];
    const markup = renderToStaticMarkup(<Links links={links} />);
    expect(markup).toContain('href="https://grafana.example/d/x?var-host=a"');
    expect(markup).toContain('rel="noopener noreferrer"');
    expect(markup).not.toContain('javascript');
    expect(renderToStaticMarkup(<Links links={[]} />)).toBe('');
  });
});

describe('children', () => {
  it('that come in parts are listed once, by view', () => {
    const ref = (id: string, view = 'containers') => ({ view, id, label: id });
    const details = { children: [ref('a'), ref('p', 'processes')], processes: [] } as unknown as NodeDetails;
    const lists = listed(details, [ref('a'), ref('b')]);
    expect(lists.map(([title, refs]) => [title, refs.map(({ id }) => id)])).toEqual([
      ['Processes', ['p']],
      ['Containers', ['a', 'b']],
    ]);
  });
});
