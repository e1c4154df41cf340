import { createGlobalStyle } from 'styled-components';
import { customProperties, fonts, palettes } from './tokens';

export const GlobalStyle = createGlobalStyle`
  :root {
    ${customProperties(palettes.dark)}
    --font: ${fonts.text};
    --mono: ${fonts.mono};
    color-scheme: dark;
  }
  :root[data-theme='light'] {
    ${customProperties(palettes.light)}
    color-scheme: light;
  }
  :root[data-theme='contrast'] {
    ${customProperties(palettes.contrast)}
  }

  *, *::before, *::after { box-sizing: border-box; }
  html, body, #root { height: 100%; margin: 0; }

  body {
    background: var(--background);
    color: var(--text-1);
    font: 400 13px/1.45 var(--font);
    font-feature-settings: 'cv05', 'ss03';
    -webkit-font-smoothing: antialiased;
    overflow: hidden;
  }

  button, input { font: inherit; color: inherit; }
  button { cursor: pointer; }
  h1, h2, h3, p, ul, dl, dd { margin: 0; padding: 0; }
  ul { list-style: none; }

  :focus-visible {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }

  [data-theme='contrast'] :focus-visible {
    outline-width: 3px;
  }

  * { scrollbar-width: thin; scrollbar-color: var(--line-strong) transparent; }

  @media (prefers-reduced-motion: reduce) {
    *, *::before, *::after { animation: none !important; transition: none !important; }
  }
`;
