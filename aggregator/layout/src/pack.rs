//! Level two: members into cells.

use crate::{
    force::{Link, Pull, Simulation},
    hex::{self, Cell},
    layout::{GroupKey, Layout, NodeKey},
};

/// Fewer newcomers than this never make the others of their group move.
const FEW: usize = 8;

impl Layout {
    /// Gives cells to the members of a group that have none: free ones near what they are connected
    /// to. When much of the group is new, all of it is packed anew.
    pub(crate) fn seat_waiting(&mut self, key: GroupKey) {
        let group = &self.groups[key];
        if group.waiting.len() > FEW.max(group.members / 2) {
            let rings = group.rings.max(hex::rings_for(group.members));
            self.groups[key].rings = rings;
            self.pack(key);
            self.moved_groups.insert(key);
            return;
        }
        for node in std::mem::take(&mut self.groups[key].waiting) {
            let group = &mut self.groups[key];
            group.rings = group.rings.max(hex::rings_for(group.cells.len() + 1));
            let (x, y) = self.wish(node);
            self.seat(key, node, x, y);
            self.placed_nodes.push(node);
        }
    }

    /// Where a member would like to be, as an offset from the centre of its group.
    fn wish(&self, node: NodeKey) -> (f32, f32) {
        let member = &self.nodes[node];
        let group = &self.groups[member.group];
        let (mut x, mut y, mut count) = (0.0f32, 0.0f32, 0.0f32);
        for edge in &member.edges {
            let [a, b] = self.edges[*edge].ends;
            let other = if a == node { b } else { a };
            if let Some((ox, oy)) = self.place_of(other) {
                let (dx, dy) = self.towards(member.group, ox - group.x, oy - group.y);
                x += dx;
                y += dy;
                count += 1.0;
            }
        }
        if count > 0.0 {
            return (x / count, y / count);
        }
        // Connected to nothing: outside, in a direction of its own.
        let angle = angle_of(&member.id);
        let radius = self.radius(group.rings);
        (radius * angle.cos(), radius * angle.sin())
    }

    /// An offset, or where the line to it leaves the group.
    fn towards(&self, group: GroupKey, dx: f32, dy: f32) -> (f32, f32) {
        let radius = self.radius(self.groups[group].rings);
        let distance = dx.hypot(dy);
        if distance <= radius {
            (dx, dy)
        } else {
            (dx / distance * radius, dy / distance * radius)
        }
    }

    /// Puts a member into the free cell nearest to an offset.
    fn seat(&mut self, key: GroupKey, node: NodeKey, x: f32, y: f32) {
        let group = &mut self.groups[key];
        let rings = group.rings;
        let mut wish = Cell::at(x, y, self.settings.spacing);
        if wish.ring() > rings {
            #[expect(clippy::cast_precision_loss, reason = "rings are few")]
            let shrink = rings as f32 / wish.ring() as f32;
            wish = Cell::at(x * shrink, y * shrink, self.settings.spacing);
        }
        let free = (0..=2 * rings + 2)
            .flat_map(|distance| wish.around(distance))
            .find(|cell| cell.ring() <= rings && !group.cells.contains_key(cell));
        let cell = free.expect("the rings hold all members, and all cells are within reach");
        group.cells.insert(cell, node);
        self.nodes[node].cell = Some(cell);
    }

    /// Packs all members of a group anew: the connected ones where a force model puts them, the
    /// others around.
    pub(crate) fn pack(&mut self, key: GroupKey) {
        let group = &mut self.groups[key];
        let before = std::mem::take(&mut group.cells);
        let mut members: Vec<NodeKey> = before.into_values().collect();
        members.extend(std::mem::take(&mut group.waiting));
        // The order of a map is none.
        members.sort_unstable();
        if let [only] = members[..] {
            self.groups[key].cells.insert(Cell::default(), only);
            self.nodes[only].cell = Some(Cell::default());
            return;
        }
        let (connected, lonely): (Vec<NodeKey>, Vec<NodeKey>) = members
            .into_iter()
            .partition(|node| !self.nodes[*node].edges.is_empty());
        let places = self.arrange(key, &connected);
        for node in connected.iter().chain(&lonely) {
            self.nodes[*node].cell = None;
        }
        let mut order: Vec<usize> = (0..connected.len()).collect();
        let distance = |index: &usize| places[*index].0.hypot(places[*index].1);
        order.sort_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.cmp(b)));
        for index in order {
            self.seat(key, connected[index], places[index].0, places[index].1);
        }
        let mut free = (0..).flat_map(|ring| Cell::default().around(ring));
        for node in lonely {
            let group = &mut self.groups[key];
            let cell = free.by_ref().find(|cell| !group.cells.contains_key(cell));
            let cell = cell.expect("rings go on without end");
            group.cells.insert(cell, node);
            self.nodes[node].cell = Some(cell);
        }
    }

    /// Offsets of connected members by a force model, scaled to the room that they need.
    fn arrange(&self, key: GroupKey, members: &[NodeKey]) -> Vec<(f32, f32)> {
        let spacing = self.settings.spacing;
        let mut world = Simulation {
            gravity: 0.06,
            ..Default::default()
        };
        let index: rustc_hash::FxHashMap<NodeKey, usize> = members
            .iter()
            .enumerate()
            .map(|(at, node)| (*node, at))
            .collect();
        let group = &self.groups[key];
        for node in members {
            let member = &self.nodes[*node];
            let (x, y) = member.cell.map_or_else(
                || self.scatter(&member.id, members.len()),
                |cell| cell.offset(spacing),
            );
            world.x.push(x);
            world.y.push(y);
            world.charge.push(-0.15 * spacing * spacing);
            for edge in &member.edges {
                let edge = &self.edges[*edge];
                let [a, b] = edge.ends;
                let other = if a == *node { b } else { a };
                match index.get(&other) {
                    Some(other) if a == *node => world.links.push(Link {
                        a: index[node],
                        b: *other,
                        weight: edge.weight.sqrt().clamp(0.2, 1.0),
                        length: spacing,
                    }),
                    Some(_) => {}
                    None => {
                        let far = &self.groups[self.nodes[other].group];
                        let (x, y) = self.towards(
                            key,
                            (far.x - group.x) * 1_000.0,
                            (far.y - group.y) * 1_000.0,
                        );
                        world.pulls.push(Pull {
                            body: index[node],
                            x,
                            y,
                            strength: 0.05,
                        });
                    }
                }
            }
        }
        let ticks = match members.len() {
            0..=500 => 150,
            501..=3_000 => 60,
            _ => 30,
        };
        world.run(1.0, ticks);
        let mut radii: Vec<f32> = world
            .x
            .iter()
            .zip(&world.y)
            .map(|(x, y)| x.hypot(*y))
            .collect();
        radii.sort_by(f32::total_cmp);
        // A few outliers do not press the others together.
        let reach = radii
            .get(radii.len() * 9 / 10)
            .copied()
            .unwrap_or(0.0)
            .max(1.0);
        let scale = self.radius(hex::rings_for(members.len())) * 0.95 / reach;
        world
            .x
            .iter()
            .zip(&world.y)
            .map(|(x, y)| (x * scale, y * scale))
            .collect()
    }

    /// A first place, the same for the same id and seed.
    fn scatter(&self, id: &str, members: usize) -> (f32, f32) {
        let angle = angle_of(id);
        #[expect(clippy::cast_precision_loss, reason = "any angle will do")]
        let turn = (self.settings.seed % 1_000) as f32;
        let radius = self.radius(hex::rings_for(members))
            * (0.1 + 0.9 * angle_of_hash(hash(id).rotate_left(17)) / std::f32::consts::TAU).sqrt();
        (radius * (angle + turn).cos(), radius * (angle + turn).sin())
    }
}

/// FNV-1a: the same on every machine and in every version.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn angle_of(id: &str) -> f32 {
    angle_of_hash(hash(id))
}

fn angle_of_hash(hash: u64) -> f32 {
    let sixteen = u16::try_from(hash >> 48).expect("16 bits");
    f32::from(sixteen) / f32::from(u16::MAX) * std::f32::consts::TAU
}
