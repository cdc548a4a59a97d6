//! The shapes of FHIR R4's resources, as tables: which elements an object has, of which kind, and which must be there.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// The node of an object of which nothing is known.
pub const OPEN: usize = 0;
const NO_FIELD: u8 = u8::MAX;
const MOST_FIELDS: usize = 128;

/// What a value must be.
#[derive(Clone)]
pub enum Kind {
    Any,
    Text,
    SomeText,
    Flag,
    Integer,
    Natural,
    Number,
    Object(usize),
    List(Box<Kind>),
    OrNull(Box<Kind>),
    Resource,
}

/// An object: its elements, those that must be there, one of each that must be, and those of which one may be.
pub struct Node {
    field_of: Vec<u8>,
    kinds: Vec<Kind>,
    required: u128,
    needed: Vec<u128>,
    single: Vec<u128>,
}

/// A name that an element has: the place in the tables and the text itself, made once.
pub struct Word {
    pub place: usize,
    pub text: Py<PyString>,
}

/// As Python describes a node: elements with their kinds, the required ones, the groups needed, the groups of one.
pub type Described<'py> = (Vec<(String, Bound<'py, PyAny>)>, Vec<String>, Vec<Vec<String>>, Vec<Vec<String>>);

/// All of them.
pub struct Tables {
    words: HashMap<Box<[u8]>, Word, BuildHasherDefault<Fnv>>,
    nodes: Vec<Node>,
    roots: HashMap<String, usize>,
    pub bundle: usize,
}

impl Tables {
    pub fn new(described: Vec<Described<'_>>, roots: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = roots.py();
        let mut words: HashMap<Box<[u8]>, Word, BuildHasherDefault<Fnv>> = HashMap::default();
        let named = described.iter().flat_map(|(fields, ..)| fields.iter().map(|(name, _)| name.as_str()));
        for name in ["reference", "type", "system", "code", "value"].into_iter().chain(named) {
            let place = words.len();
            let text = || PyString::intern(py, name).unbind();
            words.entry(name.as_bytes().into()).or_insert_with(|| Word { place, text: text() });
        }
        let nodes = described.iter().map(|one| Node::new(one, &words)).collect::<PyResult<Vec<_>>>()?;
        let roots: HashMap<String, usize> = roots.extract()?;
        if roots.values().any(|&root| root >= nodes.len()) || nodes.iter().any(|node| !node.is_within(nodes.len())) {
            return Err(PyValueError::new_err("a kind names a node that isn't there"));
        }
        let bundle = *roots.get("Bundle").ok_or_else(|| PyValueError::new_err("no Bundle"))?;
        Ok(Tables { words, nodes, roots, bundle })
    }

    pub fn word(&self, name: &[u8]) -> Option<&Word> {
        self.words.get(name)
    }

    pub fn node(&self, place: usize) -> &Node {
        &self.nodes[place]
    }

    /// The node of a type of resource; the open one for a type that has no table.
    pub fn of_resource(&self, resource_type: &str) -> usize {
        if resource_type == "Bundle" { OPEN } else { self.roots.get(resource_type).copied().unwrap_or(OPEN) }
    }
}

impl Node {
    fn new(
        (fields, required, needed, single): &Described<'_>,
        words: &HashMap<Box<[u8]>, Word, BuildHasherDefault<Fnv>>,
    ) -> PyResult<Self> {
        if fields.len() > MOST_FIELDS {
            return Err(PyValueError::new_err("an object with more elements than a mask has bits"));
        }
        let mut field_of = vec![NO_FIELD; if fields.is_empty() { 0 } else { words.len() }];
        let mut kinds = Vec::with_capacity(fields.len());
        for (place, (name, kind)) in fields.iter().enumerate() {
            field_of[words[name.as_bytes()].place] = place as u8;
            kinds.push(Kind::new(kind)?);
        }
        let mask = |names: &Vec<String>| -> u128 {
            names
                .iter()
                .filter_map(|name| fields.iter().position(|(field, _)| field == name))
                .fold(0, |bits, place| bits | 1 << place)
        };
        Ok(Node {
            field_of,
            kinds,
            required: mask(required),
            needed: needed.iter().map(mask).collect(),
            single: single.iter().map(mask).collect(),
        })
    }

    /// The kind of an element, and its bit; Any and no bit for one that isn't known.
    pub fn element(&self, word: Option<&Word>) -> (&Kind, u128) {
        let place = word.and_then(|word| self.field_of.get(word.place)).copied().unwrap_or(NO_FIELD);
        if place == NO_FIELD { (&Kind::Any, 0) } else { (&self.kinds[place as usize], 1 << place) }
    }

    /// True where these elements make a whole object.
    pub fn is_whole(&self, present: u128) -> bool {
        present & self.required == self.required
            && self.needed.iter().all(|group| present & group != 0)
            && self.single.iter().all(|group| (present & group).count_ones() <= 1)
    }

    fn is_within(&self, nodes: usize) -> bool {
        self.kinds.iter().all(|kind| kind.is_within(nodes))
    }
}

impl Kind {
    /// A word, or a pair of a word and what it's about. Raises ValueError for another.
    fn new(described: &Bound<'_, PyAny>) -> PyResult<Kind> {
        if let Ok((word, about)) = described.extract::<(String, Bound<'_, PyAny>)>() {
            return match word.as_str() {
                "object" => Ok(Kind::Object(about.extract()?)),
                "list" => Ok(Kind::List(Box::new(Kind::new(&about)?))),
                "or-null" => Ok(Kind::OrNull(Box::new(Kind::new(&about)?))),
                _ => Err(PyValueError::new_err(format!("no such kind: {word}"))),
            };
        }
        match described.extract::<String>()?.as_str() {
            "any" => Ok(Kind::Any),
            "text" => Ok(Kind::Text),
            "some-text" => Ok(Kind::SomeText),
            "flag" => Ok(Kind::Flag),
            "integer" => Ok(Kind::Integer),
            "natural" => Ok(Kind::Natural),
            "number" => Ok(Kind::Number),
            "resource" => Ok(Kind::Resource),
            word => Err(PyValueError::new_err(format!("no such kind: {word}"))),
        }
    }

    fn is_within(&self, nodes: usize) -> bool {
        match self {
            Kind::Object(node) => *node < nodes,
            Kind::List(inner) | Kind::OrNull(inner) => inner.is_within(nodes),
            _ => true,
        }
    }
}

/// FNV-1a: quick on short names. The tables' names are ours alone, so nobody can make them collide.
#[derive(Default)]
pub struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
