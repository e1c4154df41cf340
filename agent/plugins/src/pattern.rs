//! Patterns of names: `*` is any text, `?` any one character.

/// A pattern of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<char>);

impl Pattern {
    /// From how it is written.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.chars().collect())
    }

    /// Whether a name is as the pattern says, as a whole. Takes steps in the product of both lengths
    /// at most.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        let (pattern, name) = (&self.0, name.chars().collect::<Vec<_>>());
        let (mut p, mut n) = (0, 0);
        // Where the last star stands, and how far what it took reaches.
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((at, taken)) = &mut star else {
                        return false;
                    };
                    *taken += 1;
                    n = *taken;
                    p = *at + 1;
                }
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let fits = |pattern: &str, name: &str| Pattern::new(pattern).fits(name);
        assert!(fits("*", "") && fits("*", "all") && fits("web-*", "web-") && fits("a?c", "aüc"));
        assert!(fits("*/nginx:*", "docker.io/library/nginx:1.27"));
        assert!(fits("a*b*c", "a-b-b-c"));
        assert!(!fits("web", "web-1") && !fits("", "x") && !fits("a?", "a") && !fits("*b", "abc"));
    }

    proptest! {
        #[test]
        fn a_name_fits_itself_and_what_has_it_inside(name in "[a-z./:-]{0,20}", before in "[a-z]{0,5}") {
            prop_assert!(Pattern::new(&name).fits(&name));
            let inside = format!("{before}{name}x");
            let pattern = format!("*{name}*");
            prop_assert!(Pattern::new(&pattern).fits(&inside));
            let ending = format!("*{}y", name);
            prop_assert!(!Pattern::new(&ending).fits(&inside));
        }

        #[test]
        fn many_stars_are_no_trap(length in 1..2_000_usize) {
            let pattern = "a*".repeat(60) + "b";
            prop_assert!(!Pattern::new(&pattern).fits(&"a".repeat(length)));
        }
    }
}
