//! Circles apart: pushes overlapping ones from each other, and finds free spots.

use rustc_hash::FxHashMap;

/// A circle that must not overlap another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circle {
    pub x: f32,
    pub y: f32,
    pub radius: f32,
    /// It gives way only to others like it.
    pub fixed: bool,
}

/// Overlap that nobody sees.
pub(crate) const TOLERANCE: f32 = 0.5;
const ROUNDS_MAX: u32 = 400;

/// Pushes circles apart until none overlap by more than [`TOLERANCE`].
pub(crate) fn separate(circles: &mut [Circle]) {
    let mut order: Vec<usize> = (0..circles.len()).collect();
    for round in 0..ROUNDS_MAX {
        // Sweep along x: only circles whose x ranges meet are compared.
        order.sort_by(|a, b| {
            let left = |index: usize| circles[index].x - circles[index].radius;
            left(*a).total_cmp(&left(*b)).then(a.cmp(b))
        });
        let mut most = 0.0f32;
        let mut open: Vec<usize> = Vec::new();
        for index in &order {
            let left = circles[*index].x - circles[*index].radius;
            open.retain(|other| circles[*other].x + circles[*other].radius > left);
            for other in &open {
                most = most.max(push_apart(circles, *other, *index, round));
            }
            open.push(*index);
        }
        if most <= TOLERANCE {
            return;
        }
    }
}

/// Pushes two circles apart; gives by how much they overlapped.
fn push_apart(circles: &mut [Circle], a: usize, b: usize, round: u32) -> f32 {
    let (one, two) = (circles[a], circles[b]);
    let (mut dx, mut dy) = (two.x - one.x, two.y - one.y);
    let reach = one.radius + two.radius;
    if dy.abs() >= reach {
        return 0.0;
    }
    let mut distance = dx.hypot(dy);
    let overlap = reach - distance;
    if overlap <= 0.0 {
        return 0.0;
    }
    if distance < 0.01 {
        // At one place: apart in a direction of their own.
        #[expect(clippy::cast_precision_loss, reason = "any angle will do")]
        let angle = (a * 7 + b * 13) as f32;
        (dx, dy) = (angle.cos(), angle.sin());
        distance = 1.0;
    }
    // The lighter one gives way; two fixed ones both do, for else they would stay on each other.
    let share = match (one.fixed, two.fixed) {
        (true, false) => 0.0,
        (false, true) => 1.0,
        _ => {
            let (own, other) = (one.radius * one.radius, two.radius * two.radius);
            other / (own + other)
        }
    };
    // A little more than needed, and more in later rounds, so that chains settle.
    let factor = if round < 50 { 1.02 } else { 1.15 };
    let step = (overlap * factor + 0.01) / distance;
    circles[a].x -= dx * step * share;
    circles[a].y -= dy * step * share;
    circles[b].x += dx * step * (1.0 - share);
    circles[b].y += dy * step * (1.0 - share);
    overlap
}

/// An index of circles, for finding a free spot.
#[derive(Debug)]
pub(crate) struct Spots {
    cells: FxHashMap<(i32, i32), Vec<Circle>>,
    width: f32,
}

impl Spots {
    pub(crate) fn new(circles: impl Iterator<Item = Circle>, width: f32) -> Self {
        let mut spots = Self {
            cells: FxHashMap::default(),
            width,
        };
        for circle in circles {
            spots.insert(circle);
        }
        spots
    }

    pub(crate) fn insert(&mut self, circle: Circle) {
        for cell in self.covered(circle.x, circle.y, circle.radius) {
            self.cells.entry(cell).or_default().push(circle);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates; pictures are smaller"
    )]
    fn covered(&self, x: f32, y: f32, radius: f32) -> impl Iterator<Item = (i32, i32)> + use<> {
        let cell = |value: f32| (value / self.width).floor() as i32;
        let (left, right) = (cell(x - radius), cell(x + radius));
        let (top, bottom) = (cell(y - radius), cell(y + radius));
        (left..=right).flat_map(move |x| (top..=bottom).map(move |y| (x, y)))
    }

    fn is_free(&self, x: f32, y: f32, radius: f32) -> bool {
        self.covered(x, y, radius).all(|cell| {
            self.cells.get(&cell).is_none_or(|circles| {
                circles
                    .iter()
                    .all(|other| (other.x - x).hypot(other.y - y) >= other.radius + radius)
            })
        })
    }

    /// The free spot for a circle nearest to a point, on a spiral around it.
    pub(crate) fn find(&self, x: f32, y: f32, radius: f32) -> (f32, f32) {
        const TRIES: u16 = 20_000;
        // A sunflower's angle: every direction is tried early.
        const GOLDEN_ANGLE: f32 = 2.399_963_2;
        let step = radius.max(self.width / 8.0) * 0.7;
        for attempt in 0..TRIES {
            let turn = f32::from(attempt);
            let distance = step * turn.sqrt();
            let angle = turn * GOLDEN_ANGLE;
            let (x, y) = (x + distance * angle.cos(), y + distance * angle.sin());
            if self.is_free(x, y, radius) {
                return (x, y);
            }
        }
        // Beyond everything there is room.
        let right = self
            .cells
            .values()
            .flatten()
            .map(|circle| circle.x + circle.radius);
        (right.fold(x, f32::max) + radius, y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(circles: &[Circle]) -> f32 {
        let mut most = 0.0f32;
        for (index, a) in circles.iter().enumerate() {
            for b in &circles[index + 1..] {
                most = most.max(a.radius + b.radius - (a.x - b.x).hypot(a.y - b.y));
            }
        }
        most
    }

    #[test]
    fn a_heap_of_circles_comes_apart() {
        let mut circles: Vec<_> = (0..200u16)
            .map(|i| Circle {
                x: f32::from(i % 7),
                y: f32::from(i % 5),
                radius: 10.0 + f32::from(i % 40),
                fixed: false,
            })
            .collect();
        separate(&mut circles);
        assert!(overlap(&circles) <= TOLERANCE, "{}", overlap(&circles));
    }

    #[test]
    fn a_found_spot_is_free() {
        let circles: Vec<_> = (0..50u16)
            .map(|i| Circle {
                x: f32::from(i % 10) * 40.0,
                y: f32::from(i / 10) * 40.0,
                radius: 25.0,
                fixed: true,
            })
            .collect();
        let spots = Spots::new(circles.iter().copied(), 100.0);
        let (x, y) = spots.find(100.0, 100.0, 30.0);
        for circle in &circles {
            assert!((circle.x - x).hypot(circle.y - y) >= 55.0 - 0.01);
        }
    }
}
