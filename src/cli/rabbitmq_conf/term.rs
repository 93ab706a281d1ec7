//! Erlang's terms, as far as RabbitMQ's files of them go: `[{rabbit, [{heartbeat, 60}]}].`

/// How deep lists and tuples may stand in each other.
const DEPTH_MAX: usize = 64;

/// A term, and the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a term is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// An atom, with quotes or without.
    Atom(String),
    Integer(i64),
    Float(f64),
    /// A string or a binary.
    Text(String),
    List(Vec<Term>),
    Tuple(Vec<Term>),
}

/// Why a text is no term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Malformed {
    pub(in crate::cli) line: usize,
    pub(in crate::cli) reason: &'static str,
}

/// Reads a file: one term with a dot behind it. Nothing at all is the empty list.
pub(super) fn file(text: &str) -> Result<Term, Malformed> {
    let mut reader = Reader::of(text);
    reader.skip_blanks();
    if reader.rest().is_empty() {
        return Ok(Term { line: 1, value: Value::List(Vec::new()) });
    }
    let term = reader.term()?;
    if !reader.take(".") {
        return Err(reader.malformed("a dot is missing behind the term"));
    }
    reader.end()?;
    Ok(term)
}

/// Reads a term with nothing behind it.
pub(super) fn term(text: &str) -> Result<Term, Malformed> {
    let mut reader = Reader::of(text);
    let term = reader.term()?;
    reader.end()?;
    Ok(term)
}

struct Reader<'a> {
    text: &'a str,
    /// How much of it is read.
    at: usize,
    /// How much of it was searched for ends of lines, and how many there were.
    lines: (usize, usize),
    depth: usize,
}

impl<'a> Reader<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, at: 0, lines: (0, 0), depth: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn malformed(&mut self, reason: &'static str) -> Malformed {
        Malformed { line: self.line(), reason }
    }

    /// Counted from 1. What was searched is not searched again: files may be large.
    fn line(&mut self) -> usize {
        let (searched, found) = self.lines;
        self.lines = (self.at, found + self.text[searched..self.at].matches('\n').count());
        1 + self.lines.1
    }

    /// Blanks, and comments to the end of their lines.
    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            if !self.rest().starts_with('%') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// Takes these characters, if they are next.
    fn take(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let is_next = self.rest().starts_with(token);
        self.at += if is_next { token.len() } else { 0 };
        is_next
    }

    fn end(&mut self) -> Result<(), Malformed> {
        self.skip_blanks();
        match self.rest() {
            "" => Ok(()),
            _ => Err(self.malformed("there is more behind the term")),
        }
    }

    fn term(&mut self) -> Result<Term, Malformed> {
        self.skip_blanks();
        let line = self.line();
        let value = self.value()?;
        Ok(Term { line, value })
    }

    fn value(&mut self) -> Result<Value, Malformed> {
        match self.rest().chars().next() {
            Some('[') => Ok(Value::List(self.items("[", "]")?)),
            Some('{') => Ok(Value::Tuple(self.items("{", "}")?)),
            Some('"') => self.texts(),
            Some('<') => self.binary(),
            Some('\'') => Ok(Value::Atom(self.quoted('\'')?)),
            Some('a'..='z') => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
                Ok(Value::Atom(self.while_it(is_part).to_owned()))
            }
            Some('0'..='9' | '-' | '+') => self.number(),
            _ => {
                Err(self
                    .malformed("a term is missing here: an atom, a number, a text, [...] or {...}"))
            }
        }
    }

    fn items(&mut self, open: &str, close: &str) -> Result<Vec<Term>, Malformed> {
        self.take(open);
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.malformed("lists and tuples stand too deep in each other"));
        }
        let mut items = Vec::new();
        if !self.take(close) {
            loop {
                items.push(self.term()?);
                if self.take(close) {
                    break;
                }
                if !self.take(",") {
                    return Err(self.malformed("a comma or a closing bracket is missing here"));
                }
            }
        }
        self.depth -= 1;
        Ok(items)
    }

    /// Strings that follow each other are one.
    fn texts(&mut self) -> Result<Value, Malformed> {
        let mut text = String::new();
        while self.rest().starts_with('"') {
            text.push_str(&self.quoted('"')?);
            self.skip_blanks();
        }
        Ok(Value::Text(text))
    }

    /// `<<"text">>`, with or without `/utf8`, or `<<>>`.
    fn binary(&mut self) -> Result<Value, Malformed> {
        let reason = "a binary has to be a text: <<\"...\">>";
        if !self.take("<<") {
            return Err(self.malformed(reason));
        }
        self.skip_blanks();
        let text = match self.rest().starts_with('"') {
            true => self.texts()?,
            false => Value::Text(String::new()),
        };
        self.take("/utf8");
        if self.take(">>") { Ok(text) } else { Err(self.malformed(reason)) }
    }

    /// What stands between two such quotes.
    fn quoted(&mut self, quote: char) -> Result<String, Malformed> {
        let start = self.malformed("a quote is not closed");
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += at + c.len_utf8();
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 's')) => text.push(' '),
                    Some((_, other @ ('\\' | '\'' | '"' | '/' | '.'))) => text.push(other),
                    _ => return Err(Malformed { reason: "an escape is not known here", ..start }),
                },
                c => text.push(c),
            }
        }
        Err(start)
    }

    /// `60`, `1_000`, `16#FF`, `0.4`, `1.0e3`.
    fn number(&mut self) -> Result<Value, Malformed> {
        let wrong = self.malformed("this is no number");
        let digits =
            self.while_it(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '#'));
        let digits = digits.replace('_', "");
        // A dot with no digit behind it ends the file.
        let is_float = self
            .rest()
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_float {
            self.at += 1;
            let fraction = self.while_it(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+'));
            let number = format!("{digits}.{fraction}").parse().ok();
            let number = number.filter(|number: &f64| number.is_finite());
            return number.map(Value::Float).ok_or(wrong);
        }
        let number = match digits.split_once('#') {
            Some((base, digits)) => {
                let base = base.parse().ok().filter(|base| (2..=36).contains(base));
                base.and_then(|base| i64::from_str_radix(digits, base).ok())
            }
            None => digits.parse().ok(),
        };
        number.map(Value::Integer).ok_or(wrong)
    }

    fn while_it(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(term: &Term) -> String {
        let all = |terms: &[Term]| terms.iter().map(shown).collect::<Vec<_>>().join(",");
        match &term.value {
            Value::Atom(name) => name.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => format!("[{}]", all(items)),
            Value::Tuple(items) => format!("{{{}}}", all(items)),
        }
    }

    #[test]
    fn terms_are_read() {
        for (text, expected) in [
            ("[].", "[]"),
            ("% nothing\n", "[]"),
            (
                "[ {rabbit, [{heartbeat, 60} % comment\n, {a,'B c'}]} ] .\n% end",
                "[{rabbit,[{heartbeat,60},{a,B c}]}]",
            ),
            (
                "[<<\"guest\">>, <<>>, <<\"é\"/utf8>>, \"a\" \"b\", \"q\\\"\\\\\"].",
                r#"["guest","","é","ab","q\"\\"]"#,
            ),
            ("{0.4, -1, 1_000, 16#FF, 1.0e3, node@host}.", "{0.4,-1,1000,255,1000,node@host}"),
            ("5.", "5"),
        ] {
            assert_eq!(file(text).map(|term| shown(&term)), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_term_is_told_by_its_line() {
        for (text, line, reason) in [
            ("[\n{a,1}\n{b,2}].", 3, "a comma or a closing bracket is missing here"),
            ("[{a,1}]", 1, "a dot is missing behind the term"),
            ("[{a,1}]. x", 1, "there is more behind the term"),
            ("[\n\"a].", 2, "a quote is not closed"),
            ("[a,].", 1, "a term is missing here: an atom, a number, a text, [...] or {...}"),
            ("[<<1,2>>].", 1, "a binary has to be a text: <<\"...\">>"),
            ("#{a => 1}.", 1, "a term is missing here: an atom, a number, a text, [...] or {...}"),
            ("99999999999999999999.", 1, "this is no number"),
            ("\"\\x41\".", 1, "an escape is not known here"),
        ] {
            assert_eq!(file(text), Err(Malformed { line, reason }), "{text}");
        }
        let deep = "[".repeat(100_000);
        let reason = "lists and tuples stand too deep in each other";
        assert_eq!(file(&deep), Err(Malformed { line: 1, reason }));
    }

    proptest! {
        #[test]
        fn whatever_a_file_has_it_ends_well(text in r#"([\[\]{},."'<>%#_a-z0-9 \\é\n-]|<<"|">>){0,80}"#) {
            let _ = file(&text);
        }
    }
}
