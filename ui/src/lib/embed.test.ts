import { expect, it } from 'vitest';
import { isEmbedded, standalone } from './embed';

it('is asked for by the address, and the view is kept in a page of its own', () => {
  expect(isEmbedded('?embed=1')).toBe(true);
  for (const query of ['', '?embed=0', '?embedded=1']) expect(isEmbedded(query)).toBe(false);
  expect(standalone('https://map.example/?embed=1#view=hosts&metric=cpu')).toBe(
    'https://map.example/#view=hosts&metric=cpu',
  );
});
