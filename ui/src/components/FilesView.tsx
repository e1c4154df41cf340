import { useEffect, useRef, useState } from 'react';
import styled from 'styled-components';
import { download, readHead, upload } from '../api/files';
import { ApiError } from '../api/rest';
import {
  FileKind,
  joinPath,
  modeText,
  shownName,
  steps,
  textOf,
  typedPath,
  VIEW_BYTES_MAX,
  type FileEntry,
} from '../lib/files';
import { bytes, joined, moment } from '../lib/format';
import { saveBlob } from '../lib/save';
import { Button, LinkButton, VisuallyHidden } from './controls';
import { ShownFile, type Shown } from './ShownFile';
import { useFiles } from './useFiles';

const KINDS: Record<number, string> = {
  [FileKind.Folder]: 'Folder',
  [FileKind.Link]: 'Link',
  [FileKind.Special]: 'Device, pipe or socket',
};

interface Carried {
  what: string;
  so_far: number;
  all: number | null;
}

// The files of one container: a folder at a time, what is in a file, and both ways out and in.
export function FilesView({ id, label }: { id: string; label: string }) {
  const [folder, setFolder] = useState('/');
  const { entries, more, incomplete, busy, problem, goOn, again } = useFiles(id, folder);
  const [shown, setShown] = useState<Shown | null>(null);
  const [carried, setCarried] = useState<Carried | null>(null);
  const [failed, setFailed] = useState('');
  const [replacing, setReplacing] = useState<File | null>(null);
  const stop = useRef<AbortController>(null);
  const chooser = useRef<HTMLInputElement>(null);

  // What is under way ends with the tab.
  useEffect(() => () => stop.current?.abort(), []);

  const go = (path: string) => {
    setShown(null);
    setFailed('');
    setReplacing(null);
    setFolder(path);
  };
  // One at a time: the agent of a node carries four for all.
  const carry = async (what: string, work: (signal: AbortSignal, progress: (so_far: number, all: number | null) => void) => Promise<void>) => {
    stop.current?.abort();
    const own = new AbortController();
    stop.current = own;
    setFailed('');
    setCarried({ what, so_far: 0, all: null });
    try {
      await work(own.signal, (so_far, all) => setCarried({ what, so_far, all }));
    } catch (error) {
      if (!own.signal.aborted) setFailed(`${what}: ${(error as Error).message}`);
    } finally {
      if (stop.current === own) setCarried(null);
    }
  };
  const view = (entry: FileEntry) =>
    carry(`Opening ${shownName(entry.name)}`, async (signal) => {
      const path = joinPath(folder, entry.name);
      const { bytes: head, size } = await readHead(id, path, VIEW_BYTES_MAX, signal);
      setShown({ path, size, text: textOf(head, size > head.length), cut: size > head.length });
    });
  const save = (path: string, name: string, isFolder: boolean) =>
    carry(`Downloading ${shownName(name)}`, async (signal, progress) => {
      saveBlob(await download(id, path, signal, progress), isFolder ? `${name}.tar` : name);
    });
  const send = (file: File, replace: boolean) =>
    carry(`Uploading ${shownName(file.name)}`, async (signal, progress) => {
      try {
        await upload(id, joinPath(folder, file.name), file, replace, signal, progress);
      } catch (error) {
        // Asked about before it is replaced.
        if (!replace && error instanceof ApiError && error.status === 409 && entries.some(({ name, kind }) => name === file.name && kind === FileKind.File)) {
          setReplacing(file);
          return;
        }
        throw error;
      }
      again();
    });
  const open = (entry: FileEntry) => {
    if (entry.kind === FileKind.Folder) go(joinPath(folder, entry.name));
    else void view(entry);
  };

  if (shown) {
    return <ShownFile shown={shown} onBack={() => setShown(null)} onSave={() => void save(shown.path, shown.path.split('/').pop()!, false)} />;
  }
  return (
    <>
      <Bar>
        <Way aria-label="Folder">
          {steps(folder).map(({ name, path }) => (
            <LinkButton key={path} type="button" aria-current={path === folder ? 'page' : undefined} onClick={() => go(path)}>
              {shownName(name)}
            </LinkButton>
          ))}
        </Way>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const field = event.currentTarget.elements.namedItem('path') as HTMLInputElement;
            go(typedPath(field.value));
            field.value = '';
          }}
        >
          <PathField name="path" aria-label={`Go to a folder of ${label}`} placeholder="Go to /…" autoComplete="off" spellCheck={false} />
        </form>
        <Button type="button" onClick={again}>
          Refresh
        </Button>
        <Button type="button" onClick={() => void save(folder, folder.split('/').pop() || 'root', true)}>
          Download folder
        </Button>
        <Button type="button" onClick={() => chooser.current?.click()}>
          Upload…
        </Button>
        <input
          ref={chooser}
          type="file"
          hidden
          data-testid="upload"
          onChange={(event) => {
            const file = event.currentTarget.files?.[0];
            event.currentTarget.value = '';
            if (file) void send(file, false);
          }}
        />
      </Bar>
      {carried && (
        <Note role="status">
          {carried.what}… {progressText(carried)}
          <LinkButton type="button" onClick={() => { stop.current?.abort(); setCarried(null); }}>
            Cancel
          </LinkButton>
        </Note>
      )}
      {replacing && (
        <Note role="alertdialog" aria-label="Replace the file?">
          {shownName(replacing.name)} exists already. Its contents are lost when it is replaced.
          <Button type="button" $primary onClick={() => { setReplacing(null); void send(replacing, true); }}>
            Replace
          </Button>
          <Button type="button" onClick={() => setReplacing(null)}>
            Cancel
          </Button>
        </Note>
      )}
      {failed && <Failed role="alert">{failed}</Failed>}
      {problem && (
        <Failed role="alert">
          {problem} <LinkButton type="button" onClick={again}>Try again</LinkButton>
        </Failed>
      )}
      <Box tabIndex={0} aria-label={`Files of ${label}`}>
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Size</th>
              <th scope="col">Rights</th>
              <th scope="col">Changed</th>
              <th scope="col">
                <VisuallyHidden>Download</VisuallyHidden>
              </th>
            </tr>
          </thead>
          <tbody>
            {entries.map((entry) => (
              <FileRow key={entry.name} entry={entry} onOpen={() => open(entry)} onFollow={() => go(joinPath(folder, entry.name))} onSave={() => void save(joinPath(folder, entry.name), entry.name, entry.kind === FileKind.Folder)} />
            ))}
          </tbody>
        </table>
        {!busy && !problem && entries.length === 0 && <Note>This folder is empty.</Note>}
        {busy && <Note role="status">Reading the folder…</Note>}
        {incomplete && <Note role="status">Not all of it: {incomplete}.</Note>}
        {more && !busy && (
          <Note>
            <Button type="button" onClick={goOn}>
              Show more
            </Button>
            {entries.length.toLocaleString('en')} are shown.
          </Note>
        )}
      </Box>
    </>
  );
}

function FileRow({ entry, onOpen, onFollow, onSave }: { entry: FileEntry; onOpen: () => void; onFollow: () => void; onSave: () => void }) {
  const { name, kind, target } = entry;
  const opens = kind !== FileKind.Special && !entry.name_replaced;
  const title = entry.name_replaced ? 'Its name is not UTF-8: download the folder to have it.' : KINDS[kind];
  return (
    <tr data-kind={kind}>
      <td title={title}>
        {opens ? (
          <LinkButton type="button" onClick={onOpen}>
            {shownName(name)}
            {kind === FileKind.Folder && '/'}
          </LinkButton>
        ) : (
          shownName(name)
        )}
        {kind === FileKind.Link && (
          <small>
            → {shownName(target)}{' '}
            <LinkButton type="button" title="Where it leads to a folder" onClick={onFollow}>
              open as folder
            </LinkButton>
          </small>
        )}
        {kind === FileKind.Special && <small>{KINDS[kind]}</small>}
      </td>
      <td>{kind === FileKind.File ? joined(bytes(entry.size_bytes)) : '–'}</td>
      <td>{modeText(entry.mode, kind)}</td>
      <td>{entry.modified_unix_s > 0 ? moment(entry.modified_unix_s * 1000) : '–'}</td>
      <td>
        {opens && (
          <LinkButton type="button" aria-label={`Download ${shownName(name)}`} onClick={onSave}>
            Download
          </LinkButton>
        )}
      </td>
    </tr>
  );
}

export function progressText({ so_far, all }: Pick<Carried, 'so_far' | 'all'>): string {
  if (so_far === 0) return '';
  const size = joined(bytes(so_far));
  if (all === null || all === 0) return size;
  return `${size} of ${joined(bytes(all))}, ${Math.floor((so_far / all) * 100)}%`;
}

const Bar = styled.div`
  flex: none;
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 8px;
  padding: 6px 12px;
`;

const Way = styled.nav`
  margin-right: auto;
  min-width: 0;
  display: flex;
  flex-wrap: wrap;
  font: 12px var(--mono);
  > * + *::before {
    content: '/';
    padding: 0 3px;
    color: var(--text-3);
  }
  > :nth-child(2)::before {
    content: '';
    padding: 0 1px;
  }
  [aria-current] {
    color: var(--text-1);
  }
`;

const PathField = styled.input`
  width: 170px;
  height: 28px;
  padding: 0 10px;
  border: 1px solid var(--line-strong);
  border-radius: 6px;
  background: var(--background);
  color: var(--text-1);
  font: 12px var(--mono);
`;

const Note = styled.div`
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 8px;
  padding: 6px 12px;
  font-size: 12px;
  color: var(--text-2);
  overflow-wrap: anywhere;
`;

const Failed = styled.p`
  padding: 6px 12px;
  font-size: 12px;
  color: var(--critical-text);
  overflow-wrap: anywhere;
`;

const Box = styled.div`
  flex: 1;
  min-height: 0;
  overflow: auto;
  background: var(--background);
  border-top: 1px solid var(--line);
  table {
    width: 100%;
    border-collapse: collapse;
    font-size: 12px;
  }
  th {
    position: sticky;
    top: 0;
    padding: 5px 12px;
    background: var(--background);
    font-size: 11px;
    font-weight: 600;
    text-align: left;
    color: var(--text-3);
  }
  td {
    padding: 3px 12px;
    color: var(--text-2);
    font-family: var(--mono);
    font-variant-numeric: tabular-nums;
    white-space: nowrap;
  }
  td:first-child {
    white-space: normal;
    overflow-wrap: anywhere;
  }
  th:nth-child(2),
  td:nth-child(2) {
    text-align: right;
  }
  tr:hover td {
    background: var(--surface);
  }
  tr:not([data-kind='2']) td:first-child > button {
    color: var(--text-1);
    font-weight: 400;
  }
  small {
    margin-left: 8px;
    color: var(--text-3);
  }
  @media (max-width: 760px) {
    th:nth-child(3),
    td:nth-child(3),
    th:nth-child(4),
    td:nth-child(4) {
      display: none;
    }
  }
`;
