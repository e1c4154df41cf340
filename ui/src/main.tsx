import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { Problem } from './components/Problem';
import { ToolWindowView } from './components/ToolWindowView';
import { fromQuery } from './lib/tool-window';
import { follow } from './store/live';
import { keepPage } from './store/persist';
import { reportRenderTimes } from './store/render-time';
import { settleReturn } from './store/session';
import './theme/fonts.css';

const tool = fromQuery(location.search);

settleReturn();
if (!tool) {
  keepPage();
  follow();
  reportRenderTimes();
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <Problem>
      {tool ? <ToolWindowView tool={tool} /> : <App />}
    </Problem>
  </StrictMode>,
);
