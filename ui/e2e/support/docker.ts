// Real containers of the running Docker engine, from an image that holds nothing but busybox.

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const IMAGE = 'mesoscope-page-test:1';
const PROGRAMS = ['sh', 'sleep', 'echo', 'cat', 'ls', 'hostname', 'wget', 'httpd', 'mkdir', 'stty', 'date'];

export function docker(...args: string[]): string {
  return execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

function works(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

// An engine to talk to, and a shell to put into the image.
export function hasDocker(): boolean {
  return works('docker', 'ps') && works('busybox', 'true');
}

export function makeImage(): void {
  const root = mkdtempSync(join(tmpdir(), 'mesoscope-page-'));
  try {
    for (const folder of ['bin', 'tmp', 'www', 'etc']) mkdirSync(join(root, folder));
    const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim();
    copyFileSync(busybox, join(root, 'bin/busybox'));
    for (const program of PROGRAMS) symlinkSync('busybox', join(root, 'bin', program));
    execFileSync('sh', ['-c', `tar -C "$1" -c . | docker import - ${IMAGE}`, 'sh', root], { stdio: 'pipe' });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

export class Container {
  readonly id: string;

  // A name that no other run has; `script` is what its shell runs.
  constructor(
    readonly name: string,
    script: string,
    ...options: string[]
  ) {
    const init = ['--init=false', '--stop-timeout', '1', '--name', name, ...options];
    this.id = docker('run', '--detach', ...init, IMAGE, '/bin/sh', '-c', script);
  }

  get state(): string {
    return works('docker', 'inspect', this.id) ? docker('inspect', '--format', '{{.State.Status}}', this.id) : 'gone';
  }

  get ipAddress(): string {
    return docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', this.id);
  }

  remove(): void {
    works('docker', 'rm', '--force', '--volumes', this.id);
  }
}
