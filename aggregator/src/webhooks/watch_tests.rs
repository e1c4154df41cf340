use super::*;

const DELAY_MS: u64 = 30_000;
const NOW_MS: u64 = 1_700_000_000_000;
const NOW_NS: u64 = NOW_MS * 1_000_000;

fn standing(connected: bool, complete: bool) -> Standing {
    Standing {
        id: "a".into(),
        hostname: "node-1".into(),
        connected,
        complete,
        last_seen_ms: NOW_MS,
    }
}

fn look(watch: &mut Watch, standing: Standing, now_ms: u64) -> Vec<Kind> {
    let why = |_: &str| vec!["12 events were lost".to_owned()];
    let notices = watch.agents(&[standing], why, now_ms);
    notices.iter().map(|notice| notice.kind).collect()
}

fn container(state: v1::ContainerState, exit_code: i32, finished_ns: u64) -> v1::Container {
    v1::Container {
        id: "c1".to_owned(),
        name: "web".to_owned(),
        state: state.into(),
        exit_code,
        finished_unix_ns: finished_ns,
        ..Default::default()
    }
}

fn running() -> v1::Container {
    container(v1::ContainerState::Running, 0, 0)
}

fn exited(exit_code: i32, finished_ns: u64) -> v1::Container {
    container(v1::ContainerState::Exited, exit_code, finished_ns)
}

fn kinds(notices: &[Notice]) -> Vec<Kind> {
    notices.iter().map(|notice| notice.kind).collect()
}

#[test]
fn an_agent_is_told_of_once_it_has_been_away_for_a_while_and_when_it_is_back() {
    let mut watch = Watch::new(DELAY_MS);
    assert!(look(&mut watch, standing(true, true), NOW_MS).is_empty());
    // A short break is no news.
    assert!(look(&mut watch, standing(false, false), NOW_MS + 1).is_empty());
    assert!(look(&mut watch, standing(true, true), NOW_MS + DELAY_MS).is_empty());
    let gone = NOW_MS + 2 * DELAY_MS;
    assert!(look(&mut watch, standing(false, false), gone).is_empty());
    assert!(look(&mut watch, standing(false, false), gone + DELAY_MS - 1).is_empty());
    let told = look(&mut watch, standing(false, false), gone + DELAY_MS);
    assert_eq!(told, [Kind::AgentOffline]);
    assert!(look(&mut watch, standing(false, false), gone + 9 * DELAY_MS).is_empty());
    let told = look(&mut watch, standing(true, true), gone + 10 * DELAY_MS);
    assert_eq!(told, [Kind::AgentOnline]);
    assert!(look(&mut watch, standing(true, true), gone + 11 * DELAY_MS).is_empty());
}

#[test]
fn incomplete_data_is_told_with_the_reasons() {
    let mut watch = Watch::new(DELAY_MS);
    assert!(look(&mut watch, standing(true, false), NOW_MS).is_empty());
    let why = |_: &str| vec!["12 events were lost".to_owned(); 100];
    let notices = watch.agents(&[standing(true, false)], why, NOW_MS + DELAY_MS);
    assert_eq!(kinds(&notices), [Kind::DataIncomplete]);
    assert_eq!(notices[0].incomplete.len(), 20, "bounded");
    let told = look(&mut watch, standing(true, true), NOW_MS + 2 * DELAY_MS);
    assert_eq!(told, [Kind::DataComplete]);
}

#[test]
fn what_was_incomplete_before_an_agent_went_away_is_over_when_it_is_back_and_complete() {
    let mut watch = Watch::new(0);
    let told = look(&mut watch, standing(true, false), NOW_MS);
    assert_eq!(told, [Kind::DataIncomplete]);
    let told = look(&mut watch, standing(false, false), NOW_MS + 1);
    assert_eq!(told, [Kind::AgentOffline]);
    let told = look(&mut watch, standing(true, true), NOW_MS + 2);
    assert_eq!(told, [Kind::AgentOnline, Kind::DataComplete]);
}

#[test]
fn an_agent_that_is_forgotten_takes_no_room() {
    let mut watch = Watch::new(DELAY_MS);
    look(&mut watch, standing(true, true), NOW_MS);
    watch.container("a", "node-1", &running(), NOW_MS);
    assert_eq!(watch.containers(), 1);
    watch.agents(&[], |_| Vec::new(), NOW_MS);
    assert_eq!(watch.containers(), 0);
}

#[test]
fn a_container_died_when_its_exit_code_is_not_0() {
    let mut watch = Watch::new(DELAY_MS);
    watch.all_containers("a", "node-1", &[running()], NOW_MS);
    assert!(
        watch
            .container("a", "node-1", &exited(0, NOW_NS), NOW_MS)
            .is_empty()
    );
    assert!(
        watch
            .container("a", "node-1", &running(), NOW_MS)
            .is_empty()
    );
    let died = watch.container("a", "node-1", &exited(3, NOW_NS + 1), NOW_MS);
    assert_eq!(kinds(&died), [Kind::ContainerDied]);
    assert_eq!(died[0].id, format!("container.died;c1;{}", NOW_NS + 1));
    // Renamed, removed: it died only once.
    let mut renamed = exited(3, NOW_NS + 1);
    renamed.name = "old".to_owned();
    assert!(watch.container("a", "node-1", &renamed, NOW_MS).is_empty());
    let removed = container(v1::ContainerState::Removed, 3, NOW_NS + 1);
    assert!(watch.container("a", "node-1", &removed, NOW_MS).is_empty());
    assert_eq!(watch.containers(), 0);
}

#[test]
fn two_agents_of_one_host_tell_of_one_death() {
    let mut watch = Watch::new(DELAY_MS);
    for agent in ["a", "b"] {
        watch.all_containers(agent, "node-1", &[running()], NOW_MS);
    }
    let first = watch.container("a", "node-1", &exited(1, NOW_NS), NOW_MS);
    assert_eq!(kinds(&first), [Kind::ContainerDied]);
    assert!(
        watch
            .container("b", "node-1", &exited(1, NOW_NS), NOW_MS)
            .is_empty()
    );
}

#[test]
fn one_that_ended_before_the_first_look_is_no_news_and_a_short_lived_one_is() {
    let mut watch = Watch::new(DELAY_MS);
    let old = exited(1, NOW_NS - NEWS_NS - 1);
    assert!(watch.container("a", "node-1", &old, NOW_MS).is_empty());
    let mut watch = Watch::new(DELAY_MS);
    assert!(
        watch
            .all_containers("a", "node-1", &[exited(1, NOW_NS)], NOW_MS)
            .is_empty()
    );
    let mut watch = Watch::new(DELAY_MS);
    let removed = container(v1::ContainerState::Removed, 1, NOW_NS - 1_000);
    let died = watch.container("a", "node-1", &removed, NOW_MS);
    assert_eq!(kinds(&died), [Kind::ContainerDied]);
}

#[test]
fn one_that_died_while_its_agent_was_away_is_told_when_it_is_back() {
    let mut watch = Watch::new(DELAY_MS);
    watch.all_containers("a", "node-1", &[running()], NOW_MS);
    let later = NOW_MS + 3_600_000;
    let died = watch.all_containers("a", "node-1", &[exited(137, NOW_NS + 5)], later);
    assert_eq!(kinds(&died), [Kind::ContainerDied]);
    assert!(
        watch
            .all_containers("a", "node-1", &[exited(137, NOW_NS + 5)], later)
            .is_empty()
    );
}

#[test]
fn each_kill_for_want_of_memory_is_told_also_of_one_that_lives_on() {
    let mut watch = Watch::new(DELAY_MS);
    watch.all_containers("a", "node-1", &[running()], NOW_MS);
    let mut killed = running();
    (killed.oom_kills, killed.last_oom_kill_unix_ns) = (1, NOW_NS);
    let told = watch.container("a", "node-1", &killed, NOW_MS);
    assert_eq!(kinds(&told), [Kind::ContainerOom]);
    assert!(watch.container("a", "node-1", &killed, NOW_MS).is_empty());
    let mut ended = exited(137, NOW_NS + 9);
    (ended.oom_kills, ended.last_oom_kill_unix_ns) = (2, NOW_NS + 8);
    ended.oom_killed = true;
    let told = watch.container("a", "node-1", &ended, NOW_MS);
    assert_eq!(kinds(&told), [Kind::ContainerOom, Kind::ContainerDied]);
    // Told by the runtime only.
    let mut watch = Watch::new(DELAY_MS);
    watch.all_containers("a", "node-1", &[running()], NOW_MS);
    let mut ended = exited(137, NOW_NS + 9);
    ended.oom_killed = true;
    let told = watch.container("a", "node-1", &ended, NOW_MS);
    assert_eq!(kinds(&told), [Kind::ContainerOom, Kind::ContainerDied]);
}

#[test]
fn what_was_told_is_remembered_within_a_bound() {
    let mut told = Told::default();
    for number in 0..TOLD_MAX * 2 {
        assert!(told.is_first(&number.to_string()));
    }
    assert_eq!((told.ids.len(), told.order.len()), (TOLD_MAX, TOLD_MAX));
    assert!(!told.is_first(&(TOLD_MAX * 2 - 1).to_string()));
}
