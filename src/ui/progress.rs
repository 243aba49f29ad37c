//! Bars on a terminal: one for each wave, below it a spinner for each component that is not ready, with what it waits for.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Renderer;
use super::lines::in_words;
use crate::event::Event;

const TICK: Duration = Duration::from_millis(120);
/// Before a line wraps, which would break the bars above it.
const WIDEST: usize = 400;

pub(super) struct Progress {
    bars: MultiProgress,
    waves: HashMap<u8, (String, ProgressBar)>,
    components: HashMap<String, ProgressBar>,
    current: Option<u8>,
    color: bool,
}

impl Progress {
    pub(super) fn new(color: bool) -> Self {
        Self {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8)),
            waves: HashMap::new(),
            components: HashMap::new(),
            current: None,
            color,
        }
    }

    fn print(&self, text: &str) {
        let _ = self.bars.println(text);
    }

    fn style(&self, colored: &str, plain: &str) -> ProgressStyle {
        ProgressStyle::with_template(if self.color { colored } else { plain })
            .unwrap_or_else(|_| ProgressStyle::default_bar())
    }

    fn component(&mut self, name: &str, message: &str) {
        let style = self.style("    {spinner:.cyan} {prefix:18} {wide_msg}", "    {spinner} {prefix:18} {wide_msg}");
        let bar = self.components.entry(name.to_owned()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.set_style(style);
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        let message: String = message.replace('\n', " ").chars().take(WIDEST).collect();
        bar.set_message(message);
    }

    fn drop_component(&mut self, name: &str) {
        if let Some(bar) = self.components.remove(name) {
            bar.finish_and_clear();
        }
    }

    fn start_wave(&mut self, wave: u8, name: &str) {
        self.current = Some(wave);
        let length = self.waves.get(&wave).map_or(0, |(_, bar)| bar.length().unwrap_or(0));
        let bar = self.bars.add(ProgressBar::new(length));
        bar.set_style(self.style(
            "{prefix:20.bold} {bar:30.green} {pos}/{len}  {elapsed}",
            "{prefix:20} {bar:30} {pos}/{len}  {elapsed}",
        ));
        bar.set_prefix(format!("{wave} {name}"));
        bar.enable_steady_tick(TICK);
        self.waves.insert(wave, (name.to_owned(), bar));
    }

    fn end_wave(&mut self, wave: u8, name: &str) {
        if let Some((_, bar)) = self.waves.remove(&wave) {
            let seconds = bar.elapsed().as_secs();
            bar.finish_and_clear();
            self.print(&format!("✓ wave {wave} ({name}): done in {seconds} s"));
        }
    }

    fn advance(&self) {
        if let Some((_, bar)) = self.current.and_then(|wave| self.waves.get(&wave)) {
            bar.inc(1);
        }
    }

    fn clear(&mut self) {
        let names: Vec<String> = self.components.keys().cloned().collect();
        for name in names {
            self.drop_component(&name);
        }
        for (_, (_, bar)) in self.waves.drain() {
            bar.finish_and_clear();
        }
    }
}

impl Renderer for Progress {
    fn show(&mut self, event: &Event) {
        match event {
            Event::Planned { waves, .. } => {
                for wave in waves {
                    self.waves.insert(wave.number, (wave.name.clone(), ProgressBar::hidden()));
                    if let Some((_, bar)) = self.waves.get(&wave.number) {
                        bar.set_length(u64::try_from(wave.objects).unwrap_or(0));
                    }
                }
                self.say(event);
            }
            Event::WaveStarted { wave, name } => self.start_wave(*wave, name),
            Event::WaveReady { wave, name } => self.end_wave(*wave, name),
            Event::ComponentStarted { component, .. } => self.component(component, "applying"),
            Event::Waiting { component, reason, .. } => self.component(component, reason),
            Event::Application { name, sync, health, .. } => {
                if sync == "Synced" && health == "Healthy" {
                    self.drop_component(name);
                } else {
                    self.component(name, &format!("{sync}, {health}"));
                }
            }
            Event::ComponentReady { component } => self.drop_component(component),
            Event::Applied { .. } | Event::Deleted { .. } => self.advance(),
            Event::Finished { .. } | Event::Interrupted { .. } | Event::Failed { .. } => {
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
            | Event::Published { .. }
            | Event::HandedOver { .. }
            | Event::TakenBack { .. }
            | Event::Deleting { .. }
            | Event::Kept { .. } => self.say(event),
        }
    }
}

impl Progress {
    fn say(&self, event: &Event) {
        if let Some(text) = in_words(event, false) {
            self.print(&text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
