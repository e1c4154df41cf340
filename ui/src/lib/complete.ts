// Puts a suggestion where the half-typed word is. The aggregator counts characters, the browser
// counts UTF-16 units.

export function charactersBefore(text: string, unit: number): number {
  return [...text.slice(0, unit)].length;
}

export interface Completed {
  text: string;
  // Where to go on typing, in UTF-16 units.
  caret: number;
}

export function completed(
  text: string,
  { from, to }: { from: number; to: number },
  suggestion: { text: string; kind: 'key' | 'value' },
): Completed {
  const characters = [...text];
  const before = characters.slice(0, from).join('');
  const after = characters.slice(to).join('');
  // A value is whole: the next word may begin.
  const gap = suggestion.kind === 'value' && !/^\s/.test(after) ? ' ' : '';
  const typed = before + suggestion.text + gap;
  return { text: typed + after, caret: typed.length };
}
