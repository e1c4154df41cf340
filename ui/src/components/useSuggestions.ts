import { useEffect, useState } from 'react';
import { suggest } from '../api/rest';
import type { SuggestionList } from '../api/types';
import { charactersBefore } from '../lib/complete';

const PAUSE_MS = 150;

// The caret behind what was typed last; null while nothing is to be suggested.
export interface Typed {
  text: string;
  caret: number;
}

// What may be meant by the word at the caret, from the aggregator, after a pause in typing.
export function useSuggestions(typed: Typed | null, view: string): SuggestionList | null {
  const [answer, setAnswer] = useState<{ typed: Typed; list: SuggestionList } | null>(null);
  useEffect(() => {
    if (!typed?.text.trim()) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      const at = charactersBefore(typed.text, typed.caret);
      suggest(typed.text, at, view, abort.signal).then(
        (list) => setAnswer({ typed, list }),
        // Nobody misses a suggestion; what is wrong with the search is told under it.
        () => undefined,
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [typed, view]);
  // An older list would complete another word.
  return answer && answer.typed === typed && answer.list.suggestions.length > 0 ? answer.list : null;
}
