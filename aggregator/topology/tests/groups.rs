//! Views of groups: who is in which, what a group adds up to, and what is sent of it.

mod common;

use common::*;
use mesoscope_proto::v1::{self, Direction, change::Change};
use mesoscope_topology::{AgentKey, Options, View, ViewKind};

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn within(mut process: v1::Process, container: char) -> v1::Process {
    process.container_id = id(container);
    process
}

fn of_image(digit: char, name: &str, image: &str, hostname: &str) -> Change {
    let mut record = container(&id(digit), name, &[]);
    record.image = image.into();
    record.hostname = hostname.into();
    Change::Container(record)
}

fn uses(pid: u32, cores: f64) -> Change {
    Change::ProcessMetrics(v1::ProcessMetrics {
        key: Some(key(pid)),
        cpu_cores_used: cores,
        ..Default::default()
    })
}

/// Two hosts: containers of one image on each, and a client that asks a server on two ports.
fn world() -> (World, [AgentKey; 2]) {
    let mut world = World::new();
    let a = world.agent("a", "10.0.0.1");
    let b = world.agent("b", "10.0.0.2");
    for (agent, digit, tag) in [(a, '1', "1.0"), (b, '2', "2.0")] {
        let image = format!("shop/web:{tag}");
        world.apply(agent, of_image(digit, "web", &image, "web.local"));
        let inside = within(process(10, "nginx"), digit);
        world.apply(agent, Change::Process(inside));
        world.apply(agent, uses(10, 0.5));
    }
    world.apply(a, Change::Process(process(20, "curl")));
    for (cookie, port) in [(1, 80), (2, 443)] {
        let at = format!("0.0.0.0:{port}");
        let mut waits = listener(100 + cookie, 10, &at);
        waits.container_id = id('2');
        world.apply(b, Change::Listener(waits));
        let (local, remote) = (format!("10.0.0.1:500{cookie}"), format!("10.0.0.2:{port}"));
        let mut asks = end(cookie, 20, Direction::Outbound, &local, &remote);
        asks.bytes_sent = 100 * cookie;
        world.apply(a, Change::Connection(asks));
    }
    (world, [a, b])
}

#[test]
fn processes_of_a_name_are_one_node_over_all_hosts() {
    let (world, _) = world();
    let seen = world.see(ViewKind::ProcessesByName);
    assert_eq!(seen.labels(), ["curl", "nginx"]);
    let nginx = &seen.nodes["program;nginx"];
    assert_eq!(nginx.label_minor, "2 processes on 2 hosts");
    assert_eq!((nginx.children, nginx.state.as_str()), (2, "running"));
    assert!((nginx.metrics[0].value - 1.0).abs() < 1e-9);
    assert!(
        (nginx.metrics[0].max - 8.0).abs() < 1e-9,
        "both hosts' cores"
    );
    let edge = seen.edges.values().next().expect("one edge");
    assert_eq!(edge.id, "program;curl>program;nginx>tcp");
    assert_eq!((edge.connections_open, edge.bytes_forward), (2, 300));
    assert_eq!(edge.ports, [80, 443]);
}

#[test]
fn containers_are_grouped_by_image_without_tag_and_by_host_name() {
    let (world, _) = world();
    let seen = world.see(ViewKind::ContainersByImage);
    assert_eq!(
        seen.nodes["image;shop/web"].label_minor,
        "2 containers on 2 hosts"
    );
    assert_eq!(seen.arrows(), ["Uncontained>shop/web"]);
    let seen = world.see(ViewKind::ContainersByHostname);
    assert_eq!(seen.nodes["hostname;web.local"].children, 2);
}

#[test]
fn a_service_is_a_port_of_a_place_with_its_own_share_of_the_traffic() {
    let (world, _) = world();
    let seen = world.see(ViewKind::Services);
    let http = format!("endpoint;tcp;80;container;{}", id('2'));
    let https = format!("endpoint;tcp;443;container;{}", id('2'));
    assert_eq!(seen.nodes[&http].label, "web:80");
    assert_eq!(seen.nodes[&http].label_minor, "tcp on b.example");
    assert_eq!(seen.nodes["pseudo;clients;host;a"].label, "Clients");
    let to = |target: &str| {
        let edge = seen.edges.values().find(|edge| edge.target == target);
        edge.map(|edge| (edge.bytes_forward, edge.ports.clone()))
    };
    assert_eq!(to(&http), Some((100, vec![80])));
    assert_eq!(to(&https), Some((200, vec![443])));
}

#[test]
fn a_grouped_view_sends_the_group_and_not_its_members() {
    let (mut world, [a, _]) = world();
    let all = v1::ViewOptions::default();
    let kind = ViewKind::ProcessesByName;
    let mut view = View::new(kind, Options::new(kind, &all));
    view.diff(&world.topology, world.now_ms).expect("the whole");
    world.apply(a, uses(10, 1.5));
    let diff = view.diff(&world.topology, world.now_ms).expect("news");
    let ids: Vec<_> = diff.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!((ids, diff.edges.len()), (vec!["program;nginx"], 0));
    let of_b = Change::Process(ended(within(process(10, "nginx"), '1'), 0));
    world.apply(a, of_b);
    let diff = view.diff(&world.topology, world.now_ms).expect("news");
    assert_eq!(diff.nodes.len(), 1, "one has ended, the group runs");
    assert_eq!(diff.nodes[0].state, "running");
    assert!(view.diff(&world.topology, world.now_ms).is_none());
}

#[test]
fn a_node_knows_its_groups_and_a_group_its_members_and_connections() {
    let (world, _) = world();
    let node = |view, id: &str| world.topology.node(view, id, false);
    let refs = |refs: &[v1::NodeRef]| -> Vec<String> {
        refs.iter()
            .map(|one| format!("{} {}", one.view, one.id))
            .collect()
    };
    let nginx = node(ViewKind::Processes, "process;b;10;100000000").expect("a process");
    let container = format!("container;{}", id('2'));
    assert_eq!(
        refs(&nginx.node.expect("itself").parents),
        [
            format!("containers {container}"),
            "hosts host;b".into(),
            "processes-by-name program;nginx".into(),
            format!("services endpoint;tcp;80;{container}"),
            format!("services endpoint;tcp;443;{container}"),
        ]
    );
    let web = node(ViewKind::Containers, &container).expect("a container");
    assert_eq!(
        refs(&web.children),
        [
            "processes process;b;10;100000000".into(),
            format!("services endpoint;tcp;443;{container}"),
            format!("services endpoint;tcp;80;{container}"),
        ]
    );
    let program = node(ViewKind::ProcessesByName, "program;nginx").expect("a group");
    assert_eq!(program.children.len(), 2);
    assert_eq!(program.connections.len(), 2);
    assert_eq!(
        refs(&program.node.expect("itself").parents),
        ["hosts host;a", "hosts host;b"]
    );
    let service = node(ViewKind::Services, &format!("endpoint;tcp;80;{container}"));
    let service = service.expect("a service");
    assert_eq!(service.connections.len(), 1);
    assert_eq!(service.connections[0].direction, "in");
    let clients = node(ViewKind::Services, "pseudo;clients;host;a").expect("clients");
    assert_eq!(clients.connections.len(), 2);
    for (view, id) in [
        (ViewKind::ProcessesByName, "program;nothing"),
        (ViewKind::ProcessesByName, "image;shop/web"),
        (ViewKind::Services, "endpoint;tcp;80"),
        (ViewKind::Services, "endpoint;tcp;81;host;a"),
        (ViewKind::ContainersByImage, "image;"),
    ] {
        assert!(node(view, id).is_none(), "{view} {id}");
    }
}

#[test]
fn processes_are_a_tree_in_which_the_ended_are_marked() {
    let (mut world, [a, _]) = world();
    let child = |pid, name: &str, parent| v1::Process {
        parent: Some(key(parent)),
        ..within(process(pid, name), '1')
    };
    world.apply(a, Change::Process(child(12, "sh", 10)));
    world.apply(a, Change::Process(child(14, "ls", 12)));
    world.apply(a, Change::Process(ended(child(13, "cat", 12), 1)));
    world.apply(a, Change::Process(child(11, "worker", 10)));
    // One that names itself, or a later one, as its parent is at the top.
    world.apply(a, Change::Process(child(15, "odd", 15)));
    let tree = |view, id: &str| {
        let details = world.topology.node(view, id, false).expect("there");
        details
            .processes
            .iter()
            .map(|entry| {
                format!(
                    "{} {} {} {}",
                    entry.depth, entry.label, entry.ended, entry.exit
                )
            })
            .collect::<Vec<_>>()
    };
    let inside = [
        "0 nginx false ",
        "1 worker false ",
        "1 sh false ",
        "2 cat true exit code 1",
        "2 ls false ",
        "0 odd false ",
    ];
    assert_eq!(
        tree(ViewKind::Containers, &format!("container;{}", id('1'))),
        inside
    );
    let on_host = tree(ViewKind::Hosts, "host;a");
    assert_eq!(on_host[..6], inside);
    assert_eq!(on_host[6], "0 curl false ");
    assert_eq!(
        tree(ViewKind::Containers, "pseudo;uncontained;a"),
        ["0 curl false "]
    );
}

#[test]
fn the_containers_of_the_platform_and_the_uncontained_are_options() {
    let (mut world, [a, _]) = world();
    let mut sandbox = container(&id('9'), "pause", &[]);
    sandbox.labels.push(v1::KeyValue {
        key: "io.cri-containerd.kind".into(),
        value: "sandbox".into(),
    });
    world.apply(a, Change::Container(sandbox));
    for kind in [ViewKind::Containers, ViewKind::ContainersByImage] {
        let labels = |options| world.see_with(kind, options).labels();
        let usual = labels(v1::ViewOptions::default());
        assert!(!usual.iter().any(|label| label == "pause"), "{usual:?}");
        assert!(usual.contains(&"Uncontained".into()));
        let other = labels(v1::ViewOptions {
            system: Some(true),
            uncontained: Some(false),
            ..Default::default()
        });
        assert!(other.iter().any(|label| label == "pause"), "{other:?}");
        assert!(!other.contains(&"Uncontained".into()));
        let seen = world.see_with(kind, v1::ViewOptions::default());
        assert_eq!(seen.hidden, 1, "{kind}");
    }
}
