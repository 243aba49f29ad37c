//! What an answer must be, and what is wrong with one that is not: each gives the answer as it is kept.

use std::collections::BTreeSet;

use serde_json::Value;

use super::IN_CLUSTER;
use crate::plan::preflight::millis;

pub(super) fn host_name(text: &str) -> Result<String, String> {
    let name = text.to_lowercase();
    let is_label = |label: &str| {
        let letters = label.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        letters && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.contains("://") {
        return Err(format!("`{text}` is a URL, but the name alone is expected, such as platform.example.org"));
    }
    if name.len() > 200 || !name.contains('.') || !name.split('.').all(is_label) {
        return Err(format!("`{text}` is no DNS name such as platform.example.org"));
    }
    Ok(name)
}

pub(super) fn object_name(text: &str) -> Result<String, String> {
    let is_inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter);
    let is_outer = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let fits =
        text.chars().all(is_inner) && text.starts_with(is_outer) && text.ends_with(is_outer) && text.len() <= 253;
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no name in Kubernetes: lower-case letters, digits, `-` and `.`"))
    }
}

pub(super) fn size(text: &str) -> Result<String, String> {
    const GIBI: u64 = 1024 * 1024 * 1024 * 1000;
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    if digits.is_empty() || !digits.chars().all(|letter| letter.is_ascii_digit()) || !["Mi", "Gi", "Ti"].contains(&unit)
    {
        return Err(format!("`{text}` is no size; write it as 10Gi"));
    }
    match millis(&text.into()) {
        bytes if bytes < GIBI => Err(format!("{text} is too small, 1Gi is the least")),
        _ => Ok(text.to_owned()),
    }
}

/// `443, 6443` of ports in any order, apart by commas or spaces.
pub(super) fn ports(text: &str) -> Result<String, String> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let ports: Option<BTreeSet<u16>> = words.map(|word| word.parse().ok().filter(|port| *port > 0)).collect();
    match ports.filter(|ports| !ports.is_empty()) {
        Some(ports) => Ok(ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")),
        None => Err(format!("`{text}` is no list of ports; write it as 443, 6443")),
    }
}

/// `31d` of `31d`, `31` or `744h`.
pub(super) fn days(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is no number of whole days; write it as 31d");
    let (digits, per_day) = match text.strip_suffix('h') {
        Some(digits) => (digits, 24),
        None => (text.strip_suffix('d').unwrap_or(text), 1),
    };
    let number: u32 = digits.parse().map_err(|_| wrong())?;
    if number == 0 || !number.is_multiple_of(per_day) || number / per_day > 36_500 {
        return Err(wrong());
    }
    Ok(format!("{}d", number / per_day))
}

/// What the chart takes, of checked days.
pub(super) fn hours(days: &str) -> Value {
    let days: u32 = days.trim_end_matches('d').parse().unwrap_or_default();
    format!("{}h", days * 24).into()
}

pub(super) fn repository(text: &str, profile: &str) -> Result<String, String> {
    if text == IN_CLUSTER {
        let refusal = "the Git server in the cluster is for `dev`; give the URL of a repository of yours";
        return if profile == "dev" { Ok(text.to_owned()) } else { Err(refusal.to_owned()) };
    }
    let wrong = || format!("`{text}` is no URL of a Git repository, such as https://git.example.org/team/platform.git");
    // SSH needs a user name, which is no secret.
    let (is_http, rest) = match text.split_once("://") {
        Some(("https" | "http", rest)) => (true, rest),
        Some(("ssh", rest)) => (false, rest),
        None if text.starts_with("git@") && text.contains(':') => return no_space(text).ok_or_else(wrong),
        _ => return Err(wrong()),
    };
    let (host, path) = rest.split_once('/').ok_or_else(wrong)?;
    if host.is_empty() || path.is_empty() {
        return Err(wrong());
    }
    if host.rsplit_once('@').is_some_and(|(user, _)| is_http || user.contains(':')) {
        return Err(
            "the URL holds credentials, and the profile is made to be committed: put them into a Secret".to_owned()
        );
    }
    no_space(text).ok_or_else(wrong)
}

pub(super) fn branch(text: &str) -> Result<String, String> {
    let fits = no_space(text).filter(|text| !text.is_empty() && !text.starts_with(['-', '/']) && !text.contains(".."));
    fits.ok_or_else(|| format!("`{text}` is no name of a branch"))
}

fn no_space(text: &str) -> Option<String> {
    (!text.contains(char::is_whitespace)).then(|| text.to_owned())
}
