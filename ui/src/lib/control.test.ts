import { describe, expect, it } from 'vitest';
import { actionsFor } from './control';

const verbs = (state: string) => actionsFor(state, 'web').map(({ verb }) => verb);

describe('what can be done to a container', () => {
  it('fits its state', () => {
    expect(verbs('running')).toEqual(['stop', 'restart', 'pause', 'kill']);
    expect(verbs('paused')).toContain('unpause');
    expect(verbs('exited')).toEqual(['start', 'remove']);
    expect(verbs('removed')).toEqual([]);
    // A newer aggregator's state that this page does not know.
    expect(verbs('hibernating')).toEqual(['start', 'stop']);
  });

  it('is asked about first where something is interrupted or lost, by its name', () => {
    for (const state of ['running', 'paused', 'exited', 'created', 'dead', 'restarting']) {
      for (const { verb, question } of actionsFor(state, 'cart-redis')) {
        if (verb === 'start' || verb === 'unpause') expect(question).toBeNull();
        else expect(question).toContain('cart-redis?');
      }
    }
    const remove = actionsFor('exited', 'web').find(({ verb }) => verb === 'remove');
    expect(remove?.question).toContain('lost for good');
  });
});
