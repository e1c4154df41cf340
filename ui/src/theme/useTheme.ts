import { useEffect, useState } from 'react';
import { usePage, type ThemeChoice } from '../store/page';
import { palettes, type Palette, type ThemeName } from './tokens';

const WISHES = { light: '(prefers-color-scheme: light)', contrast: '(prefers-contrast: more)' };

// The theme in force: the person's choice, else what the system asks for.
export function themeOf(choice: ThemeChoice, system: { light: boolean; contrast: boolean }): ThemeName {
  if (choice !== 'system') return choice;
  return system.contrast ? 'contrast' : system.light ? 'light' : 'dark';
}

function wishes() {
  return { light: matchMedia(WISHES.light).matches, contrast: matchMedia(WISHES.contrast).matches };
}

export function useThemeName(): ThemeName {
  const choice = usePage((page) => page.theme);
  const [system, setSystem] = useState(wishes);
  useEffect(() => {
    const follow = () => setSystem(wishes());
    const queries = Object.values(WISHES).map((wish) => matchMedia(wish));
    for (const query of queries) query.addEventListener('change', follow);
    return () => {
      for (const query of queries) query.removeEventListener('change', follow);
    };
  }, []);
  const name = themeOf(choice, system);
  useEffect(() => {
    document.documentElement.dataset.theme = name;
  }, [name]);
  return name;
}

export function usePalette(): Palette {
  return palettes[useThemeName()];
}
