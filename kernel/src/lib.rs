//! Reads a source's FHIR JSON in one pass: decoded, checked against R4's shape, doubled keys found, and everything noted
//! that later steps ask about.
//!
//! The Python in `connectors/sdk/bundle.py` is the reference: this reads only what is well in every way. At the first
//! thing that isn't (JSON that is broken, a doubled key, a broken shape, a bound that is passed, an odd number) it gives
//! up and returns None, and the reference decides what that means. So it can't refuse anything by itself.

mod findings;
mod parser;
mod tables;
mod text;

use findings::Outside;
use parser::Parser;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tables::{Kind, Tables};

/// Nothing more is known here than that the reference must look.
struct GiveUp;

impl From<PyErr> for GiveUp {
    fn from(_: PyErr) -> Self {
        GiveUp
    }
}

type Read<T> = Result<T, GiveUp>;

/// The reader, with the tables of R4's shapes.
#[pyclass(frozen)]
struct Kernel {
    tables: Tables,
    outside: Outside,
}

#[pymethods]
impl Kernel {
    /// `nodes` and `roots` as `connectors/sdk/kernel.py` makes them. Raises ValueError for tables that can't be used.
    #[new]
    fn new(nodes: Vec<tables::Described<'_>>, roots: Bound<'_, PyDict>, outside: Outside) -> PyResult<Self> {
        Ok(Kernel { tables: Tables::new(nodes, &roots)?, outside })
    }

    /// A Bundle as a dict, where each entry's `resource` is a pair: the resource, and its findings. None where the
    /// reference must look.
    fn bundle<'py>(&self, py: Python<'py>, body: &[u8], most: usize) -> Option<Bound<'py, PyAny>> {
        self.read(py, body, &Kind::Object(self.tables.bundle), most)
    }

    /// A resource and its findings. None where the reference must look.
    fn resource<'py>(&self, py: Python<'py>, body: &[u8]) -> Option<Bound<'py, PyAny>> {
        self.read(py, body, &Kind::Resource, 1)
    }

    /// A JSON object of whatever shape. None where the reference must look.
    fn object<'py>(&self, py: Python<'py>, body: &[u8]) -> Option<Bound<'py, PyAny>> {
        self.read(py, body, &Kind::Object(tables::OPEN), 0)
    }
}

impl Kernel {
    fn read<'py>(&self, py: Python<'py>, body: &[u8], kind: &Kind, most: usize) -> Option<Bound<'py, PyAny>> {
        let text = std::str::from_utf8(body).ok()?;
        Parser::new(py, text, &self.tables, &self.outside, most).whole(kind).ok()
    }
}

/// The module.
#[pymodule]
fn connect_care_kernel(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Kernel>()
}
