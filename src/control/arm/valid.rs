//! What was made, as the resource's own type takes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::api::ApplicationGatewaySpec;
use crate::arm::notes::Notes;
use crate::source::typed;

/// The typed resource. What it does not take is left out and told of.
pub(super) fn valid(
    spec: &mut Map<String, Value>,
    sources: &BTreeMap<String, (String, u32)>,
    notes: &mut Notes,
) -> ApplicationGatewaySpec {
    let mut removed = Removed::default();
    // Each turn takes something out.
    loop {
        match typed(Value::Object(spec.clone())) {
            Ok(typed) => return typed,
            Err((path, why)) => {
                let original = removed.original(&path);
                let (source, line) = nearest(sources, &original);
                notes.left_out(line, &source, format!("left out: {why}"));
                if !remove(spec, &path, &mut removed) {
                    spec.clear();
                }
                spec.retain(|_, field| field.as_array().is_none_or(|items| !items.is_empty()));
            }
        }
    }
}

/// Items that were taken out of lists, by the list's first path.
#[derive(Default)]
struct Removed(BTreeMap<String, BTreeSet<usize>>);

impl Removed {
    /// What the path of something was before anything was taken out.
    fn original(&self, path: &str) -> String {
        let mut original = String::new();
        for piece in path.split_inclusive(']') {
            let Some((before, index)) = piece.strip_suffix(']').and_then(|p| p.rsplit_once('['))
            else {
                original.push_str(piece);
                continue;
            };
            original.push_str(before);
            let mut index: usize = index.parse().unwrap_or(0);
            for taken in self.0.get(&original).into_iter().flatten() {
                index += usize::from(*taken <= index);
            }
            original.push_str(&format!("[{index}]"));
        }
        original
    }
}

/// Where something comes from, or what is around it.
fn nearest(sources: &BTreeMap<String, (String, u32)>, path: &str) -> (String, u32) {
    let mut path = path;
    loop {
        if let Some(found) = sources.get(path) {
            return found.clone();
        }
        match path.rfind(['.', '[']) {
            Some(end) => path = &path[..end],
            None => return (String::new(), 1),
        }
    }
}

/// Takes out the innermost item of a list that a path goes through, or else the field; whether there
/// was one.
fn remove(spec: &mut Map<String, Value>, path: &str, removed: &mut Removed) -> bool {
    let Some(end) = path.rfind(']') else {
        let field = path.split('.').next().unwrap_or_default();
        return spec.remove(field).is_some();
    };
    let original = removed.original(&path[..=end]);
    let Some((list, index)) = path[..end].rsplit_once('[') else { return false };
    let Ok(index) = index.parse::<usize>() else { return false };
    let mut steps = list.split(['.', '[']).map(|step| step.trim_end_matches(']'));
    let first = steps.next().and_then(|first| spec.get_mut(first));
    let found = steps.fold(first, |value, step| match value? {
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get_mut(step),
        _ => None,
    });
    let Some(items) = found.and_then(Value::as_array_mut).filter(|items| index < items.len())
    else {
        return false;
    };
    items.remove(index);
    if let Some((list, index)) = original.trim_end_matches(']').rsplit_once('[') {
        removed.0.entry(list.to_owned()).or_default().extend(index.parse::<usize>());
    }
    true
}
