// How the rest of the page reaches the map while it is on the screen.

export interface MapHandle {
  fit(): void;
  // The map as it is seen, with a line below that says what and when.
  picture(caption: string): Promise<Blob>;
  // The same as lines and text.
  drawing(caption: string): Promise<Blob>;
}

let shown: MapHandle | null = null;

export function offerMap(handle: MapHandle): () => void {
  shown = handle;
  return () => {
    if (shown === handle) shown = null;
  };
}

export function theMap(): MapHandle | null {
  return shown;
}
