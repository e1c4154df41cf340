//! The screen of `top`: drawn in place, given back as it was.

use std::io::{Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::{cursor, execute, queue, terminal};
use tokio::sync::mpsc;

use super::{letter, rows};
use crate::arguments::{Sort, View};
use crate::output::{Output, Style};
use crate::text::{fit, printable};
use crate::topology::state::State;

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Quit,
    Sort(Sort),
    View(View),
    Redraw,
}

/// Widths of the figures in front; the texts share what is left.
const FIGURES: [usize; 4] = [7, 9, 11, 6];

/// The terminal, taken over until dropped.
pub struct Screen {
    keys: mpsc::Receiver<Key>,
    closed: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal over.
    pub fn open() -> std::io::Result<Self> {
        let (sender, keys) = mpsc::channel(16);
        let closed = Arc::new(AtomicBool::new(false));
        let screen = Self {
            keys,
            closed: Arc::clone(&closed),
        };
        terminal::enable_raw_mode()?;
        execute!(stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        std::thread::spawn(move || {
            while !closed.load(Ordering::Relaxed) {
                match read_key() {
                    Ok(Some(key)) => {
                        if sender.blocking_send(key).is_err() {
                            break;
                        }
                    }
                    Ok(None) => {}
                    // No terminal any more.
                    Err(_) => {
                        let _ = sender.blocking_send(Key::Quit);
                        break;
                    }
                }
            }
        });
        Ok(screen)
    }

    /// The next key.
    pub async fn key(&mut self) -> Key {
        self.keys.recv().await.unwrap_or(Key::Quit)
    }

    /// Draws the table.
    pub fn draw(
        &mut self,
        state: &State,
        view: View,
        sort: Sort,
        away: bool,
        output: &Output,
    ) -> std::io::Result<()> {
        let (columns, lines) = terminal::size()?;
        let (columns, lines) = (usize::from(columns), usize::from(lines));
        let mut out = stdout().lock();
        queue!(out, cursor::MoveTo(0, 0))?;
        for line in frame(state, view, sort, away, columns, lines, output) {
            queue!(out, terminal::Clear(terminal::ClearType::CurrentLine))?;
            write!(out, "{line}\r\n")?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        let _ = execute!(stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// A key, if one comes soon.
fn read_key() -> std::io::Result<Option<Key>> {
    if !event::poll(Duration::from_millis(200))? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Resize(..) => Some(Key::Redraw),
        Event::Key(key) if key.kind != KeyEventKind::Release => meaning(key.code, key.modifiers),
        _ => None,
    })
}

fn meaning(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    if modifiers.contains(KeyModifiers::CONTROL) {
        return (code == KeyCode::Char('c')).then_some(Key::Quit);
    }
    match code {
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('p') => Some(Key::View(View::Processes)),
        KeyCode::Char('d') => Some(Key::View(View::Containers)),
        KeyCode::Char('h') => Some(Key::View(View::Hosts)),
        KeyCode::Char(pressed) => [Sort::Cpu, Sort::Memory, Sort::Network, Sort::Connections]
            .into_iter()
            .find(|&sort| letter(sort) == pressed)
            .map(Key::Sort),
        _ => None,
    }
}

/// What the screen shows, one line less than it has (the last line break would scroll it).
fn frame(
    state: &State,
    view: View,
    sort: Sort,
    away: bool,
    columns: usize,
    lines: usize,
    output: &Output,
) -> Vec<String> {
    let rows = rows::sorted(state, view, sort);
    let total = |of: fn(&rows::Row) -> f64| rows.iter().map(of).sum::<f64>();
    let mut text = vec![
        output.paint(Style::Strong, &fit(
            &format!(
                "mesoscope top: {} {}, {:.1} % CPU, {} memory{}",
                rows.len(),
                view.name(),
                total(|row| row.cpu) * 100.0,
                crate::topology::size(total(|row| row.memory)),
                if away { ", waiting for the aggregator" } else { "" },
            ),
            columns,
        )),
        output.paint(
            Style::Dim,
            &fit("q quit · sort: c cpu, m memory, n network, o connections · show: p processes, d containers, h hosts", columns),
        ),
    ];
    // The banner: at most three, so that the table stays in sight.
    for incomplete in state.incomplete.iter().take(3) {
        let message = format!("incomplete: {}", printable(&incomplete.message));
        text.push(output.paint(Style::Warning, &fit(&message, columns)));
    }
    let head = rows::head(view).map(str::to_owned).to_vec();
    text.push(output.paint(Style::Strong, &aligned(&head, columns)));
    let left = lines.saturating_sub(text.len() + 1);
    text.extend(
        rows.iter()
            .take(left)
            .map(|row| aligned(&row.cells(), columns)),
    );
    text.truncate(lines.saturating_sub(1));
    text
}

/// Cells side by side: figures to the right, texts sharing the rest.
fn aligned(cells: &[String], columns: usize) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(FIGURES) {
        line.push_str(&format!("{cell:>width$} "));
    }
    let used: usize = FIGURES.iter().map(|width| width + 1).sum();
    let rest = columns.saturating_sub(used + 3);
    let (minor, place) = (rest / 4, rest / 5);
    let label = rest.saturating_sub(minor + place);
    for (cell, width) in cells[FIGURES.len()..].iter().zip([label, minor, place]) {
        line.push(' ');
        line.push_str(&fit(cell, width));
    }
    fit(&line, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Color;
    use mesoscope_proto::v1::{Incomplete, Node, TopologyDiff};

    #[test]
    fn keys_mean_what_the_help_says() {
        let plain = |c| meaning(KeyCode::Char(c), KeyModifiers::NONE);
        assert_eq!(plain('q'), Some(Key::Quit));
        assert_eq!(plain('m'), Some(Key::Sort(Sort::Memory)));
        assert_eq!(plain('o'), Some(Key::Sort(Sort::Connections)));
        assert_eq!(plain('c'), Some(Key::Sort(Sort::Cpu)));
        assert_eq!(plain('d'), Some(Key::View(View::Containers)));
        assert_eq!(plain('x'), None);
        assert_eq!(
            meaning(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Some(Key::Quit)
        );
    }

    #[test]
    fn a_frame_fits_every_screen() {
        let mut state = State::default();
        state.apply(TopologyDiff {
            reset: true,
            nodes: (0..100)
                .map(|number| Node {
                    id: number.to_string(),
                    label: "a program with a long name".repeat(9),
                    ..Node::default()
                })
                .collect(),
            incomplete: vec![
                Incomplete {
                    message: "events were lost".into(),
                    ..Incomplete::default()
                };
                9
            ],
            ..TopologyDiff::default()
        });
        let output = Output::new(Color::Never);
        for (columns, lines) in [(1, 1), (20, 3), (80, 24), (300, 90), (0, 0)] {
            let frame = frame(
                &state,
                View::Processes,
                Sort::Cpu,
                false,
                columns,
                lines,
                &output,
            );
            assert!(frame.len() <= lines.saturating_sub(1), "{columns}x{lines}");
            assert!(
                frame.iter().all(|line| line.chars().count() <= columns),
                "{columns}x{lines}"
            );
        }
    }
}
