//! What is noted of a resource while it is read, so that no later step walks it again (`connectors.sdk.model.Findings`).

use std::collections::HashMap;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyString};

/// What Python lends: how a number that isn't a plain integer is read, which systems mean NHS numbers, and the class.
#[derive(FromPyObject)]
pub struct Outside {
    pub read_number: Py<PyAny>,
    means_nhs_number: Py<PyAny>,
    findings: Py<PyAny>,
}

type Deep<'py> = Vec<(usize, Bound<'py, PyAny>)>;

/// The findings of one resource, on their way. The walk goes by levels, so each is noted with its depth.
#[derive(Default)]
pub struct Found<'py> {
    references: Deep<'py>,
    logical: Deep<'py>,
    codings: Deep<'py>,
    numbers: Vec<Bound<'py, PyAny>>,
    states_type: bool,
}

/// Those members of an object that findings are made of.
#[derive(Default)]
pub struct Telling<'py> {
    is_reference: bool,
    of_type: Option<Bound<'py, PyAny>>,
    system: Option<Bound<'py, PyAny>>,
    code: Option<Bound<'py, PyAny>>,
    value: Option<Bound<'py, PyAny>>,
}

impl<'py> Telling<'py> {
    /// Note a member by the place of its name: the tables have these five first.
    pub fn note(&mut self, place: usize, value: &Bound<'py, PyAny>) {
        match place {
            0 => self.is_reference = true,
            1 => self.of_type = Some(value.clone()),
            2 => self.system = Some(value.clone()),
            3 => self.code = Some(value.clone()),
            4 => self.value = Some(value.clone()),
            _ => {}
        }
    }
}

/// Which systems mean NHS numbers, as far as one body has shown them.
pub type Systems = HashMap<String, bool>;

impl<'py> Found<'py> {
    /// An object at this depth was read whole.
    pub fn add(
        &mut self,
        node: &Bound<'py, PyDict>,
        depth: usize,
        telling: Telling<'py>,
        outside: &Outside,
        systems: &mut Systems,
    ) -> PyResult<()> {
        if telling.is_reference {
            self.references.push((depth, node.clone().into_any()));
        } else if let Some(Ok(kind)) = telling.of_type.as_ref().map(|kind| kind.cast::<PyString>()) {
            self.states_type = true;
            if kind.to_str()? == "Patient" {
                self.logical.push((depth, node.clone().into_any()));
            }
        }
        let Some(Ok(system)) = telling.system.as_ref().map(|system| system.cast::<PyString>()) else {
            return Ok(());
        };
        if let Some(Ok(code)) = telling.code.as_ref().map(|code| code.cast::<PyString>()) {
            self.codings.push((depth, (system, code).into_pyobject(node.py())?.into_any()));
        }
        if let Some(value) = &telling.value
            && means_nhs_number(system, outside, systems)?
        {
            self.numbers.push(value.str()?.into_any());
        }
        Ok(())
    }

    /// As Python's `Findings`.
    pub fn made(self, resource: &Bound<'py, PyDict>, outside: &Outside) -> PyResult<Bound<'py, PyAny>> {
        let py = resource.py();
        outside.findings.bind(py).call1((
            by_level(py, self.references)?,
            by_level(py, self.logical)?,
            by_level(py, self.codings)?,
            security(resource)?,
            PySet::new(py, self.numbers)?,
            self.states_type,
        ))
    }
}

/// In the order of a walk by levels: the sort is stable, and nodes of one level don't hold each other.
fn by_level<'py>(py: Python<'py>, mut found: Deep<'py>) -> PyResult<Bound<'py, PyList>> {
    if found.len() > 1 {
        found.sort_by_key(|(depth, _)| *depth);
    }
    PyList::new(py, found.into_iter().map(|(_, node)| node))
}

fn means_nhs_number(system: &Bound<'_, PyString>, outside: &Outside, systems: &mut Systems) -> PyResult<bool> {
    let name = system.to_str()?;
    if let Some(known) = systems.get(name) {
        return Ok(*known);
    }
    let means = outside.means_nhs_number.bind(system.py()).call1((system,))?.is_truthy()?;
    systems.insert(name.to_owned(), means);
    Ok(means)
}

/// The (system, code) of every label in `meta.security`, of contained resources too.
fn security<'py>(resource: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyList>> {
    let py = resource.py();
    let labels = PyList::empty(py);
    add_security(resource, &labels)?;
    if let Some(contained) = resource.get_item(intern!(py, "contained"))? {
        for holder in objects(&contained) {
            add_security(&holder, &labels)?;
        }
    }
    Ok(labels)
}

fn add_security<'py>(holder: &Bound<'py, PyDict>, labels: &Bound<'py, PyList>) -> PyResult<()> {
    let py = holder.py();
    let Some(meta) = holder.get_item(intern!(py, "meta"))? else { return Ok(()) };
    let Ok(meta) = meta.cast::<PyDict>() else { return Ok(()) };
    let Some(stated) = meta.get_item(intern!(py, "security"))? else { return Ok(()) };
    for label in objects(&stated) {
        let part = |name: &Bound<'py, PyString>| match label.get_item(name)? {
            Some(value) => value.str(),
            None => Ok(PyString::new(py, "")),
        };
        labels.append((part(intern!(py, "system"))?, part(intern!(py, "code"))?))?;
    }
    Ok(())
}

fn objects<'py>(value: &Bound<'py, PyAny>) -> Vec<Bound<'py, PyDict>> {
    match value.cast::<PyList>() {
        Ok(list) => list.iter().filter_map(|entry| entry.cast_into::<PyDict>().ok()).collect(),
        Err(_) => Vec::new(),
    }
}
