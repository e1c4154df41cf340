use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PATIENCE: Patience = Patience {
    silence_ms: 2_000,
    settle_ms: 3_000,
};

fn name(number: usize) -> Arc<str> {
    format!("https://map-{number}:4041").into()
}

fn presence(own: usize, count: usize) -> Presence {
    let mut presence = Presence::new(name(own), PATIENCE);
    let all: Vec<_> = (0..count).map(name).collect();
    presence.list(&all, 0);
    presence
}

fn since(presence: &Presence) -> Vec<u64> {
    let missing = presence.missing();
    missing.iter().map(|missing| missing.since_ms).collect()
}

#[test]
fn one_that_is_heard_is_there_and_one_that_falls_silent_is_missing_since_then() {
    let mut seen = presence(0, 2);
    assert_eq!(since(&seen), [0]);
    assert!(seen.heard(&name(1), 100));
    assert!(!seen.heard(&name(1), 200), "it was there");
    assert!(seen.is_there(&name(1)) && since(&seen).is_empty());
    assert!(seen.advance(2_199).is_empty());
    assert_eq!(seen.advance(2_200), [name(1)]);
    assert_eq!(since(&seen), [200]);
    assert!(seen.advance(9_000).is_empty(), "told once");
    assert!(seen.heard(&name(1), 9_000));
    assert!(seen.lost(&name(1), 9_100) && !seen.lost(&name(1), 9_200));
    assert_eq!(since(&seen), [9_100]);
}

#[test]
fn one_that_appears_gets_agents_only_when_it_has_settled() {
    let mut seen = presence(0, 2);
    let agent = (0..).map(|number| number.to_string());
    let agent = agent
        .into_iter()
        .find(|agent| rank(&name(1), agent) > rank(&name(0), agent));
    let agent = agent.expect("about half of them");
    let owner = |seen: &Presence, now_ms| seen.owner(&agent, &[], now_ms).clone();
    assert_eq!(owner(&seen, 0), name(0));
    seen.heard(&name(1), 1_000);
    assert_eq!(owner(&seen, 3_999), name(0));
    assert_eq!(owner(&seen, 4_000), name(1));
    let unreachable = [name(1).to_string()];
    assert_eq!(*seen.owner(&agent, &unreachable, 4_000), name(0));
    seen.lost(&name(1), 5_000);
    seen.heard(&name(1), 5_100);
    assert_eq!(owner(&seen, 5_200), name(0), "it begins anew");
}

#[test]
fn who_is_not_on_the_list_is_not_there() {
    let mut seen = presence(0, 2);
    assert!(!seen.heard("https://stranger:4041", 1));
    assert!(!seen.is_there("https://stranger:4041"));
    seen.heard(&name(1), 1);
    seen.list(&[name(2)], 2);
    assert!(!seen.is_there(&name(1)));
    assert_eq!(seen.members(), [name(0), name(2)]);
}

/// What each member may see: any of the others, whoever they are.
fn views(count: usize) -> impl Strategy<Value = Vec<Vec<bool>>> {
    proptest::collection::vec(proptest::collection::vec(any::<bool>(), count), count)
}

proptest! {
    /// However differently the members see each other, an agent that is sent from one to the next
    /// comes to rest, each time higher up in the ranks.
    #[test]
    fn an_agent_is_never_sent_in_a_circle(
        views in views(5), agent in "[a-f0-9]{8}", first in 0_usize..5, unreachable in proptest::collection::vec(0_usize..5, 0..3),
    ) {
        let mut seen = BTreeMap::new();
        for (own, view) in views.iter().enumerate() {
            let mut presence = presence(own, 5);
            for other in (0..5).filter(|other| *other != own && view[*other]) {
                presence.heard(&name(other), 0);
            }
            seen.insert(name(own), presence);
        }
        let unreachable: Vec<_> = unreachable.iter().map(|bad| name(*bad).to_string()).collect();
        let mut at = name(first);
        for _ in 0..5 {
            let next = seen[&at].owner(&agent, &unreachable, 10_000).clone();
            if next == at {
                return Ok(());
            }
            prop_assert!(rank(&next, &agent) > rank(&at, &agent));
            prop_assert!(!unreachable.iter().any(|bad| **bad == *next));
            at = next;
        }
        prop_assert!(false, "still under way at {at}");
    }

    /// Members that see the same ones agree.
    #[test]
    fn members_that_see_the_same_agree(agents in proptest::collection::vec("[a-f0-9]{8}", 1..20)) {
        let mut all: Vec<_> = (0..4).map(|own| presence(own, 4)).collect();
        for (own, presence) in all.iter_mut().enumerate() {
            for other in (0..4).filter(|other| *other != own) {
                presence.heard(&name(other), 0);
            }
        }
        for agent in agents {
            let owners: Vec<_> = all.iter().map(|seen| seen.owner(&agent, &[], 3_000)).collect();
            prop_assert!(owners.iter().all(|owner| *owner == owners[0]));
        }
    }

    /// Nobody is missing who was heard of in time, and everyone is who was not.
    #[test]
    fn only_the_silent_are_missing(steps in proptest::collection::vec((0_usize..4, 0_u64..1_500, any::<bool>()), 1..60)) {
        let mut seen = presence(0, 4);
        let mut heard: BTreeMap<usize, u64> = BTreeMap::new();
        let mut now_ms = 0;
        for (who, passed, lost) in steps {
            now_ms += passed;
            for silent in seen.advance(now_ms) {
                heard.retain(|number, _| name(*number) != silent);
            }
            if who != 0 && lost {
                seen.lost(&name(who), now_ms);
                heard.remove(&who);
            } else if who != 0 {
                seen.heard(&name(who), now_ms);
                heard.insert(who, now_ms);
            }
            for other in 1..4 {
                let there = heard.get(&other).is_some_and(|at| now_ms - at < PATIENCE.silence_ms);
                prop_assert_eq!(seen.is_there(&name(other)), there);
            }
        }
    }
}
