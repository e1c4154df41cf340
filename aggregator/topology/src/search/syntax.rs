//! A search as a tree, and back to text.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::quantity::Quantity;

/// Memory of one compiled pattern. Beyond it a pattern is refused, and matching takes time linear in
/// the text whatever the pattern.
const PATTERN_BYTES_MAX: usize = 256 << 10;
/// Groups within groups of a pattern.
const PATTERN_DEPTH_MAX: u32 = 32;

/// What a search asks of a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Term(Term),
}

/// The smallest question.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    /// The text, anywhere in what is known.
    Text(Folded),
    /// The pattern, anywhere in what is known.
    Pattern(Pattern),
    /// The test on each field with this key.
    Field { key: Folded, test: Test },
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Contains(Folded),
    Matches(Pattern),
    /// Equal or not, as text or as quantity.
    Equals {
        negated: bool,
        value: Folded,
        quantity: Option<Quantity>,
    },
    Ordered(Order, Quantity),
}

/// A comparison by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    pub(super) fn holds(self, found: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

/// Text as it was typed, and in lower case for comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folded {
    pub typed: String,
    pub lower: String,
}

impl Folded {
    pub(super) fn new(typed: String) -> Self {
        let lower = typed.to_lowercase();
        Self { typed, lower }
    }

    /// Whether the text contains it, whatever the case.
    pub(super) fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.lower)
    }

    /// Whether it is the text, whatever the case.
    pub(super) fn is(&self, text: &str) -> bool {
        text == self.typed || text.to_lowercase() == self.lower
    }
}

/// A regular expression, compiled once. Case does not count unless it says `(?-i)`.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    source: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Pattern {
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn new(source: String) -> Result<Self, String> {
        let regex = RegexBuilder::new(&source)
            .case_insensitive(true)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .nest_limit(PATTERN_DEPTH_MAX)
            .build();
        match regex {
            Ok(regex) => Ok(Self { source, regex }),
            Err(regex::Error::CompiledTooBig(_)) => Err(format!("/{source}/ is too large")),
            Err(error) => {
                // The last line says what; those before draw the pattern with an arrow.
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                let reason = last.trim_start_matches("error: ");
                Err(format!("/{source}/ is no regular expression: {reason}"))
            }
        }
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// Words of the language, which have to be quoted to be searched for.
pub(super) const KEYWORDS: [&str; 3] = ["AND", "OR", "NOT"];

/// A word, in quotes where it would be read as something else.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ';' | ',' | '@');
    let bare = word.chars().all(plain) && !word.is_empty() && !KEYWORDS.contains(&word);
    if bare {
        return word.to_owned();
    }
    let mut text = String::with_capacity(word.len() + 2);
    text.push('"');
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

impl fmt::Display for Expression {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = |part: &Self, to: &mut fmt::Formatter<'_>, bare: bool| {
            if bare {
                write!(to, "{part}")
            } else {
                write!(to, "({part})")
            }
        };
        match self {
            Self::Term(term) => write!(to, "{term}"),
            Self::Not(part) => {
                to.write_str("NOT ")?;
                inner(part, to, matches!(**part, Self::Term(_) | Self::Not(_)))
            }
            Self::All(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    to.write_str(if i == 0 { "" } else { " AND " })?;
                    inner(part, to, matches!(part, Self::Term(_) | Self::Not(_)))?;
                }
                Ok(())
            }
            Self::Any(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    to.write_str(if i == 0 { "" } else { " OR " })?;
                    inner(part, to, !matches!(part, Self::Any(_)))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => to.write_str(&quoted(&text.typed)),
            Self::Pattern(pattern) => write!(to, "{pattern}"),
            Self::Field { key, test } => {
                to.write_str(&quoted(&key.typed))?;
                match test {
                    Test::Contains(value) => write!(to, ":{}", quoted(&value.typed)),
                    Test::Matches(pattern) => write!(to, ":{pattern}"),
                    Test::Equals { negated, value, .. } => {
                        let sign = if *negated { "!=" } else { "=" };
                        // A quantity may have a sign that quotes would take away.
                        write!(to, " {sign} {}", quoted(&value.typed))
                    }
                    Test::Ordered(order, quantity) => {
                        write!(to, " {} {quantity}", order.sign())
                    }
                }
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("/")?;
        for c in self.source.chars() {
            if c == '/' {
                to.write_str("\\")?;
            }
            write!(to, "{c}")?;
        }
        to.write_str("/")
    }
}
