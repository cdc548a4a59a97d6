//! JSON strings: where they end, and what their escapes mean.

use crate::{GiveUp, Read};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const WORD: usize = size_of::<u64>();

/// The place of the first quote, backslash or control character at or after `from`; the end where there is none.
pub fn plain_until(bytes: &[u8], mut from: usize) -> usize {
    while let Some(word) = bytes.get(from..from + WORD) {
        let stops = stops_in(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        if stops != 0 {
            return from + (stops.trailing_zeros() / 8) as usize;
        }
        from += WORD;
    }
    from + bytes[from..]
        .iter()
        .position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')
        .unwrap_or(bytes.len() - from)
}

/// The high bit of each byte that ends plain text. Above the lowest such bit there may be others that mean nothing.
fn stops_in(word: u64) -> u64 {
    let quotes = word ^ (ONES * u64::from(b'"'));
    let slashes = word ^ (ONES * u64::from(b'\\'));
    let below = word.wrapping_sub(ONES * u64::from(b' ')) & !word;
    ((quotes.wrapping_sub(ONES) & !quotes) | (slashes.wrapping_sub(ONES) & !slashes) | below) & HIGH
}

/// The text of a string that begins at `from` (behind its quote) and has escapes, and the place behind its end.
pub fn unescaped(text: &str, from: usize) -> Read<(String, usize)> {
    let bytes = text.as_bytes();
    let mut said = String::new();
    let mut at = from;
    loop {
        let stop = plain_until(bytes, at);
        said.push_str(&text[at..stop]);
        match bytes.get(stop) {
            Some(b'"') => return Ok((said, stop + 1)),
            Some(b'\\') => {
                let (character, behind) = escape(text, stop + 1)?;
                said.push(character);
                at = behind;
            }
            _ => return Err(GiveUp),
        }
    }
}

/// What the escape at `at` (behind its backslash) means, and the place behind it. Half a surrogate pair is none.
fn escape(text: &str, at: usize) -> Read<(char, usize)> {
    let plain = match text.as_bytes().get(at) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unit_or_pair(text, at + 1),
        _ => return Err(GiveUp),
    };
    Ok((plain, at + 1))
}

fn unit_or_pair(text: &str, at: usize) -> Read<(char, usize)> {
    let first = unit(text, at)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, at + 4));
    }
    if text.as_bytes().get(at + 4..at + 6) != Some(b"\\u") {
        return Err(GiveUp);
    }
    let second = unit(text, at + 6)?;
    if !(0xD800..0xDC00).contains(&first) || !(0xDC00..0xE000).contains(&second) {
        return Err(GiveUp);
    }
    let point = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Ok((char::from_u32(point).ok_or(GiveUp)?, at + 10))
}

fn unit(text: &str, at: usize) -> Read<u32> {
    let digits = text.as_bytes().get(at..at + 4).ok_or(GiveUp)?;
    digits.iter().try_fold(0, |number, &digit| {
        let value = char::from(digit).to_digit(16).ok_or(GiveUp)?;
        Ok(number * 16 + value)
    })
}
