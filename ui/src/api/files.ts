// Files of containers: listed, read, uploaded.

import type { FileListing } from '../lib/files';
import { answer, ApiError, errorText } from './rest';

// Bytes so far, and all of them where that is known.
export type Progress = (bytes: number, all: number | null) => void;

const LISTED = 500;

function path(id: string, what: 'file' | 'files', query: Record<string, string>): string {
  return `/api/containers/${encodeURIComponent(id)}/${what}?${new URLSearchParams(query).toString()}`;
}

export async function listFiles(id: string, folder: string, after: string, signal: AbortSignal): Promise<FileListing> {
  const query: Record<string, string> = { path: folder, limit: String(LISTED) };
  if (after !== '') query.after = after;
  return (await (await answer(path(id, 'files', query), { signal })).json()) as FileListing;
}

// The beginning of a file, and how large all of it is.
export async function readHead(
  id: string,
  file: string,
  head: number,
  signal: AbortSignal,
): Promise<{ bytes: Uint8Array; size: number }> {
  const response = await answer(path(id, 'file', { path: file, head: String(head) }), { signal });
  const bytes = await read(response, () => {});
  const size = Number(response.headers.get('x-file-size') ?? bytes.size);
  return { bytes: new Uint8Array(await bytes.arrayBuffer()), size };
}

// A file, or the tar of a folder, in pieces that the browser may keep on its disk.
export async function download(id: string, file: string, signal: AbortSignal, progress: Progress): Promise<Blob> {
  const response = await answer(path(id, 'file', { path: file }), { signal });
  return read(response, progress);
}

async function read(response: Response, progress: Progress): Promise<Blob> {
  const told = response.headers.get('content-length');
  const all = told === null ? null : Number(told);
  const parts: BlobPart[] = [];
  let so_far = 0;
  const reader = response.body?.getReader();
  while (reader) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      if ((cause as Error).name === 'AbortError') throw cause;
      throw new ApiError('It broke off: it could not be read further, or the connection is lost. Try again, or take a smaller part.', 0);
    });
    if (done) break;
    parts.push(value);
    so_far += value.length;
    progress(so_far, all);
  }
  return new Blob(parts);
}

// Writes a file. fetch tells nothing of how far an upload is.
export function upload(
  id: string,
  to: string,
  data: Blob,
  replace: boolean,
  signal: AbortSignal,
  progress: Progress,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('PUT', path(id, 'file', replace ? { path: to, replace: 'true' } : { path: to }));
    request.setRequestHeader('content-type', 'application/octet-stream');
    request.upload.onprogress = ({ loaded, total }) => progress(loaded, total);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(new ApiError(said(request), request.status));
    };
    request.onerror = () => reject(new ApiError('The aggregator does not answer, or broke the upload off.', 0));
    request.onabort = () => reject(new DOMException('Cancelled', 'AbortError'));
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.send(data);
  });
}

function said({ responseText, status }: XMLHttpRequest): string {
  try {
    return errorText(JSON.parse(responseText)) ?? `The aggregator answered ${status}.`;
  } catch {
    return `The aggregator answered ${status}.`;
  }
}
