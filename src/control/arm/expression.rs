//! The language of template expressions: `[concat(parameters('a').b[0], 'c')]`.

use std::str::Chars;

/// How deep calls may nest.
const DEPTH: usize = 32;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Text(String),
    Number(i64),
    /// A function by its name, which may have a namespace, with what it is called with.
    Call(String, Vec<Expression>),
    /// A field or item of what is before it.
    Member(Box<Expression>, Box<Expression>),
}

/// What a text of a template stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Itself.
    Literal(String),
    Expression(Expression),
    /// An expression that cannot be read, and why.
    Wrong(String),
}

/// What a text stands for: in brackets it is an expression, with two at its beginning a literal.
pub(super) fn read(text: &str) -> Text {
    if let Some(literal) = text.strip_prefix("[[") {
        return Text::Literal(format!("[{literal}"));
    }
    let Some(inside) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
        return Text::Literal(text.to_owned());
    };
    let mut reader = Reader { rest: inside.chars(), depth: 0 };
    let read = reader.expression().and_then(|expression| match reader.next_char() {
        None => Ok(expression),
        Some(other) => Err(format!("{other:?} follows what was complete")),
    });
    match read {
        Ok(expression) => Text::Expression(expression),
        Err(why) => Text::Wrong(why),
    }
}

struct Reader<'a> {
    rest: Chars<'a>,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.as_str().trim_start().chars().next()
    }

    fn next_char(&mut self) -> Option<char> {
        self.rest = self.rest.as_str().trim_start().chars();
        self.rest.next()
    }

    fn is_next(&mut self, wanted: char) -> bool {
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.next_char();
        }
        is_next
    }

    fn expression(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("it is nested deeper than {DEPTH} levels"));
        }
        let mut expression = match self.peek() {
            Some('\'') => self.text()?,
            Some(c) if c.is_ascii_digit() || c == '-' => self.number()?,
            Some(c) if c.is_alphabetic() || c == '_' => self.call()?,
            Some(c) => return Err(format!("{c:?} has no place in it")),
            None => return Err("it ends too early".to_owned()),
        };
        // Each step nests what was before it one deeper, for whoever walks over it later.
        let mut steps = 0;
        loop {
            if self.is_next('.') {
                let name = Expression::Text(self.name()?);
                expression = Expression::Member(Box::new(expression), Box::new(name));
            } else if self.is_next('[') {
                let index = self.expression()?;
                if !self.is_next(']') {
                    return Err("a ] is missing".to_owned());
                }
                expression = Expression::Member(Box::new(expression), Box::new(index));
            } else {
                break;
            }
            steps += 1;
            if steps > DEPTH {
                return Err(format!("it goes deeper than {DEPTH} fields"));
            }
        }
        self.depth -= 1;
        Ok(expression)
    }

    fn text(&mut self) -> Result<Expression, String> {
        self.next_char();
        let mut text = String::new();
        loop {
            match self.rest.next() {
                // Two quotes stand for one.
                Some('\'') if self.rest.as_str().starts_with('\'') => {
                    self.rest.next();
                    text.push('\'');
                }
                Some('\'') => return Ok(Expression::Text(text)),
                Some(other) => text.push(other),
                None => return Err("a text in it does not end".to_owned()),
            }
        }
    }

    fn number(&mut self) -> Result<Expression, String> {
        let mut text = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_digit() || *c == '-') {
            self.next_char();
            text.push(c);
        }
        text.parse().map(Expression::Number).map_err(|_| format!("{text:?} is no whole number"))
    }

    fn name(&mut self) -> Result<String, String> {
        self.rest = self.rest.as_str().trim_start().chars();
        let rest = self.rest.as_str();
        let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-');
        let end = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            return Err("a name is missing".to_owned());
        }
        self.rest = after.chars();
        Ok(name.to_owned())
    }

    fn call(&mut self) -> Result<Expression, String> {
        let mut name = self.name()?;
        while self.is_next('.') {
            name = format!("{name}.{}", self.name()?);
        }
        if !self.is_next('(') {
            return Err(format!("{name:?} is no text in quotes and no function that is called"));
        }
        let mut arguments = Vec::new();
        while !self.is_next(')') {
            if !arguments.is_empty() && !self.is_next(',') {
                return Err(format!("a comma or ) is missing in {name}(...)"));
            }
            arguments.push(self.expression()?);
        }
        Ok(Expression::Call(name, arguments))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Expression {
        Expression::Text(text.to_owned())
    }

    #[test]
    fn calls_members_and_texts_are_read() {
        let call = |name: &str, arguments| Expression::Call(name.to_owned(), arguments);
        let member = |of, name| Expression::Member(Box::new(of), Box::new(name));
        for (source, expected) in [
            ("['it''s']", text("it's")),
            ("[ 7 ]", Expression::Number(7)),
            (
                "[concat( 'a' , parameters('b').c[0]['d'], -1)]",
                call(
                    "concat",
                    vec![
                        text("a"),
                        member(
                            member(
                                member(call("parameters", vec![text("b")]), text("c")),
                                Expression::Number(0),
                            ),
                            text("d"),
                        ),
                        Expression::Number(-1),
                    ],
                ),
            ),
            ("[ns.own()]", call("ns.own", vec![])),
        ] {
            assert_eq!(read(source), Text::Expression(expected), "{source}");
        }
    }

    #[test]
    fn other_texts_are_themselves() {
        for (source, expected) in
            [("a", "a"), ("[[a]", "[a]"), ("[a", "[a"), ("/x')]", "/x')]"), ("", "")]
        {
            assert_eq!(read(source), Text::Literal(expected.to_owned()), "{source}");
        }
    }

    #[test]
    fn an_expression_that_cannot_be_read_says_why() {
        for (source, why) in [
            ("[]", "too early"),
            ("[a]", "no function"),
            ("[f('a']", "comma or )"),
            ("[f('a)]", "does not end"),
            ("[f() g()]", "'g' follows"),
            ("[f().]", "a name is missing"),
            ("[--1]", "no whole number"),
            (&format!("[{}]", "f(".repeat(10_000)), "nested deeper"),
            (&format!("[f(){}]", ".a".repeat(10_000)), "goes deeper"),
        ] {
            match read(source) {
                Text::Wrong(told) => assert!(told.contains(why), "{source}: {told}"),
                other => panic!("{source}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\[[a-c'().,\\[\\]0-9 \u{e9}-]{0,40}\\]") {
            let _ = read(&text);
        }
    }
}
