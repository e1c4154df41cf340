// A terminal in a container, over a WebSocket. Knows nothing of what draws it.

import { passes } from '../lib/retry';
import { answer, ApiError, errorText } from './rest';

export interface TerminalCallbacks {
  onOpen(): void;
  onOutput(bytes: Uint8Array): void;
  // Nothing comes any more; said once. `lost`: it may be there again soon.
  onEnd(why: string, lost: boolean): void;
}

// What of WebSocket is used, so that tests can stand in for it.
export interface Socket {
  binaryType: string;
  readyState: number;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(): void;
  onclose: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
}

export interface Size {
  columns: number;
  rows: number;
}

const OPEN = 1;
// The aggregator takes no message that is longer than 64 KiB.
const PIECE_BYTES = 32 * 1024;
const LOST = 'The connection is lost.';
// Why a terminal closes that can be opened again soon.
const GOES_BY = ['the agent went away', 'the aggregator is shutting down'];

const encoder = new TextEncoder();

export function terminalPath(id: string, kind: 'shell' | 'attach'): string {
  return `/api/containers/${encodeURIComponent(id)}/${kind === 'shell' ? 'exec' : 'attach'}`;
}

// Why a path opens no terminal, which a browser does not tell of a WebSocket.
async function reason(path: string): Promise<{ why: string; passing: boolean }> {
  try {
    await answer(path);
  } catch (error) {
    // 400: nothing but the upgrade was missing.
    if (error instanceof ApiError && error.status !== 400) return { why: error.message, passing: passes(error.status) };
  }
  return { why: 'The terminal could not be opened.', passing: false };
}

function webSocket(address: string): Socket {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  return new WebSocket(`${scheme}://${location.host}${address}`) as unknown as Socket;
}

export class TerminalLink {
  private readonly socket: Socket;
  private ended = false;
  private opened = false;
  private readonly path: string;
  private readonly callbacks: TerminalCallbacks;

  constructor(
    path: string,
    { columns, rows }: Size,
    callbacks: TerminalCallbacks,
    open: (address: string) => Socket = webSocket,
  ) {
    this.path = path;
    this.callbacks = callbacks;
    this.socket = open(`${path}?columns=${columns}&rows=${rows}`);
    this.socket.binaryType = 'arraybuffer';
    this.socket.onmessage = ({ data }) => this.receive(data);
    this.socket.onclose = () => void this.lost();
  }

  // What was typed, as text or, of the mouse, as bytes.
  type(typed: string | Uint8Array<ArrayBuffer>): void {
    if (this.socket.readyState !== OPEN || this.ended) return;
    const bytes = typeof typed === 'string' ? encoder.encode(typed) : typed;
    for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
      this.socket.send(bytes.subarray(from, from + PIECE_BYTES));
    }
  }

  resize({ columns, rows }: Size): void {
    if (this.socket.readyState === OPEN) this.socket.send(JSON.stringify({ resize: { columns, rows } }));
  }

  // Without a word to whoever listens.
  close(): void {
    this.ended = true;
    this.socket.close();
  }

  private receive(data: unknown): void {
    if (this.ended) return;
    if (data instanceof ArrayBuffer) {
      this.callbacks.onOutput(new Uint8Array(data));
      return;
    }
    let said: { opened?: unknown; ended?: { exit_code: number | null; reason: string } };
    try {
      said = JSON.parse(String(data)) as typeof said;
    } catch {
      return;
    }
    if (said.opened) {
      this.opened = true;
      this.callbacks.onOpen();
    } else if (said.ended) {
      const { exit_code: code, reason: why } = said.ended;
      this.end(ending(code, why), GOES_BY.includes(why));
    } else {
      const error = errorText(said);
      // An error about a message that was sent ends nothing.
      if (error !== null && !this.opened) this.end(error);
    }
  }

  private async lost(): Promise<void> {
    if (this.ended) return;
    if (this.opened) return this.end(LOST, true);
    const { why, passing } = await reason(this.path);
    this.end(why, passing);
  }

  private end(why: string, lost = false): void {
    if (this.ended) return;
    this.ended = true;
    this.callbacks.onEnd(why, lost);
    this.socket.close();
  }
}

// In a sentence.
export function ending(exitCode: number | null, why: string): string {
  if (why !== '') return `The terminal has closed: ${why}.`;
  if (exitCode === null) return 'The terminal has closed.';
  return exitCode === 0 ? 'It has ended.' : `It has ended with exit code ${exitCode}.`;
}
