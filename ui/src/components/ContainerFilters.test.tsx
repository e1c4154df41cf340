import { renderToStaticMarkup } from 'react-dom/server';
import { afterEach, describe, expect, it } from 'vitest';
import { isFiltered, usePage, viewOptions } from '../store/page';
import { ChoiceList } from './ContainerFilters';

const first = usePage.getState();
afterEach(() => usePage.setState(first, true));

describe('filters of containers', () => {
  it('are check boxes, with what a link has brought', () => {
    const choices = [{ name: 'Team shop', value: 'team=shop' }];
    const render = (chosen: string[]) =>
      renderToStaticMarkup(<ChoiceList title="Labels" filter="labels" choices={choices} chosen={chosen} />);
    expect(render([])).toContain('Team shop');
    expect(render([])).not.toContain('checked');
    const brought = render(['tier=web']);
    expect(brought.match(/type="checkbox"/g)).toHaveLength(2);
    expect(brought).toContain('tier=web');
  });

  it('are asked of the aggregator, several of each, and lifted together', () => {
    const { toggleContainers, clearFilters } = usePage.getState();
    toggleContainers('namespaces', 'shop');
    toggleContainers('namespaces', 'data');
    toggleContainers('labels', 'team=shop');
    toggleContainers('namespaces', 'shop');
    const options = viewOptions(usePage.getState());
    expect(options).toMatchObject({ namespaces: ['data'], networks: [], labels: ['team=shop'] });
    expect(isFiltered(usePage.getState())).toBe(true);
    clearFilters();
    expect(isFiltered(usePage.getState())).toBe(false);
  });
});
