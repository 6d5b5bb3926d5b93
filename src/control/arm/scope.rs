//! What a template's expressions stand for: parameters, variables, copies and functions.

use std::cell::Cell;

use crate::arm::expression::{self, Expression, Text};
use crate::arm::functions;
use crate::arm::marks;
use crate::arm::node::{Data, Node};

/// How deep evaluation goes, in all that nests: values, calls, and variables that use others.
const DEPTH: usize = 160;
/// How often a copy may repeat, as in the cloud.
const COPIES: i64 = 800;

/// What all values of a template may cost together: a short text can ask for an endless one.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(64 << 20))
    }

    pub(super) fn spend(&self, bytes: usize) -> Result<(), String> {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or(0));
        left.map(drop).ok_or_else(|| "its values are larger than 64 MiB together".to_owned())
    }
}

/// What expressions of one template refer to.
pub(super) struct Template<'a> {
    /// Its own parameters, which may have defaults.
    pub(super) parameters: Option<&'a Node>,
    /// Values from parameter files, or from the template around.
    pub(super) given: &'a [(String, Node)],
    pub(super) variables: Option<&'a Node>,
    pub(super) budget: &'a Budget,
}

/// A repetition, inside of others.
pub(super) struct Repeat<'a> {
    pub(super) name: &'a str,
    pub(super) index: i64,
    pub(super) outer: Option<&'a Repeat<'a>>,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) template: &'a Template<'a>,
    pub(super) repeat: Option<&'a Repeat<'a>>,
    pub(super) depth: usize,
}

impl<'a> Scope<'a> {
    pub(super) fn of(template: &'a Template<'a>) -> Self {
        Self { template, repeat: None, depth: 0 }
    }

    fn deeper(self) -> Result<Self, String> {
        if self.depth >= DEPTH {
            return Err("it is nested too deep, or refers to itself".to_owned());
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// The value with everything in it evaluated; what cannot be is unknown in its place.
    pub(super) fn node(self, node: &Node) -> Node {
        let evaluated = self.deeper().and_then(|scope| {
            scope.template.budget.spend(64)?;
            Ok(match &node.data {
                Data::Text(text) => scope.text(text)?,
                Data::List(items) => Data::List(items.iter().map(|i| scope.node(i)).collect()),
                Data::Map(fields) => Data::Map(scope.fields(fields)),
                other => other.clone(),
            })
        });
        Node::new(node.line, evaluated.unwrap_or_else(Data::Unknown))
    }

    fn text(self, text: &str) -> Result<Data, String> {
        self.template.budget.spend(text.len())?;
        match expression::read(text) {
            Text::Literal(text) => Ok(Data::Text(text)),
            Text::Wrong(why) => Err(format!("the expression cannot be read: {why}")),
            Text::Expression(expression) => Ok(self.expression(&expression)?.data),
        }
    }

    /// The fields of an object; `copy` adds lists to them.
    fn fields(self, fields: &[(String, Node)]) -> Vec<(String, Node)> {
        let mut evaluated = Vec::with_capacity(fields.len());
        for (name, node) in fields {
            match copies(name, node) {
                None => evaluated.push((name.clone(), self.node(node))),
                Some(copies) => {
                    evaluated.extend(copies.iter().map(|copy| self.repeated(copy)));
                }
            }
        }
        evaluated
    }

    /// The field that a copy makes.
    fn repeated(self, copy: &Node) -> (String, Node) {
        let name = copy.get("name").and_then(Node::text).unwrap_or("copy").to_owned();
        let items = self.repeats(copy, "input", |scope, input| scope.node(input));
        let data = items.map_or_else(Data::Unknown, Data::List);
        (name, Node::new(copy.line, data))
    }

    /// One value for each repetition of a copy.
    pub(super) fn repeats<T>(
        self,
        copy: &Node,
        field: &str,
        each: impl Fn(Scope<'_>, &Node) -> T,
    ) -> Result<Vec<T>, String> {
        let scope = self.deeper()?;
        let name = copy.get("name").and_then(Node::text).unwrap_or_default();
        let count = copy.get("count").map(|count| scope.node(count).data);
        let count = match count {
            Some(Data::Number(count)) => count.as_i64().unwrap_or(-1),
            Some(Data::Unknown(why)) => return Err(format!("how often it repeats: {why}")),
            _ => return Err("a copy needs a number as its count".to_owned()),
        };
        if !(0..=COPIES).contains(&count) {
            return Err(format!("its count {count} is not within 0 to {COPIES}"));
        }
        let input = copy.get(field).unwrap_or(copy);
        let one = |index| {
            let repeat = Repeat { name, index, outer: scope.repeat };
            each(Scope { template: scope.template, repeat: Some(&repeat), ..scope }, input)
        };
        Ok((0..count).map(one).collect())
    }

    /// What an expression stands for, or why that is not known.
    pub(super) fn expression(self, expression: &Expression) -> Result<Node, String> {
        let scope = self.deeper()?;
        scope.template.budget.spend(64)?;
        let node = match expression {
            Expression::Text(text) => Node::text_of(0, text.as_str()),
            Expression::Number(number) => Node::new(0, Data::Number((*number).into())),
            Expression::Call(name, arguments) => scope.call(name, arguments)?,
            Expression::Member(of, name) => {
                let of = scope.expression(of)?;
                member(&of, &scope.expression(name)?)?
            }
        };
        if let Data::Unknown(why) = node.data {
            return Err(why);
        }
        Ok(node)
    }

    fn call(self, name: &str, arguments: &[Expression]) -> Result<Node, String> {
        let lower = name.to_ascii_lowercase();
        match (lower.as_str(), arguments) {
            ("parameters", [name]) => self.parameter(&self.name(name)?),
            ("variables", [name]) => self.variable(&self.name(name)?),
            ("copyindex", _) => self.index(arguments),
            ("if", [condition, yes, no]) => match self.expression(condition)?.data {
                Data::Bool(true) => self.expression(yes),
                Data::Bool(false) => self.expression(no),
                _ => Err("if() needs true or false first".to_owned()),
            },
            ("concat" | "format", _) => {
                let values = arguments.iter().map(|argument| self.expression(argument));
                self.joined(&lower, values.collect())
            }
            _ => {
                let values: Result<Vec<Node>, String> =
                    arguments.iter().map(|argument| self.expression(argument)).collect();
                functions::apply(name, &values?, self.template.budget)
            }
        }
    }

    fn name(self, expression: &Expression) -> Result<String, String> {
        let name = self.expression(expression)?;
        name.text().map(str::to_owned).ok_or_else(|| "a name has to be text".to_owned())
    }

    /// Texts put together, those that are not known marked as such: of an id the end is enough.
    fn joined(self, function: &str, values: Vec<Result<Node, String>>) -> Result<Node, String> {
        let is_text =
            |value: &Result<Node, String>| matches!(value, Ok(Node { data: Data::Text(_), .. }));
        if !values.iter().any(is_text) {
            let values: Result<Vec<Node>, String> = values.into_iter().collect();
            return functions::apply(function, &values?, self.template.budget);
        }
        let marked = |value: Result<Node, String>| {
            value.unwrap_or_else(|why| Node::text_of(0, marks::lost(&why)))
        };
        let values: Vec<Node> = values.into_iter().map(marked).collect();
        functions::apply(function, &values, self.template.budget)
    }

    fn parameter(self, name: &str) -> Result<Node, String> {
        let given = self.template.given.iter().find(|(its, _)| its.eq_ignore_ascii_case(name));
        if let Some((_, value)) = given {
            self.template.budget.spend(value.size())?;
            return Ok(value.clone());
        }
        let declared = self.template.parameters.and_then(|all| all.get(name));
        let Some(declared) = declared else {
            return Err(format!("there is no parameter {name:?}"));
        };
        let Some(default) = declared.get("defaultValue") else {
            return Err(format!(
                "the parameter {name:?} has no value: give it in a file with --parameters"
            ));
        };
        Ok(Scope { repeat: None, ..self }.node(default))
    }

    fn variable(self, name: &str) -> Result<Node, String> {
        let scope = Scope { repeat: None, ..self };
        let missing = || format!("there is no variable {name:?}");
        let variables = self.template.variables.ok_or_else(missing)?;
        if let Some(found) = variables.get(name) {
            return Ok(scope.node(found));
        }
        let copies = variables.get("copy").and_then(Node::list).unwrap_or_default();
        let is_meant = |copy: &&Node| {
            let its = copy.get("name").and_then(Node::text);
            its.is_some_and(|its| its.eq_ignore_ascii_case(name))
        };
        let copy = copies.iter().find(is_meant).ok_or_else(missing)?;
        Ok(scope.repeated(copy).1)
    }

    /// `copyIndex()`: the number of the repetition, the innermost or the one that is named.
    fn index(self, arguments: &[Expression]) -> Result<Node, String> {
        let (mut name, mut offset) = (None, 0);
        for argument in arguments {
            match self.expression(argument)?.data {
                Data::Text(text) => name = Some(text),
                Data::Number(number) => offset = number.as_i64().unwrap_or(0),
                _ => return Err("copyIndex() takes a name and a number".to_owned()),
            }
        }
        let mut repeat = self.repeat;
        while let Some(found) = repeat {
            if name.as_ref().is_none_or(|name| found.name.eq_ignore_ascii_case(name)) {
                let index = found.index.saturating_add(offset);
                return Ok(Node::new(0, Data::Number(index.into())));
            }
            repeat = found.outer;
        }
        Err("copyIndex() stands outside of the copy that it means".to_owned())
    }
}

/// The copies of an object, if the field is that and no field of its own.
fn copies<'a>(name: &str, node: &'a Node) -> Option<&'a [Node]> {
    let items = node.list().filter(|_| name.eq_ignore_ascii_case("copy"))?;
    let is_copy = |item: &Node| item.get("name").is_some() && item.get("count").is_some();
    items.iter().all(is_copy).then_some(items)
}

fn member(of: &Node, name: &Node) -> Result<Node, String> {
    let found = match (&of.data, &name.data) {
        (Data::Map(_), Data::Text(name)) => of.get(name),
        (Data::List(items), Data::Number(index)) => {
            index.as_u64().and_then(|index| usize::try_from(index).ok()).and_then(|i| items.get(i))
        }
        _ => return Err(format!("{} has no such part", of.kind())),
    };
    match (found, &name.data) {
        (Some(found), _) => Ok(found.clone()),
        (None, Data::Text(name)) => Err(format!("there is no {name:?} in what it refers to")),
        (None, _) => Err("the list that it refers to is shorter".to_owned()),
    }
}
