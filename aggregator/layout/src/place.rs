//! Level one: where groups are.

use crate::{
    force::{Link, Simulation},
    hex,
    layout::{GroupKey, Layout},
    separate::{Circle, Spots, separate},
};

/// Fewer newcomers than this never make the whole picture move.
const FEW: usize = 8;
/// Drift means little with fewer links between groups.
const LINKS_LEAST: usize = 32;
/// Room in a group for newcomers, so that it need not grow soon.
const HEADROOM: f32 = 1.15;

const GOLDEN_ANGLE: f32 = 2.399_963_2;

impl Layout {
    /// How much longer the edges between groups are, against the width of the picture, than just
    /// after the last full layout: 1 is fresh. [`Self::update`] lays out anew by itself past
    /// [`crate::Settings::drift_max`].
    #[must_use]
    pub fn drift(&self) -> f32 {
        let links = self.links.len();
        if self.fresh_stretch <= 0.0 || links < LINKS_LEAST || self.fresh_links < LINKS_LEAST {
            return 1.0;
        }
        (self.stretch() / self.fresh_stretch).max(1.0)
    }

    /// Mean length of the links between placed groups over the picture's mean radius.
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    fn stretch(&self) -> f32 {
        let (mut length, mut count) = (0.0f32, 0usize);
        for (a, b) in self.links.keys() {
            let (Some(a), Some(b)) = (self.groups.get(*a), self.groups.get(*b)) else {
                continue;
            };
            if a.placed && b.placed {
                length += (a.x - b.x).hypot(a.y - b.y);
                count += 1;
            }
        }
        let placed: Vec<_> = self.groups.values().filter(|group| group.placed).collect();
        if count == 0 || placed.len() < 2 {
            return 0.0;
        }
        let n = placed.len() as f32;
        let (cx, cy) = placed.iter().fold((0.0, 0.0), |(x, y), group| {
            (x + group.x / n, y + group.y / n)
        });
        let radius = placed
            .iter()
            .map(|group| (group.x - cx).hypot(group.y - cy))
            .sum::<f32>()
            / n;
        if radius <= 0.0 {
            0.0
        } else {
            length / count as f32 / radius
        }
    }

    /// So much is new that keeping the rest in place would not make a picture.
    pub(crate) fn is_mostly_new(&self) -> bool {
        let new_groups = self.groups.values().filter(|group| !group.placed).count();
        let waiting: usize = self.groups.values().map(|group| group.waiting.len()).sum();
        let old_groups = self.groups.len() - new_groups;
        new_groups > FEW.max(old_groups / 2) || waiting > (4 * FEW).max(self.nodes.len() / 2)
    }

    fn rings_with_headroom(&self, members: usize) -> i32 {
        if members <= 1 {
            return 0;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small multiple of a count"
        )]
        let wanted = (members as f32 * HEADROOM).ceil() as usize;
        hex::rings_for(wanted)
    }

    /// Lays everything out anew, starting from where groups are.
    pub(crate) fn place_all(&mut self) {
        let keys: Vec<GroupKey> = self.groups.keys().collect();
        for key in &keys {
            let rings = self.rings_with_headroom(self.groups[*key].members);
            self.groups[*key].rings = rings;
        }
        let mut world = self.world(&keys);
        let ticks = match keys.len() {
            0..=1_000 => 300,
            1_001..=3_000 => 150,
            _ => 80,
        };
        world.run(1.0, ticks);
        let mut circles: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(index, key)| Circle {
                x: world.x[index],
                y: world.y[index],
                radius: self.radius(self.groups[*key].rings) + self.settings.gap / 2.0,
                fixed: false,
            })
            .collect();
        separate(&mut circles);
        for (key, circle) in keys.iter().zip(&circles) {
            let group = &mut self.groups[*key];
            (group.x, group.y) = (circle.x, circle.y);
            group.placed = true;
        }
        for key in &keys {
            self.pack(*key);
        }
        self.moved_groups.extend(keys);
        self.fresh_stretch = self.stretch();
        self.fresh_links = self.links.len();
    }

    fn world(&self, keys: &[GroupKey]) -> Simulation {
        let mut world = Simulation {
            gravity: 0.04,
            ..Default::default()
        };
        let mut index = rustc_hash::FxHashMap::default();
        let reach = self.settings.gap / 2.0;
        // New ones start on a sunflower, turned by the seed.
        #[expect(clippy::cast_precision_loss, reason = "any angle will do")]
        let turn = (self.settings.seed % 1_000) as f32;
        let mut ring = 0.0f32;
        for (at, key) in keys.iter().enumerate() {
            index.insert(*key, at);
            let group = &self.groups[*key];
            let radius = self.radius(group.rings) + reach;
            let (x, y) = if group.placed {
                (group.x, group.y)
            } else {
                #[expect(clippy::cast_precision_loss, reason = "any angle will do")]
                let angle = at as f32 * GOLDEN_ANGLE + turn;
                let distance = ring.sqrt();
                (distance * angle.cos(), distance * angle.sin())
            };
            ring += 4.0 * radius * radius;
            world.x.push(x);
            world.y.push(y);
            // Scales with the square of the size: the same picture at any spacing.
            world.charge.push(-0.15 * radius * radius);
        }
        let mut links: Vec<Link> = self
            .links
            .iter()
            .map(|((a, b), link)| {
                let length =
                    self.radius(self.groups[*a].rings) + self.radius(self.groups[*b].rings);
                Link {
                    a: index[a],
                    b: index[b],
                    weight: link.weight.max(0.0).sqrt().clamp(0.2, 1.0),
                    length: length + self.settings.gap,
                }
            })
            .collect();
        // Springs act one after the other: their order is part of the outcome.
        links.sort_by_key(|link| (link.a, link.b));
        world.links = links;
        world
    }

    /// Places what is new and leaves the rest where it is, but for those that must make room.
    pub(crate) fn place_new(&mut self) {
        let waiting: Vec<GroupKey> = self
            .groups
            .iter()
            .filter(|(_, group)| !group.waiting.is_empty())
            .map(|(key, _)| key)
            .collect();
        if waiting.is_empty() {
            return;
        }
        self.place_new_groups(&waiting);
        let mut grown = Vec::new();
        for key in waiting {
            let rings = self.groups[key].rings;
            self.seat_waiting(key);
            if self.groups[key].rings > rings {
                grown.push(key);
            }
        }
        if !grown.is_empty() {
            self.make_room(&grown);
        }
    }

    fn place_new_groups(&mut self, waiting: &[GroupKey]) {
        let new: Vec<GroupKey> = waiting
            .iter()
            .filter(|key| !self.groups[**key].placed)
            .copied()
            .collect();
        if new.is_empty() {
            return;
        }
        let reach = self.settings.gap / 2.0;
        let placed = self
            .groups
            .values()
            .filter(|group| group.placed)
            .map(|group| Circle {
                x: group.x,
                y: group.y,
                radius: self.radius(group.rings) + reach,
                fixed: true,
            });
        let mut spots = Spots::new(placed, 4.0 * self.settings.spacing);
        let mut targets: rustc_hash::FxHashMap<GroupKey, (f32, f32, f32)> =
            rustc_hash::FxHashMap::default();
        for ((a, b), link) in &self.links {
            for (own, other) in [(a, b), (b, a)] {
                if !self.groups[*own].placed && self.groups[*other].placed {
                    let sum = targets.entry(*own).or_default();
                    sum.0 += self.groups[*other].x * link.weight;
                    sum.1 += self.groups[*other].y * link.weight;
                    sum.2 += link.weight;
                }
            }
        }
        for key in new {
            let rings = self.rings_with_headroom(self.groups[key].members);
            let radius = self.radius(rings) + reach;
            let (x, y) = match targets.get(&key) {
                Some((x, y, weight)) if *weight > 0.0 => (x / weight, y / weight),
                _ => (0.0, 0.0),
            };
            let (x, y) = spots.find(x, y, radius);
            spots.insert(Circle {
                x,
                y,
                radius,
                fixed: true,
            });
            let group = &mut self.groups[key];
            (group.x, group.y, group.rings, group.placed) = (x, y, rings, true);
            self.moved_groups.insert(key);
        }
    }

    /// Gives grown groups the room that they need, so that as few nodes as possible move: either what
    /// they overlap now is pushed aside, or they go to a free spot themselves.
    fn make_room(&mut self, grown: &[GroupKey]) {
        let pushed = self.pushed_aside(grown);
        let gone = self.gone_elsewhere(grown);
        let still = self.settings.spacing / 4.0;
        let moving = |places: &[(GroupKey, f32, f32)]| -> usize {
            places
                .iter()
                .map(|(key, x, y)| (&self.groups[*key], x, y))
                .filter(|(group, x, y)| (group.x - *x).hypot(group.y - *y) > still)
                .map(|(group, _, _)| group.members)
                .sum()
        };
        let places = if moving(&gone) < moving(&pushed) {
            gone
        } else {
            pushed
        };
        for (key, x, y) in places {
            let group = &mut self.groups[key];
            if (group.x, group.y) != (x, y) {
                (group.x, group.y) = (x, y);
                self.moved_groups.insert(key);
            }
        }
    }

    /// Where each group is when the grown ones stay and the others make room.
    fn pushed_aside(&self, grown: &[GroupKey]) -> Vec<(GroupKey, f32, f32)> {
        let keys: Vec<GroupKey> = self.groups.keys().collect();
        let mut circles: Vec<_> = keys
            .iter()
            .map(|key| self.circle(*key, grown.contains(key)))
            .collect();
        separate(&mut circles);
        keys.into_iter()
            .zip(&circles)
            .map(|(key, circle)| (key, circle.x, circle.y))
            .collect()
    }

    /// Where the grown ones are when they leave the others in place: near where they were.
    fn gone_elsewhere(&self, grown: &[GroupKey]) -> Vec<(GroupKey, f32, f32)> {
        let others = self
            .groups
            .iter()
            .filter(|(key, group)| group.placed && !grown.contains(key))
            .map(|(key, _)| self.circle(key, true));
        let mut spots = Spots::new(others, 4.0 * self.settings.spacing);
        let mut places = Vec::with_capacity(grown.len());
        for key in grown {
            let mut circle = self.circle(*key, true);
            (circle.x, circle.y) = spots.find(circle.x, circle.y, circle.radius);
            places.push((*key, circle.x, circle.y));
            spots.insert(circle);
        }
        places
    }

    /// A group and half the gap around it.
    fn circle(&self, key: GroupKey, fixed: bool) -> Circle {
        let group = &self.groups[key];
        Circle {
            x: group.x,
            y: group.y,
            radius: self.radius(group.rings) + self.settings.gap / 2.0,
            fixed,
        }
    }
}
