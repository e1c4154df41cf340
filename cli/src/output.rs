//! Standard output: colours only where they are seen, tables, and errors instead of panics when the
//! reader is gone.

use std::io::{IsTerminal, Write};

use comfy_table::{Attribute, Cell, ContentArrangement, Row, Table, presets};

use crate::arguments::Color;

/// Colours by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Nothing special.
    Plain,
    /// Less important.
    Dim,
    /// Headings and what stands out.
    Strong,
    /// Came, or is well.
    Good,
    /// Look here.
    Warning,
    /// Failed.
    Bad,
    /// Names of containers.
    Name,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Dim => "2",
            Self::Strong => "1",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Name => "36",
        }
    }
}

/// Where a command writes.
#[derive(Debug)]
pub struct Output {
    colors: bool,
    terminal: bool,
}

impl Output {
    /// Standard output, with colours as asked for.
    pub fn new(color: Color) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colors: match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => terminal && !refused,
            },
            terminal,
        }
    }

    /// Whether a person looks at it.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Columns and rows of the terminal.
    pub fn size(&self) -> Option<(u16, u16)> {
        self.terminal.then(crossterm::terminal::size)?.ok()
    }

    /// `text` in a colour, where colours are seen.
    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.colors && style != Style::Plain && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }

    /// Writes a line; it is there at once for whoever reads the pipe.
    pub fn line(&mut self, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Writes a value as one line of JSON.
    pub fn json(&mut self, value: &impl serde::Serialize) -> std::io::Result<()> {
        let text = serde_json::to_string(value).map_err(std::io::Error::other)?;
        self.line(&text)
    }

    /// Writes a table: as wide as the terminal, or with all of every cell into a pipe.
    pub fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) -> std::io::Result<()> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(head.iter().map(|title| {
            let cell = Cell::new(title);
            if self.colors {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        }));
        if self.colors {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_content_arrangement(if self.terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        if let Some((columns, _)) = self.size() {
            table.set_width(columns);
        }
        table.set_truncation_indicator("…");
        for cells in rows {
            let mut row = Row::from(cells);
            if self.terminal {
                row.max_height(1);
            }
            table.add_row(row);
        }
        // comfy-table pads both sides of a cell; flush left reads better and cuts better.
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.lines() {
            self.line(line.trim_end())?;
        }
        Ok(())
    }
}
