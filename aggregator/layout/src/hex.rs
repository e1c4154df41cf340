//! The hexagonal grid inside a group: cells in rings around the centre.

/// A cell in axial coordinates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub q: i32,
    pub r: i32,
}

const DIRECTIONS: [Cell; 6] = [
    Cell { q: 1, r: 0 },
    Cell { q: 0, r: 1 },
    Cell { q: -1, r: 1 },
    Cell { q: -1, r: 0 },
    Cell { q: 0, r: -1 },
    Cell { q: 1, r: -1 },
];

const SQRT_3: f32 = 1.732_050_8;

impl Cell {
    /// Rings between the cell and the centre.
    pub(crate) fn ring(self) -> i32 {
        (self.q.abs() + self.r.abs() + (self.q + self.r).abs()) / 2
    }

    /// Offset from the centre, where neighbours are `spacing` apart.
    #[expect(clippy::cast_precision_loss, reason = "rings are few")]
    pub(crate) fn offset(self, spacing: f32) -> (f32, f32) {
        let (q, r) = (self.q as f32, self.r as f32);
        (spacing * (q + r / 2.0), spacing * (r * SQRT_3 / 2.0))
    }

    /// The cell at an offset from the centre.
    pub(crate) fn at(x: f32, y: f32, spacing: f32) -> Self {
        let r = y / (spacing * SQRT_3 / 2.0);
        let q = x / spacing - r / 2.0;
        // Rounds in cube coordinates, where q + r + s = 0.
        let s = -q - r;
        let (mut rq, mut rr, rs) = (q.round(), r.round(), s.round());
        let (dq, dr, ds) = ((rq - q).abs(), (rr - r).abs(), (rs - s).abs());
        if dq > dr && dq > ds {
            rq = -rr - rs;
        } else if dr > ds {
            rr = -rq - rs;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates; offsets are within a group"
        )]
        let cell = Self {
            q: rq as i32,
            r: rr as i32,
        };
        cell
    }

    fn step(self, direction: Cell, by: i32) -> Self {
        Self {
            q: self.q + direction.q * by,
            r: self.r + direction.r * by,
        }
    }

    /// The cells at `distance` rings around this one.
    pub(crate) fn around(self, distance: i32) -> impl Iterator<Item = Cell> {
        let single = (distance == 0).then_some(self);
        let side = (0..6usize).flat_map(move |side| {
            let corner = self.step(DIRECTIONS[side], distance);
            let along = DIRECTIONS[(side + 2) % 6];
            (0..distance).map(move |step| corner.step(along, step))
        });
        single.into_iter().chain(side)
    }
}

/// Cells within `rings` rings around the centre, itself included.
pub(crate) fn capacity(rings: i32) -> usize {
    usize::try_from(1 + 3 * i64::from(rings) * (i64::from(rings) + 1)).unwrap_or(0)
}

/// The fewest rings that hold `members`.
pub(crate) fn rings_for(members: usize) -> i32 {
    let mut rings = 0;
    while capacity(rings) < members {
        rings += 1;
    }
    rings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_fill_without_gap_or_overlap() {
        for rings in 0..6 {
            let mut cells: Vec<_> = (0..=rings)
                .flat_map(|ring| Cell::default().around(ring))
                .collect();
            assert!(cells.iter().all(|cell| cell.ring() <= rings));
            cells.sort();
            cells.dedup();
            assert_eq!(cells.len(), capacity(rings));
        }
        assert_eq!(
            (rings_for(1), rings_for(2), rings_for(7), rings_for(8)),
            (0, 1, 1, 2)
        );
    }

    #[test]
    fn a_cell_is_found_at_its_own_offset() {
        for cell in (0..5).flat_map(|ring| Cell::default().around(ring)) {
            let (x, y) = cell.offset(48.0);
            assert_eq!(Cell::at(x + 10.0, y - 10.0, 48.0), cell);
        }
    }
}
