import { useEffect, useState } from 'react';
import { usePage } from '../store/page';
import { palettes, type Palette, type ThemeName } from './tokens';

const prefersLight = () => matchMedia('(prefers-color-scheme: light)');

// The theme in force: the person's choice, else the system's.
export function useThemeName(): ThemeName {
  const choice = usePage((page) => page.theme);
  const [light, setLight] = useState(() => prefersLight().matches);
  useEffect(() => {
    const query = prefersLight();
    const follow = () => setLight(query.matches);
    query.addEventListener('change', follow);
    return () => query.removeEventListener('change', follow);
  }, []);
  const name = choice === 'system' ? (light ? 'light' : 'dark') : choice;
  useEffect(() => {
    document.documentElement.dataset.theme = name;
  }, [name]);
  return name;
}

export function usePalette(): Palette {
  return palettes[useThemeName()];
}
