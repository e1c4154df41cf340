//! The order of the members for an agent: rendezvous hashing (Thaler and Ravishankar, "Using
//! name-based mappings to increase hit rates", 1998).
//!
//! Each agent belongs to the member with the highest rank for it. When a member goes, only its own
//! agents move, and they spread over all that are left; when one comes, only those that it gets.

use sha2::{Digest, Sha256};

/// How well a member suits an agent; the higher, the better. The same in every build and on every
/// machine, as members must agree without talking about it.
#[must_use]
pub fn rank(member: &str, agent_id: &str) -> u64 {
    let mut digest = Sha256::new();
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    let length = u64::try_from(member.len()).unwrap_or(u64::MAX);
    digest.update(length.to_be_bytes());
    digest.update(member);
    digest.update(agent_id);
    let digest = digest.finalize();
    let (first, _) = digest.split_first_chunk().expect("SHA-256 has 32 bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::*;

    fn owner<'a>(members: &'a BTreeSet<String>, agent_id: &str) -> &'a str {
        let best = members.iter().max_by_key(|member| rank(member, agent_id));
        best.expect("not empty")
    }

    fn members() -> impl Strategy<Value = BTreeSet<String>> {
        proptest::collection::btree_set("https://[a-z]{1,8}:[0-9]{4}", 2..8)
    }

    #[test]
    fn a_rank_is_the_same_for_ever() {
        assert_eq!(rank("https://a:4041", "edge-1"), 0xb5cd_c77d_8461_c0d6);
    }

    #[test]
    fn agents_are_shared_evenly() {
        for count in [2, 3, 5, 16] {
            let members: BTreeSet<_> = (0..count)
                .map(|number| format!("https://map-{number}.example:4041"))
                .collect();
            let mut shares: HashMap<&str, u32> = HashMap::new();
            for agent in 0..10_000 {
                let agent_id = format!("4d1f{agent:08x}");
                *shares.entry(owner(&members, &agent_id)).or_default() += 1;
            }
            let fair = 10_000 / u32::try_from(count).expect("few");
            for (member, share) in shares {
                // Four standard deviations of a fair throw are below a tenth here, but for 16.
                let margin = if count > 5 { fair / 5 } else { fair / 10 };
                assert!(
                    share.abs_diff(fair) < margin,
                    "{member} has {share}, {fair} would be fair"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn only_the_agents_of_a_member_that_goes_move(
            members in members(), agents in proptest::collection::vec("[a-f0-9]{8}", 1..50), which in any::<prop::sample::Index>(),
        ) {
            let gone = which.get(&members.iter().cloned().collect::<Vec<_>>()).clone();
            let mut left = members.clone();
            left.remove(&gone);
            for agent in agents {
                let (before, after) = (owner(&members, &agent), owner(&left, &agent));
                prop_assert!(before == after || before == gone);
            }
        }

        #[test]
        fn names_do_not_run_into_each_other(member in "[a-z]{2,8}", agent in "[a-z]{0,8}", cut in 1_usize..2) {
            let (left, right) = member.split_at(cut);
            prop_assert_ne!(rank(left, &format!("{right}{agent}")), rank(&member, &agent));
        }
    }
}
