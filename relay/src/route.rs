//! Which regions an event is for, and by which relay it gets there.

use std::collections::BTreeSet;

use schema::id::RegionId;
use schema::pack::PATH_MAX;

/// The regions that should take an event for an office with these home regions, when it is at `origin` on
/// its sender's `attempt`-th repetition.
///
/// A home region that has the event keeps it. Otherwise the repetitions go round the home regions, so that a
/// dead or lying relay delays a document and does not stop it.
pub fn targets<'a>(homes: &'a [RegionId], origin: &RegionId, attempt: u32) -> Vec<&'a RegionId> {
    let here = homes.iter().find(|home| *home == origin);
    let turn =
        usize::try_from(attempt).unwrap_or(0).checked_rem(homes.len()).and_then(|turn| homes.get(turn));
    match here {
        Some(here) if attempt == 0 => vec![here],
        Some(here) => {
            let mut both = vec![here];
            both.extend(turn.filter(|turn| *turn != here));
            both
        }
        None => turn.into_iter().collect(),
    }
}

/// The relay to push a message to that is for region `to` and has passed `path`, this relay last.
///
/// The direct link when it is up; else any third relay whose link is up and that has not had the message, in
/// the order of their tokens. `None`: wait.
pub fn next_hop(to: &RegionId, path: &[RegionId], links_up: &BTreeSet<RegionId>) -> Option<RegionId> {
    if links_up.contains(to) {
        return Some(to.clone());
    }
    // A third relay adds itself before it passes the message on: a full path would only end in its
    // quarantine.
    if path.len() >= PATH_MAX {
        return None;
    }
    links_up.iter().find(|third| !path.contains(third)).cloned()
}

/// The path of a message after `me`, or `None` when it must not travel on: it has been here, or everywhere.
pub fn path_through(path: &[RegionId], me: &RegionId) -> Option<Vec<RegionId>> {
    let travels = path.len() < PATH_MAX && !path.contains(me);
    travels.then(|| path.iter().chain([me]).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn region(n: usize) -> RegionId {
        format!("p{n:02}").parse().expect("a region")
    }

    #[test]
    fn home_keeps_the_first_try_and_later_ones_also_go_round() {
        let homes = [region(1), region(2)];
        assert_eq!(targets(&homes, &region(2), 0), [&region(2)]);
        assert_eq!(targets(&homes, &region(2), 1), [&region(2)]);
        assert_eq!(targets(&homes, &region(2), 2), [&region(2), &region(1)]);
        assert_eq!(targets(&homes, &region(3), 0), [&region(1)]);
        assert_eq!(targets(&homes, &region(3), 1), [&region(2)]);
        assert!(targets(&[], &region(3), 1).is_empty());
    }

    #[test]
    fn direct_link_goes_before_any_third_relay() {
        let up = BTreeSet::from([region(1), region(2)]);
        assert_eq!(next_hop(&region(2), &[region(9)], &up), Some(region(2)));
        assert_eq!(next_hop(&region(3), &[region(9)], &up), Some(region(1)));
        assert_eq!(next_hop(&region(3), &[region(1), region(9)], &up), Some(region(2)));
        assert_eq!(next_hop(&region(3), &[region(1), region(2), region(9)], &up), None);
    }

    proptest! {
        /// Follows one message over relays whose links are up or down at random, and change while it travels.
        #[test]
        fn message_never_passes_a_relay_twice(seed in proptest::collection::vec(any::<u64>(), 8)) {
            let to = region(7);
            let mut at = region(0);
            let mut path = vec![at.clone()];
            for links in seed {
                let is_up = |n: &usize| links >> n & 1 == 1 && region(*n) != at;
                let up: BTreeSet<_> = (0..8).filter(is_up).map(region).collect();
                let Some(hop) = next_hop(&to, &path, &up) else { break };
                prop_assert!(up.contains(&hop));
                prop_assert!(hop == to || !path.contains(&hop));
                if hop == to {
                    break;
                }
                at = hop;
                let through = path_through(&path, &at);
                prop_assert!(through.is_some(), "{path:?} at {at}");
                path = through.unwrap_or_default();
                prop_assert!(path.len() <= PATH_MAX);
            }
        }

        #[test]
        fn every_home_gets_its_turn(homes in 1_usize..8, origin in 0_usize..10) {
            let homes: Vec<_> = (0..homes).map(region).collect();
            let tried: BTreeSet<_> =
                (0..16).flat_map(|attempt| targets(&homes, &region(origin), attempt)).cloned().collect();
            prop_assert_eq!(tried, homes.into_iter().collect());
        }
    }
}
