//! Whether a node is what a search means, and by which of its fields.

use mesoscope_proto::v1;

use super::{
    facts::{Fact, Facts},
    quantity::Quantity,
    syntax::{Expression, Folded, Pattern, Term, Test},
};

/// The field by which a node was found.
pub(super) type By = Option<v1::Field>;

impl Facts {
    /// `None` when the node is not meant. What is found by the absence of something has no field.
    pub(super) fn matched(&self, expression: &Expression) -> Option<By> {
        match expression {
            Expression::Term(term) => self.matched_term(term).map(Some),
            Expression::Not(part) => match self.matched(part) {
                Some(_) => None,
                None => Some(None),
            },
            Expression::All(parts) => {
                let mut by = None;
                for part in parts {
                    let found = self.matched(part)?;
                    by = by.or(found);
                }
                Some(by)
            }
            Expression::Any(parts) => parts.iter().find_map(|part| self.matched(part)),
        }
    }

    fn matched_term(&self, term: &Term) -> Option<v1::Field> {
        match term {
            Term::Text(text) => self.containing(text),
            Term::Pattern(pattern) => self.matching(pattern),
            Term::Field { key, test } => self.tested(key, test),
        }
    }

    /// The text anywhere. Numbers count as a whole, and what is no text for people (moments, sizes)
    /// and words that many have (states) not at all.
    fn containing(&self, text: &Folded) -> Option<v1::Field> {
        let found = self
            .facts
            .iter()
            .find(|fact| match fact.field.r#type.as_str() {
                "time" | "bytes" | "word" => false,
                "number" => fact.field.value == text.typed,
                _ => {
                    text.is_in(&fact.field.value)
                        || fact.pair().is_some_and(|pair| text.is_in(&pair))
                }
            });
        found.map(|fact| fact.field.clone())
    }

    fn matching(&self, pattern: &Pattern) -> Option<v1::Field> {
        let found = self
            .facts
            .iter()
            .find(|fact| match fact.field.r#type.as_str() {
                "time" | "bytes" | "word" => false,
                _ => {
                    pattern.is_in(&fact.field.value)
                        || fact.pair().is_some_and(|pair| pattern.is_in(&pair))
                }
            });
        found.map(|fact| fact.field.clone())
    }

    fn tested(&self, key: &Folded, test: &Test) -> Option<v1::Field> {
        let mut named = self
            .facts
            .iter()
            .filter(|fact| fact.is_named(key))
            .peekable();
        match test {
            Test::Contains(value) => {
                if named.peek().is_none() && self.metric(key).is_none() {
                    // "redis:7.2" and "10.0.0.1:80" are words with a colon where no key is so called.
                    let text = Folded::new(format!("{}:{}", key.typed, value.typed));
                    return self.containing(&text);
                }
                let contains = |fact: &&Fact| fact.holds(key, |text| value.is_in(text));
                named.find(contains).map(|fact| fact.field.clone())
            }
            Test::Matches(pattern) => {
                let matches = |fact: &&Fact| fact.holds(key, |text| pattern.is_in(text));
                named.find(matches).map(|fact| fact.field.clone())
            }
            Test::Equals {
                negated,
                value,
                quantity,
            } => self.equal(key, *negated, value, quantity.as_ref()),
            Test::Ordered(order, quantity) => {
                self.compared(key, quantity, |found| order.holds(found))
            }
        }
    }

    /// Equal: one field with this key is. Not equal: there are such fields, and none is.
    fn equal(
        &self,
        key: &Folded,
        negated: bool,
        value: &Folded,
        quantity: Option<&Quantity>,
    ) -> Option<v1::Field> {
        let named = || self.facts.iter().filter(|fact| fact.is_named(key));
        let same_text = named()
            .find(|fact| fact.holds(key, |text| value.is(text)))
            .map(|fact| fact.field.clone());
        let same = same_text.or_else(|| self.compared(key, quantity?, std::cmp::Ordering::is_eq));
        if !negated {
            return same;
        }
        let any = || {
            let field = named().next().map(|fact| fact.field.clone());
            field.or_else(|| self.metric(key).map(as_field))
        };
        if same.is_some() { None } else { any() }
    }

    fn compared(
        &self,
        key: &Folded,
        quantity: &Quantity,
        holds: impl Fn(std::cmp::Ordering) -> bool,
    ) -> Option<v1::Field> {
        if let Some(metric) = self.metric(key)
            && quantity.order_of_metric(metric).is_some_and(&holds)
        {
            return Some(as_field(metric));
        }
        let named = self.facts.iter().filter(|fact| fact.is_named(key));
        let holds = |fact: &&Fact| {
            let order = quantity.order_of_field(&fact.field, self.now_ms);
            order.is_some_and(&holds)
        };
        named.into_iter().find(holds).map(|fact| fact.field.clone())
    }

    fn metric(&self, key: &Folded) -> Option<&v1::Metric> {
        let named = |metric: &&v1::Metric| key.is(&metric.key) || key.is(&metric.label);
        self.node.metrics.iter().find(named)
    }
}

impl Fact {
    /// "key=value" where the key is data.
    fn pair(&self) -> Option<String> {
        let field = &self.field;
        self.section
            .map(|_| format!("{}={}", field.key, field.value))
    }

    /// Asked for by the title of its section, key and value together are tested.
    fn holds(&self, key: &Folded, test: impl Fn(&str) -> bool) -> bool {
        let by_section = self.section.is_some_and(|section| key.is(section));
        test(&self.field.value) || (by_section && self.pair().is_some_and(|pair| test(&pair)))
    }
}

fn as_field(metric: &v1::Metric) -> v1::Field {
    v1::Field {
        key: metric.key.clone(),
        label: metric.label.clone(),
        value: metric.value.to_string(),
        r#type: metric.unit.clone(),
    }
}
