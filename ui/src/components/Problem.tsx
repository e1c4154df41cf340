import { Component, type ReactNode } from 'react';
import styled from 'styled-components';
import { Button } from './controls';

// A fault in the page itself is said, not shown as an empty window.
export class Problem extends Component<{ children: ReactNode }, { message: string | null }> {
  override state = { message: null };

  static getDerivedStateFromError(error: unknown) {
    return { message: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    if (this.state.message === null) return this.props.children;
    return (
      <Box role="alert">
        <h1>The page has failed</h1>
        <p>{this.state.message}</p>
        <Button type="button" onClick={() => location.reload()}>
          Load it again
        </Button>
      </Box>
    );
  }
}

// Stands alone: the global style may be gone with the rest.
const Box = styled.div`
  height: 100vh;
  display: grid;
  place-content: center;
  justify-items: center;
  gap: 12px;
  font-family: system-ui, sans-serif;
`;
