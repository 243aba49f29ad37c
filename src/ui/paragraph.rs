//! Prose for a terminal: broken between words, indented.

/// Lines of at most that width, each indented; a word that is longer stands alone.
pub fn paragraph(words: &str, indent: usize, width: usize) -> String {
    let margin = " ".repeat(indent);
    let mut text = String::new();
    let mut used = 0;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length <= width {
            text.push(' ');
            used += 1 + length;
            text += word;
            continue;
        }
        if used > 0 {
            text.push('\n');
        }
        text += &margin;
        text += word;
        used = indent + length;
    }
    text.push('\n');
    text
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
}
