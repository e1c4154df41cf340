//! The force model of d3-force (velocity Verlet, cooling), with bodies of different sizes.

use crate::quadtree::Quadtree;

/// A spring between two bodies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub a: usize,
    pub b: usize,
    pub weight: f32,
    /// Length at rest.
    pub length: f32,
}

/// A pull of one body to a fixed point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pull {
    pub body: usize,
    pub x: f32,
    pub y: f32,
    pub strength: f32,
}

/// Bodies and what acts on them.
#[derive(Debug, Default)]
pub(crate) struct Simulation {
    pub x: Vec<f32>,
    pub y: Vec<f32>,
    /// Negative: repels.
    pub charge: Vec<f32>,
    pub links: Vec<Link>,
    pub pulls: Vec<Pull>,
    /// Pull of all to the origin.
    pub gravity: f32,
}

const VELOCITY_KEPT: f32 = 0.6;
const ALPHA_LEAST: f32 = 0.001;

impl Simulation {
    /// Cools from `alpha` over `ticks` steps.
    pub(crate) fn run(&mut self, alpha: f32, ticks: u32) {
        let n = self.x.len();
        if n == 0 || ticks == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few hundred ticks")]
        let decay = 1.0 - (ALPHA_LEAST / alpha).powf(1.0 / ticks as f32);
        let mut degree = vec![0.0f32; n];
        for link in &self.links {
            degree[link.a] += 1.0;
            degree[link.b] += 1.0;
        }
        let (mut vx, mut vy) = (vec![0.0f32; n], vec![0.0f32; n]);
        let mut tree = Quadtree::default();
        let mut stack = Vec::new();
        let mut alpha = alpha;
        for _ in 0..ticks {
            self.springs(alpha, &degree, &mut vx, &mut vy);
            tree.build(&self.x, &self.y, &self.charge);
            for body in 0..n {
                let (px, py) = tree.push(body, &self.x, &self.y, &self.charge, alpha, &mut stack);
                vx[body] += px - self.x[body] * self.gravity * alpha;
                vy[body] += py - self.y[body] * self.gravity * alpha;
            }
            for pull in &self.pulls {
                vx[pull.body] += (pull.x - self.x[pull.body]) * pull.strength * alpha;
                vy[pull.body] += (pull.y - self.y[pull.body]) * pull.strength * alpha;
            }
            for body in 0..n {
                vx[body] *= VELOCITY_KEPT;
                vy[body] *= VELOCITY_KEPT;
                self.x[body] += vx[body];
                self.y[body] += vy[body];
            }
            alpha -= alpha * decay;
        }
    }

    fn springs(&self, alpha: f32, degree: &[f32], vx: &mut [f32], vy: &mut [f32]) {
        for link in &self.links {
            let (a, b) = (link.a, link.b);
            let dx = self.x[b] + vx[b] - self.x[a] - vx[a];
            let dy = self.y[b] + vy[b] - self.y[a] - vy[a];
            let distance = dx.hypot(dy).max(0.01);
            let strength = link.weight.min(1.0) / degree[a].min(degree[b]).max(1.0);
            let pull = (distance - link.length) / distance * alpha * strength;
            // The one with fewer links gives way.
            let bias = degree[a] / (degree[a] + degree[b]).max(1.0);
            vx[b] -= dx * pull * bias;
            vy[b] -= dy * pull * bias;
            vx[a] += dx * pull * (1.0 - bias);
            vy[a] += dy * pull * (1.0 - bias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_bodies_end_nearer_than_others() {
        let mut world = Simulation {
            x: vec![0.0, 100.0, 0.0],
            y: vec![0.0, 0.0, 100.0],
            charge: vec![-300.0; 3],
            links: vec![Link {
                a: 0,
                b: 1,
                weight: 1.0,
                length: 80.0,
            }],
            gravity: 0.02,
            ..Default::default()
        };
        world.run(1.0, 300);
        let distance =
            |a: usize, b: usize| (world.x[a] - world.x[b]).hypot(world.y[a] - world.y[b]);
        assert!(distance(0, 1) < distance(0, 2) && distance(0, 1) < distance(1, 2));
    }
}
