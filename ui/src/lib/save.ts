// Hands something to the browser to keep.

export function saveBlob(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = address;
  // It is a name and no path.
  link.download = name.replace(/[/\\\u0000-\u001f]+/g, '_');
  link.click();
  // The browser reads it after the click has returned.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
