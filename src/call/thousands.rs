//! Many digits as people read them: in threes, apart.

/// `12345` with `,` is `12,345`. Digits only; a sign or a point is for the caller.
pub fn apart(digits: &str, sign: char) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(sign);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threes_are_counted_from_the_end() {
        let said = ["", "7", "999", "1000", "1234567"].map(|digits| apart(digits, ','));
        assert_eq!(said, ["", "7", "999", "1,000", "1,234,567"]);
        assert_eq!(apart("1200000", ' '), "1 200 000");
    }
}
