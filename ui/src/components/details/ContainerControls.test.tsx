import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { mayNot } from '../../lib/control';
import { node } from '../../lib/samples';
import { countWords } from '../LogView';
import { ContainerControls } from './ContainerControls';

function rendered(state: string, available = true, label = 'web', refused = ''): string {
  const container = node('container;1', { state, label });
  const control = { available, reason: available ? '' : 'the agent is away' };
  return renderToStaticMarkup(<ContainerControls node={container} control={control} refused={refused} onDone={() => {}} />);
}

describe('the controls of a container', () => {
  it('are those of its state, and its log', () => {
    const running = rendered('running');
    for (const label of ['Stop', 'Restart', 'Pause', 'Kill', 'Logs', 'Files']) expect(running).toContain(`>${label}</button>`);
    expect(running).not.toContain('>Start<');
    expect(running).not.toContain('>Remove<');
    for (const label of ['Terminal', 'Attach']) {
      expect(running).toContain(`>${label}</button>`);
      expect(rendered('exited')).not.toContain(`>${label}</button>`);
    }
    expect(rendered('exited')).toContain('>Remove</button>');
    // Nothing is asked before something is pressed.
    expect(running).not.toContain('alertdialog');
  });

  it('can not be pressed by a viewer, who is told why', () => {
    expect(mayNot({ name: 'ann', role: 'operator' })).toBe('');
    expect(mayNot(null)).toBe('');
    const markup = rendered('running', true, 'web', mayNot({ name: 'ann', role: 'viewer' }));
    const buttons = markup.match(/<button[^>]*>/g) ?? [];
    expect(buttons).toHaveLength(8);
    for (const button of buttons) expect(button).toContain('aria-disabled="true"');
    expect(markup).toContain('ann is let in as a viewer');
  });

  it('say why there are none', () => {
    const markup = rendered('running', false);
    expect(markup).toContain('Not possible here: the agent is away.');
    expect(markup).not.toContain('<button');
  });
});

describe('the number of lines', () => {
  it('says what is shown and what the page has let go of', () => {
    expect(countWords(1, 1, 0, '')).toBe('1 line');
    expect(countWords(3, 20_000, 7, 'error')).toBe('3 of the last 20,000 lines');
  });
});
