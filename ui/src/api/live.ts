// The WebSocket of the live view: connects, reconnects with backoff, and subscribes again when a
// message was missed. Knows nothing of React or of the page's state.

import { errorText } from './rest';
import type { TopologyDiff, View, ViewOptions } from './types';

export type LinkState =
  | { kind: 'connecting' }
  | { kind: 'live' }
  | { kind: 'waiting'; retryAtMs: number; attempt: number };

export interface LiveCallbacks {
  // Returns false when the message does not follow the one before: the view is then asked for anew.
  onDiff(diff: TopologyDiff): boolean;
  onState(state: LinkState): void;
  onProblem(message: string): void;
}

// What of WebSocket is used, so that tests can stand in for it.
export interface Socket {
  readyState: number;
  binaryType: BinaryType;
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onclose: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
}

const OPEN = 1;
const BACKOFF_FIRST_MS = 400;
const BACKOFF_MAX_MS = 10_000;
// A connection that lived this long starts the backoff from the beginning.
const SETTLED_MS = 5_000;
// The browser may take minutes to notice a dead path; an unanswered attempt is given up earlier.
const CONNECT_TIMEOUT_MS = 8_000;

export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
  return full * (0.7 + 0.3 * random);
}

function hasOptions(options: ViewOptions): boolean {
  return Object.values(options).some((value) => (Array.isArray(value) ? value.length > 0 : value !== undefined));
}

function canInflate(): boolean {
  return typeof DecompressionStream === 'function' && typeof Response === 'function';
}

// A compressed message: eight bytes of sequence number, the highest first, then the JSON.
export async function inflate(data: ArrayBuffer): Promise<{ text: string; sequence: number }> {
  const sequence = Number(new DataView(data).getBigUint64(0));
  const packed = new Blob([data.slice(8)]).stream();
  const text = await new Response(packed.pipeThrough(new DecompressionStream('deflate-raw'))).text();
  return { text, sequence };
}

export class LiveLink {
  private socket: Socket | null = null;
  private attempt = 0;
  private openedAtMs = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = true;
  // After a subscription, what comes before the next whole view belongs to the one before.
  private awaitingReset = true;
  private subscribed: { view: View; options: ViewOptions; at?: number };
  // Messages are unpacked one after the other, in their order.
  private unpacking: Promise<void> = Promise.resolve();
  private readonly address: string;
  private readonly callbacks: LiveCallbacks;
  private readonly open: (address: string) => Socket;

  constructor(
    address: string,
    view: View,
    options: ViewOptions,
    callbacks: LiveCallbacks,
    open: (address: string) => Socket = (url) => new WebSocket(url) as unknown as Socket,
  ) {
    this.address = address;
    this.subscribed = { view, options };
    this.callbacks = callbacks;
    this.open = open;
  }

  start(): void {
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.drop();
  }

  // Another view or other options, live or as it was at a moment; on the open connection where there is
  // one.
  subscribe(view: View, options: ViewOptions, at: number | null = null): void {
    this.subscribed = at === null ? { view, options } : { view, options, at };
    if (this.socket?.readyState !== OPEN) return;
    this.awaitingReset = true;
    this.socket.send(JSON.stringify(this.subscribed));
  }

  // Does not wait for the backoff (the person asked, or the browser is online again).
  retryNow(): void {
    if (this.stopped || this.socket) return;
    clearTimeout(this.timer);
    this.connect();
  }

  private connect(): void {
    this.callbacks.onState({ kind: 'connecting' });
    const compress = canInflate() ? '&compress=deflate' : '';
    const socket = this.open(`${this.address}?view=${this.subscribed.view}${compress}`);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    this.awaitingReset = true;
    const asked = this.subscribed;
    this.timer = setTimeout(() => {
      if (socket.readyState !== OPEN) this.lost();
    }, CONNECT_TIMEOUT_MS);
    socket.onopen = () => {
      clearTimeout(this.timer);
      this.openedAtMs = Date.now();
      this.callbacks.onState({ kind: 'live' });
      // The address named only the view, and the view may have changed while connecting.
      const { view, options, at } = this.subscribed;
      if (view !== asked.view || hasOptions(options) || at !== undefined) {
        socket.send(JSON.stringify(this.subscribed));
      }
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.unpack(socket, data);
      else this.receive(data);
    };
    socket.onclose = () => this.lost();
  }

  private unpack(socket: Socket, data: ArrayBuffer): void {
    this.unpacking = this.unpacking
      .then(() => inflate(data))
      .catch(() => ({ text: '', sequence: 0 }))
      .then(({ text, sequence }) => {
        // The connection may be another one by now.
        if (this.socket === socket) this.receive(text, sequence);
      });
  }

  private receive(data: unknown, sequence?: number): void {
    if (typeof data !== 'string') return;
    let message: Partial<TopologyDiff>;
    try {
      message = JSON.parse(data) as typeof message;
      if (sequence !== undefined) message.sequence = sequence;
    } catch {
      this.callbacks.onProblem('The aggregator sent something that is not JSON.');
      return;
    }
    const error = errorText(message);
    if (error !== null) {
      this.callbacks.onProblem(error);
      return;
    }
    // Answers to an earlier subscription may still be on their way.
    if (message.view !== this.subscribed.view || typeof message.sequence !== 'number') return;
    if (this.awaitingReset && !message.reset) return;
    if ((message.past ?? false) !== (this.subscribed.at !== undefined)) return;
    this.awaitingReset = false;
    if (!this.callbacks.onDiff(message as TopologyDiff)) {
      this.subscribe(this.subscribed.view, this.subscribed.options, this.subscribed.at ?? null);
    }
  }

  private lost(): void {
    clearTimeout(this.timer);
    this.drop();
    if (this.stopped) return;
    if (this.openedAtMs && Date.now() - this.openedAtMs > SETTLED_MS) this.attempt = 0;
    this.openedAtMs = 0;
    const delay = backoffMs(this.attempt, Math.random());
    this.attempt += 1;
    this.callbacks.onState({ kind: 'waiting', retryAtMs: Date.now() + delay, attempt: this.attempt });
    this.timer = setTimeout(() => this.connect(), delay);
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = null;
    socket.onclose = null;
    socket.onmessage = null;
    socket.close();
  }
}
