//! The lines of `rabbitmq.conf`: `key = value`, as sysctl has them.

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Line {
    /// Counted from 1.
    pub(in crate::cli) number: usize,
    /// Key and value; none if the line is neither empty nor a comment nor `key = value`.
    pub(in crate::cli) entry: Option<(String, String)>,
}

/// The lines of a file that say something.
pub(in crate::cli) fn lines(text: &str) -> impl Iterator<Item = Line> {
    text.lines().zip(1..).filter_map(|(line, number)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        Some(Line { number, entry: entry(line) })
    })
}

fn entry(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), without_comment(value.trim()));
    let is_key = !key.is_empty() && !key.contains(char::is_whitespace);
    is_key.then(|| (key.to_owned(), value.to_owned()))
}

/// In quotes a value is what stands between them; else a `#` behind a space starts a comment.
fn without_comment(value: &str) -> &str {
    if let Some(quote @ ('\'' | '"')) = value.chars().next()
        && let Some(end) = value[1..].find(quote)
    {
        return &value[1..=end];
    }
    value.find(" #").map_or(value, |start| value[..start].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_keys_and_values() {
        let text = "# comment\n\n  listeners.tcp.default = 5673\n\
                    default_pass = 'a # b'\nlog.console=true # yes\ndefault_user = a=b\nnonsense\n= x\n";
        let entry = |number, key: &str, value: &str| Line {
            number,
            entry: Some((key.to_owned(), value.to_owned())),
        };
        assert_eq!(
            lines(text).collect::<Vec<_>>(),
            [
                entry(3, "listeners.tcp.default", "5673"),
                entry(4, "default_pass", "a # b"),
                entry(5, "log.console", "true"),
                entry(6, "default_user", "a=b"),
                Line { number: 7, entry: None },
                Line { number: 8, entry: None },
            ]
        );
    }
}
