import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { node } from '../../lib/samples';
import { countWords } from '../LogView';
import { ContainerControls } from './ContainerControls';

function rendered(state: string, available = true, label = 'web'): string {
  const container = node('container;1', { state, label });
  const control = { available, reason: available ? '' : 'the agent is away' };
  return renderToStaticMarkup(<ContainerControls node={container} control={control} onDone={() => {}} />);
}

describe('the controls of a container', () => {
  it('are those of its state, and its log', () => {
    const running = rendered('running');
    for (const label of ['Stop', 'Restart', 'Pause', 'Kill', 'Logs']) expect(running).toContain(`>${label}</button>`);
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
