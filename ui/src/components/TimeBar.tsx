import { useEffect, useRef, useState } from 'react';
import styled from 'styled-components';
import { ago, chosen, rangeOf, reachWords, told, type Range } from '../lib/time';
import { useLive } from '../store/live';
import { usePage } from '../store/page';
import { followReach, goLive, useTime } from '../store/time';
import { Button, LinkButton } from './controls';
import { InfoIcon } from './icons';
import { NARROW_PX } from './narrow';
import { useNow } from './useTopology';

// A moment is asked for once the hand rests: each one is work for the aggregator.
const PAUSE_MS = 120;
const PAGE_MS = 60_000;

// The slider through the history, below the map.
export function TimeBar() {
  const reach = useTime((time) => time.reach);
  useEffect(followReach, []);
  const range = reach && rangeOf(reach);
  if (!range) return null;
  return (
    <Bar aria-label="Time" data-testid="time">
      <Slider range={range} about={reachWords(reach)} />
    </Bar>
  );
}

function Slider({ range, about }: { range: Range; about: string }) {
  const time = usePage((page) => page.time);
  const aheadMs = useTime((state) => state.aheadMs);
  const now = useNow(1_000) + aheadMs;
  // Where the hand is; what it rests on is looked at.
  const [held, setHeld] = useState<number | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  const value = held ?? Math.min(Math.max(time ?? range.toMs, range.fromMs), range.toMs);
  const at = held === null ? time : chosen(held, range);
  const look = (wish: number) => {
    setHeld(wish);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      setHeld(null);
      usePage.getState().setTime(chosen(wish, range));
    }, PAUSE_MS);
  };
  return (
    <>
      <time>{told(range.fromMs, now)}</time>
      <input
        type="range"
        aria-label="Moment of the map"
        aria-valuetext={at === null ? 'Live' : `${told(at, now)}, ${ago(at, now)}`}
        title={`${about} Arrow keys move by ${range.stepMs / 1_000} s, Page Up and Page Down by a minute.`}
        min={range.fromMs}
        max={range.toMs}
        step={range.stepMs}
        value={value}
        onChange={(event) => look(Number(event.target.value))}
        onKeyDown={(event) => {
          const by = { PageUp: -PAGE_MS, PageDown: PAGE_MS }[event.key];
          if (by === undefined) return;
          event.preventDefault();
          look(Math.min(Math.max(value + by, range.fromMs), range.toMs));
        }}
      />
      <output>{at === null ? told(now, now) : `${told(at, now)} · ${ago(at, now)}`}</output>
      <Button type="button" $primary={time !== null} aria-pressed={time === null} title="Live (n)" onClick={goLive}>
        Live
      </Button>
    </>
  );
}

// In plain sight above the map: this is not now.
export function PastBanner() {
  const time = usePage((page) => page.time);
  const aheadMs = useTime((state) => state.aheadMs);
  const { loaded, timeUnixMs, past } = useLive((live) => live.topology);
  const problem = useLive((live) => live.problem);
  const now = useNow(1_000) + aheadMs;
  if (time === null) return null;
  return <PastSign time={time} shown={loaded && past ? timeUnixMs : null} failed={problem !== ''} now={now} />;
}

interface PastSignProps {
  // The moment that was asked for.
  time: number;
  // The one that the map shows; null while it shows none.
  shown: number | null;
  failed: boolean;
  now: number;
}

export function PastSign({ time, shown, failed, now }: PastSignProps) {
  return (
    <Strip role="status">
      <InfoIcon />
      <p>
        {shown !== null ? (
          <>
            <b>You look at the past:</b> the map as it was at <time>{told(shown, now)}</time>, {ago(shown, now)}.
            Controls are off.
          </>
        ) : failed ? (
          <b>The moment that the address names can’t be shown.</b>
        ) : (
          <>
            Looking up the map of <time>{told(time, now)}</time>…
          </>
        )}
      </p>
      <LinkButton type="button" onClick={goLive}>
        Back to live
      </LinkButton>
    </Strip>
  );
}

const Bar = styled.section`
  display: flex;
  align-items: center;
  gap: 10px;
  min-height: 38px;
  padding: 0 16px;
  border-top: 1px solid var(--line);
  background: var(--surface);
  font-size: 12px;
  color: var(--text-3);
  time,
  output {
    font-family: var(--mono);
    font-variant-numeric: tabular-nums;
    white-space: nowrap;
  }
  output {
    min-width: 168px;
    color: var(--text-1);
  }
  input {
    flex: 1;
    min-width: 80px;
    accent-color: var(--accent);
  }
  @media (max-width: ${NARROW_PX}px) {
    padding: 0 10px;
    gap: 8px;
    > time {
      display: none;
    }
    output {
      min-width: 0;
    }
  }
`;

const Strip = styled.div`
  display: flex;
  align-items: flex-start;
  gap: 10px;
  padding: 7px 16px;
  border-bottom: 1px solid color-mix(in srgb, var(--accent) 45%, var(--surface));
  background: color-mix(in srgb, var(--accent) 16%, var(--surface));
  color: var(--text-1);
  > svg {
    margin-top: 2px;
    flex: none;
    color: var(--accent);
  }
  p {
    flex: 1;
    min-width: 0;
  }
  b {
    font-weight: 600;
  }
  time {
    font-family: var(--mono);
    font-variant-numeric: tabular-nums;
  }
`;
