//! Lists of numbers as the kernel writes them, of CPUs and of memory nodes: `0-3,7`.

/// The numbers of a list; `None` for any other text.
///
/// Source: cpuset(7), "List format".
pub fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= END {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// Digits alone: `parse` would take a sign too.
fn number(text: &str) -> Option<usize> {
    let has_others = text.bytes().any(|byte| !byte.is_ascii_digit());
    if has_others { None } else { text.parse().ok() }
}

/// The kernel supports this many CPUs at most, and fewer memory nodes.
const END: usize = 8192;

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn lists_of_numbers_and_of_ranges() {
        assert_eq!(numbers("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(numbers("\n"), Some(vec![]));
    }

    #[test]
    fn ranges_that_are_none() {
        for list in ["3-1", "0-99999999", "a", "1-", "-1", "1:2", "+1", "1-+2", "0 - 1", "-", "\u{661}"] {
            assert_eq!(numbers(list), None, "{list}");
        }
    }
}
