import { describe, expect, it } from 'vitest';
import { FileKind, foldersFirst, joinPath, modeText, shownName, steps, textOf, typedPath, type FileEntry } from './files';

const bytes = (...list: number[]) => Uint8Array.from(list);

describe('paths', () => {
  it('lead from the root on', () => {
    expect(joinPath('/', 'etc')).toBe('/etc');
    expect(joinPath('/etc', 'hosts')).toBe('/etc/hosts');
    expect(steps('/').map(({ name }) => name)).toEqual(['/']);
    expect(steps('/var/log')).toEqual([
      { name: '/', path: '/' },
      { name: 'var', path: '/var' },
      { name: 'log', path: '/var/log' },
    ]);
  });

  it('may be typed carelessly', () => {
    expect(typedPath('var//log/')).toBe('/var/log');
    expect(typedPath('')).toBe('/');
    expect(typedPath('//')).toBe('/');
  });
});

describe('a file', () => {
  it('has its rights as ls writes them', () => {
    expect(modeText(0o755, FileKind.Folder)).toBe('drwxr-xr-x');
    expect(modeText(0o640, FileKind.File)).toBe('-rw-r-----');
    expect(modeText(0o777, FileKind.Link)).toBe('lrwxrwxrwx');
  });

  it('keeps to one line, whatever its name', () => {
    expect(shownName('a\nb\u001b[31m<i>')).toBe('a\\x0ab\\x1b[31m<i>');
  });

  it('is text, or is said not to be', () => {
    expect(textOf(bytes(0x68, 0x69), false)).toBe('hi');
    expect(textOf(bytes(), false)).toBe('');
    expect(textOf(bytes(0x68, 0x00), false)).toBeNull();
    expect(textOf(bytes(0xff, 0xfe, 0x41), false)).toBeNull();
    // Cut within a letter: that one is left out.
    expect(textOf(bytes(0x68, 0xc3), true)).toBe('h');
    expect(textOf(bytes(0x68, 0xc3), false)).toBeNull();
  });

  it('comes after the folders', () => {
    const entry = (name: string, kind: number) => ({ name, kind }) as FileEntry;
    const sorted = foldersFirst([entry('a', FileKind.File), entry('b', FileKind.Folder), entry('c', FileKind.Link)]);
    expect(sorted.map(({ name }) => name)).toEqual(['b', 'a', 'c']);
  });
});
