// The lines of a log as they come, cut anywhere, with a bound on what the page keeps.

export const LINES_MAX = 20_000;
export const LINE_CHARACTERS_MAX = 4_000;

// The time that a line begins with, RFC 3339, and what follows it.
const STAMPED = /^(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) ?/;
// What the aggregator writes at the end of a log that would go on.
const BROKE_OFF = /^\[mesoscope: the log ends here: (the agent went away|the aggregator is shutting down)\]$/;

export class LogLines {
  // Grows by one with each line that was let go of, so that lines keep their numbers.
  forgotten = 0;
  // Of the last whole line that had one.
  stamp = '';
  readonly #lines: string[] = [];
  #last = '';
  // Lines up to this time are here already.
  #had = '';

  // Whole lines, then the one that has not ended, if it has begun.
  all(): string[] {
    const last = this.#last.replace(STAMPED, '');
    return last === '' ? this.#lines.slice() : [...this.#lines, last];
  }

  push(text: string): void {
    const parts = text.split('\n');
    parts.forEach((part, at) => {
      // A terminal's line ends with both; what comes after the bound of a line is not kept.
      this.#last = (this.#last + part).slice(0, LINE_CHARACTERS_MAX);
      if (at < parts.length - 1) {
        this.#take(this.#last.replace(/\r$/, ''));
        this.#last = '';
      }
    });
    this.#forget();
  }

  // The log is read anew from its last second on: what comes twice is dropped. Says so in a line.
  resume(words: string): void {
    this.#last = '';
    this.#had = this.stamp;
    this.#lines.push(`[${words}]`);
    this.#forget();
  }

  // The second to read on from; null where nothing has come.
  get since(): number | null {
    const at = Date.parse(this.stamp);
    return Number.isNaN(at) ? null : Math.floor(at / 1000);
  }

  // The log broke off, and goes on once its agent or aggregator is there again.
  get brokeOff(): boolean {
    return BROKE_OFF.test(this.#lines.at(-1) ?? '');
  }

  #take(line: string): void {
    const stamp = STAMPED.exec(line);
    if (stamp) {
      const at = stamp[1]!;
      if (this.#had !== '' && at <= this.#had) return;
      this.stamp = at;
    }
    this.#lines.push(stamp ? line.slice(stamp[0].length) : line);
  }

  #forget(): void {
    const beyond = this.#lines.length - LINES_MAX;
    if (beyond > 0) {
      this.#lines.splice(0, beyond);
      this.forgotten += beyond;
    }
  }
}

// Colours and cursor movements of terminals are no text: CSI and OSC sequences, then single escapes
// and other control characters.
const CONTROLS = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-_]|[\u0000-\u0008\u000b-\u001f\u007f]/g;

export function plain(line: string): string {
  return line.replace(CONTROLS, '');
}

// The lines in which a text stands, however it is written.
export function matching(lines: readonly string[], text: string): string[] {
  const wanted = text.trim().toLowerCase();
  return wanted === '' ? [...lines] : lines.filter((line) => line.toLowerCase().includes(wanted));
}

// The lines that fit into a window, and a few around it.
export function visible(count: number, lineHeight: number, scrollTop: number, height: number): [from: number, to: number] {
  const AROUND = 20;
  const from = Math.max(0, Math.floor(scrollTop / lineHeight) - AROUND);
  const to = Math.min(count, Math.ceil((scrollTop + height) / lineHeight) + AROUND);
  return [Math.min(from, to), to];
}
