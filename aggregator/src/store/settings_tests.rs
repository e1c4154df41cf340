use std::path::Path;

use super::*;
use crate::tier2::Refused;

fn open(folder: Option<&Path>) -> Result<Settings, StoreError> {
    crate::store::open(folder).map(|(settings, _)| settings)
}

const HOUR_MS: u64 = 60 * 60 * 1_000;

fn on(ids: &[&str]) -> Setting {
    Setting::Containers(ids.iter().map(|&id| id.to_owned()).collect())
}

fn set(settings: &Settings, agent_id: &str, tier2: Setting) {
    settings
        .change(agent_id, 0, |_| Ok(tier2))
        .expect("within the bounds");
}

fn with(ids: &[&str]) -> Presence {
    Presence::With(ids.iter().map(|&id| id.to_owned()).collect())
}

fn clean(settings: &Settings, now_ms: u64, presence: &Presence) {
    settings
        .clean(now_ms, HOUR_MS, |_| presence.clone())
        .expect("writable");
}

#[test]
fn settings_come_back_with_their_folder_and_only_with_it() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let settings = open(Some(scratch.path())).expect("new");
    assert!(settings.are_kept());
    set(&settings, "a", on(&["x"]));
    set(&settings, "b", Setting::Off);
    drop(settings);
    let settings = open(Some(scratch.path())).expect("ours");
    assert_eq!(settings.of("a"), Some(on(&["x"])));
    assert_eq!(settings.of("b"), Some(Setting::Off));
    assert_eq!(settings.of("c"), None);
    assert_eq!(settings.fill(), (2, 1));
    let forgetful = open(None).expect("needs nothing");
    assert!(!forgetful.are_kept());
    set(&forgetful, "a", Setting::Node);
    assert_eq!(forgetful.of("a"), Some(Setting::Node));
}

#[test]
fn what_is_refused_changes_nothing_and_is_not_written() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let settings = open(Some(scratch.path())).expect("new");
    set(&settings, "a", Setting::Node);
    let refused = settings.change("a", 1, |before| {
        assert_eq!(before, Some(Setting::Node));
        Err(Refused::OnForNode.into())
    });
    assert!(matches!(refused, Err(ChangeError::Refused(_))));
    drop(settings);
    let settings = open(Some(scratch.path())).expect("ours");
    assert_eq!(settings.of("a"), Some(Setting::Node));
}

#[test]
fn agents_and_containers_are_bounded_and_less_is_always_taken() {
    let many = |from: usize| {
        let ids = (from..from + 1_000).map(|n| n.to_string());
        Setting::Containers(ids.collect())
    };
    let entry = |tier2| Entry {
        tier2,
        heard_unix_ms: 0,
    };
    let full = |n: usize| (format!("full-{n}"), entry(many(n * 1_000)));
    let settings = Settings::with(
        Arc::default(),
        (0..CONTAINERS_MAX / 1_000).map(full).collect(),
    );
    assert_eq!(settings.fill().1, CONTAINERS_MAX);
    let more = settings.change("one-more", 0, |_| Ok(on(&["x"])));
    assert!(matches!(more, Err(ChangeError::TooManyContainers)));
    set(&settings, "full-0", on(&["0"]));
    set(&settings, "one-more", on(&["x"]));

    let agent = |n: usize| (format!("agent-{n}"), entry(Setting::Node));
    let settings = Settings::with(Arc::default(), (0..AGENTS_MAX).map(agent).collect());
    assert_eq!(settings.fill().0, AGENTS_MAX);
    let more = settings.change("the-last-straw", 0, |_| Ok(Setting::Node));
    assert!(matches!(more, Err(ChangeError::TooManyAgents)));
    set(&settings, "agent-9000", Setting::Off);
}

#[test]
fn a_container_that_is_gone_for_an_hour_loses_its_setting() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let settings = open(Some(scratch.path())).expect("new");
    set(&settings, "a", on(&["x", "y"]));
    clean(&settings, 0, &with(&["x"]));
    clean(&settings, HOUR_MS - 1, &with(&["x"]));
    assert_eq!(settings.of("a"), Some(on(&["x", "y"])), "not yet");
    // It was there in between.
    clean(&settings, HOUR_MS, &with(&["x", "y"]));
    clean(&settings, HOUR_MS + 1, &with(&["x"]));
    clean(&settings, 2 * HOUR_MS, &with(&["x"]));
    assert_eq!(settings.of("a"), Some(on(&["x", "y"])), "it came back");
    // While nobody can tell, nothing counts.
    clean(&settings, 2 * HOUR_MS + 1, &Presence::Away);
    clean(&settings, 3 * HOUR_MS, &Presence::Connected);
    clean(&settings, 4 * HOUR_MS, &with(&["x"]));
    assert_eq!(settings.of("a"), Some(on(&["x", "y"])));
    clean(&settings, 5 * HOUR_MS, &with(&["x"]));
    assert_eq!(settings.of("a"), Some(on(&["x"])));
    clean(&settings, 6 * HOUR_MS, &with(&[]));
    clean(&settings, 7 * HOUR_MS, &with(&[]));
    assert_eq!(
        settings.of("a"),
        Some(Setting::Off),
        "what was asked for last stays"
    );
    drop(settings);
    let settings = open(Some(scratch.path())).expect("ours");
    assert_eq!(settings.of("a"), Some(Setting::Off));
}

#[test]
fn an_agent_that_is_away_for_a_month_loses_its_settings() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let settings = open(Some(scratch.path())).expect("new");
    set(&settings, "a", Setting::Node);
    clean(&settings, AWAY_MS_MAX, &Presence::Away);
    assert!(settings.of("a").is_some(), "not yet");
    let heard = AWAY_MS_MAX - DAY_MS;
    clean(&settings, heard, &Presence::Connected);
    drop(settings);
    let settings = open(Some(scratch.path())).expect("ours");
    clean(&settings, heard + AWAY_MS_MAX, &Presence::Away);
    assert!(
        settings.of("a").is_some(),
        "when it was heard of is written down"
    );
    clean(&settings, heard + AWAY_MS_MAX + 1, &Presence::Away);
    assert_eq!(settings.of("a"), None);
    drop(settings);
    let settings = open(Some(scratch.path())).expect("ours");
    assert_eq!(settings.fill(), (0, 0));
}
