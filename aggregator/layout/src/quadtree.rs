//! Many-body forces in O(n log n), after J. Barnes and P. Hut, "A hierarchical O(N log N)
//! force-calculation algorithm", Nature 324 (1986).

/// A cell of the tree: a square with the sum of the bodies in it.
#[derive(Clone, Copy, Debug)]
struct Square {
    /// Index of the first of four children, 0 for none.
    children: u32,
    /// A body in a leaf, plus one; 0 for none.
    body: u32,
    charge: f32,
    x: f32,
    y: f32,
}

const EMPTY: Square = Square {
    children: 0,
    body: 0,
    charge: 0.0,
    x: 0.0,
    y: 0.0,
};

/// Squares smaller than this part of the whole are not divided: bodies there are at one place.
const DEPTH_MAX: u32 = 24;
/// A square is taken as one body when its width is less than this times its distance.
const THETA_SQUARED: f32 = 0.81;

#[derive(Debug, Default)]
pub(crate) struct Quadtree {
    squares: Vec<Square>,
    /// Bodies of leaves of the least size, as a list.
    next: Vec<u32>,
    left: f32,
    top: f32,
    width: f32,
}

impl Quadtree {
    /// Builds the tree anew. `charges` are negative where bodies repel each other.
    pub(crate) fn build(&mut self, x: &[f32], y: &[f32], charges: &[f32]) {
        self.squares.clear();
        self.squares.push(EMPTY);
        self.next.clear();
        self.next.resize(x.len(), 0);
        let least = |values: &[f32]| values.iter().copied().fold(f32::INFINITY, f32::min);
        let most = |values: &[f32]| values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        (self.left, self.top) = (least(x), least(y));
        self.width = (most(x) - self.left).max(most(y) - self.top).max(1.0) * 1.000_1;
        for body in 0..x.len() {
            self.insert(body, x, y);
        }
        self.sum(0, x, y, charges);
    }

    fn insert(&mut self, body: usize, x: &[f32], y: &[f32]) {
        let (mut at, mut left, mut top, mut width) = (0usize, self.left, self.top, self.width);
        let mut depth = 0;
        let code = u32::try_from(body + 1).expect("bodies are bounded far below 2^32");
        loop {
            let square = self.squares[at];
            if square.children == 0 {
                if square.body == 0 {
                    self.squares[at].body = code;
                    return;
                }
                if depth == DEPTH_MAX {
                    self.next[body] = square.body;
                    self.squares[at].body = code;
                    return;
                }
                let first = self.squares.len();
                self.squares.extend([EMPTY; 4]);
                self.squares[at].children = u32::try_from(first).expect("four per body and level");
                self.squares[at].body = 0;
                let other = square.body as usize - 1;
                let half = width / 2.0;
                let child = quarter(x[other], y[other], left + half, top + half);
                self.squares[first + child].body = square.body;
            }
            let half = width / 2.0;
            let child = quarter(x[body], y[body], left + half, top + half);
            left += if child & 1 == 1 { half } else { 0.0 };
            top += if child & 2 == 2 { half } else { 0.0 };
            width = half;
            at = self.squares[at].children as usize + child;
            depth += 1;
        }
    }

    /// Sums charges and their centres, from the leaves up.
    fn sum(&mut self, at: usize, x: &[f32], y: &[f32], charges: &[f32]) {
        let square = self.squares[at];
        let (mut charge, mut weight, mut cx, mut cy) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
        let mut add = |c: f32, px: f32, py: f32| {
            charge += c;
            weight += c.abs();
            cx += c.abs() * px;
            cy += c.abs() * py;
        };
        if square.children == 0 {
            let mut body = square.body;
            while body != 0 {
                let index = body as usize - 1;
                add(charges[index], x[index], y[index]);
                body = self.next[index];
            }
        } else {
            for child in 0..4 {
                let child = square.children as usize + child;
                self.sum(child, x, y, charges);
                let child = self.squares[child];
                add(child.charge, child.x, child.y);
            }
        }
        let square = &mut self.squares[at];
        square.charge = charge;
        if weight > 0.0 {
            (square.x, square.y) = (cx / weight, cy / weight);
        }
    }

    /// Velocity that all others give to a body (d3-force's many-body force, times `alpha`).
    pub(crate) fn push(
        &self,
        body: usize,
        x: &[f32],
        y: &[f32],
        charges: &[f32],
        alpha: f32,
        stack: &mut Vec<(usize, f32)>,
    ) -> (f32, f32) {
        let (px, py) = (x[body], y[body]);
        let (mut vx, mut vy) = (0.0, 0.0);
        let mut act = |cx: f32, cy: f32, charge: f32| {
            let (dx, dy) = (cx - px, cy - py);
            let mut squared = dx * dx + dy * dy;
            if squared < 1.0 {
                // Nearer than a pixel would throw them apart.
                squared = squared.sqrt().max(0.01);
            }
            vx += dx * charge * alpha / squared;
            vy += dy * charge * alpha / squared;
        };
        stack.clear();
        stack.push((0, self.width));
        while let Some((at, width)) = stack.pop() {
            let square = self.squares[at];
            if square.charge == 0.0 {
                continue;
            }
            if square.children == 0 {
                let mut other = square.body;
                while other != 0 {
                    let index = other as usize - 1;
                    if index != body {
                        act(x[index], y[index], charges[index]);
                    }
                    other = self.next[index];
                }
                continue;
            }
            let (dx, dy) = (square.x - px, square.y - py);
            if width * width < THETA_SQUARED * (dx * dx + dy * dy) {
                act(square.x, square.y, square.charge);
            } else {
                let first = square.children as usize;
                stack.extend((first..first + 4).map(|child| (child, width / 2.0)));
            }
        }
        (vx, vy)
    }
}

fn quarter(x: f32, y: f32, middle_x: f32, middle_y: f32) -> usize {
    usize::from(x >= middle_x) | usize::from(y >= middle_y) << 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_sum_over_all_pairs() {
        let n = 300usize;
        let value = |seed: usize| (seed.wrapping_mul(2_654_435_761) % 1_000) as f32;
        let x: Vec<f32> = (0..n).map(value).collect();
        let y: Vec<f32> = (0..n).map(|i| value(i + 7_919)).collect();
        let charges = vec![-30.0; n];
        let mut tree = Quadtree::default();
        tree.build(&x, &y, &charges);
        let mut stack = Vec::new();
        for body in [0, 17, 299] {
            let near = tree.push(body, &x, &y, &charges, 1.0, &mut stack);
            let mut exact = (0.0f32, 0.0f32);
            for other in (0..n).filter(|other| *other != body) {
                let (dx, dy) = (x[other] - x[body], y[other] - y[body]);
                let squared = (dx * dx + dy * dy).max(1.0);
                exact.0 += dx * -30.0 / squared;
                exact.1 += dy * -30.0 / squared;
            }
            let off = (near.0 - exact.0).hypot(near.1 - exact.1);
            assert!(
                off < 0.1 * exact.0.hypot(exact.1) + 1.0,
                "{near:?} {exact:?}"
            );
        }
    }

    #[test]
    fn bodies_at_one_place_are_no_problem() {
        let (x, y) = (vec![5.0; 100], vec![5.0; 100]);
        let mut tree = Quadtree::default();
        tree.build(&x, &y, &[-1.0; 100]);
        let push = tree.push(3, &x, &y, &[-1.0; 100], 1.0, &mut Vec::new());
        assert!(push.0.is_finite() && push.1.is_finite());
    }
}
