//! Text → tree. gotmpl's parser is more lenient than Go's in two ways and wrong in one; that is dealt with here. What its trees then mean
//! is for `rewrite` to settle.

use gotmpl::TemplateError;
use gotmpl::parse::{DefineNode, ListNode, Node, Parser};

use super::rewrite::{Rewriter, position};

/// A parsed text: what it prints, and the templates it defines.
pub(super) struct Tree {
    pub(super) body: ListNode,
    pub(super) defines: Vec<DefineNode>,
}

/// Why a text is no template, and in which line.
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) message: String,
}

impl Mistake {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// Ends every text, as gotmpl takes the end of a text for any missing `{{ end }}` and stops at one too many.
const END: &str = "\u{1}";

/// Parses a template and writes Go's ways into it. `file` is what `#at` is told, `known` says which functions there are.
pub(super) fn parse(file: usize, text: &str, known: &dyn Fn(&str) -> bool) -> Result<Tree, Mistake> {
    let text = format!("{}{END}", without_comments(text));
    let parsed = Parser::new(&text, "{{", "}}").and_then(Parser::parse);
    let (mut body, mut defines) = parsed.map_err(mistake)?;
    check_end(&mut body, &defines)?;
    let rewriter = Rewriter { file, known };
    rewriter.list(&mut body)?;
    for define in &mut defines {
        rewriter.list(&mut define.body)?;
    }
    Ok(Tree { body, defines })
}

/// gotmpl lets a comment that trims to its left, `{{- /* … */}}`, trim to its right as well. Empty text in its place does not.
fn without_comments(text: &str) -> String {
    const OPEN: &str = "{{- /*";
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once(OPEN) {
        kept.push_str(before);
        match comment.split_once("*/") {
            Some((comment, behind)) if behind.starts_with("}}") => {
                kept.push_str("{{- \"\"");
                kept.extend(comment.chars().filter(|char| *char == '\n'));
                rest = behind;
            }
            _ => {
                kept.push_str(OPEN);
                rest = comment;
            }
        }
    }
    kept + rest
}

fn mistake(error: TemplateError) -> Mistake {
    match error {
        TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
            // The text ended, and what gotmpl met is our own mark.
            let ended = message.contains(&END.escape_default().to_string());
            Mistake::new(line, if ended { "unclosed action" } else { &message })
        }
        other => Mistake::new(1, other.to_string()),
    }
}

/// Takes the mark at the end off again, which must stand outside of all blocks.
fn check_end(body: &mut ListNode, defines: &[DefineNode]) -> Result<(), Mistake> {
    let open = "this block has no `{{ end }}`";
    let line = match body.nodes.last_mut() {
        Some(Node::Text(text)) if text.text.ends_with(END) => {
            text.text = text.text.trim_end_matches(END).into();
            return Ok(());
        }
        Some(node) if is_open(node) => return Err(Mistake::new(line_of(node), open)),
        last => last.map_or(1, |node| line_of(node)),
    };
    match defines.last() {
        Some(define) if define.body.nodes.last().is_some_and(is_open) => Err(Mistake::new(define.pos.line, open)),
        _ => Err(Mistake::new(line, "an `{{ end }}` or `{{ else }}` behind this belongs to no block")),
    }
}

/// Whether a node, the last of a list, reaches to the end of the text.
fn is_open(node: &Node) -> bool {
    match node {
        Node::Text(text) => text.text.ends_with(END),
        Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
            let last = branch.else_body.as_ref().unwrap_or(&branch.body).nodes.last();
            last.is_some_and(is_open)
        }
        _ => false,
    }
}

fn line_of(node: &Node) -> usize {
    position(node).map_or(1, |place| place.line)
}
