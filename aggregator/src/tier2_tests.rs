use super::*;

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn containers(names: &[&str]) -> Setting {
    Setting::of(ids(names))
}

#[test]
fn containers_are_added_and_removed_one_by_one() {
    let on = Setting::Off.changed(true, ids(&["a"])).expect("room");
    let on = on.changed(true, ids(&["b", "a"])).expect("room");
    assert_eq!(on, containers(&["a", "b"]));
    let on = on.changed(false, ids(&["a", "never"])).expect("known");
    assert_eq!(on, containers(&["b"]));
    assert_eq!(on.changed(false, ids(&["b"])), Ok(Setting::Off));
}

#[test]
fn the_whole_node_wins_and_holds_no_exceptions() {
    let on = containers(&["a"]).changed(true, ids(&[])).expect("room");
    assert_eq!(on, Setting::Node);
    assert_eq!(on.clone().changed(true, ids(&["a"])), Ok(Setting::Node));
    assert_eq!(
        on.clone().changed(false, ids(&["a"])),
        Err(Refused::OnForNode)
    );
    assert_eq!(on.changed(false, ids(&[])), Ok(Setting::Off));
    assert_eq!(
        containers(&["a"]).changed(false, ids(&[])),
        Ok(Setting::Off),
        "off for the node is off for all of it"
    );
}

#[test]
fn containers_of_one_agent_are_bounded() {
    let many: Vec<String> = (0..CONTAINERS_PER_AGENT).map(|n| n.to_string()).collect();
    let full = Setting::Off.changed(true, many).expect("room");
    assert_eq!(
        full.clone().changed(true, ids(&["one more"])),
        Err(Refused::TooManyContainers)
    );
    assert_eq!(full.clone().changed(true, ids(&["7"])), Ok(full));
}

#[test]
fn what_is_gone_is_forgotten_and_the_rest_stays() {
    let gone = BTreeSet::from(["a".to_owned()]);
    assert_eq!(containers(&["a", "b"]).without(&gone), containers(&["b"]));
    assert_eq!(containers(&["a"]).without(&gone), Setting::Off);
    assert_eq!(Setting::Node.without(&gone), Setting::Node);
}

#[test]
fn a_setting_is_told_as_a_message_and_found_again_in_the_status() {
    for setting in [Setting::Off, Setting::Node, containers(&["a", "b"])] {
        let told = Configure::from(setting.clone());
        let status = AgentStatus {
            tier2: told.tier2 || !told.tier2_containers.is_empty(),
            tier2_containers: told.tier2_containers,
            ..AgentStatus::default()
        };
        assert_eq!(Setting::of_status(Some(&status)), setting);
    }
    assert_eq!(Setting::of_status(None), Setting::Off);
}

/// A place on an agent that can do everything, and does this.
fn place(doing: Setting, container: Option<(&str, bool)>) -> Place {
    let told = Configure::from(doing);
    let available = |name: &str, available| Capability {
        name: name.to_owned(),
        available,
        ..Capability::default()
    };
    let on = told.tier2 || !told.tier2_containers.is_empty();
    Place {
        agent: AgentInfo {
            agent_id: "a".to_owned(),
            hostname: "a.example".to_owned(),
            connected: true,
            status: Some(AgentStatus {
                tier2: on,
                tier2_containers: told.tier2_containers,
                capabilities: vec![available("connect-pid", true), available("udp-bytes", on)],
                ..AgentStatus::default()
            }),
            ..AgentInfo::default()
        },
        container: container.map(|(id, running)| KnownContainer {
            id: id.into(),
            running,
        }),
    }
}

#[test]
fn the_state_is_what_the_agent_does() {
    let web = Some(("web", true));
    for (doing, container, state) in [
        (Setting::Off, web, Tier2State::Off),
        (Setting::Off, None, Tier2State::Off),
        (Setting::Node, web, Tier2State::Node),
        (Setting::Node, None, Tier2State::Node),
        (containers(&["web"]), web, Tier2State::Container),
        (containers(&["db"]), web, Tier2State::Off),
        (containers(&["db"]), None, Tier2State::Container),
    ] {
        let told = standing(&place(doing.clone(), container), None);
        assert_eq!(told.state(), state, "{doing:?} at {container:?}");
        assert_eq!((told.asked, told.reason.as_str()), (false, ""));
        assert_eq!(told.agent_id, "a");
        assert_eq!(told.container_id, container.map_or("", |(id, _)| id));
    }
}

#[test]
fn asked_for_and_not_on_says_what_it_waits_for() {
    let asked = containers(&["web"]);
    let told = |place: &Place| {
        let told = standing(place, Some(&asked));
        assert_eq!((told.state(), told.asked), (Tier2State::Off, true));
        told.reason
    };
    let stopped = told(&place(Setting::Off, Some(("web", false))));
    assert_eq!(stopped, "it takes effect when the container runs");
    let mut running = place(Setting::Off, Some(("web", true)));
    assert!(told(&running).contains("cgroup v2"));
    let status = running.agent.status.as_mut().expect("has one");
    status.capabilities[1].reason = "tier 2 is off: turn it on".to_owned();
    assert!(told(&running).contains("cgroup v2"));
    let status = running.agent.status.as_mut().expect("has one");
    status.capabilities[1].reason = "packet_in: not permitted".to_owned();
    assert!(told(&running).ends_with("yet: packet_in: not permitted"));
    let other = standing(&place(Setting::Off, Some(("db", true))), Some(&asked));
    assert!(!other.asked && other.reason.is_empty());
    let host = standing(&place(Setting::Off, None), Some(&Setting::Node));
    assert!(host.asked && !host.reason.is_empty());
}

#[test]
fn where_it_can_not_be_switched_the_reason_is_the_agents() {
    let unavailable = |change: &dyn Fn(&mut AgentInfo)| {
        let mut place = place(Setting::Off, Some(("web", true)));
        change(&mut place.agent);
        let told = standing(&place, None);
        assert_eq!(told.state(), Tier2State::Unavailable);
        told.reason
    };
    let away = unavailable(&|agent| agent.connected = false);
    assert_eq!(away, "the agent of a.example is not connected");
    let young = unavailable(&|agent| agent.status = None);
    assert!(young.contains("has not told yet"), "{young}");
    let reason = unavailable(&|agent| {
        let hooks = &mut agent.status.as_mut().expect("has one").capabilities[0];
        hooks.available = false;
        hooks.reason = "no cgroup v2 directory to attach to".to_owned();
    });
    assert_eq!(reason, "no cgroup v2 directory to attach to");
}

proptest::proptest! {
    /// Whatever is asked for in whatever order: a setting never names no container, what was asked
    /// for last holds, and what is refused changes nothing.
    #[test]
    fn the_last_request_holds(
        requests in proptest::collection::vec(
            (proptest::bool::ANY, proptest::collection::vec("[a-d]", 0..3)),
            0..30,
        ),
    ) {
        let mut setting = Setting::Off;
        for (enabled, containers) in requests {
            let before = setting.clone();
            match setting.clone().changed(enabled, containers.clone()) {
                Ok(after) => setting = after,
                Err(refused) => {
                    proptest::prop_assert_eq!(refused, Refused::OnForNode);
                    proptest::prop_assert_eq!(&before, &Setting::Node);
                    continue;
                }
            }
            if let Setting::Containers(on) = &setting {
                proptest::prop_assert!(!on.is_empty());
            }
            for id in &containers {
                let container = KnownContainer { id: id.as_str().into(), running: true };
                proptest::prop_assert_eq!(setting.covers(Some(&container)), enabled);
            }
        }
    }
}
