import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { diff, node } from '../lib/samples';
import { backoffMs, LiveLink, type LinkState, type Socket } from './live';

class FakeSocket implements Socket {
  static all: FakeSocket[] = [];
  readyState = 0;
  binaryType: BinaryType = 'blob';
  sent: unknown[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor(readonly address: string) {
    FakeSocket.all.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  opened() {
    this.readyState = 1;
    this.onopen?.();
  }
  says(message: unknown) {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }
}

function following(accept = true) {
  const states: LinkState[] = [];
  const diffs: number[] = [];
  const problems: string[] = [];
  const link = new LiveLink(
    'ws://host/api/v1/ws',
    'containers',
    { hosts: [] },
    {
      onDiff: (one) => {
        diffs.push(one.sequence);
        return accept || one.reset;
      },
      onState: (state) => states.push(state),
      onProblem: (problem) => problems.push(problem),
    },
    (address) => new FakeSocket(address),
  );
  link.start();
  return { link, states, diffs, problems };
}

beforeEach(() => {
  FakeSocket.all = [];
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

async function packed(sequence: number, message: unknown): Promise<ArrayBuffer> {
  const body = new Blob([JSON.stringify(message)]).stream().pipeThrough(new CompressionStream('deflate-raw'));
  const number = new DataView(new ArrayBuffer(8));
  number.setBigUint64(0, BigInt(sequence));
  return new Blob([number.buffer, await new Response(body).arrayBuffer()]).arrayBuffer();
}

describe('LiveLink', () => {
  it('asks for compressed messages and takes them in their order, numbered by their heads', async () => {
    vi.useRealTimers();
    const { diffs, link } = following();
    const [socket] = FakeSocket.all;
    expect(socket!.address).toContain('compress=deflate');
    socket!.opened();
    const large = diff({ reset: true, nodes: Array.from({ length: 2_000 }, (_, at) => node(`n${at}`)) });
    for (const data of [await packed(1, large), await packed(2, diff({ sequence: 9 }))]) {
      socket!.onmessage?.({ data });
    }
    await vi.waitFor(() => expect(diffs).toEqual([1, 2]));
    link.stop();
  });

  it('names the view in the address and passes messages on', () => {
    const { states, diffs } = following();
    const [socket] = FakeSocket.all;
    expect(socket!.address).toBe('ws://host/api/v1/ws?view=containers&compress=deflate');
    socket!.opened();
    socket!.says(diff({ reset: true, sequence: 4 }));
    socket!.says(diff({ sequence: 5 }));
    expect(diffs).toEqual([4, 5]);
    expect(socket!.sent).toEqual([]);
    expect(states.map((state) => state.kind)).toEqual(['connecting', 'live']);
  });

  it('asks once for the whole view after a gap and drops what comes before it', () => {
    const { diffs } = following(false);
    const [socket] = FakeSocket.all;
    socket!.opened();
    socket!.says(diff({ reset: true, sequence: 1 }));
    socket!.says(diff({ sequence: 3 }));
    socket!.says(diff({ sequence: 4 }));
    socket!.says(diff({ reset: true, sequence: 9 }));
    expect(diffs).toEqual([1, 3, 9]);
    expect(socket!.sent).toEqual([{ view: 'containers', options: { hosts: [] } }]);
  });

  it('switches the view on the open connection and ignores the old view', () => {
    const { link, diffs } = following();
    const [socket] = FakeSocket.all;
    socket!.opened();
    link.subscribe('hosts', { ended: false, hosts: [] });
    socket!.says(diff({ reset: true, sequence: 1 }));
    socket!.says(diff({ view: 'hosts', reset: true, sequence: 2 }));
    expect(diffs).toEqual([2]);
    expect(socket!.sent).toEqual([{ view: 'hosts', options: { ended: false, hosts: [] } }]);
  });

  it('goes to a moment and back to live on the open connection', () => {
    const { link, diffs } = following();
    const [socket] = FakeSocket.all;
    socket!.opened();
    socket!.says(diff({ reset: true, sequence: 1 }));
    link.subscribe('containers', { hosts: [] }, 1_000);
    // Live news that were under way are not of that moment.
    socket!.says(diff({ sequence: 2 }));
    socket!.says(diff({ reset: true, sequence: 3 }));
    socket!.says(diff({ reset: true, past: true, sequence: 10 }));
    link.subscribe('containers', { hosts: [] });
    socket!.says(diff({ reset: true, past: true, sequence: 11 }));
    socket!.says(diff({ reset: true, sequence: 12 }));
    expect(diffs).toEqual([1, 10, 12]);
    expect(socket!.sent).toEqual([
      { view: 'containers', options: { hosts: [] }, at: 1_000 },
      { view: 'containers', options: { hosts: [] } },
    ]);
  });

  it('asks for its moment again after a loss', () => {
    const { link } = following();
    FakeSocket.all[0]!.opened();
    link.subscribe('containers', { hosts: [] }, 1_000);
    FakeSocket.all[0]!.onclose?.();
    vi.advanceTimersByTime(1_000);
    FakeSocket.all[1]!.opened();
    expect(FakeSocket.all[1]!.sent).toEqual([{ view: 'containers', options: { hosts: [] }, at: 1_000 }]);
  });

  it('comes back after a loss, with the view of that moment', () => {
    const { link, states } = following();
    FakeSocket.all[0]!.opened();
    FakeSocket.all[0]!.onclose?.();
    expect(states.at(-1)!.kind).toBe('waiting');
    link.subscribe('hosts', { hosts: [] });
    vi.advanceTimersByTime(1_000);
    expect(FakeSocket.all).toHaveLength(2);
    expect(FakeSocket.all[1]!.address).toContain('view=hosts');
  });

  it('gives up an attempt that nobody answers', () => {
    const { states } = following();
    vi.advanceTimersByTime(8_100);
    expect(states.at(-1)!.kind).toBe('waiting');
    expect(FakeSocket.all[0]!.closed).toBe(true);
  });

  it('stays stopped', () => {
    const { link } = following();
    FakeSocket.all[0]!.opened();
    link.stop();
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('reports nonsense and errors, and goes on', () => {
    const { problems, diffs } = following();
    FakeSocket.all[0]!.opened();
    FakeSocket.all[0]!.says('{');
    FakeSocket.all[0]!.says({ error: 'no such view', hint: 'hosts' });
    FakeSocket.all[0]!.says(diff({ reset: true, sequence: 1 }));
    expect(problems).toEqual(['The aggregator sent something that is not JSON.', 'No such view: hosts']);
    expect(diffs).toEqual([1]);
  });

  it('backs off up to ten seconds', () => {
    expect(backoffMs(0, 1)).toBe(400);
    expect(backoffMs(3, 1)).toBe(3_200);
    expect(backoffMs(30, 1)).toBe(10_000);
    expect(backoffMs(30, 0)).toBe(7_000);
  });
});
