import { useEffect, useState } from 'react';
import { listFiles } from '../api/files';
import { foldersFirst, type FileEntry } from '../lib/files';

interface Folder {
  // Folders first.
  entries: FileEntry[];
  // There are further ones.
  more: boolean;
  incomplete: string;
  busy: boolean;
  problem: string;
  goOn: () => void;
  again: () => void;
}

interface Listed {
  of: string;
  pages: FileEntry[];
  more: boolean;
  incomplete: string;
}

const NOTHING = { pages: [], more: false, incomplete: '' };

// A folder of a container, page by page.
export function useFiles(id: string, folder: string): Folder {
  const [listed, setListed] = useState<Listed>({ of: folder, ...NOTHING });
  const [asked, setAsked] = useState({ folder, after: '', turn: 0 });
  const [busy, setBusy] = useState(true);
  const [problem, setProblem] = useState('');
  // Another folder is read from its first name.
  const { after, turn } = asked.folder === folder ? asked : { after: '', turn: 0 };

  useEffect(() => {
    const stop = new AbortController();
    setBusy(true);
    setProblem('');
    listFiles(id, folder, after, stop.signal)
      .then(({ entries, more, incomplete }) =>
        setListed((before) => {
          const kept = after !== '' && before.of === folder ? before.pages : [];
          return { of: folder, pages: [...kept, ...entries], more, incomplete };
        }),
      )
      .catch((error: unknown) => {
        if (!stop.signal.aborted) setProblem((error as Error).message);
      })
      .finally(() => {
        if (!stop.signal.aborted) setBusy(false);
      });
    return () => stop.abort();
  }, [id, folder, after, turn]);

  const { pages, more, incomplete } = listed.of === folder ? listed : NOTHING;
  return {
    entries: foldersFirst(pages),
    more,
    incomplete,
    busy,
    problem,
    goOn: () => setAsked({ folder, after: pages.at(-1)?.name ?? '', turn }),
    again: () => setAsked({ folder, after: '', turn: turn + 1 }),
  };
}
