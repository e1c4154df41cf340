// Exports: from what the page shows at this moment to a file that the browser saves.

import { theMap } from '../graph/handle';
import { csvOf, fileName, viewOf } from '../lib/export';
import { moment } from '../lib/format';
import { sortRows, tableRows } from '../lib/table';
import { matchedNodes } from './filter';
import { useLive } from './live';
import { usePage } from './page';
import { toHash } from './persist';
import { useSearch } from './search';

export type ExportKind = 'png' | 'svg' | 'csv' | 'json';

function save(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser reads it after the click has returned.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function contents(kind: ExportKind): Promise<Blob> | Blob {
  const page = usePage.getState();
  const { topology } = useLive.getState();
  const only = matchedNodes(topology, page, useSearch.getState());
  if (kind === 'csv') {
    // The mark tells spreadsheets that the text is UTF-8.
    return new Blob(['\uFEFF', csvOf(sortRows(tableRows(topology, only), page.sort))], { type: 'text/csv' });
  }
  if (kind === 'json') {
    const address = location.origin + location.pathname + toHash(page);
    const view = viewOf(topology, only, page, address, Date.now());
    return new Blob([JSON.stringify(view, null, 2)], { type: 'application/json' });
  }
  const map = theMap();
  if (!map) throw new Error('There is a picture of the map only while the map is shown.');
  const what = [`Mesoscope: ${page.view}`, moment(topology.timeUnixMs || Date.now())];
  if (page.search.trim()) what.push(`search: ${page.search.trim()}`);
  for (const pin of page.pins) what.push(`filter: ${pin}`);
  if (page.health) what.push(`only ${page.health}`);
  if (page.hosts.length > 0) what.push(`${page.hosts.length} of the hosts`);
  const caption = what.join('   ·   ');
  return kind === 'svg' ? map.drawing(caption) : map.picture(caption);
}

export async function exportView(kind: ExportKind): Promise<void> {
  const name = fileName(usePage.getState().view, kind, Date.now());
  save(await contents(kind), name);
}
