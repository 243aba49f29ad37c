//! What the wizard shows, as text: the cluster, a question, the summary.

use super::Done;
use crate::plan::interview::Interview;
use crate::plan::needs::volumes;
use crate::plan::preflight::requests;
use crate::plan::profile::RepositoryMode;
use crate::plan::questions::{Proposal, QUESTIONS, Question};
use crate::plan::surroundings::Surroundings;
use crate::ui::paragraph::paragraph;

pub(super) const WELCOME: &str = "platctl asks what it has to know, writes a profile file, and offers to install. Enter takes the proposal \
     in brackets, `?` explains, `<` goes back, Ctrl-C leaves; nothing is written before the end.";

pub(super) const INSTALLED: &str = "\nplatctl has installed the platform here already: `platctl status` shows it, `platctl diff` and `platctl \
     upgrade` change it. What follows writes a profile file, for those or for another cluster.";

/// What was seen of a cluster.
pub(super) fn seen(seen: &Surroundings, width: usize) -> String {
    let host = if seen.host.name.is_empty() { String::new() } else { format!(" on {}", seen.host.name) };
    let marked = |is_default| if is_default { " (default)" } else { "" };
    let classes = seen.storage_classes.iter().map(|class| format!("{}{}", class.name, marked(class.default)));
    let classes = classes.collect::<Vec<_>>().join(", ");
    let balancer = if seen.balancer.works { "LoadBalancer" } else { "no LoadBalancer" };
    let nodes = match seen.nodes {
        0 => "none seen; perhaps you may not list them".to_owned(),
        nodes => format!("{} usable of {nodes}", seen.usable),
    };
    let existing = match seen.existing.as_slice() {
        _ if seen.is_installed => "platctl has installed here: `platctl status` shows it".to_owned(),
        [] => "nothing that the platform brings".to_owned(),
        some => format!("{}; `install` refuses what is not its own", some.join(", ")),
    };
    let lines = [
        ("Kubernetes", format!("{}{host}", seen.version)),
        ("nodes", nodes),
        ("CPU", format!("{} free of {}", cores(seen.cpu.free), cores(seen.cpu.total))),
        ("memory", format!("{} free of {}", gibi(seen.memory.free), gibi(seen.memory.total))),
        ("storage", if classes.is_empty() { "no StorageClass seen".to_owned() } else { classes }),
        ("addresses", format!("{balancer}: {}", seen.balancer.why)),
        ("there", existing),
    ];
    labelled(&lines, width)
}

/// A question below its title: what can be answered, and what is proposed.
pub(super) fn question(
    question: &Question,
    interview: &Interview,
    proposal: Option<&Proposal>,
    width: usize,
) -> String {
    let options = question.options(&interview.scene);
    let digits = options.len().to_string().len();
    let widest = options.iter().map(|(word, _)| word.chars().count()).max().unwrap_or(0);
    let option = |(number, (word, meaning)): (usize, &(String, String))| {
        let label = format!("  {number:<digits$}  {word:widest$}  ");
        let meaning = paragraph(meaning, label.chars().count(), width);
        format!("{label}{}", meaning.trim()).trim_end().to_owned() + "\n"
    };
    let why = match proposal {
        Some(proposal) => format!("proposed: {} ({})", proposal.value, proposal.why),
        None => "nothing can be proposed here, `?` explains what is wanted".to_owned(),
    };
    let text: String = (1..).zip(&options).map(option).collect();
    text + paragraph(&why, 2, width).trim_end()
}

/// What would be installed, and what it needs.
pub(super) fn summary(done: &Done, interview: &Interview, width: usize) -> String {
    let (wanted, volumes) = (requests(&done.plan), volumes(&done.plan));
    let total = volumes.iter().map(|volume| volume.count * volume.bytes).sum();
    let each = volumes.iter().map(|volume| match volume.count {
        1 => format!("{} {}", volume.component, gibi(volume.bytes)),
        count => format!("{} {count} x {}", volume.component, gibi(volume.bytes)),
    });
    let components = done.plan.components().map(|one| format!("{} {}", one.component.name, one.component.version));
    let answer = |question: &Question| Some(format!("{} {}", question.id, interview.answers().get(question.id)?));
    let answers: Vec<String> = QUESTIONS.iter().filter_map(answer).collect();
    let mut lines = vec![
        ("answers", answers.join(", ")),
        ("components", components.collect::<Vec<_>>().join(", ")),
        ("objects", format!("{} in {} waves", done.plan.objects().count(), done.plan.waves.len())),
        ("images", format!("{}; `platctl images` lists them", done.images.len())),
        ("CPU", format!("{} requested, sidecars not counted", cores(wanted.cpu_millis.next_multiple_of(100)))),
        ("memory", format!("{} requested, sidecars not counted", gibi(wanted.memory_bytes + GIBI / 20))),
        ("volumes", format!("{} in all: {}", gibi(total), each.collect::<Vec<_>>().join(", "))),
    ];
    if let Some(seen) = interview.scene.seen.as_ref().filter(|seen| !seen.is_installed && seen.nodes > 0) {
        let is_enough = wanted.cpu_millis <= seen.cpu.free && wanted.memory_bytes <= seen.memory.free;
        let verdict = if is_enough { "enough for it" } else { "too little: pods would stay pending" };
        lines.push(("free", format!("{} CPU, {} memory: {verdict}", cores(seen.cpu.free), gibi(seen.memory.free))));
    }
    let mut supplied: Vec<String> = done.plan.supplied_secrets().iter().map(ToString::to_string).collect();
    let repository = &done.plan.profile.repository;
    if repository.mode == RepositoryMode::External {
        supplied.push(format!("in {} what `platctl export DIR` writes with this profile", repository.url));
    }
    if !repository.credentials_secret.is_empty() {
        supplied.push(format!("Secret argocd/{}", repository.credentials_secret));
    }
    if !supplied.is_empty() {
        lines.push(("from you", supplied.join(", ")));
    }
    labelled(&lines, width)
}

/// Labels and values, long values in several lines.
fn labelled(lines: &[(&str, String)], width: usize) -> String {
    let of = |(label, value): &(&str, String)| format!("  {label:<12}{}", paragraph(value, 14, width).trim());
    lines.iter().map(of).collect::<Vec<_>>().join("\n")
}

fn cores(millis: u64) -> String {
    format!("{}.{}", millis / 1000, millis % 1000 / 100)
}

const GIBI: u64 = 1024 * 1024 * 1024;

fn gibi(bytes: u64) -> String {
    match bytes * 10 / GIBI {
        tenths if tenths % 10 == 0 => format!("{}Gi", tenths / 10),
        tenths => format!("{}.{}Gi", tenths / 10, tenths % 10),
    }
}
