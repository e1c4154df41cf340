import { useEffect } from 'react';
import styled from 'styled-components';
import { Banner } from './components/Banner';
import { DetailsPanel } from './components/DetailsPanel';
import { GraphView } from './components/GraphView';
import { Header } from './components/Header';
import { Sidebar } from './components/Sidebar';
import { TableView } from './components/TableView';
import { usePage } from './store/page';
import { GlobalStyle } from './theme/GlobalStyle';
import { usePalette } from './theme/useTheme';

export function App() {
  const palette = usePalette();
  const mode = usePage((page) => page.mode);
  const open = usePage((page) => page.selected !== null);
  useEscape();
  return (
    <>
      <GlobalStyle />
      <Layout>
        <Header />
        <Body>
          <Sidebar />
          <Main>
            <Banner />
            {mode === 'graph' ? <GraphView palette={palette} /> : <TableView />}
          </Main>
          {open && <DetailsPanel />}
        </Body>
      </Layout>
    </>
  );
}

// Escape closes the details, then lifts the filter, then the search, wherever the focus is.
function useEscape() {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.defaultPrevented) return;
      const page = usePage.getState();
      if (page.selected) page.select(null);
      else if (page.health) page.setHealth(null);
      else if (page.search) page.setSearch('');
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

const Layout = styled.div`
  height: 100%;
  display: grid;
  grid-template: 48px minmax(0, 1fr) / minmax(0, 1fr);
`;

const Body = styled.div`
  display: flex;
  min-height: 0;
`;

const Main = styled.main`
  flex: 1;
  min-width: 0;
  display: flex;
  flex-direction: column;
  position: relative;
`;
