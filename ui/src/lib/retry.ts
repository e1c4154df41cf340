// When to try again what was lost.

const FIRST_MS = 1_000;
const LONGEST_MS = 15_000;

// Before the next attempt, after so many that failed.
export function pauseBefore(failures: number): number {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.max(0, failures - 1));
}

// Whether a refusal may pass by itself: no answer (0), an agent or aggregator that is not there yet. That
// one has to sign in, may not, or asks for what makes no sense, does not.
export function passes(status: number): boolean {
  return status === 0 || status === 404 || status >= 500;
}
