import { exportView, type ExportKind } from '../store/export';
import { useLive } from '../store/live';
import { say } from '../store/notice';
import { usePage, type ThemeChoice } from '../store/page';
import { useThemeName } from '../theme/useTheme';
import { IconButton } from './controls';
import { ContrastIcon, KeyboardIcon, MoonIcon, ShareIcon, SunIcon } from './icons';
import { Menu } from './Menu';
import { copyLink } from './useShortcuts';

const THEME_NAMES: readonly (readonly [ThemeChoice, string])[] = [
  ['system', 'As the system'],
  ['dark', 'Dark'],
  ['light', 'Light'],
  ['contrast', 'High contrast'],
];

function ThemeMenu() {
  const theme = useThemeName();
  const choice = usePage((page) => page.theme);
  const icon = { dark: <MoonIcon />, light: <SunIcon />, contrast: <ContrastIcon /> }[theme];
  return (
    <Menu
      label="Theme"
      icon={icon}
      items={THEME_NAMES.map(([name, label]) => ({
        label,
        checked: name === choice,
        run: () => usePage.getState().setTheme(name),
      }))}
    />
  );
}

function ShareMenu() {
  const mode = usePage((page) => page.mode);
  const loaded = useLive((live) => live.topology.loaded);
  const save = (kind: ExportKind) => () =>
    exportView(kind).catch((error: unknown) => say((error as Error).message));
  const empty = loaded ? undefined : 'There is no map yet';
  return (
    <Menu
      label="Share and export"
      icon={<ShareIcon />}
      items={[
        { label: 'Copy a link to this view', run: () => void copyLink() },
        {
          label: 'Save the map as PNG',
          unavailable: empty ?? (mode === 'graph' ? undefined : 'Only while the graph is shown'),
          run: () => void save('png')(),
        },
        {
          label: 'Save the map as SVG',
          unavailable: empty ?? (mode === 'graph' ? undefined : 'Only while the graph is shown'),
          run: () => void save('svg')(),
        },
        { label: 'Save the table as CSV', unavailable: empty, run: () => void save('csv')() },
        { label: 'Save the view as JSON', unavailable: empty, run: () => void save('json')() },
      ]}
    />
  );
}

// The page's own buttons, at the right of the header.
export function PageMenus() {
  return (
    <>
      <ShareMenu />
      <ThemeMenu />
      <IconButton
        type="button"
        aria-label="Keys and search"
        title="Keys and search (?)"
        onClick={() => usePage.getState().setPanel('help')}
      >
        <KeyboardIcon />
      </IconButton>
    </>
  );
}
