//! Text for GitHub Actions: each wave is a group that folds, warnings and failures are annotations. Everything else is as in any log.

use std::io::Write;

use super::Renderer;
use super::lines::Lines;
use crate::event::Event;

pub(super) struct Workflow<W: Write + Send> {
    lines: Lines<W>,
    /// Groups do not nest: each ends before the next thing that belongs to none.
    is_open: bool,
}

impl<W: Write + Send> Workflow<W> {
    pub(super) fn new(lines: Lines<W>) -> Self {
        Self { lines, is_open: false }
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.lines.print(&command("endgroup", ""));
        }
    }
}

impl<W: Write + Send> Renderer for Workflow<W> {
    fn show(&mut self, event: &Event) {
        match event {
            Event::WaveStarted { wave, name } => {
                self.close();
                self.lines.print(&command("group", &format!("wave {wave} ({name})")));
                self.is_open = true;
            }
            Event::Warned { check, title, hint } => {
                self.lines.print(&command("warning", &format!("{title} ({check}): {hint}")));
            }
            Event::WaveReady { .. } | Event::Interrupted { .. } | Event::Finished { .. } | Event::Failed { .. } => {
                self.close();
                self.lines.show(event);
            }
            _ => self.lines.show(event),
        }
    }
}

/// A wave that failed is told of outside of its group, which would be folded.
impl<W: Write + Send> Drop for Workflow<W> {
    fn drop(&mut self) {
        self.close();
    }
}

/// A workflow command. Its text may hold anything but what would end the line.
pub(super) fn command(name: &str, text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    format!("::{name}::{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed of these events, the end of the run included.
    fn printed(events: &[Event]) -> String {
        let mut out = Vec::new();
        let mut workflow = Workflow::new(Lines::new(&mut out, false));
        for event in events {
            workflow.show(event);
        }
        drop(workflow);
        String::from_utf8(out).unwrap()
    }

    fn started(wave: u8, name: &str) -> Event {
        Event::WaveStarted { wave, name: name.to_owned() }
    }

    fn ready(wave: u8, name: &str) -> Event {
        Event::WaveReady { wave, name: name.to_owned() }
    }

    #[test]
    fn waves_are_groups_and_warnings_are_annotations() {
        let warned = Event::Warned {
            check: "capacity".to_owned(),
            title: "80 % of the memory\nare taken".to_owned(),
            hint: "add a node".to_owned(),
        };
        let component = Event::ComponentReady { component: "istiod".to_owned() };
        insta::assert_snapshot!(printed(&[warned, started(1, "istio"), component, ready(1, "istio"), started(2, "gateway")]), @"
        ::warning::80 %25 of the memory%0Aare taken (capacity): add a node
        ::group::wave 1 (istio)
          istiod: ready
        ::endgroup::
        wave 1 (istio): done
        ::group::wave 2 (gateway)
        ::endgroup::
        ");
    }

    #[test]
    fn what_ends_a_run_stands_outside_of_the_group() {
        insta::assert_snapshot!(printed(&[started(4, "services"), Event::Interrupted { wave: Some(4) }]), @"
        ::group::wave 4 (services)
        ::endgroup::
        interrupted in wave 4
        ");
    }

    #[test]
    fn what_would_end_the_line_is_escaped() {
        assert_eq!(command("error", "100 %\r\nof it: a::b"), "::error::100 %25%0D%0Aof it: a::b");
    }
}
