import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import type { PluginFacts } from '../../api/types';
import { node } from '../../lib/samples';
import { PluginSection } from './PluginSection';

function facts(text: string): PluginFacts {
  return {
    plugin: 'http-check',
    label: text,
    metadata: [{ key: 'http', label: text, value: text, type: 'text' }],
    metrics: [{ key: 'http_ms', label: text, value: 12.5, unit: 'ms', max: 0 }],
    tables: [{ key: 'checks', label: text, columns: [text, 'Took'], rows: [{ cells: [text, '12'] }] }],
    controls: [{ key: 'forget', label: text, confirm: text }],
  };
}

function rendered(told: PluginFacts, refused = ''): string {
  const container = node('container;1', { label: 'web' });
  return renderToStaticMarkup(
    <PluginSection view="containers" node={container} facts={told} refused={refused} onDone={() => {}} />,
  );
}

// Elements and names of attributes, without texts and values.
function skeleton(markup: string): string {
  return markup.replaceAll(/"[^"]*"/g, '""').replaceAll(/>[^<]*</g, '><');
}

describe('what a plugin says', () => {
  it('is shown whole, with the buttons of its controls', () => {
    const markup = rendered(facts('Forget'));
    expect(markup).toContain('<dt title="Forget">Forget</dt><dd>Forget</dd>');
    expect(markup).toContain('<td>Forget</td><td>12</td>');
    expect(markup).toContain('12.5');
    expect(markup).toContain('>Forget</button>');
    // Nothing is asked before something is pressed.
    expect(markup).not.toContain('alertdialog');
  });

  it('can be looked at by a viewer, who is told why he can press nothing', () => {
    const markup = rendered(facts('Forget'), 'ann may look only');
    expect(markup).toMatch(/<button[^>]*aria-disabled="true"/);
    expect(markup).toContain('Not possible: ann may look only.');
  });

  it.each(['<img src=x onerror=alert(1)>', '"><script>alert(1)</script>', "' onmouseover='alert(1)"])(
    'is text, also where it is %s',
    (hostile) => {
      const markup = rendered(facts(hostile));
      expect(skeleton(markup)).toBe(skeleton(rendered(facts('plain'))));
      expect(markup).not.toContain('<img');
      expect(markup).not.toContain('<script');
    },
  );

  it('may be nothing but a figure', () => {
    const markup = rendered({ ...facts('x'), metadata: [], tables: [], controls: [] });
    expect(markup).not.toContain('<button');
    expect(markup).toContain('aria-label="Metrics of x"');
  });
});
