//! From text to a search, by recursive descent:
//!
//! ```text
//! any  = all { "OR" all }
//! all  = not { [ "AND" ] not }
//! not  = ( "NOT" | "!" ) not | "(" any ")" | term
//! term = [ key ":" ] ( word | "quoted text" | /pattern/ ) | key sign value
//! sign = "=" | "!=" | "<" | "<=" | ">" | ">="
//! ```

use super::{
    quantity::Quantity,
    syntax::{Expression, Folded, KEYWORDS, Order, Pattern, Term, Test},
};

/// Characters of a search.
pub(super) const LENGTH_MAX: usize = 1_000;
/// Terms of a search.
const TERMS_MAX: usize = 64;
/// Regular expressions of a search.
const PATTERNS_MAX: usize = 8;
/// Brackets and negations within each other.
const DEPTH_MAX: usize = 32;

/// What is wrong with a search, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at column {column}")]
pub struct SyntaxError {
    /// What is wrong.
    pub what: String,
    /// Where, in characters from 1.
    pub column: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Equals { negated: bool },
    Ordered(Order),
}

/// Reads a whole search.
pub(super) fn parse(text: &str) -> Result<Expression, SyntaxError> {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() > LENGTH_MAX {
        return Err(SyntaxError {
            what: format!("a search has at most {LENGTH_MAX} characters; it is cut off"),
            column: LENGTH_MAX + 1,
        });
    }
    let mut parser = Parser {
        chars,
        at: 0,
        terms: 0,
        patterns: 0,
        depth: 0,
    };
    parser.space();
    if parser.peek().is_none() {
        return Err(parser.error(0, "expected something to search for"));
    }
    let expression = parser.any("at the beginning")?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.error(parser.at, "this ')' has no '('")),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    terms: usize,
    patterns: usize,
    depth: usize,
}

impl Parser {
    fn error(&self, at: usize, what: impl Into<String>) -> SyntaxError {
        SyntaxError {
            what: what.into(),
            column: at + 1,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// A word of the language, if it is the next and stands alone.
    fn keyword(&self) -> Option<&'static str> {
        let rest = &self.chars[self.at..];
        KEYWORDS.into_iter().find(|word| {
            let ends = |c: &char| c.is_whitespace() || matches!(c, '(' | ')' | '"');
            rest.iter().copied().take(word.len()).eq(word.chars())
                && rest.get(word.len()).is_none_or(ends)
        })
    }

    fn any(&mut self, after: &str) -> Result<Expression, SyntaxError> {
        let mut parts = vec![self.all(after)?];
        while self.keyword() == Some("OR") {
            self.at += 2;
            parts.push(self.all("after 'OR'")?);
        }
        Ok(one_or(parts, Expression::Any))
    }

    fn all(&mut self, after: &str) -> Result<Expression, SyntaxError> {
        let mut parts = vec![self.not(after)?];
        loop {
            let after = match (self.keyword(), self.peek()) {
                (Some("OR"), _) | (_, None | Some(')')) => break,
                (Some("AND"), _) => {
                    self.at += 3;
                    "after 'AND'"
                }
                _ => "here",
            };
            parts.push(self.not(after)?);
        }
        Ok(one_or(parts, Expression::All))
    }

    /// One part and the space behind it.
    fn not(&mut self, after: &str) -> Result<Expression, SyntaxError> {
        self.space();
        let begun = self.at;
        let negation = match (self.keyword(), self.peek()) {
            (Some("NOT"), _) => Some((3, "after 'NOT'")),
            (_, Some('!')) => Some((1, "after '!'")),
            _ => None,
        };
        if let Some((length, after)) = negation {
            self.at += length;
            self.deeper(begun)?;
            let part = self.not(after)?;
            self.depth -= 1;
            return Ok(Expression::Not(Box::new(part)));
        }
        match (self.keyword(), self.peek()) {
            (Some(word), _) => {
                let what = format!(
                    "expected a term {after}, not '{word}' (\"{word}\" in quotes is a word)"
                );
                Err(self.error(begun, what))
            }
            (_, None) => Err(self.error(begun, format!("expected a term {after}"))),
            (_, Some(')')) if self.depth == 0 => Err(self.error(begun, "this ')' has no '('")),
            (_, Some(')')) => Err(self.error(begun, format!("expected a term {after}"))),
            (_, Some('(')) => {
                self.at += 1;
                self.deeper(begun)?;
                let part = self.any("after '('")?;
                if self.peek() != Some(')') {
                    return Err(self.error(begun, "this '(' has no ')'"));
                }
                self.at += 1;
                self.depth -= 1;
                self.space();
                Ok(part)
            }
            _ => {
                self.terms += 1;
                if self.terms > TERMS_MAX {
                    let what = format!("a search has at most {TERMS_MAX} terms; another begins");
                    return Err(self.error(begun, what));
                }
                let term = self.term()?;
                self.space();
                Ok(Expression::Term(term))
            }
        }
    }

    fn deeper(&mut self, begun: usize) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let what =
                format!("at most {DEPTH_MAX} brackets and NOTs within each other; another begins");
            return Err(self.error(begun, what));
        }
        Ok(())
    }

    fn term(&mut self) -> Result<Term, SyntaxError> {
        let begun = self.at;
        if let Some(sign) = self.sign() {
            let what = format!("expected a key before '{}'", sign.text());
            return Err(self.error(begun, what));
        }
        if let Some(pattern) = self.pattern()? {
            return Ok(Term::Pattern(pattern));
        }
        let word = match self.peek() {
            Some('"') => self.quoted()?,
            _ => self.key_run(),
        };
        if word.is_empty() {
            // It begins with a colon: an address or a port.
            return Ok(Term::Text(Folded::new(self.run())));
        }
        if self.peek() == Some(':') {
            self.at += 1;
            let test = self.behind_colon(begun)?;
            let key = Folded::new(word);
            return Ok(Term::Field { key, test });
        }
        let word_end = self.at;
        self.space();
        let sign_at = self.at;
        let Some(sign) = self.sign() else {
            self.at = word_end;
            return Ok(Term::Text(Folded::new(word)));
        };
        let test = self.behind_sign(sign, sign_at)?;
        let key = Folded::new(word);
        Ok(Term::Field { key, test })
    }

    fn behind_colon(&mut self, key_at: usize) -> Result<Test, SyntaxError> {
        if let Some(pattern) = self.pattern()? {
            return Ok(Test::Matches(pattern));
        }
        let value = self.value()?;
        if value.is_empty() {
            let typed: String = self.chars[key_at..self.at].iter().collect();
            let what =
                format!("expected a value right behind '{typed}' (quotes make a word of it)");
            return Err(self.error(self.at - 1, what));
        }
        Ok(Test::Contains(Folded::new(value)))
    }

    fn behind_sign(&mut self, sign: Sign, sign_at: usize) -> Result<Test, SyntaxError> {
        self.space();
        let in_quotes = self.peek() == Some('"');
        let value = self.value()?;
        let quantity = Quantity::parse(&value);
        match sign {
            Sign::Equals { negated } => {
                let signs = |c: char| matches!(c, '=' | '<' | '>' | '!');
                if value.is_empty() || (!in_quotes && value.starts_with(signs)) {
                    let what = format!("expected a value after '{}'", sign.text());
                    return Err(self.error(sign_at, what));
                }
                Ok(Test::Equals {
                    negated,
                    value: Folded::new(value),
                    quantity,
                })
            }
            Sign::Ordered(order) => match quantity {
                Some(quantity) => Ok(Test::Ordered(order, quantity)),
                None => {
                    let begins = value.starts_with(|c: char| c.is_ascii_digit());
                    let what = if begins {
                        let units = "%, B, KB, MB, GB, KiB, MiB, GiB, ms, s, m, h, d";
                        format!(
                            "'{value}' is no number with a known unit ({units}) after '{}'",
                            order.sign()
                        )
                    } else {
                        format!("expected a number after '{}'", order.sign())
                    };
                    Err(self.error(sign_at, what))
                }
            },
        }
    }

    fn sign(&mut self) -> Option<Sign> {
        let next = self.chars.get(self.at + 1) == Some(&'=');
        let (sign, length) = match (self.peek()?, next) {
            ('=', _) => (Sign::Equals { negated: false }, 1),
            ('!', true) => (Sign::Equals { negated: true }, 2),
            ('<', true) => (Sign::Ordered(Order::LessOrEqual), 2),
            ('<', false) => (Sign::Ordered(Order::Less), 1),
            ('>', true) => (Sign::Ordered(Order::GreaterOrEqual), 2),
            ('>', false) => (Sign::Ordered(Order::Greater), 1),
            _ => return None,
        };
        self.at += length;
        Some(sign)
    }

    /// What may be a key: up to a space, a bracket, a quote, a colon or a sign.
    fn key_run(&mut self) -> String {
        let begun = self.at;
        while let Some(c) = self.peek() {
            let sign = matches!(c, '=' | '<' | '>')
                || (c == '!' && self.chars.get(self.at + 1) == Some(&'='));
            if sign || c.is_whitespace() || matches!(c, '(' | ')' | '"' | ':') {
                break;
            }
            self.at += 1;
        }
        self.chars[begun..self.at].iter().collect()
    }

    fn value(&mut self) -> Result<String, SyntaxError> {
        match self.peek() {
            Some('"') => self.quoted(),
            _ => Ok(self.run()),
        }
    }

    /// Up to a space or a bracket.
    fn run(&mut self) -> String {
        let begun = self.at;
        let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')');
        while self.peek().is_some_and(|c| !ends(c)) {
            self.at += 1;
        }
        self.chars[begun..self.at].iter().collect()
    }

    fn quoted(&mut self) -> Result<String, SyntaxError> {
        let begun = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '"' if text.is_empty() => {
                    return Err(self.error(begun, "expected text between the quotes"));
                }
                '"' => return Ok(text),
                '\\' if matches!(self.peek(), Some('"' | '\\')) => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                _ => text.push(c),
            }
        }
        Err(self.error(begun, "this quote is not closed"))
    }

    /// `/.../` that does not begin with a space and ends before one, a bracket or the end; what else
    /// begins with `/` is a path.
    fn pattern(&mut self) -> Result<Option<Pattern>, SyntaxError> {
        if self.peek() != Some('/') {
            return Ok(None);
        }
        let begun = self.at;
        let mut source = String::new();
        let mut at = begun + 1;
        if self.chars.get(at).is_some_and(|c| c.is_whitespace()) {
            return Ok(None);
        }
        loop {
            match (self.chars.get(at), self.chars.get(at + 1)) {
                (None, _) => return Ok(None),
                (Some('\\'), Some(next)) => {
                    if *next != '/' {
                        source.push('\\');
                    }
                    source.push(*next);
                    at += 2;
                }
                (Some('/'), next) => {
                    let ends = |c: &char| c.is_whitespace() || matches!(c, '(' | ')');
                    if source.is_empty() || !next.is_none_or(ends) {
                        return Ok(None);
                    }
                    break;
                }
                (Some(c), _) => {
                    source.push(*c);
                    at += 1;
                }
            }
        }
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            let what =
                format!("a search has at most {PATTERNS_MAX} regular expressions; another begins");
            return Err(self.error(begun, what));
        }
        let pattern = Pattern::new(source).map_err(|what| self.error(begun, what))?;
        self.at = at + 1;
        Ok(Some(pattern))
    }
}

impl Sign {
    const fn text(self) -> &'static str {
        match self {
            Self::Equals { negated: false } => "=",
            Self::Equals { negated: true } => "!=",
            Self::Ordered(order) => order.sign(),
        }
    }
}

fn one_or(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}
