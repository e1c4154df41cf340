import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { progressText } from './FilesView';
import { about, ShownFile } from './ShownFile';

const nothing = () => {};

describe('a file that is looked at', () => {
  it('is text and nothing else, whatever is in it and its name', () => {
    const text = '<script>alert(1)</script>';
    const markup = renderToStaticMarkup(
      <ShownFile shown={{ path: '/a/<img src=x>\n', size: 25, text, cut: false }} onBack={nothing} onSave={nothing} />,
    );
    expect(markup).not.toContain('<script>');
    expect(markup).not.toContain('<img');
    expect(markup).toContain('&lt;script&gt;');
    expect(markup).toContain('\\x0a');
  });

  it('is said to be cut, empty, or no text', () => {
    expect(about({ path: '/a', size: 2048, text: 'x'.repeat(1024), cut: true })).toBe('The first 1 KiB of 2 KiB.');
    expect(about({ path: '/a', size: 0, text: '', cut: false })).toBe('It is empty.');
    expect(about({ path: '/a', size: 2048, text: null, cut: false })).toContain('not text');
  });
});

it('tells how far a file is', () => {
  expect(progressText({ so_far: 0, all: null })).toBe('');
  expect(progressText({ so_far: 512, all: 1024 })).toBe('512 B of 1 KiB, 50%');
  expect(progressText({ so_far: 2048, all: null })).toBe('2 KiB');
});
