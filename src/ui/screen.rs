//! Where the bars are drawn: each frame over the one before, in one write and without clearing first, so that nothing flickers; with real line
//! ends, so that a terminal that changes its width keeps the lines apart.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use console::{Term, measure_text_width};
use indicatif::TermLike;

#[derive(Debug, Default)]
struct Frame {
    /// Of the frame that is being made.
    lines: Vec<String>,
    /// `indicatif` writes each line in two pieces: its text, and spaces up to the terminal's edge, which nobody needs here.
    is_filler_next: bool,
    /// The widths of the lines that are on the terminal. The cursor is at the end of the last one.
    drawn: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Screen(Arc<Mutex<Frame>>);

impl Screen {
    fn frame(&self) -> MutexGuard<'_, Frame> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What moves and clears is left out: where the lines before are, is known here, and better.
impl TermLike for Screen {
    fn width(&self) -> u16 {
        Term::stderr().size().1
    }

    fn height(&self) -> u16 {
        Term::stderr().size().0
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text != "\r" {
            let mut frame = self.frame();
            if !frame.is_filler_next {
                frame.lines.push(text.to_owned());
            }
            frame.is_filler_next = !frame.is_filler_next;
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut frame = self.frame();
        let lines = std::mem::take(&mut frame.lines);
        frame.is_filler_next = false;
        let text = over(&frame.drawn, &lines, usize::from(self.width()));
        frame.drawn = lines.iter().map(|line| measure_text_width(line)).collect();
        io::stderr().write_all(text.as_bytes())
    }
}

/// What draws these lines over those of such widths. Where the terminal has become narrower, it has wrapped them.
fn over(drawn: &[usize], lines: &[String], width: usize) -> String {
    let width = width.max(1);
    let rows: usize = drawn.iter().map(|length| length.div_ceil(width).max(1)).sum();
    if rows == 0 && lines.is_empty() {
        return String::new();
    }
    let mut text = "\r".to_owned();
    if rows > 1 {
        text += &format!("\u{1b}[{}A", rows - 1);
    }
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            text += "\r\n";
        }
        text += line;
        // At the edge it would clear the last letter.
        if measure_text_width(line) < width {
            text += "\u{1b}[K";
        }
    }
    if rows > lines.len() {
        // Down and back, as at the edge this too would clear the last letter.
        text += if lines.is_empty() { "\u{1b}[J" } else { "\u{1b}7\r\n\u{1b}[J\u{1b}8" };
    }
    text
}

#[cfg(test)]
mod tests {
    use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_frame_goes_over_the_one_before() {
        assert_eq!(over(&[], &lines(&["one", "two"]), 10), "\rone\u{1b}[K\r\ntwo\u{1b}[K");
        assert_eq!(over(&[3, 3], &lines(&["1"]), 10), "\r\u{1b}[1A1\u{1b}[K\u{1b}7\r\n\u{1b}[J\u{1b}8");
        assert_eq!(over(&[3, 3], &[], 10), "\r\u{1b}[1A\u{1b}[J");
        assert_eq!(over(&[], &[], 10), "");
    }

    #[test]
    fn lines_that_a_narrower_terminal_wrapped_are_counted() {
        assert_eq!(over(&[80, 20], &lines(&["x"]), 60), "\r\u{1b}[2Ax\u{1b}[K\u{1b}7\r\n\u{1b}[J\u{1b}8");
    }

    #[test]
    fn a_line_up_to_the_edge_keeps_its_last_letter() {
        assert_eq!(over(&[], &lines(&["abc"]), 3), "\rabc");
    }

    /// `indicatif` does not promise how it writes its lines: when that changes, this tells.
    #[test]
    fn what_indicatif_writes_is_understood() {
        let screen = Screen::default();
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        let style = ProgressStyle::with_template("{prefix}").unwrap();
        let bar = |prefix: &'static str| {
            let bar = bars.add(ProgressBar::new(1).with_prefix(prefix).with_style(style.clone()));
            bar.tick();
            bar
        };
        let shown = [bar("one"), bar("of two")];
        assert_eq!(screen.frame().drawn, [3, 6]);
        shown[0].finish_and_clear();
        assert_eq!(screen.frame().drawn, [6]);
    }
}
