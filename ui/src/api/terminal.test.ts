import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ending, TerminalLink, terminalPath, type Socket } from './terminal';

class FakeSocket implements Socket {
  binaryType = '';
  readyState = 1;
  sent: (string | Uint8Array)[] = [];
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly address: string;
  constructor(address: string) {
    this.address = address;
  }
  send(data: string | Uint8Array) {
    this.sent.push(data);
  }
  close() {
    this.readyState = 3;
    this.onclose?.();
  }
  says(body: unknown) {
    this.onmessage?.({ data: JSON.stringify(body) });
  }
}

let socket: FakeSocket;
const heard: string[] = [];

function open(): TerminalLink {
  const callbacks = {
    onOpen: () => heard.push('open'),
    onOutput: (bytes: Uint8Array) => heard.push(new TextDecoder().decode(bytes)),
    onEnd: (why: string) => heard.push(`end: ${why}`),
  };
  const size = { columns: 80, rows: 24 };
  return new TerminalLink(terminalPath('container;1', 'shell'), size, callbacks, (address) => {
    socket = new FakeSocket(address);
    return socket;
  });
}

beforeEach(() => heard.splice(0));
afterEach(() => vi.unstubAllGlobals());

describe('a terminal', () => {
  it('is asked for with its size, and gives what is written', () => {
    open();
    expect(socket.address).toBe('/api/containers/container%3B1/exec?columns=80&rows=24');
    socket.says({ opened: true });
    socket.onmessage?.({ data: new TextEncoder().encode('$ ').buffer });
    socket.says({ ended: { exit_code: 3, reason: '' } });
    // The socket closes after it, which is no news.
    expect(heard).toEqual(['open', '$ ', 'end: It has ended with exit code 3.']);
  });

  it('sends what is typed as bytes, in pieces that the aggregator takes', () => {
    const link = open();
    link.type('é\r');
    expect(socket.sent).toEqual([new Uint8Array([0xc3, 0xa9, 13])]);
    link.type('x'.repeat(100_000));
    const pieces = socket.sent.slice(1).map((piece) => piece.length);
    expect(pieces).toEqual([32_768, 32_768, 32_768, 1_696]);
    link.resize({ columns: 100, rows: 30 });
    expect(socket.sent.at(-1)).toBe('{"resize":{"columns":100,"rows":30}}');
  });

  it('says that it is lost, and why it was not opened', async () => {
    open();
    socket.says({ opened: true });
    socket.says({ error: 'columns and rows are from 1 to 1000', hint: '' });
    socket.close();
    expect(heard).toEqual(['open', 'end: The connection is lost.']);

    const refused = { error: 'this needs the role operator', hint: 'sign in' };
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify(refused), { status: 403 })));
    open();
    socket.close();
    await vi.waitFor(() => expect(heard.at(-1)).toBe('end: This needs the role operator: sign in'));

    open();
    socket.says({ error: 'the container is paused', hint: 'unpause it' });
    expect(heard.at(-1)).toBe('end: The container is paused: unpause it');
  });

  it('is silent once it was closed', () => {
    const link = open();
    link.close();
    link.type('ls');
    socket.says({ opened: true });
    expect(heard).toEqual([]);
    expect(socket.sent).toEqual([]);
  });
});

describe('the end of a terminal', () => {
  it('is said in a sentence', () => {
    expect(ending(0, '')).toBe('It has ended.');
    expect(ending(null, '')).toBe('The terminal has closed.');
    expect(ending(null, 'the agent went away')).toBe('The terminal has closed: the agent went away.');
  });
});
