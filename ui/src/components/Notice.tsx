import styled from 'styled-components';
import { useNotice } from '../store/notice';

// Always in the document, so that screen readers follow it.
export function Notice() {
  const text = useNotice((notice) => notice.text);
  return (
    <Box role="status" data-shown={text !== ''}>
      {text}
    </Box>
  );
}

const Box = styled.div`
  position: fixed;
  z-index: 40;
  left: 50%;
  bottom: 20px;
  transform: translateX(-50%);
  max-width: calc(100vw - 24px);
  padding: 8px 14px;
  border: 1px solid var(--line-strong);
  border-radius: 8px;
  background: var(--raised);
  color: var(--text-1);
  box-shadow: 0 8px 24px rgb(0 0 0 / 25%);
  &[data-shown='false'] {
    visibility: hidden;
  }
`;
