//! Containers: by the cgroup alone, named later, gone with both.

use mesoscope_capture::event::CgroupAction;
use mesoscope_proto::v1::{Container, ContainerState};

use super::world::*;

#[test]
fn a_container_appears_by_its_cgroup_and_is_named_later() {
    let mut state = state();
    state.event(cgroup(SECOND, CgroupAction::Created, 50, "/c/web"));
    state.event(cgroup(SECOND, CgroupAction::Created, 51, "/c/web/init"));
    state.event(exec_in(SECOND, id(1), id(2), &["nginx"], 51));
    state.event(cgroup(SECOND, CgroupAction::Populated, 50, "/c/web"));
    let first = told(&mut state);
    assert_eq!(first.containers.len(), 1);
    assert_eq!(
        (first.containers[0].id.as_str(), first.containers[0].state()),
        ("web", ContainerState::Running)
    );
    assert_eq!(first.processes[0].container_id, "web");
    state.container_named(Container {
        id: "web".into(),
        runtime: "docker".into(),
        name: "the-web".into(),
        state: ContainerState::Running.into(),
        ..Container::default()
    });
    let named = told(&mut state).containers.remove(0);
    assert_eq!(
        (
            named.name.as_str(),
            named.cgroup_id,
            named.cgroup_path.as_str()
        ),
        ("the-web", 50, "/c/web")
    );
    // The runtime is away; that nothing runs any more is certain.
    state.event(cgroup(2 * SECOND, CgroupAction::Removed, 50, "/c/web"));
    assert_eq!(
        told(&mut state).containers[0].state(),
        ContainerState::Exited
    );
    state.container_removed(3 * SECOND, "web");
    assert_eq!(
        told(&mut state).containers[0].state(),
        ContainerState::Removed
    );
    state.tick(60 * SECOND);
    assert_eq!(state.sizes().containers, 0);
}

#[test]
fn without_a_runtime_the_cgroups_end_is_the_containers() {
    let mut state = state();
    state.event(cgroup(SECOND, CgroupAction::Created, 50, "/c/web"));
    state.event(cgroup(SECOND, CgroupAction::Removed, 50, "/c/web"));
    let told = told(&mut state).containers;
    assert_eq!((told.len(), told[0].state()), (1, ContainerState::Removed));
}

#[test]
fn a_process_learns_its_container_when_the_cgroup_is_found_late() {
    let mut state = state();
    state.event(exec_in(SECOND, id(1), id(2), &["nginx"], 50));
    assert_eq!(told(&mut state).processes[0].container_id, "");
    state.event(cgroup(SECOND, CgroupAction::Created, 50, "/c/web"));
    assert_eq!(told(&mut state).processes[0].container_id, "web");
}
