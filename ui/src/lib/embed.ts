// The map as a part of another page: `?embed=1` leaves out what is around it.

export function isEmbedded(query: string): boolean {
  return new URLSearchParams(query).get('embed') === '1';
}

// The same view as a page of its own.
export function standalone(address: string): string {
  const url = new URL(address);
  url.searchParams.delete('embed');
  return url.toString();
}
