//! Marks inside of texts: around what stands in for a value that only a deployment knows, and around
//! what is not known at all. Characters of Unicode's private use carry them through `concat` and its
//! like, so that it is known at the end whether anything of them is left.

const GUESS: char = '\u{e000}';
const LOST: char = '\u{e001}';
const NAME_END: char = '\u{e002}';
const END: char = '\u{e003}';
const SLASH: char = '\u{e004}';

/// A text that stands in for what `name` would be.
pub(super) fn guess(name: &str, text: &str) -> String {
    format!("{GUESS}{name}{NAME_END}{text}{END}")
}

/// A piece of a text that is not known. A `/` in the reason is written as another sign, so that it
/// divides no id.
pub(super) fn lost(why: &str) -> String {
    let why = why.chars().filter(|c| !is_mark(*c));
    let why: String = why.map(|c| if c == '/' { SLASH } else { c }).collect();
    format!("{LOST}{why}{END}")
}

fn is_mark(c: char) -> bool {
    matches!(c, GUESS | LOST | NAME_END | END)
}

/// Whether there is a mark in it.
pub(super) fn is_marked(text: &str) -> bool {
    text.contains(is_mark)
}

/// A text without its marks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Clean {
    pub(super) text: String,
    /// Names of what was stood in for.
    pub(super) guessed: Vec<String>,
}

/// The text without marks, or why a piece of it is not known.
pub(super) fn clean(text: &str) -> Result<Clean, String> {
    if !is_marked(text) {
        return Ok(Clean { text: text.to_owned(), guessed: Vec::new() });
    }
    let mut clean = Clean::default();
    let mut rest = text;
    while let Some(at) = rest.find(is_mark) {
        let (before, marked) = rest.split_at(at);
        clean.text.push_str(before);
        let mut inside = marked.chars();
        let mark = inside.next();
        rest = inside.as_str();
        match (mark, rest.find(NAME_END), rest.find(END)) {
            (Some(LOST), _, Some(end)) => return Err(rest[..end].replace(SLASH, "/")),
            (Some(GUESS), Some(name_end), Some(_)) => {
                clean.guessed.push(rest[..name_end].to_owned());
                rest = &rest[name_end + NAME_END.len_utf8()..];
            }
            // The end of a guess, or a mark that was cut apart.
            _ => {}
        }
    }
    clean.text.push_str(rest);
    Ok(clean)
}

/// Changes what is not inside of marks.
pub(super) fn outside(text: &str, change: impl Fn(&str) -> String) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find([GUESS, LOST]) {
        let end = rest[at..].find(END).map_or(rest.len(), |end| at + end + END.len_utf8());
        changed.push_str(&change(&rest[..at]));
        changed.push_str(&rest[at..end]);
        rest = &rest[end..];
    }
    changed + &change(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_say_what_was_guessed_and_what_is_lost() {
        let text = format!("a{}b{}c", guess("f()", "x"), guess("g()", "y"));
        let expected = Clean { text: "axbyc".into(), guessed: vec!["f()".into(), "g()".into()] };
        assert_eq!(clean(&text), Ok(expected));
        assert_eq!(clean(&format!("a{}b", lost("a/b"))), Err("a/b".to_owned()));
        let upper = outside(&text, str::to_uppercase);
        assert_eq!(clean(&upper).unwrap().text, "AxByC");
    }

    proptest! {
        #[test]
        fn marks_that_were_cut_apart_do_no_harm(text in "[ab\u{e000}-\u{e004}]{0,20}") {
            if let Ok(clean) = clean(&text) {
                prop_assert!(!is_marked(&clean.text));
            }
            let _ = outside(&text, str::to_uppercase);
        }
    }
}
