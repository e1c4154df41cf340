//! Short names that repeat (application protocols), stored once.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// A stored name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Symbol(u16);

impl Symbol {
    pub(crate) const EMPTY: Self = Self(0);
}

/// The names, at most [`Symbols::LIMIT`]: further ones read as empty.
#[derive(Debug)]
pub(crate) struct Symbols {
    names: Vec<Arc<str>>,
    index: FxHashMap<Arc<str>, Symbol>,
}

impl Default for Symbols {
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        Self {
            names: vec![empty.clone()],
            index: [(empty, Symbol::EMPTY)].into_iter().collect(),
        }
    }
}

impl Symbols {
    pub(crate) const LIMIT: usize = 256;
    const LENGTH_MAX: usize = 32;

    pub(crate) fn intern(&mut self, name: &str) -> Symbol {
        if let Some(symbol) = self.index.get(name) {
            return *symbol;
        }
        let fits = self.names.len() < Self::LIMIT && name.len() <= Self::LENGTH_MAX;
        let Some(next) = u16::try_from(self.names.len()).ok().filter(|_| fits) else {
            return Symbol::EMPTY;
        };
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.index.insert(name, Symbol(next));
        Symbol(next)
    }

    pub(crate) fn name(&self, symbol: Symbol) -> &Arc<str> {
        &self.names[usize::from(symbol.0)]
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_stable() {
        let mut symbols = Symbols::default();
        let http = symbols.intern("http");
        for n in 0..1_000 {
            symbols.intern(&n.to_string());
        }
        assert_eq!(symbols.len(), Symbols::LIMIT);
        assert_eq!(symbols.intern("http"), http);
        assert_eq!(&**symbols.name(http), "http");
        assert_eq!(symbols.intern("beyond"), Symbol::EMPTY);
    }
}
