// Files of a container: paths, what a file is, and whether it is text.

export const FileKind = { Unspecified: 0, File: 1, Folder: 2, Link: 3, Special: 4 } as const;

export interface FileEntry {
  name: string;
  kind: number;
  size_bytes: number;
  mode: number;
  modified_unix_s: number;
  target: string;
  user_id: number;
  group_id: number;
  // It is not quite its name, and can't be asked for.
  name_replaced: boolean;
}

export interface FileListing {
  entries: FileEntry[];
  more: boolean;
  incomplete: string;
}

// What is shown of a file at once.
export const VIEW_BYTES_MAX = 256 * 1024;

export function joinPath(folder: string, name: string): string {
  return folder.endsWith('/') ? folder + name : `${folder}/${name}`;
}

// Each folder on the way, with its whole path; the root comes first.
export function steps(path: string): { name: string; path: string }[] {
  const found = [{ name: '/', path: '/' }];
  let so_far = '';
  for (const name of path.split('/')) {
    if (name === '') continue;
    so_far += `/${name}`;
    found.push({ name, path: so_far });
  }
  return found;
}

// What somebody typed, as a path from the root on.
export function typedPath(text: string): string {
  const path = `/${text}`.replace(/\/+/g, '/');
  return path.length > 1 ? path.replace(/\/$/, '') : path;
}

const LETTERS = ['x', 'w', 'r'] as const;
const FIRST: Record<number, string> = { [FileKind.Folder]: 'd', [FileKind.Link]: 'l', [FileKind.Special]: 's' };

// As ls writes it.
export function modeText(mode: number, kind: number): string {
  let text = FIRST[kind] ?? '-';
  for (let bit = 8; bit >= 0; bit--) text += (mode >> bit) & 1 ? LETTERS[bit % 3]! : '-';
  return text;
}

// A name in one line: what would not be seen in it is written out.
export function shownName(name: string): string {
  return name.replace(/[\u0000-\u001f\u007f]/g, (sign) => `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

// The text of a file's beginning; null where it is none. `cut`: there is more of it.
export function textOf(bytes: Uint8Array, cut: boolean): string | null {
  if (bytes.includes(0)) return null;
  try {
    // A letter may be cut in two.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: cut });
  } catch {
    return null;
  }
}

// Folders first, as people look for them; the aggregator's order within.
export function foldersFirst(entries: readonly FileEntry[]): FileEntry[] {
  const rank = ({ kind }: FileEntry) => (kind === FileKind.Folder ? 0 : 1);
  return [...entries].sort((a, b) => rank(a) - rank(b));
}
