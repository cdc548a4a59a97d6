//! One pass over the text: JSON into Python's own objects, by the tables.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString};

use crate::findings::{Found, Outside, Systems, Telling};
use crate::tables::{Kind, OPEN, Tables};
use crate::text::{plain_until, unescaped};
use crate::{GiveUp, Read};

/// As `bundle.MAX_DEPTH`: levels of a resource, itself the first.
const MAX_DEPTH: usize = 64;
/// As `bundle.MAX_RESOURCE_BYTES`.
const MAX_RESOURCE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a text that is kept once for a whole body.
const LONGEST_SHARED: usize = 48;
/// No number of so many digits overflows.
const MOST_DIGITS: usize = 18;

/// A body on its way.
pub struct Parser<'a, 'py> {
    py: Python<'py>,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    tables: &'a Tables,
    outside: &'a Outside,
    systems: Systems,
    found: Option<Found<'py>>,
    said: HashMap<&'a str, Bound<'py, PyString>>,
    resources_left: usize,
}

impl<'a, 'py> Parser<'a, 'py> {
    pub fn new(py: Python<'py>, text: &'a str, tables: &'a Tables, outside: &'a Outside, most: usize) -> Self {
        let bytes = text.as_bytes();
        let systems = Systems::default();
        Parser {
            py,
            text,
            bytes,
            at: 0,
            tables,
            outside,
            systems,
            found: None,
            said: HashMap::new(),
            resources_left: most,
        }
    }

    /// The one value that the text is.
    pub fn whole(mut self, kind: &Kind) -> Read<Bound<'py, PyAny>> {
        let value = self.value(kind, 1)?;
        self.skip_space();
        if self.at == self.bytes.len() { Ok(value) } else { Err(GiveUp) }
    }

    fn value(&mut self, kind: &Kind, depth: usize) -> Read<Bound<'py, PyAny>> {
        let first = self.next_byte()?;
        match (kind, first) {
            (Kind::OrNull(_), b'n') => self.literal("null", self.py.None().into_bound(self.py)),
            (Kind::OrNull(inner), _) => self.value(inner, depth),
            (Kind::Resource, b'{') => self.resource(),
            (Kind::Object(node), b'{') => Ok(self.object(*node, depth)?.into_any()),
            (Kind::List(inner), b'[') => self.list(inner, depth),
            (Kind::Text | Kind::Any, b'"') => Ok(self.string()?.into_any()),
            (Kind::SomeText, b'"') => {
                let text = self.string()?;
                if text.len()? == 0 { Err(GiveUp) } else { Ok(text.into_any()) }
            }
            (Kind::Any, b'{') => Ok(self.object(OPEN, depth)?.into_any()),
            (Kind::Any, b'[') => self.list(&Kind::Any, depth),
            (Kind::Any, b'n') => self.literal("null", self.py.None().into_bound(self.py)),
            (Kind::Flag | Kind::Any, b't') => self.literal("true", self.flag(true)),
            (Kind::Flag | Kind::Any, b'f') => self.literal("false", self.flag(false)),
            (Kind::Natural, b'0'..=b'9') => self.number(true),
            (Kind::Integer, b'-' | b'0'..=b'9') => self.number(true),
            (Kind::Number | Kind::Any, b'-' | b'0'..=b'9') => self.number(false),
            _ => Err(GiveUp),
        }
    }

    /// A resource and its findings, as a pair.
    fn resource(&mut self) -> Read<Bound<'py, PyAny>> {
        self.resources_left = self.resources_left.checked_sub(1).ok_or(GiveUp)?;
        let from = self.at;
        let node = self.node_of_resource()?;
        self.found = Some(Found::default());
        let resource = self.object(node, 1)?;
        let found = self.found.take().ok_or(GiveUp)?;
        if self.at - from > MAX_RESOURCE_BYTES {
            return Err(GiveUp);
        }
        let findings = found.made(&resource, self.outside)?;
        Ok((resource, findings).into_pyobject(self.py)?.into_any())
    }

    /// The table of the resource that begins here. Where its type doesn't come first, the resource is read twice.
    fn node_of_resource(&mut self) -> Read<usize> {
        let from = self.at;
        self.at += 1;
        let first = if self.next_byte()? == b'"' { self.name()? } else { return Err(GiveUp) };
        let kind = if first == "resourceType" {
            self.colon()?;
            if self.next_byte()? == b'"' { self.string()? } else { return Err(GiveUp) }
        } else {
            self.at = from;
            let resource = self.object(OPEN, 1)?;
            resource.get_item("resourceType")?.ok_or(GiveUp)?.cast_into().map_err(|_| GiveUp)?
        };
        self.at = from;
        Ok(self.tables.of_resource(kind.to_str()?))
    }

    /// The object that begins here. A name that stands twice leaves fewer members than were read.
    fn object(&mut self, node: usize, depth: usize) -> Read<Bound<'py, PyDict>> {
        if depth > MAX_DEPTH {
            return Err(GiveUp);
        }
        let tables = self.tables;
        let shape = tables.node(node);
        let made = PyDict::new(self.py);
        let mut telling = Telling::default();
        let (mut count, mut present) = (0, 0);
        self.at += 1;
        if self.next_byte()? == b'}' {
            self.at += 1;
        } else {
            loop {
                if self.next_byte()? != b'"' {
                    return Err(GiveUp);
                }
                let name = self.name()?;
                let word = tables.word(name.as_bytes());
                let (kind, bit) = shape.element(word);
                self.colon()?;
                let value = self.value(kind, depth + 1)?;
                match word {
                    Some(word) => {
                        made.set_item(word.text.bind(self.py), &value)?;
                        telling.note(word.place, &value);
                    }
                    None => made.set_item(name, &value)?,
                }
                present |= bit;
                count += 1;
                if !self.goes_on(b'}')? {
                    break;
                }
            }
        }
        if made.len() != count || !shape.is_whole(present) {
            return Err(GiveUp);
        }
        if let Some(found) = &mut self.found {
            found.add(&made, depth, telling, self.outside, &mut self.systems)?;
        }
        Ok(made)
    }

    fn list(&mut self, kind: &Kind, depth: usize) -> Read<Bound<'py, PyAny>> {
        if depth > MAX_DEPTH {
            return Err(GiveUp);
        }
        let mut members = Vec::new();
        self.at += 1;
        if self.next_byte()? == b']' {
            self.at += 1;
        } else {
            loop {
                members.push(self.value(kind, depth + 1)?);
                if !self.goes_on(b']')? {
                    break;
                }
            }
        }
        Ok(PyList::new(self.py, members)?.into_any())
    }

    /// A comma: true. The end: false.
    fn goes_on(&mut self, end: u8) -> Read<bool> {
        let next = self.next_byte()?;
        self.at += 1;
        match next {
            b',' => Ok(true),
            _ if next == end => Ok(false),
            _ => Err(GiveUp),
        }
    }

    fn colon(&mut self) -> Read<()> {
        if self.next_byte()? != b':' {
            return Err(GiveUp);
        }
        self.at += 1;
        Ok(())
    }

    /// A member's name. One with an escape is for the reference: it may be another spelling of one that is there.
    fn name(&mut self) -> Read<&'a str> {
        let from = self.at + 1;
        let end = plain_until(self.bytes, from);
        if self.bytes.get(end) != Some(&b'"') {
            return Err(GiveUp);
        }
        self.at = end + 1;
        Ok(&self.text[from..end])
    }

    fn string(&mut self) -> Read<Bound<'py, PyString>> {
        let from = self.at + 1;
        let end = plain_until(self.bytes, from);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(self.plain(&self.text[from..end]));
        }
        let (text, behind) = unescaped(self.text, from)?;
        self.at = behind;
        Ok(PyString::new(self.py, &text))
    }

    /// A text of its own; short ones, which records repeat all the time (systems, codes, units), once in a body.
    fn plain(&mut self, text: &'a str) -> Bound<'py, PyString> {
        if text.len() > LONGEST_SHARED {
            return PyString::new(self.py, text);
        }
        let py = self.py;
        self.said.entry(text).or_insert_with(|| PyString::new(py, text)).clone()
    }

    /// A number. One that isn't a plain integer is read by Python, digit by digit.
    fn number(&mut self, integer: bool) -> Read<Bound<'py, PyAny>> {
        let from = self.at;
        if self.bytes[from] == b'-' {
            self.at += 1;
        }
        let digits = self.digits()?;
        if digits > 1 && self.bytes[self.at - digits] == b'0' {
            return Err(GiveUp);
        }
        if !matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E')) {
            let text = &self.text[from..self.at];
            if digits > MOST_DIGITS || text == "-0" {
                return Err(GiveUp);
            }
            let number: i64 = text.parse().map_err(|_| GiveUp)?;
            return Ok(number.into_pyobject(self.py).map_err(|_| GiveUp)?.into_any());
        }
        if integer {
            return Err(GiveUp);
        }
        self.fraction_and_exponent()?;
        Ok(self.outside.read_number.bind(self.py).call1((&self.text[from..self.at],))?)
    }

    fn fraction_and_exponent(&mut self) -> Read<()> {
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// How many digits there are: at least one.
    fn digits(&mut self) -> Read<usize> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(GiveUp) } else { Ok(count) }
    }

    fn flag(&self, value: bool) -> Bound<'py, PyAny> {
        PyBool::new(self.py, value).to_owned().into_any()
    }

    fn literal(&mut self, word: &str, value: Bound<'py, PyAny>) -> Read<Bound<'py, PyAny>> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(GiveUp);
        }
        self.at += word.len();
        Ok(value)
    }

    /// The next byte that isn't white space.
    fn next_byte(&mut self) -> Read<u8> {
        self.skip_space();
        self.bytes.get(self.at).copied().ok_or(GiveUp)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }
}
