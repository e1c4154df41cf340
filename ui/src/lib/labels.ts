// A label as somebody types it.

export function labelFrom(text: string): { key: string; value: string } | null {
  const at = text.indexOf('=');
  const key = text.slice(0, at).trim();
  const value = text.slice(at + 1).trim();
  return at < 1 || key === '' || value === '' ? null : { key, value };
}
