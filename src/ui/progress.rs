//! Bars on a terminal: one for the wave under way, with what such a wave usually takes, below it each component that is not ready, with what
//! it waits for. What is over becomes a line of text above them.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::lines::in_words;
use super::paragraph::{paragraph, wrapped};
use super::screen::Screen;
use super::{Renderer, columns};
use crate::event::{Event, PlannedWave};

const TICK: Duration = Duration::from_millis(250);
const DRAWS_PER_SECOND: u8 = 8;
/// Where the reasons begin, and the most lines that one of them gets.
const MARGIN: usize = 19;
const TALLEST: usize = 4;

pub(super) struct Progress {
    bars: MultiProgress,
    /// Of the plan: objects and usual milliseconds of each wave.
    planned: HashMap<u8, (u64, u64)>,
    current: Option<ProgressBar>,
    /// The present bar is that of a wave.
    is_wave: bool,
    components: HashMap<String, Component>,
    /// During the handoff: whether each Application is done.
    applications: HashMap<String, bool>,
    /// How many there will be, where that is known.
    expected: usize,
    color: bool,
}

struct Component {
    bar: ProgressBar,
    reason: Arc<Mutex<String>>,
}

impl Progress {
    pub(super) fn new(color: bool) -> Self {
        let screen = Box::new(Screen::default());
        Self {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(screen, DRAWS_PER_SECOND)),
            planned: HashMap::new(),
            current: None,
            is_wave: false,
            components: HashMap::new(),
            applications: HashMap::new(),
            expected: 0,
            color,
        }
    }

    /// Not by the bars' own `println`: what is said once is no part of a frame.
    fn print(&self, text: &str) {
        let text = wrapped(text, columns());
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    fn say(&self, event: &Event) {
        if let Some(text) = in_words(event, false) {
            self.print(&text);
        }
    }

    fn style(&self, colored: &str, plain: &str) -> ProgressStyle {
        ProgressStyle::with_template(if self.color { colored } else { plain })
            .unwrap_or_else(|_| ProgressStyle::default_bar())
    }

    fn plan(&mut self, action: &str, waves: &[PlannedWave]) {
        let length = |wave: &PlannedWave| wave.objects.try_into().unwrap_or(u64::MAX);
        self.planned = waves.iter().map(|wave| (wave.number, (length(wave), wave.typical_ms))).collect();
        self.expected = waves.iter().map(|wave| wave.components.len()).sum();
        if action == "install" {
            let typical = taken(Duration::from_millis(waves.iter().map(|wave| wave.typical_ms).sum()));
            self.print(&format!("a first installation typically takes {typical}, and the time to pull the images"));
        }
    }

    /// Begins a bar in the place of the present one.
    fn start(&mut self, name: String, length: u64, typical_ms: u64) {
        self.clear();
        let bar = self.bars.add(ProgressBar::new(length));
        let clock = move |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str(&clock(state.elapsed(), Duration::from_millis(typical_ms)));
        };
        let style = self.style(
            "{prefix:12.bold} {wide_bar:.green} {pos:>3}/{len:3} {clock}",
            "{prefix:12} {wide_bar} {pos:>3}/{len:3} {clock}",
        );
        bar.set_style(style.with_key("clock", clock));
        bar.set_prefix(name);
        bar.enable_steady_tick(TICK);
        self.current = Some(bar);
    }

    fn end_wave(&mut self, wave: u8, name: &str) {
        let elapsed = self.current.as_ref().map(ProgressBar::elapsed).unwrap_or_default();
        self.clear();
        self.print(&format!("✓ wave {wave} ({name}): done in {}", taken(elapsed)));
    }

    fn component(&mut self, name: &str, reason: &str) {
        let style = self.style("  {spinner:.cyan} {prefix:14} {reason}", "  {spinner} {prefix:14} {reason}");
        let component = self.components.entry(name.to_owned()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            let reason = Arc::new(Mutex::new(String::new()));
            let shown = Arc::clone(&reason);
            // At each drawing, as the terminal's width may have changed.
            let fitted = move |_: &ProgressState, out: &mut dyn fmt::Write| {
                let reason = shown.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = out.write_str(&beside(&reason, columns()));
            };
            bar.set_style(style.with_key("reason", fitted));
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(TICK);
            Component { bar, reason }
        });
        reason.clone_into(&mut component.reason.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn drop_component(&mut self, name: &str) {
        if let Some(component) = self.components.remove(name) {
            component.bar.finish_and_clear();
        }
    }

    fn await_applications(&mut self) {
        self.start("Argo CD".to_owned(), self.expected.try_into().unwrap_or(u64::MAX), 0);
    }

    fn application(&mut self, name: &str, sync: &str, health: &str) {
        let is_done = sync == "Synced" && health == "Healthy";
        self.applications.insert(name.to_owned(), is_done);
        if self.current.is_none() {
            self.await_applications();
        }
        if let Some(bar) = &self.current {
            let length = self.expected.max(self.applications.len());
            bar.set_length(length.try_into().unwrap_or(u64::MAX));
            bar.set_position(self.applications.values().filter(|is_done| **is_done).count().try_into().unwrap_or(0));
        }
        if is_done {
            self.drop_component(name);
        } else {
            self.component(name, &format!("{sync}, {health}"));
        }
    }

    /// Objects that go: those of a component within its wave, or of all that come after the waves.
    fn delete(&mut self, what: &str, objects: usize) {
        let objects = objects.try_into().unwrap_or(u64::MAX);
        match &self.current {
            Some(bar) if self.is_wave => bar.inc_length(objects),
            _ => self.start(what.to_owned(), objects, 0),
        }
    }

    fn clear(&mut self) {
        for (_, component) in self.components.drain() {
            component.bar.finish_and_clear();
        }
        if let Some(bar) = self.current.take() {
            bar.finish_and_clear();
        }
        self.is_wave = false;
    }
}

impl Renderer for Progress {
    fn show(&mut self, event: &Event) {
        match event {
            Event::Planned { action, waves, .. } => {
                self.say(event);
                self.plan(action, waves);
            }
            Event::WaveStarted { wave, name } => {
                let (length, typical_ms) = self.planned.get(wave).copied().unwrap_or_default();
                self.start(format!("{wave} {name}"), length, typical_ms);
                self.is_wave = true;
            }
            Event::WaveReady { wave, name } => self.end_wave(*wave, name),
            Event::ComponentStarted { component, .. } => self.component(component, "applying"),
            Event::Waiting { component, reason, .. } => self.component(component, reason),
            Event::Application { name, sync, health, .. } => self.application(name, sync, health),
            Event::Published { .. } => {
                self.say(event);
                self.await_applications();
            }
            Event::ComponentReady { component } => self.drop_component(component),
            Event::Applied { .. } | Event::Deleted { .. } => {
                if let Some(bar) = &self.current {
                    bar.inc(1);
                }
            }
            Event::Deleting { component, objects } => self.delete(component, *objects),
            Event::HandedOver { .. } | Event::Finished { .. } | Event::Interrupted { .. } | Event::Failed { .. } => {
                self.clear();
                self.say(event);
            }
            Event::Connected { .. }
            | Event::Warned { .. }
            | Event::Compared { .. }
            | Event::Prepulling { .. }
            | Event::CheckSkipped { .. }
            | Event::SecretGenerated { .. }
            | Event::Retrying { .. }
            | Event::TakenBack { .. }
            | Event::Kept { .. } => self.say(event),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `1:12, typically 2 min`.
fn clock(elapsed: Duration, typical: Duration) -> String {
    let seconds = elapsed.as_secs();
    let mut text = format!("{}:{:02}", seconds / 60, seconds % 60);
    if !typical.is_zero() {
        text += &format!(", typically {}", taken(typical));
    }
    text
}

/// `45 s`, `2 min`, `2 min 5 s`.
fn taken(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// A reason, in as many lines as it needs and gets beside the component's name.
fn beside(reason: &str, width: usize) -> String {
    let text = paragraph(reason, MARGIN, width);
    let mut lines: Vec<&str> = text.lines().collect();
    let is_cut = lines.len() > TALLEST;
    lines.truncate(TALLEST);
    let text = lines.join("\n");
    // A word that is longer than the room for it would wrap, and break the bars above it.
    let cut = |line: &str| line.chars().take(width).collect::<String>();
    let text = text.lines().map(cut).collect::<Vec<_>>().join("\n");
    let mut text = text.trim_start().to_owned();
    if is_cut {
        text.pop();
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_say_what_is_usual() {
        let seconds = Duration::from_secs;
        assert_eq!(clock(seconds(72), seconds(120)), "1:12, typically 2 min");
        assert_eq!(clock(seconds(5), Duration::ZERO), "0:05");
        assert_eq!([taken(seconds(45)), taken(seconds(165))], ["45 s", "2 min 45 s"]);
    }

    #[test]
    fn reasons_fit_beside_the_name() {
        assert_eq!(beside("applying", 60), "applying");
        let reason =
            "Deployment istio-system/istiod: 0 of 1 replicas are ready; Pod istio-system/istiod-1: ImagePullBackOff";
        insta::assert_snapshot!(beside(reason, 60), @"
        Deployment istio-system/istiod: 0 of 1
                           replicas are ready; Pod
                           istio-system/istiod-1: ImagePullBackOff
        ");
        insta::assert_snapshot!(beside(&format!("{reason}: {reason}"), 60), @"
        Deployment istio-system/istiod: 0 of 1
                           replicas are ready; Pod
                           istio-system/istiod-1: ImagePullBackOff:
                           Deployment istio-system/istiod: 0 of …
        ");
        assert_eq!(beside(&"x".repeat(90), 60).len(), 60 - MARGIN);
    }
}
