// Names come from whoever runs something on a node. Wherever the page writes one, it is text.

import type { ReactElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { afterEach, describe, expect, it } from 'vitest';
import type { TopologyNode } from '../api/types';
import { diff, node } from '../lib/samples';
import { useLive } from '../store/live';
import { applyDiff, emptyTopology } from '../store/topology';
import { DetailsHead } from './details/DetailsHead';
import { RefList } from './details/RefList';
import { SuggestionList } from './SuggestionList';
import { TableView } from './TableView';

const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  '"><script>alert(1)</script>',
  "' onmouseover='alert(1)",
  'javascript:alert(1)',
  '</strong><iframe srcdoc="<script>alert(1)</script>">',
  '${alert(1)}{{7*7}}',
  '\u202Egnp.exe',
];

// Elements and names of attributes, without texts and values.
function skeleton(markup: string): string {
  return markup.replaceAll(/"[^"]*"/g, '""').replaceAll(/>[^<]*</g, '><');
}

// The page is built as it is of a plain name, and the name is there in full.
function expectInert(draw: (name: string) => ReactElement, name: string) {
  const markup = renderToStaticMarkup(draw(name));
  expect(skeleton(markup)).toBe(skeleton(renderToStaticMarkup(draw('plain'))));
  const text = name.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  expect(markup).toContain(text.replaceAll('"', '&quot;').replaceAll("'", '&#x27;'));
}

function hostile(name: string): TopologyNode {
  return node(name, {
    label: name,
    label_minor: name,
    group: name,
    group_label: name,
    state: name,
    health: 'critical',
    health_reason: name,
  });
}

afterEach(() => useLive.setState({ topology: emptyTopology('containers') }));

describe.each(HOSTILE)('%s', (name) => {
  it('is text in the table', () => {
    expectInert((text) => {
      const nodes = [hostile(text)];
      useLive.setState({ topology: applyDiff(emptyTopology('containers'), diff({ reset: true, nodes }))! });
      return <TableView />;
    }, name);
  });

  it('is text in the details', () => {
    expectInert((text) => <DetailsHead node={hostile(text)} gone={false} />, name);
    expectInert((text) => <RefList title={text} refs={[{ view: 'hosts', id: text, label: text }]} />, name);
  });

  it('is text among the suggestions', () => {
    expectInert((text) => {
      const suggestions = [{ text, kind: 'value' as const, label: text, nodes: 1 }];
      return <SuggestionList id="list" suggestions={suggestions} active={0} onTake={() => {}} />;
    }, name);
  });
});
