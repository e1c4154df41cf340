import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { Problem } from './components/Problem';
import { follow } from './store/live';
import { keepPage } from './store/persist';
import { reportRenderTimes } from './store/render-time';
import './theme/fonts.css';

keepPage();
follow();
reportRenderTimes();

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <Problem>
      <App />
    </Problem>
  </StrictMode>,
);
