//! What may be meant by a half-typed word: keys, then values of a key as they occur in the map.

use mesoscope_proto::v1;
use rustc_hash::FxHashMap;

use super::{
    facts::Facts,
    syntax::{Folded, quoted},
};

/// Different words that are counted; further ones are left out.
const WORDS_MAX: usize = 2_000;
/// Longest value that is offered, in bytes.
const VALUE_BYTES_MAX: usize = 120;

/// A way to go on typing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What takes the place of the word.
    pub text: String,
    /// True for a key, false for a value.
    pub key: bool,
    /// What people call the key; empty for values.
    pub label: String,
    /// Nodes that have it, of those looked at.
    pub nodes: u32,
}

/// The word at the cursor, and what was found for it so far.
#[derive(Debug)]
pub struct Completion {
    wanted: Wanted,
    from: usize,
    to: usize,
    found: FxHashMap<String, Suggestion>,
}

#[derive(Debug)]
enum Wanted {
    Key(Folded),
    Value { key: Folded, begun: Folded },
    Nothing,
}

impl Completion {
    /// The word that ends at character `at` of a search, which need not be complete.
    #[must_use]
    pub fn new(text: &str, at: usize) -> Self {
        let chars: Vec<char> = text.chars().take(super::parse::LENGTH_MAX).collect();
        let to = at.min(chars.len());
        let (wanted, from) = word_at(&chars[..to]);
        Self {
            wanted,
            from,
            to,
            found: FxHashMap::default(),
        }
    }

    /// Where the word begins and ends, in characters from 0.
    #[must_use]
    pub fn range(&self) -> (usize, usize) {
        (self.from, self.to)
    }

    /// False when nothing can be offered here, whatever is in the map.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !matches!(self.wanted, Wanted::Nothing)
    }

    /// Takes in what a node has.
    pub(super) fn look_at(&mut self, facts: &Facts) {
        let Self { wanted, found, .. } = self;
        let mut seen: Vec<(String, String, bool)> = Vec::new();
        match wanted {
            Wanted::Nothing => return,
            Wanted::Key(begun) => {
                for metric in &facts.node.metrics {
                    seen.push((format!("{} > ", metric.key), metric.label.clone(), true));
                }
                for fact in &facts.facts {
                    let name = quoted(&fact.field.key);
                    let text = match fact.field.r#type.as_str() {
                        "time" => format!("{name} < "),
                        "bytes" => format!("{name} > "),
                        _ => format!("{name}:"),
                    };
                    seen.push((text, fact.field.label.clone(), true));
                    if let Some(section) = fact.section {
                        let text = format!("{}:", section.to_lowercase());
                        seen.push((text, section.to_owned(), true));
                    }
                }
                seen.retain(|(text, label, _)| begun.is_in(text) || begun.is_in(label));
            }
            Wanted::Value { key, begun } => {
                let offered = |field: &v1::Field| {
                    !matches!(field.r#type.as_str(), "time" | "bytes")
                        && field.value.len() <= VALUE_BYTES_MAX
                        && begun.is_in(&field.value)
                };
                let named = facts.facts.iter().filter(|fact| fact.is_named(key));
                for fact in named.filter(|fact| offered(&fact.field)) {
                    seen.push((quoted(&fact.field.value), String::new(), false));
                }
            }
        }
        seen.sort();
        seen.dedup_by(|a, b| a.0 == b.0);
        for (text, label, key) in seen {
            if let Some(known) = found.get_mut(&text) {
                known.nodes += 1;
            } else if found.len() < WORDS_MAX {
                let suggestion = Suggestion {
                    text: text.clone(),
                    key,
                    label,
                    nodes: 1,
                };
                found.insert(text, suggestion);
            }
        }
    }

    /// The best ones: what begins as typed first, then what most nodes have.
    #[must_use]
    pub fn best(self, most: usize) -> Vec<Suggestion> {
        let begun = match &self.wanted {
            Wanted::Key(begun) | Wanted::Value { begun, .. } => begun.lower.clone(),
            Wanted::Nothing => return Vec::new(),
        };
        let mut list: Vec<Suggestion> = self.found.into_values().collect();
        list.sort_by_cached_key(|suggestion| {
            let text = suggestion.text.to_lowercase();
            let begins = text.trim_start_matches('"').starts_with(&begun);
            (!begins, std::cmp::Reverse(suggestion.nodes), text)
        });
        list.truncate(most);
        list
    }
}

/// What is being typed at the end of the text, and where it begins.
fn word_at(chars: &[char]) -> (Wanted, usize) {
    let (begins, in_quotes) = last_word(chars);
    let word: String = chars[begins..].iter().collect();
    let negations = word.chars().take_while(|c| *c == '!').count();
    let begins = begins + negations;
    let word = &chars[begins..];
    if let Some((key, value_at)) = split_key(word) {
        return (value_of(key, &word[value_at..]), begins + value_at);
    }
    // "image = re": the sign stands before the word.
    let before: String = chars[..begins].iter().collect();
    let before = before.trim_end();
    if let Some(key) = before
        .strip_suffix('=')
        .filter(|_| !word.is_empty() || in_quotes)
    {
        let key = key.trim_end_matches('!').trim_end();
        let own: Vec<char> = key.chars().collect();
        let (key_at, _) = last_word(&own);
        let key: String = own[key_at..].iter().collect();
        if !key.is_empty() {
            return (value_of(unquoted(&key), word), begins);
        }
    }
    let text: String = word.iter().collect();
    let nothing = before.ends_with(['<', '>']) || in_quotes || text.starts_with('/');
    if nothing {
        return (Wanted::Nothing, begins);
    }
    (Wanted::Key(Folded::new(text)), begins)
}

fn value_of(key: String, typed: &[char]) -> Wanted {
    let typed: String = typed.iter().collect();
    if typed.starts_with('/') {
        return Wanted::Nothing;
    }
    Wanted::Value {
        key: Folded::new(key),
        begun: Folded::new(unquoted(&typed)),
    }
}

/// Where the last word begins, and whether a quote is open in it.
fn last_word(chars: &[char]) -> (usize, bool) {
    let (mut begins, mut in_quotes, mut escaped) = (0, false, false);
    for (at, c) in chars.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            ' ' | '\t' | '(' | ')' if !in_quotes => begins = at + 1,
            _ => {}
        }
    }
    (begins, in_quotes)
}

/// The key before the first colon or equals sign of a word, and where its value begins.
fn split_key(word: &[char]) -> Option<(String, usize)> {
    let mut in_quotes = false;
    for (at, c) in word.iter().enumerate() {
        match c {
            '"' => in_quotes = !in_quotes,
            ':' | '=' if !in_quotes && at > 0 => {
                let key: String = word[..at].iter().collect();
                let key = key.trim_end_matches('!').to_owned();
                return Some((unquoted(&key), at + 1));
            }
            '<' | '>' if !in_quotes => return None,
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> String {
    let Some(inside) = text.strip_prefix('"') else {
        return text.to_owned();
    };
    let inside = inside.strip_suffix('"').unwrap_or(inside);
    inside.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> String {
        let completion = Completion::new(text, text.chars().count());
        let from = completion.from;
        match completion.wanted {
            Wanted::Key(begun) => format!("key {} {from}", begun.typed),
            Wanted::Value { key, begun } => format!("{} of {} {from}", begun.typed, key.typed),
            Wanted::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn the_word_at_the_cursor_is_a_key_or_a_value() {
        assert_eq!(wanted(""), "key  0");
        assert_eq!(wanted("redis im"), "key im 6");
        assert_eq!(wanted("NOT (im"), "key im 5");
        assert_eq!(wanted("!im"), "key im 1");
        assert_eq!(wanted("image:"), " of image 6");
        assert_eq!(wanted("a image:re"), "re of image 8");
        assert_eq!(wanted("image:\"my re"), "my re of image 6");
        assert_eq!(wanted("image = re"), "re of image 8");
        assert_eq!(wanted("image!=re"), "re of image 7");
        assert_eq!(wanted("cpu > 2"), "nothing");
        assert_eq!(wanted("image:/re"), "nothing");
        assert_eq!(wanted("\"two wo"), "nothing");
    }

    #[test]
    fn the_cursor_may_stand_anywhere() {
        let completion = Completion::new("im AND pid:1", 2);
        assert_eq!(completion.range(), (0, 2));
        assert_eq!(Completion::new("im", 99).range(), (0, 2));
        assert!(!Completion::new("cpu > ", 6).is_wanted());
    }
}
