import { useEffect, useRef } from 'react';
import styled from 'styled-components';
import { Banner } from './components/Banner';
import { BulkBar } from './components/BulkBar';
import { DetailsPanel } from './components/DetailsPanel';
import { FilterBar } from './components/FilterBar';
import { GraphView } from './components/GraphView';
import { Header } from './components/Header';
import { HelpSheet } from './components/HelpSheet';
import { LinkBanner } from './components/LinkBanner';
import { NARROW_PX } from './components/narrow';
import { Notice } from './components/Notice';
import { ResourceView } from './components/ResourceView';
import { Sidebar } from './components/Sidebar';
import { SignIn } from './components/SignIn';
import { TabDrawer } from './components/TabDrawer';
import { TableView } from './components/TableView';
import { PastBanner, TimeBar } from './components/TimeBar';
import { useShortcuts } from './components/useShortcuts';
import { isEmbedded, standalone } from './lib/embed';
import { usePage } from './store/page';
import { GlobalStyle } from './theme/GlobalStyle';
import { usePalette } from './theme/useTheme';

const MAIN = 'main';
const EMBEDDED = isEmbedded(location.search);

export function App() {
  const palette = usePalette();
  const mode = usePage((page) => page.mode);
  const selected = usePage((page) => page.selected);
  const panel = usePage((page) => page.panel);
  useShortcuts();
  useFocusKept(selected);
  return (
    <>
      <GlobalStyle />
      <Skip href={`#${MAIN}`} onClick={skip}>
        Go to the {mode === 'graph' ? 'map' : mode}
      </Skip>
      <Layout>
        {!EMBEDDED && <Header />}
        <Body>
          {!EMBEDDED && <Sidebar />}
          {panel === 'sidebar' && <Scrim aria-hidden onClick={() => usePage.getState().setPanel(null)} />}
          <Main id={MAIN} tabIndex={-1}>
            <PastBanner />
            <LinkBanner />
            <Banner />
            <FilterBar />
            {mode === 'graph' ? <GraphView palette={palette} /> : mode === 'table' ? <TableView /> : <ResourceView />}
            {!EMBEDDED && <BulkBar />}
            {!EMBEDDED && <TimeBar />}
            {!EMBEDDED && <TabDrawer />}
            {EMBEDDED && <Standalone />}
          </Main>
          {selected !== null && <DetailsPanel />}
        </Body>
      </Layout>
      {panel === 'help' && <HelpSheet />}
      <Notice />
      <SignIn />
    </>
  );
}

// From a part of another page to the page itself, with what is seen.
function Standalone() {
  return (
    <Leave
      href="/"
      target="_blank"
      rel="noopener"
      onClick={(event) => (event.currentTarget.href = standalone(location.href))}
    >
      Open in Mesoscope
    </Leave>
  );
}

function toMain(): void {
  const main = document.getElementById(MAIN);
  (main?.querySelector<HTMLElement>('[data-testid="map"]') ?? main)?.focus({ preventScroll: true });
}

// The address holds the view, so that the link can't be followed as others are.
function skip(event: React.MouseEvent): void {
  event.preventDefault();
  toMain();
}

// When the details close with the focus in them, it goes to the map instead of to nowhere.
function useFocusKept(selected: string | null): void {
  const before = useRef(selected);
  useEffect(() => {
    if (before.current !== null && selected === null && document.activeElement === document.body) toMain();
    before.current = selected;
  }, [selected]);
}

const Layout = styled.div`
  height: 100%;
  display: grid;
  grid-template: ${EMBEDDED ? '' : 'auto '}minmax(0, 1fr) / minmax(0, 1fr);
`;

const Body = styled.div`
  position: relative;
  display: flex;
  min-height: 0;
  /* The details go below what they are of. */
  @media (max-width: ${NARROW_PX}px) {
    flex-direction: column;
  }
`;

const Main = styled.main`
  flex: 1;
  min-width: 0;
  min-height: 0;
  display: flex;
  flex-direction: column;
  position: relative;
  outline: 0;
`;

const Leave = styled.a`
  position: absolute;
  z-index: 10;
  bottom: 14px;
  left: 50%;
  transform: translateX(-50%);
  padding: 4px 10px;
  border: 1px solid var(--line-strong);
  border-radius: 6px;
  background: var(--surface);
  color: var(--text-2);
  font-size: 12px;
  text-decoration: none;
`;

const Scrim = styled.div`
  display: none;
  @media (max-width: ${NARROW_PX}px) {
    display: block;
    position: absolute;
    z-index: 18;
    inset: 0;
    background: rgb(0 0 0 / 50%);
  }
`;

const Skip = styled.a`
  position: fixed;
  z-index: 50;
  top: 8px;
  left: 8px;
  padding: 7px 12px;
  border-radius: 6px;
  background: var(--accent);
  color: var(--on-accent);
  font-weight: 500;
  text-decoration: none;
  &:not(:focus) {
    clip-path: inset(50%);
  }
`;
