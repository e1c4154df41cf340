use super::*;
use crate::store::open;

fn owner(name: &str) -> Owner {
    Owner {
        how: How::Password,
        name: name.to_owned(),
    }
}

fn wanted(name: &str, search: &str, shared: bool) -> Wanted {
    Wanted {
        name: name.to_owned(),
        search: search.to_owned(),
        shared,
    }
}

fn names(filters: &Filters, of: &str) -> Vec<String> {
    let mut names: Vec<String> = filters
        .visible(&owner(of), None)
        .into_iter()
        .map(|filter| filter.name)
        .collect();
    names.sort();
    names
}

#[test]
fn filters_survive_a_restart_and_own_ones_are_seen_by_nobody_else() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let (settings, filters) = open(Some(scratch.path())).expect("new");
    let own = filters
        .create(owner("ann"), wanted("busy", "cpu > 2%", false), 1)
        .expect("saved");
    let shared = filters
        .create(owner("ann"), wanted("shop", "labels:team=shop", true), 2)
        .expect("saved");
    let gone = filters
        .create(owner("bob"), wanted("busy", "memory > 1GiB", false), 3)
        .expect("another's of the same name");
    filters.remove(&gone.id).expect("there");
    drop((settings, filters));

    let (_settings, filters) = open(Some(scratch.path())).expect("ours");
    assert_eq!(filters.get(&owner("ann"), &own.id).expect("own"), own);
    assert_eq!(names(&filters, "ann"), ["busy", "shop"]);
    assert_eq!(names(&filters, "bob"), ["shop"]);
    assert_eq!(
        filters.get(&owner("bob"), &shared.id).expect("all's"),
        shared
    );
    assert!(matches!(
        filters.get(&owner("bob"), &own.id),
        Err(FilterError::Unknown(_))
    ));
    let by_token = Owner {
        how: How::ApiToken,
        ..owner("ann")
    };
    assert!(filters.get(&by_token, &own.id).is_err(), "another ann");

    let changed = filters
        .replace(&own, wanted("very busy", "cpu > 80%", false), 4)
        .expect("changed");
    assert_eq!((&changed.id, changed.changed_unix_ms), (&own.id, 4));
    assert_eq!(filters.count(), 2);
}

#[test]
fn what_makes_no_sense_or_is_too_much_changes_nothing() {
    let (_settings, filters) = open(None).expect("in memory");
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for name in ["", " a", "a\n", &long] {
        let refused = filters.create(owner("ann"), wanted(name, "redis", false), 1);
        assert!(matches!(refused, Err(FilterError::Name)), "{name:?}");
    }
    let refused = filters.create(owner("ann"), wanted("a", "cpu >> 2", false), 1);
    assert!(matches!(refused, Err(FilterError::Search(_))));
    for place in 0..FILTERS_PER_OWNER_MAX {
        filters
            .create(owner("ann"), wanted(&place.to_string(), "redis", false), 1)
            .expect("within the bound");
    }
    let taken = filters.create(owner("ann"), wanted("7", "nginx", false), 1);
    assert!(matches!(taken, Err(FilterError::Taken(_))));
    let full = filters.create(owner("ann"), wanted("more", "nginx", false), 1);
    assert!(matches!(full, Err(FilterError::TooMany)));
    let one = &filters.visible(&owner("ann"), None)[0];
    filters
        .replace(one, wanted(&one.name, "nginx", false), 2)
        .expect("one of them may change");
    filters
        .create(owner("ann"), wanted("7", "nginx", true), 1)
        .expect("shared ones are counted and named apart");
    assert_eq!(filters.count(), FILTERS_PER_OWNER_MAX + 1);
}
