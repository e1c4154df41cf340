//! What is known of addresses, for how long; bounded.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

/// What the cache says of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its name, or that it has none.
    Known(Option<String>),
    /// A look-up is under way.
    Waiting,
    /// Nothing: the caller looks it up; the cache waits for it from now on.
    Unknown,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Option<String>,
    from_answer: bool,
    waiting: bool,
    /// When the name was learnt.
    since: Instant,
    until: Instant,
}

/// Names by address. The oldest address is forgotten when there is no room.
#[derive(Debug)]
pub(super) struct Cache {
    entries: FxHashMap<IpAddr, Entry>,
    /// Addresses in the order of their first appearance; those forgotten since are passed over.
    order: VecDeque<IpAddr>,
    entries_max: usize,
    ttl: RangeInclusive<Duration>,
}

/// How long an address waits for its look-up before it can be asked for again.
const WAITING_MAX: Duration = Duration::from_secs(120);

impl Cache {
    pub(super) fn new(entries_max: usize, ttl: RangeInclusive<Duration>) -> Self {
        Self {
            entries: FxHashMap::default(),
            order: VecDeque::new(),
            entries_max: entries_max.max(1),
            ttl,
        }
    }

    pub(super) fn want(&mut self, address: IpAddr, now: Instant) -> Wanted {
        match self.entries.get_mut(&address) {
            Some(entry) if entry.until > now => {
                if entry.waiting && entry.name.is_none() {
                    Wanted::Waiting
                } else {
                    Wanted::Known(entry.name.clone())
                }
            }
            Some(entry) => {
                // The old name stays, so that a new one can be told from it.
                entry.waiting = true;
                entry.until = now + WAITING_MAX;
                Wanted::Unknown
            }
            None => {
                let waiting = Entry {
                    name: None,
                    from_answer: false,
                    waiting: true,
                    since: now,
                    until: now + WAITING_MAX,
                };
                self.insert(address, waiting);
                Wanted::Unknown
            }
        }
    }

    /// Takes over what a look-up found and how long it holds. True when the name is news.
    pub(super) fn looked_up(
        &mut self,
        address: IpAddr,
        name: Option<String>,
        holds: Duration,
        now: Instant,
    ) -> bool {
        let known = self.entries.get(&address);
        // The name that a program here asked for says more than who owns the address.
        if known.is_some_and(|entry| entry.from_answer && entry.until > now) {
            return false;
        }
        let is_new = name.is_some() && known.is_none_or(|entry| entry.name != name);
        let holds = holds.clamp(*self.ttl.start(), *self.ttl.end());
        self.insert(
            address,
            Entry {
                name,
                from_answer: false,
                waiting: false,
                since: now,
                until: now + holds,
            },
        );
        is_new
    }

    /// Takes over a name out of a DNS answer. True when it is news.
    pub(super) fn answer(&mut self, address: IpAddr, name: &str, now: Instant) -> bool {
        let until = now + *self.ttl.end();
        if let Some(entry) = self.entries.get_mut(&address) {
            if entry.from_answer && entry.name.as_deref() == Some(name) {
                entry.until = until;
                return false;
            }
            // Addresses of large providers stand for many names: they do not take turns.
            if entry.from_answer && now.duration_since(entry.since) < *self.ttl.start() {
                return false;
            }
        }
        self.insert(
            address,
            Entry {
                name: Some(name.to_owned()),
                from_answer: true,
                waiting: false,
                since: now,
                until,
            },
        );
        true
    }

    pub(super) fn forget(&mut self, address: IpAddr) {
        self.entries.remove(&address);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn insert(&mut self, address: IpAddr, entry: Entry) {
        if self.entries.insert(address, entry).is_some() {
            return;
        }
        self.order.push_back(address);
        while self.entries.len() > self.entries_max {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.entries.remove(&oldest);
        }
        // Addresses that were forgotten and came again are in the order twice.
        if self.order.len() > 2 * self.entries_max {
            let entries = &self.entries;
            let mut seen = rustc_hash::FxHashSet::default();
            self.order
                .retain(|address| entries.contains_key(address) && seen.insert(*address));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn cache() -> Cache {
        Cache::new(3, MINUTE..=60 * MINUTE)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_look_up_per_time_to_live_and_only_news_are_told() {
        let (mut cache, now) = (cache(), Instant::now());
        assert_eq!(cache.want(address(1), now), Wanted::Unknown);
        assert_eq!(cache.want(address(1), now), Wanted::Waiting);
        let name = Some("a.example".to_owned());
        assert!(cache.looked_up(address(1), name.clone(), Duration::ZERO, now));
        assert_eq!(
            cache.want(address(1), now + MINUTE / 2),
            Wanted::Known(name.clone())
        );
        // Its time to live of 0 was raised to a minute.
        assert_eq!(cache.want(address(1), now + MINUTE), Wanted::Unknown);
        assert!(!cache.looked_up(address(1), name, MINUTE, now + MINUTE));
        assert!(cache.looked_up(
            address(1),
            Some("b.example".into()),
            MINUTE,
            now + 3 * MINUTE
        ));
        assert!(!cache.looked_up(address(2), None, MINUTE, now));
        assert_eq!(cache.want(address(2), now), Wanted::Known(None));
    }

    #[test]
    fn an_answer_outranks_a_look_up_and_names_do_not_take_turns() {
        let (mut cache, now) = (cache(), Instant::now());
        assert!(cache.answer(address(1), "a.example", now));
        assert!(!cache.answer(address(1), "a.example", now));
        assert!(!cache.answer(address(1), "b.example", now + MINUTE / 2));
        assert!(!cache.looked_up(address(1), Some("c.example".into()), MINUTE, now));
        assert_eq!(
            cache.want(address(1), now),
            Wanted::Known(Some("a.example".into()))
        );
        assert!(cache.answer(address(1), "b.example", now + MINUTE));
    }

    proptest! {
        #[test]
        fn it_is_bounded_whatever_happens(steps in proptest::collection::vec((0..4_u8, any::<u8>()), 0..300)) {
            let (mut cache, mut now) = (cache(), Instant::now());
            for (step, last) in steps {
                now += MINUTE / 4;
                let address = address(last);
                match step {
                    0 => { cache.want(address, now); }
                    1 => { cache.answer(address, "a.example", now); }
                    2 => { cache.looked_up(address, None, MINUTE, now); }
                    _ => cache.forget(address),
                }
                prop_assert!(cache.len() <= 3 && cache.order.len() <= 7);
            }
        }
    }
}
