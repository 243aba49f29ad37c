//! Prose for a terminal: broken between words, indented.

/// Lines of at most that width, each indented; a word that is longer stands alone.
pub fn paragraph(words: &str, indent: usize, width: usize) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    fill(&format!("{:indent$}{}", "", words.join(" ")), indent, width) + "\n"
}

/// The same for text that has lines of its own: only what is too long is broken, and goes on two columns further right.
pub fn wrapped(text: &str, width: usize) -> String {
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    text.split('\n').map(|line| fill(line, indent(line) + 2, width)).collect::<Vec<_>>().join("\n")
}

/// One line, broken where it has to be; what follows a break is indented.
fn fill(line: &str, indent: usize, width: usize) -> String {
    let mut filled = String::new();
    let mut used = 0;
    for (gap, word) in words(line) {
        let length = gap.chars().count() + word.chars().count();
        if used == 0 || used + length <= width {
            filled += gap;
            used += length;
        } else {
            filled += &format!("\n{:indent$}", "");
            used = indent + word.chars().count();
        }
        filled += word;
    }
    filled
}

/// The words, each with the space before it. A command in back-ticks is one word: it is there to be copied.
fn words(line: &str) -> Vec<(&str, &str)> {
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.trim_start().is_empty() {
        let (gap, text) = rest.split_at(rest.len() - rest.trim_start().len());
        let mut is_quoted = false;
        let ends = |(_, letter): &(usize, char)| {
            is_quoted ^= *letter == '`';
            letter.is_whitespace() && !is_quoted
        };
        let end = text.char_indices().find(ends).map_or(text.len(), |(at, _)| at);
        words.push((gap, &text[..end]));
        rest = &text[end..];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_full_as_they_can_be() {
        assert_eq!(paragraph("one two  three", 2, 9), "  one two\n  three\n");
        assert_eq!(paragraph("one two three", 2, 8), "  one\n  two\n  three\n");
        assert_eq!(paragraph("much-too-long a b", 1, 4), " much-too-long\n a b\n");
    }

    #[test]
    fn only_what_is_too_long_is_broken() {
        assert_eq!(wrapped("  a   b\nshort\n\n  one  two three", 10), "  a   b\nshort\n\n  one  two\n    three");
        assert_eq!(wrapped("ends here\n", 9), "ends here\n");
    }

    #[test]
    fn commands_stay_whole() {
        assert_eq!(paragraph("say `platctl status -o json` now", 0, 12), "say\n`platctl status -o json`\nnow\n");
        assert_eq!(paragraph("one ` alone", 0, 8), "one\n` alone\n");
    }
}
