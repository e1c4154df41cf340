// What people do to containers, and their logs.

import type { Told } from '../lib/bulk';
import type { Verb } from '../lib/control';
import { answer, ApiError } from './rest';

function path(id: string): string {
  return `/api/containers/${encodeURIComponent(id)}`;
}

export async function control(id: string, verb: Verb): Promise<void> {
  if (verb === 'remove') await answer(path(id), { method: 'DELETE' });
  else await answer(`${path(id)}/${verb}`, { method: 'POST' });
}

// Presses a control of a plugin; gives what the plugin says of it.
export async function press(view: string, id: string, plugin: string, control: string): Promise<string> {
  const parts = ['topology', view, id, 'plugins', plugin, control].map(encodeURIComponent);
  const response = await answer(`/api/${parts.join('/')}`, { method: 'POST' });
  const { message } = (await response.json()) as { message: string };
  return message;
}

// Does the same to many, and tells what came of each as soon as it is known.
export async function controlMany(action: Verb, containers: string[], told: (one: Told) => void): Promise<void> {
  const response = await answer('/api/v1/control/bulk', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ action, containers }),
  });
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  let rest = '';
  while (reader) {
    const { done, value } = await reader.read().catch(() => {
      throw new ApiError('The connection to the aggregator is lost.', 0);
    });
    const lines = (rest + decoder.decode(value, { stream: !done })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') told(JSON.parse(line) as Told);
    if (done) break;
  }
}

// Reads the last lines of a log, or all since a second, and what is written from now on, until it ends or
// `signal` says so. Each line begins with its time.
export async function followLog(
  id: string,
  sinceUnixS: number | null,
  signal: AbortSignal,
  text: (part: string) => void,
): Promise<void> {
  const from = sinceUnixS === null ? 'tail=1000' : `tail=all&since=${sinceUnixS}`;
  const response = await answer(`${path(id)}/logs?follow=true&timestamps=true&${from}`, { signal });
  // It is there, whether or not something is written.
  text('');
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      if (signal.aborted) throw cause;
      throw new ApiError('The connection to the aggregator is lost.', 0);
    });
    if (done) break;
    text(decoder.decode(value, { stream: true }));
  }
  text(decoder.decode());
}
