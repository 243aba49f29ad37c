//! What templates mean. gotmpl parses and runs them, but it differs from Go in what Helm's charts lean on, so what Go does is written into
//! the tree before it runs, as calls of functions that no template can name:
//!
//! - `#at`: where in which file the next action stands, for errors (gotmpl's have no position);
//! - `#field`: `.a.b` fails when `.a` is nil (gotmpl goes on with nil);
//! - `#print`: floats print as Go prints them;
//! - `#call`: a value with arguments is a method, as in `.Files.Get "x"`.

use gotmpl::Value;
use gotmpl::parse::{ActionNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, Pos, SmolStr};

use super::tree::Mistake;
use crate::plan::functions::{Function, show};

pub(super) const AT: &str = "#at";
pub(super) const INCLUDE: &str = "include";

/// The functions of the language itself.
pub(super) const FUNCTIONS: &[Function] = &[
    ("#field", 2..=usize::MAX, |a| field(&a[0], &a[1], &a[2..])),
    ("#print", 1..=1, |a| match &a[0] {
        // Helm takes this out of what it renders.
        Value::Nil => Ok("<no value>".into()),
        Value::Function(_) => Err("a method is called with its arguments".to_owned()),
        value => Ok(show(value).into()),
    }),
    ("#call", 1..=usize::MAX, |a| match &a[0] {
        Value::Function(method) => method(&a[1..]).map_err(|error| super::engine::in_words(&error)),
        _ => Err("only functions take arguments".to_owned()),
    }),
];

/// Where a node stands that can fail.
pub(super) fn position(node: &Node) -> Option<Pos> {
    match node {
        Node::Action(action) => Some(action.pos),
        Node::If(branch) | Node::Range(branch) | Node::With(branch) => Some(branch.pos),
        Node::Template(call) => Some(call.pos),
        _ => None,
    }
}

/// Writes Go's ways into the trees of one file.
pub(super) struct Rewriter<'a> {
    /// What `#at` is told.
    pub(super) file: usize,
    /// Which functions there are.
    pub(super) known: &'a dyn Fn(&str) -> bool,
}

impl Rewriter<'_> {
    pub(super) fn list(&self, list: &mut ListNode) -> Result<(), Mistake> {
        let mut nodes = Vec::with_capacity(list.nodes.len() * 2);
        for mut node in std::mem::take(&mut list.nodes) {
            if let Some(place) = position(&node) {
                nodes.push(self.mark(place));
            }
            self.node(&mut node)?;
            nodes.push(node);
        }
        list.nodes = nodes;
        Ok(())
    }

    fn mark(&self, place: Pos) -> Node {
        let number = |number: usize| Expr::Number(place, Number::Int(i64::try_from(number).unwrap_or_default()));
        action(pipe(place, vec![call(place, AT, vec![number(self.file), number(place.line)])]))
    }

    fn node(&self, node: &mut Node) -> Result<(), Mistake> {
        match node {
            Node::Action(action) => {
                self.pipe(&mut action.pipe)?;
                if action.pipe.decl.is_empty() {
                    action.pipe.commands.push(call(action.pos, "#print", Vec::new()));
                }
                Ok(())
            }
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                self.pipe(&mut branch.pipe)?;
                self.list(&mut branch.body)?;
                branch.else_body.as_mut().map_or(Ok(()), |list| self.list(list))
            }
            // `include` keeps the position of the call, and without a pipeline the template gets nil.
            Node::Template(template) => {
                let place = template.pos;
                let data = template.pipe.take().map_or(Expr::Nil(place), |pipe| Expr::Pipe(place, pipe));
                let name = Expr::String(place, template.name.as_str().into());
                *node = action(pipe(place, vec![call(place, INCLUDE, vec![name, data])]));
                self.node(node)
            }
            _ => Ok(()),
        }
    }

    fn pipe(&self, pipe: &mut PipeNode) -> Result<(), Mistake> {
        check_changes(pipe)?;
        for (index, command) in pipe.commands.iter_mut().enumerate() {
            self.command(command, index > 0)?;
        }
        Ok(())
    }

    fn command(&self, command: &mut CommandNode, piped: bool) -> Result<(), Mistake> {
        for argument in &mut command.args {
            self.expression(argument)?;
        }
        let is_function = matches!(command.args.first(), Some(Expr::Identifier(..)));
        if !is_function && (piped || command.args.len() > 1) {
            command.args.insert(0, Expr::Identifier(command.pos, SmolStr::new_static("#call")));
        }
        Ok(())
    }

    fn expression(&self, expression: &mut Expr) -> Result<(), Mistake> {
        let (place, shown, base, names) = match expression {
            Expr::Identifier(place, name) if !(self.known)(name) => {
                return Err(Mistake::new(place.line, format!("there is no function `{name}`")));
            }
            Expr::Pipe(_, pipe) => return self.pipe(pipe),
            Expr::Field(place, names) => (*place, String::new(), Expr::Dot(*place), std::mem::take(names)),
            Expr::Variable(place, name, names) if !names.is_empty() => {
                (*place, name.to_string(), Expr::Variable(*place, name.clone(), Vec::new()), std::mem::take(names))
            }
            Expr::Chain(place, base, names) => {
                self.expression(base)?;
                (*place, "(…)".to_owned(), (**base).clone(), std::mem::take(names))
            }
            _ => return Ok(()),
        };
        let names = names.into_iter().map(|name| Expr::String(place, name.as_str().into()));
        let arguments = [Expr::String(place, shown.into()), base].into_iter().chain(names).collect();
        *expression = Expr::Pipe(place, pipe(place, vec![call(place, "#field", arguments)]));
        Ok(())
    }
}

/// In Helm `set` and `merge` change the map they are given; here they return a changed one. Both are the same where the map is a new one,
/// and where the result takes the map's place: `$x = set $x …`.
fn check_changes(pipe: &PipeNode) -> Result<(), Mistake> {
    for command in &pipe.commands {
        let (Some(Expr::Identifier(place, name)), Some(map)) = (command.args.first(), command.args.get(1)) else {
            continue;
        };
        let takes_its_place = matches!(map, Expr::Variable(_, map, fields)
            if fields.is_empty() && pipe.is_assign && pipe.decl[..] == [map.clone()] && pipe.commands.len() == 1);
        if matches!(name.as_str(), "set" | "merge") && !takes_its_place && !is_new(map) {
            let message = format!(
                "`{name}` changes its map only as in `$x = {name} $x …`; else give it a new one: `{name} (deepCopy …) …`"
            );
            return Err(Mistake::new(place.line, message));
        }
    }
    Ok(())
}

/// Whether an expression is a map that nothing else holds.
fn is_new(map: &Expr) -> bool {
    const MAKERS: [&str; 6] = ["dict", "deepCopy", "fromYaml", "fromJson", "set", "merge"];
    let Expr::Pipe(_, pipe) = map else {
        return false;
    };
    let last = pipe.commands.last().and_then(|command| command.args.first());
    matches!(last, Some(Expr::Identifier(_, name)) if MAKERS.contains(&name.as_str()))
}

fn action(pipe: PipeNode) -> Node {
    Node::Action(ActionNode { pos: pipe.pos, pipe })
}

fn pipe(pos: Pos, commands: Vec<CommandNode>) -> PipeNode {
    PipeNode { pos, decl: Vec::new(), commands, is_assign: false }
}

fn call(pos: Pos, name: &'static str, arguments: Vec<Expr>) -> CommandNode {
    let function = Expr::Identifier(pos, SmolStr::new_static(name));
    CommandNode { pos, args: std::iter::once(function).chain(arguments).collect() }
}

/// Go's field access: a key that is not there is nil, and nil has no keys, unless it is where the path begins.
fn field(shown: &Value, base: &Value, names: &[Value]) -> Result<Value, String> {
    let path = |count: usize| names[..count].iter().fold(show(shown), |path, name| format!("{path}.{}", show(name)));
    let mut value = base;
    for (index, name) in names.iter().enumerate() {
        value = match value {
            Value::Map(map) => map.get(name.as_str().unwrap_or_default()).unwrap_or(&Value::Nil),
            Value::Nil if index == 0 => return Ok(Value::Nil),
            Value::Nil => {
                return Err(format!("nil pointer: `{}` is not set, so there is no `{}`", path(index), path(index + 1)));
            }
            other => {
                let kind = other.type_name();
                return Err(match path(index).as_str() {
                    "" => format!("a {kind} has no field `{}`", show(name)),
                    path => format!("`{path}` is a {kind} and has no field `{}`", show(name)),
                });
            }
        };
    }
    Ok(value.clone())
}
