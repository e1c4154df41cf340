//! What a provider says of a person: name and role.

use std::collections::BTreeMap;

use mesoscope_access::Role;
use serde_json::{Map, Value};

/// Characters of a name that are kept.
const NAME_CHARS_MAX: usize = 64;
/// Characters of a subject that are kept; OpenID Connect has 255 at most.
const SUBJECT_CHARS_MAX: usize = 255;
/// Values of the claim of roles that are looked at.
const VALUES_MAX: usize = 10_000;

/// Which claim gives which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    /// The claim with the groups.
    pub roles_claim: String,
    /// The claim with the name.
    pub name_claim: String,
    /// Group to role.
    pub roles: BTreeMap<String, Role>,
    /// The role of who is in none of them.
    pub default_role: Option<Role>,
}

/// Somebody whom the provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name that the provider shows; not unique over time.
    pub name: String,
    /// The provider's own name of the person, which is never given to another.
    pub subject: String,
    /// The highest role of all groups.
    pub role: Role,
}

impl Mapping {
    /// Whether some group is admin.
    pub(super) fn has_admin(&self) -> bool {
        let mut roles = self.roles.values().chain(&self.default_role);
        roles.any(|role| *role == Role::Admin)
    }

    /// Whether these claims hold what is asked for, so that nothing more needs to be asked.
    pub(super) fn is_told(&self, claims: &Map<String, Value>) -> bool {
        find(claims, &self.roles_claim).is_some() && find(claims, &self.name_claim).is_some()
    }

    /// Who it is. The error is the name of somebody who has no role.
    pub(super) fn person(
        &self,
        subject: &str,
        claims: &Map<String, Value>,
    ) -> Result<Person, String> {
        let subject = plain(subject, SUBJECT_CHARS_MAX);
        let name = find(claims, &self.name_claim).and_then(Value::as_str);
        let name = plain(name.unwrap_or_default(), NAME_CHARS_MAX);
        let name = if name.is_empty() {
            plain(&subject, NAME_CHARS_MAX)
        } else {
            name
        };
        let values: &[Value] = match find(claims, &self.roles_claim) {
            Some(Value::Array(values)) => values,
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let groups = values.iter().take(VALUES_MAX).filter_map(Value::as_str);
        let roles = groups.filter_map(|group| self.roles.get(group)).copied();
        let Some(role) = roles.chain(self.default_role).max() else {
            return Err(name);
        };
        Ok(Person {
            name,
            subject,
            role,
        })
    }
}

/// A claim by its name, or by the names on the way to it (`realm_access.roles`).
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let mut names = name.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

/// Without what could break a line of a log.
fn plain(text: &str, chars_max: usize) -> String {
    let letters = text.trim().chars().filter(|letter| !letter.is_control());
    letters.take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn mapping(roles_claim: &str) -> Mapping {
        Mapping {
            roles_claim: roles_claim.to_owned(),
            name_claim: "preferred_username".to_owned(),
            roles: BTreeMap::from([
                ("ops".to_owned(), Role::Operator),
                ("admins".to_owned(), Role::Admin),
                ("staff".to_owned(), Role::Viewer),
            ]),
            default_role: None,
        }
    }

    fn role(mapping: &Mapping, claims: Value) -> Option<Role> {
        let claims = claims.as_object().expect("an object").clone();
        let person = mapping.person("1", &claims);
        person.ok().map(|person| person.role)
    }

    #[test]
    fn the_highest_role_of_all_groups_counts_and_none_is_none() {
        let groups = mapping("groups");
        let all = json!({"groups": ["staff", "ops", "other"]});
        assert_eq!(role(&groups, all), Some(Role::Operator));
        assert_eq!(
            role(&groups, json!({"groups": "admins"})),
            Some(Role::Admin)
        );
        for none in [
            json!({}),
            json!({"groups": []}),
            json!({"groups": ["Admins", " admins", "admins,ops", 7, ["admins"]]}),
            json!({"groups": {"admins": true}}),
            json!({"groups": null}),
        ] {
            assert_eq!(role(&groups, none.clone()), None, "{none}");
        }
        let open = Mapping {
            default_role: Some(Role::Viewer),
            ..groups.clone()
        };
        assert_eq!(role(&open, json!({})), Some(Role::Viewer));
        assert_eq!(
            role(&open, json!({"groups": ["ops"]})),
            Some(Role::Operator)
        );
        assert!(groups.has_admin());
    }

    #[test]
    fn a_claim_is_found_by_its_name_or_the_way_to_it() {
        let nested = mapping("realm_access.roles");
        let claims = json!({"realm_access": {"roles": ["ops"]}});
        assert_eq!(role(&nested, claims), Some(Role::Operator));
        assert_eq!(role(&nested, json!({"realm_access": ["ops"]})), None);
        let dotted = mapping("https://example.com/roles");
        let claims = json!({"https://example.com/roles": ["admins"]});
        assert_eq!(role(&dotted, claims), Some(Role::Admin));
    }

    #[test]
    fn a_name_is_one_short_line_and_the_subject_where_there_is_none() {
        let groups = mapping("groups");
        let name = |claims: Value| {
            let claims = claims.as_object().expect("an object").clone();
            groups.person("sub-1", &claims).expect("staff").name
        };
        let named = |name: &str| json!({"groups": "staff", "preferred_username": name});
        assert_eq!(name(named("ada")), "ada");
        assert_eq!(name(named(" a\nb\u{7f} ")), "ab");
        assert_eq!(name(named(&"x".repeat(500))).len(), NAME_CHARS_MAX);
        assert_eq!(name(named("  ")), "sub-1");
        assert_eq!(name(json!({"groups": "staff"})), "sub-1");
        let nobody = groups.person("sub-1", &Map::new());
        assert_eq!(nobody, Err("sub-1".to_owned()));
    }

    proptest! {
        #[test]
        fn only_a_group_that_is_mapped_gives_a_role(values in proptest::collection::vec("\\PC{0,12}|ops|admins", 0..8)) {
            let expected = values.iter().filter_map(|value| match value.as_str() {
                "ops" => Some(Role::Operator),
                "admins" => Some(Role::Admin),
                "staff" => Some(Role::Viewer),
                _ => None,
            });
            let found = role(&mapping("groups"), json!({"groups": values.clone()}));
            prop_assert_eq!(found, expected.max());
        }
    }
}
