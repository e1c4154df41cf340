// What people do to containers, and their logs.

import type { Verb } from '../lib/control';
import { answer } from './rest';

function path(id: string): string {
  return `/api/containers/${encodeURIComponent(id)}`;
}

export async function control(id: string, verb: Verb): Promise<void> {
  if (verb === 'remove') await answer(path(id), { method: 'DELETE' });
  else await answer(`${path(id)}/${verb}`, { method: 'POST' });
}

// Reads the last lines of a log and what is written from now on, until it ends or `signal` says so.
export async function followLog(id: string, signal: AbortSignal, text: (part: string) => void): Promise<void> {
  const response = await answer(`${path(id)}/logs?follow=true&tail=1000`, { signal });
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text(decoder.decode(value, { stream: true }));
  }
  text(decoder.decode());
}
