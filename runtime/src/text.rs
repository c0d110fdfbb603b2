//! Texts of configs, hooks and other programs, as they may be shown: no control character reaches a terminal as it is.

use std::borrow::Cow;

/// The text with its control characters spelled out, so that it is one line: `\n`, `\t`, `\u{1b}`.
pub fn on_one_line(text: &str) -> Cow<'_, str> {
    spelled_out(text, |_| false)
}

/// The text with all control characters but line ends and tabs spelled out.
pub fn harmless(text: &str) -> Cow<'_, str> {
    spelled_out(text, |c| matches!(c, '\n' | '\t'))
}

fn spelled_out(text: &str, kept: fn(char) -> bool) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && !kept(c);
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// The end of a text of more than `bytes_max` bytes, marked as cut.
pub fn end_of(text: &str, bytes_max: usize) -> Cow<'_, str> {
    let mut from = text.len().saturating_sub(bytes_max);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    if from == 0 { Cow::Borrowed(text) } else { Cow::Owned(format!("…{}", &text[from..])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(on_one_line("a\nb\t\u{1b}[31m \u{9b}\u{7f}ü\\"), "a\\nb\\t\\u{1b}[31m \\u{9b}\\u{7f}ü\\");
        assert_eq!(harmless("a\nb\t\u{1b}\r"), "a\nb\t\\u{1b}\\r");
        assert!(matches!(harmless("as it is\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_end_of_a_long_text_is_kept() {
        assert_eq!(end_of("short", 5), "short");
        assert_eq!(end_of("begin end", 3), "…end");
        assert_eq!(end_of("üü", 3), "…ü");
    }
}
