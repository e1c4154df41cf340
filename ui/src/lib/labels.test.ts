import { expect, it } from 'vitest';
import { labelFrom } from './labels';

it('is a key and a value, which may hold the sign itself', () => {
  expect(labelFrom(' team = the shop ')).toEqual({ key: 'team', value: 'the shop' });
  expect(labelFrom('query=a=b')).toEqual({ key: 'query', value: 'a=b' });
  for (const bad of ['', 'team', '=shop', 'team=', ' = ']) expect(labelFrom(bad), bad).toBeNull();
});
