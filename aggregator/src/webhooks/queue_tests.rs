use proptest::prelude::*;

use super::*;
use crate::webhooks::notice::{Agent, Kind};

const HOUR_MS: u64 = 3_600_000;
const FAILED: Outcome = Outcome::Failed {
    retry_after_ms: None,
};

fn notice() -> Arc<Notice> {
    let agent = Agent {
        id: "a".to_owned(),
        hostname: "node-1".to_owned(),
        last_seen_unix_ms: None,
    };
    Arc::new(Notice::of_agent(
        Kind::AgentOffline,
        agent,
        1,
        String::new(),
    ))
}

fn sent(step: Step) -> (u64, u32) {
    match step {
        Step::Send(call) => (call.sequence, call.attempt),
        other => panic!("{other:?}"),
    }
}

#[test]
fn notices_go_in_order_and_each_once() {
    let mut queue = Queue::new(HOUR_MS);
    assert_eq!(queue.next(0), Step::Rest);
    queue.push(notice());
    queue.push(notice());
    assert_eq!(sent(queue.next(0)), (1, 1));
    queue.went(Outcome::Taken, 1, 0.0);
    assert_eq!(sent(queue.next(1)), (2, 1));
    queue.went(Outcome::Taken, 2, 0.0);
    assert_eq!(queue.next(2), Step::Rest);
    assert_eq!(queue.counts.delivered, 2);
}

#[test]
fn one_that_fails_is_tried_again_before_the_next_and_later_each_time() {
    let mut queue = Queue::new(HOUR_MS);
    queue.push(notice());
    queue.push(notice());
    let (mut now, mut waits) = (0, Vec::new());
    for attempt in 1..=12 {
        assert_eq!(sent(queue.next(now)), (1, attempt));
        queue.went(FAILED, now, 1.0);
        let Step::Wait { until_ms } = queue.next(now) else {
            panic!("no wait");
        };
        waits.push(until_ms - now);
        now = until_ms;
    }
    let doubled: Vec<u64> = (0..9).map(|n| 1_000 << n).collect();
    assert_eq!(waits[..9], doubled);
    assert_eq!(waits[9..], [300_000; 3]);
    queue.went(Outcome::Taken, now, 0.0);
    assert_eq!((queue.counts.failed, queue.counts.delivered), (12, 1));
}

#[test]
fn the_receiver_says_when_it_wants_it_again() {
    let mut queue = Queue::new(HOUR_MS);
    queue.push(notice());
    sent(queue.next(0));
    let asked = Outcome::Failed {
        retry_after_ms: Some(90_000),
    };
    queue.went(asked, 5, 0.0);
    assert_eq!(queue.next(6), Step::Wait { until_ms: 90_005 });
}

#[test]
fn it_is_given_up_after_a_while_and_the_next_is_not_tried_at_once() {
    let mut queue = Queue::new(10_000);
    queue.push(notice());
    queue.push(notice());
    let mut now = 0;
    while queue.counts.given_up == 0 {
        match queue.next(now) {
            Step::Send(_) => queue.went(FAILED, now, 1.0),
            Step::Wait { until_ms } => now = until_ms,
            Step::Rest => panic!("one waits"),
        }
    }
    assert!((5_000..=10_000).contains(&now), "{now}");
    let Step::Wait { until_ms } = queue.next(now) else {
        panic!("no wait");
    };
    assert_eq!(sent(queue.next(until_ms)), (2, 1));
}

#[test]
fn what_is_refused_is_not_tried_again() {
    let mut queue = Queue::new(HOUR_MS);
    queue.push(notice());
    queue.push(notice());
    sent(queue.next(0));
    queue.went(Outcome::Refused, 0, 0.5);
    assert_eq!(queue.counts.refused, 1);
    assert_eq!(sent(queue.next(0)), (2, 1));
}

#[test]
fn without_room_the_oldest_goes_and_its_number_is_missing() {
    let mut queue = Queue::new(HOUR_MS);
    queue.push(notice());
    assert_eq!(sent(queue.next(0)), (1, 1));
    for _ in 0..QUEUE_MAX + 1 {
        queue.push(notice());
    }
    assert_eq!((queue.len(), queue.counts.no_room), (QUEUE_MAX, 2));
    queue.went(Outcome::Taken, 0, 0.0);
    assert_eq!(sent(queue.next(0)), (4, 1), "2 and 3 had no room");
}

proptest! {
    #[test]
    fn the_order_holds_and_nothing_is_lost_uncounted(
        steps in proptest::collection::vec((0u8..5, 0u64..400_000, 0.0f64..1.0), 1..400),
    ) {
        let mut queue = Queue::new(HOUR_MS);
        let (mut now, mut pushed, mut last, mut under_way) = (0, 0, 0, false);
        for (what, later_ms, jitter) in steps {
            now += later_ms;
            match what {
                0 | 1 => {
                    queue.push(notice());
                    pushed += 1;
                }
                _ if under_way => {
                    let outcome = [Outcome::Taken, Outcome::Refused, FAILED][usize::from(what - 2)];
                    queue.went(outcome, now, jitter);
                    under_way = false;
                }
                _ => {
                    if let Step::Send(call) = queue.next(now) {
                        prop_assert!(call.sequence >= last);
                        last = call.sequence;
                        under_way = true;
                    }
                }
            }
            let Counts { delivered, refused, given_up, no_room, .. } = queue.counts;
            let accounted = delivered + refused + given_up + no_room;
            prop_assert_eq!(accounted + u64::try_from(queue.len()).expect("small"), pushed);
        }
    }

    #[test]
    fn a_wait_is_never_longer_than_the_longest(attempts in any::<u32>(), jitter in any::<f64>()) {
        let wait = wait_ms(attempts, jitter);
        prop_assert!((WAIT_MS_MIN / 2..=WAIT_MS_MAX).contains(&wait), "{}", wait);
    }
}
