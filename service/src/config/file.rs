//! The TOML file: keys and their lines, values as the text that the same option takes.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// One key of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// As written.
    pub(super) key: String,
    /// From 1.
    pub(super) line: usize,
    /// One text, or one for each element of a list.
    pub(super) values: Vec<String>,
}

/// Reads the keys of a file. Tables are refused: options have no hierarchy.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let line_of = |offset: usize| {
        let before = text.get(..offset).unwrap_or(text);
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    };
    let syntax = |offset: usize, message: String| ConfigError::Syntax {
        path: path.to_owned(),
        line: line_of(offset),
        message,
    };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        syntax(offset, error.message().to_owned())
    })?;
    let mut entries: Vec<Entry> = Vec::new();
    for (key, value) in table.get_ref() {
        let values = texts(value.get_ref()).map_err(|message| {
            syntax(value.span().start, format!("{}: {message}", key.get_ref()))
        })?;
        entries.push(Entry {
            key: key.get_ref().to_string(),
            line: line_of(key.span().start),
            values,
        });
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn texts(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(list) => list
            .iter()
            .map(|element| scalar(element.get_ref()))
            .collect(),
        other => Ok(vec![scalar(other)?]),
    }
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|error| error.to_string()),
        DeValue::Float(number) => Ok(number.as_str().replace('_', "")),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Err(format!(
            "a {} does not fit here; expected a text, a number, true or false, or a list of them",
            value.type_str()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Result<Vec<Entry>, ConfigError> {
        parse(Path::new("x.toml"), text)
    }

    #[test]
    fn every_kind_of_scalar_becomes_the_text_of_its_option() {
        let text = "# first\nport = 4_040\nhex = 0x10\nshare = 1.5\non = true\nname = \"a b\"\nlist = [\"a\", 2]\n";
        let values: Vec<(usize, String)> = entries(text)
            .expect("valid")
            .into_iter()
            .map(|entry| (entry.line, entry.values.join("|")))
            .collect();
        let expected = [
            (2, "4040"),
            (3, "16"),
            (4, "1.5"),
            (5, "true"),
            (6, "a b"),
            (7, "a|2"),
        ];
        assert_eq!(values, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn tables_and_bad_syntax_name_the_line() {
        let table = entries("a = 1\n[server]\nport = 1\n")
            .expect_err("a table")
            .to_string();
        assert!(table.starts_with("x.toml:2:"), "{table}");
        let syntax = entries("a = 1\nb = \n").expect_err("no value").to_string();
        assert!(syntax.starts_with("x.toml:2:"), "{syntax}");
    }

    proptest::proptest! {
        #[test]
        fn random_text_never_panics(text in "\\PC{0,200}|([a-z_]{1,5} ?= ?[^\\n]{0,9}\\n){0,9}") {
            let _ = entries(&text);
        }
    }
}
