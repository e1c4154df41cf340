// The lines of a log as they come, cut anywhere, with a bound on what the page keeps.

export const LINES_MAX = 20_000;
export const LINE_CHARACTERS_MAX = 4_000;

export class LogLines {
  // Grows by one with each line that was let go of, so that lines keep their numbers.
  forgotten = 0;
  readonly #lines: string[] = [];
  #last = '';

  // Whole lines, then the one that has not ended, if it has begun.
  all(): string[] {
    return this.#last === '' ? this.#lines.slice() : [...this.#lines, this.#last];
  }

  push(text: string): void {
    const parts = text.split('\n');
    parts.forEach((part, at) => {
      // A terminal's line ends with both; what comes after the bound of a line is not kept.
      this.#last = (this.#last + part).slice(0, LINE_CHARACTERS_MAX);
      if (at < parts.length - 1) {
        this.#lines.push(this.#last.replace(/\r$/, ''));
        this.#last = '';
      }
    });
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
