//! Which aggregator to dial: several share the agents, and say who looks after this one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Aggregators that are kept in mind, beside those of the configuration.
const LEARNED_MAX: usize = 64;
/// Length of an address.
const ADDRESS_BYTES_MAX: usize = 256;
/// One that could not be had is said to be unreachable for so long.
const UNREACHABLE: Duration = Duration::from_secs(30);
/// After so many redirects in a row the agent asks to be kept where it is.
const REDIRECTS_MAX: u32 = 8;

/// The aggregators that are known, and how they were.
#[derive(Debug)]
pub struct Route {
    configured: Vec<String>,
    learned: Vec<String>,
    /// When each could not be had, or broke, last.
    failed: BTreeMap<String, Instant>,
    /// Being dialled, or in use.
    current: Option<String>,
    redirect: Option<String>,
    redirects: u32,
}

impl Route {
    /// Knows these, the first of which is dialled first.
    ///
    /// # Panics
    /// Without any.
    #[must_use]
    pub fn new(configured: Vec<String>) -> Self {
        assert!(!configured.is_empty(), "there is an aggregator to dial");
        Self {
            configured,
            learned: Vec::new(),
            failed: BTreeMap::new(),
            current: None,
            redirect: None,
            redirects: 0,
        }
    }

    /// The one to dial now: where the agent was sent, else the one whose failure is the longest ago.
    pub fn dial(&mut self) -> String {
        let next = self.redirect.take().unwrap_or_else(|| {
            let known = self.known();
            // Of several that never failed the first one: min_by_key keeps the order.
            let next = known.min_by_key(|address| self.failed.get(*address).copied());
            next.expect("one is configured").to_owned()
        });
        self.current = Some(next.clone());
        next
    }

    /// Whether there is more than one.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.known().any(|address| Some(address) != self.current())
    }

    /// The one that is dialled or in use looks after this agent.
    pub fn welcomed(&mut self) {
        self.redirects = 0;
        if let Some(current) = &self.current {
            self.failed.remove(current);
        }
    }

    /// The one that is dialled or in use could not be had, or broke. Gives whether every one has
    /// failed since one was last in use: then there is no hurry.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.redirects = 0;
        let Some(current) = self.current.take() else {
            return true;
        };
        self.failed.insert(current, now);
        self.forget_strangers();
        self.known()
            .all(|address| self.failed.contains_key(address))
    }

    /// The one that is dialled or in use sends the agent to another one. What can't be an address
    /// of one is left out.
    pub fn redirected(&mut self, to: &str) {
        self.redirects += 1;
        self.current = None;
        self.redirect = is_address(to).then(|| to.to_owned());
        if let Some(to) = &self.redirect
            && !self.known().any(|known| known == to)
            && self.learned.len() < LEARNED_MAX
        {
            // Should it fail, the next one is told so.
            self.learned.push(to.clone());
        }
    }

    /// Whether the agent still goes where it is sent.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.redirects < REDIRECTS_MAX
    }

    /// These share the agents.
    pub fn learned(&mut self, members: &[String]) {
        let members = members.iter().filter(|member| is_address(member));
        self.learned = members.take(LEARNED_MAX).cloned().collect();
        self.forget_strangers();
    }

    /// Those that could not be had a short while ago, for Hello.
    #[must_use]
    pub fn unreachable(&self, now: Instant) -> Vec<String> {
        let current = self.current();
        let failed = self.failed.iter().filter(|(address, at)| {
            Some(address.as_str()) != current && now.saturating_duration_since(**at) < UNREACHABLE
        });
        failed.map(|(address, _)| address.clone()).collect()
    }

    fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    fn known(&self) -> impl Iterator<Item = &str> {
        let all = self.configured.iter().chain(&self.learned);
        all.map(String::as_str)
    }

    fn forget_strangers(&mut self) {
        let (configured, learned) = (&self.configured, &self.learned);
        let current = self.current.as_ref();
        self.failed.retain(|address, _| {
            configured.contains(address) || learned.contains(address) || Some(address) == current
        });
    }
}

fn is_address(text: &str) -> bool {
    !text.is_empty() && text.len() <= ADDRESS_BYTES_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(configured: &[&str]) -> Route {
        Route::new(configured.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_that_fails_is_followed_by_the_others_in_turn() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut route = route(&["a", "b"]);
        assert_eq!(route.dial(), "a");
        route.welcomed();
        route.learned(&["a".into(), "b".into(), "c".into()]);
        assert!(route.has_others());
        assert!(!route.failed(at(1)));
        assert_eq!(route.dial(), "b");
        assert_eq!(route.unreachable(at(1)), ["a"]);
        assert!(!route.failed(at(2)));
        assert_eq!(route.dial(), "c");
        assert!(route.failed(at(3)), "all have failed");
        assert_eq!(route.dial(), "a", "its failure is the longest ago");
        assert_eq!(route.unreachable(at(3)), ["b", "c"]);
        assert!(route.unreachable(at(60)).is_empty());
    }

    #[test]
    fn it_goes_where_it_is_sent_but_not_for_ever() {
        let now = Instant::now();
        let mut route = route(&["a"]);
        route.dial();
        route.redirected("b");
        assert_eq!(route.dial(), "b");
        route.failed(now);
        assert_eq!(route.dial(), "a", "it can't be had");
        assert_eq!(route.unreachable(now), ["b"]);
        for _ in 0..REDIRECTS_MAX {
            assert!(route.moves());
            route.redirected("a");
            route.dial();
        }
        assert!(!route.moves());
        route.welcomed();
        assert!(route.moves());
    }

    #[test]
    fn with_one_alone_it_is_that_one_every_time() {
        let mut route = route(&["a"]);
        for _ in 0..3 {
            assert_eq!(route.dial(), "a");
            assert!(!route.has_others());
            assert!(route.failed(Instant::now()));
        }
    }

    proptest! {
        /// Whatever aggregators say, one that is known is dialled, each one is tried within as many
        /// failures as there are, and what is kept is bounded.
        #[test]
        fn each_one_is_tried(
            told in proptest::collection::vec((0_u8..4, "[a-f]{1,2}|\\PC{0,300}"), 0..60),
        ) {
            let start = Instant::now();
            let mut route = route(&["a", "b"]);
            for (second, (what, text)) in (0_u64..).zip(&told) {
                route.dial();
                match what {
                    0 => route.redirected(text),
                    1 => route.learned(&[text.clone(), "a".into()]),
                    2 => route.welcomed(),
                    _ => drop(route.failed(start + Duration::from_secs(second))),
                }
                prop_assert!(route.failed.len() <= LEARNED_MAX + 3);
            }
            let mut left: Vec<_> = route.known().map(str::to_owned).collect();
            for second in 100..=100 + left.len() as u64 {
                let next = route.dial();
                left.retain(|address| *address != next);
                route.failed(start + Duration::from_secs(second));
            }
            prop_assert!(left.is_empty(), "never tried: {left:?}");
        }
    }
}
