// An aggregator and an agent of a test's own, for settings that the shared ones don't have. The
// programs lie in the folder MESOSCOPE_BIN.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const programs = process.env.MESOSCOPE_BIN;
const PATIENCE_MS = 60_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const at = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (at === null || typeof at === 'string') throw new Error('no port is free');
  return at.port;
}

export class Services {
  readonly folder = mkdtempSync(join(tmpdir(), 'mesoscope-e2e-'));
  private readonly running: ChildProcess[] = [];
  address = '';
  private grpc = 0;

  async startAggregator(...args: string[]): Promise<void> {
    const port = await freePort();
    this.grpc = await freePort();
    const ports = ['--port', String(port), '--grpc-port', String(this.grpc)];
    this.address = `http://127.0.0.1:${port}`;
    await this.start('mesoscope-aggregator', [...ports, '--data-dir', join(this.folder, 'data'), ...args], port);
  }

  async startAgent(...args: string[]): Promise<void> {
    const port = await freePort();
    const where = ['--aggregator', `http://127.0.0.1:${this.grpc}`, '--listen', `127.0.0.1:${port}`];
    await this.start('mesoscope-agent', [...where, ...args], port);
  }

  async end(): Promise<void> {
    // The agent first, while it has someone to tell.
    for (const child of this.running.splice(0).reverse()) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill('SIGTERM')) await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async start(program: string, args: string[], port: number): Promise<void> {
    const path = join(this.folder, `${program}.log`);
    const log = openSync(path, 'a');
    const child = spawn(join(programs!, program), args, { stdio: ['ignore', log, log] });
    this.running.push(child);
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      const ended = child.exitCode !== null || child.signalCode !== null;
      if (ended || Date.now() > until) {
        const end = readFileSync(path, 'utf8').slice(-2_000);
        throw new Error(`${program} ${ended ? 'ended' : 'does not answer'}:\n${end}`);
      }
      const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => null);
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
