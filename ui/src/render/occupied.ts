// Which parts of the screen hold something, on a coarse grid.

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const CELL_PX = 5;

export class Occupied {
  private readonly columns: number;
  private readonly rows: number;
  private readonly cells: Uint8Array;

  constructor(width: number, height: number) {
    this.columns = Math.ceil(width / CELL_PX) + 1;
    this.rows = Math.ceil(height / CELL_PX) + 1;
    this.cells = new Uint8Array(this.columns * this.rows);
  }

  isFree(box: Box): boolean {
    return this.every(box, (cell) => this.cells[cell] === 0);
  }

  take(box: Box): void {
    this.every(box, (cell) => {
      this.cells[cell] = 1;
      return true;
    });
  }

  private every({ left, top, right, bottom }: Box, test: (cell: number) => boolean): boolean {
    const x1 = Math.max(0, Math.floor(left / CELL_PX));
    const x2 = Math.min(this.columns - 1, Math.floor(right / CELL_PX));
    const y1 = Math.max(0, Math.floor(top / CELL_PX));
    const y2 = Math.min(this.rows - 1, Math.floor(bottom / CELL_PX));
    for (let y = y1; y <= y2; y += 1) {
      for (let x = x1; x <= x2; x += 1) if (!test(y * this.columns + x)) return false;
    }
    return true;
  }
}
