//! A line in words: bare ones, quoted ones, and the `:` and `,` at the end of bare ones.

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    Word(String),
    /// Between quotation marks; bytes, as `\xff` need not be text.
    Text(Vec<u8>),
    Colon,
    Comma,
}

pub(super) fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('#') {
            break;
        } else if let Some(after) = rest.strip_prefix('"') {
            let (text, after) = quoted(after)?;
            tokens.push(Token::Text(text));
            rest = after;
        } else if let Some(after) = rest.strip_prefix(',') {
            tokens.push(Token::Comma);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(':') {
            tokens.push(Token::Colon);
            rest = after;
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || c == ',' || c == '"')
                .unwrap_or(rest.len());
            let mut word = &rest[..end];
            // `a:` is a word and a colon; `a:b` is one word.
            if let Some(before) = word.strip_suffix(':') {
                word = before;
            }
            tokens.push(Token::Word(word.to_owned()));
            rest = &rest[word.len()..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

fn quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut bytes = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((bytes, &text[at + 1..])),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => bytes.push(b'\n'),
                Some('t') => bytes.push(b'\t'),
                Some('0') => bytes.push(0),
                Some(c @ ('"' | '\\' | '*')) => bytes.extend(c.to_string().bytes()),
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits} is no byte"))?);
                }
                Some('u') => {
                    let digits: String = chars.by_ref().skip(1).map(|(_, c)| c).take_while(|c| *c != '}').collect();
                    let c = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    bytes.extend(
                        c.ok_or_else(|| format!("\\u{{{digits}}} is no character"))?
                            .to_string()
                            .bytes(),
                    );
                }
                other => return Err(format!("\\{} is no escape", other.map(String::from).unwrap_or_default())),
            },
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Err("a quotation mark is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_texts() {
        let text = |t: &str| Token::Text(t.as_bytes().to_vec());
        let word = |w: &str| Token::Word(w.to_owned());
        assert_eq!(
            tokens("a: write x/y \"1 \\\"\\n\"").unwrap(),
            [word("a"), Token::Colon, word("write"), word("x/y"), text("1 \"\n")]
        );
        assert_eq!(
            tokens("d/, l -> t").unwrap(),
            [word("d/"), Token::Comma, word("l"), word("->"), word("t")]
        );
        assert_eq!(tokens("\"\\u{1F600}\" # said").unwrap(), [text("😀")]);
        assert!(tokens("\"open").is_err());
    }
}
