//! Agents and containers by what a request names.

#![allow(missing_docs)]

mod common;

use common::{World, container};
use mesoscope_proto::v1::{self, ContainerState, change::Change};
use mesoscope_topology::ViewKind;

fn id(digit: char) -> String {
    format!("aaaaaaaaaaa{digit}{}", "0".repeat(52))
}

#[test]
fn a_container_is_found_by_its_id_or_twelve_digits_of_its_own_agent() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", "10.0.0.1"), world.agent("b", "10.0.0.2"));
    for digit in ['1', '2'] {
        world.apply(a, Change::Container(container(&id(digit), "web", &[])));
    }
    world.apply(b, Change::Container(container(&id('3'), "db", &[])));
    let find = |world: &World, agent: &str, typed: &str| {
        let found = world.topology.find_container(agent, typed);
        found.map(|found| (found.id.to_string(), found.running))
    };
    assert_eq!(find(&world, "a", &id('1')), Some((id('1'), true)));
    assert_eq!(find(&world, "a", "aaaaaaaaaaa2"), Some((id('2'), true)));
    assert_eq!(find(&world, "a", "aaaaaaaaaaa"), None, "eleven digits");
    assert_eq!(find(&world, "a", &id('3')), None, "another agent's");
    assert_eq!(find(&world, "c", &id('1')), None, "no such agent");
    assert_eq!(find(&world, "a", ""), None);

    let stopped = v1::Container {
        state: ContainerState::Exited.into(),
        ..container(&id('1'), "web", &[])
    };
    world.apply(a, Change::Container(stopped));
    assert_eq!(find(&world, "a", &id('1')), Some((id('1'), false)));
    let removed = v1::Container {
        state: ContainerState::Removed.into(),
        ..container(&id('1'), "web", &[])
    };
    world.apply(a, Change::Container(removed));
    assert_eq!(find(&world, "a", &id('1')), None);
}

#[test]
fn what_is_reported_is_known_only_after_a_snapshot_of_a_connected_agent() {
    let mut world = World::new();
    let agent = world.connect("a", 1);
    let reported = |world: &World| {
        let ids = world.topology.containers_reported("a")?;
        Some(ids.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(reported(&world), None, "no snapshot yet");
    let web = Change::Container(container(&id('1'), "web", &[]));
    world.snapshot(agent, vec![web.clone()]);
    assert_eq!(reported(&world), Some(vec![id('1')]));
    world.topology.begin_snapshot(agent);
    assert_eq!(reported(&world), None, "half a snapshot");
    world
        .topology
        .end_snapshot(agent, world.now_ms, &mut world.events);
    assert_eq!(reported(&world), Some(vec![]), "removed, and still shown");
    let told = world.topology.containers_told("a").expect("all is told");
    assert_eq!(told[0].state(), ContainerState::Removed);
    world.snapshot(agent, vec![web]);
    world
        .topology
        .disconnect_agent(agent, world.now_ms, &mut world.events);
    assert_eq!(reported(&world), None, "gone");
    world.connect("a", 2);
    assert_eq!(reported(&world), None, "started again, and no snapshot yet");
}

#[test]
fn an_agent_stands_as_it_is_connected_and_complete() {
    let mut world = World::new();
    let agent = world.connect("a", 1);
    let stands = |world: &World| {
        let all = world.topology.standings();
        assert_eq!((all.len(), &*all[0].id), (1, "a"));
        (all[0].connected, all[0].complete)
    };
    assert_eq!(stands(&world), (true, false), "no snapshot yet");
    world.snapshot(agent, Vec::new());
    assert_eq!(stands(&world), (true, true));
    world
        .topology
        .disconnect_agent(agent, world.now_ms, &mut world.events);
    assert_eq!(stands(&world), (false, false));
}

#[test]
fn hosts_and_containers_are_places_and_nothing_else_is() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Container(container(&id('1'), "web", &[])));
    let place = |view, id: &str| world.topology.place(view, id, world.now_ms);
    let found = place(ViewKind::Containers, &format!("container;{}", id('1'))).expect("a place");
    assert_eq!(found.agent.agent_id, "a");
    assert_eq!(*found.container.expect("a container").id, *id('1'));
    let host = place(ViewKind::Hosts, "host;a").expect("a place");
    assert_eq!((host.agent.connected, host.container), (true, None));
    world.apply(agent, Change::Container(container(&id('2'), "db", &[])));
    let removed = v1::Container {
        state: ContainerState::Removed.into(),
        ..container(&id('2'), "db", &[])
    };
    world.apply(agent, Change::Container(removed));
    let place = |view, id: &str| world.topology.place(view, id, world.now_ms);
    let gone = format!("container;{}", id('2'));
    for (view, id) in [
        (ViewKind::Containers, "host;a"),
        (ViewKind::Containers, "pseudo;uncontained;a"),
        (ViewKind::Hosts, "host;b"),
        (ViewKind::Containers, gone.as_str()),
        (ViewKind::Hosts, ""),
    ] {
        assert_eq!(place(view, id), None, "{id}");
    }
    assert_eq!(
        world.topology.agent("a", world.now_ms),
        Some(world.topology.agents(world.now_ms)[0].clone())
    );
}
