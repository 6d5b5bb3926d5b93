//! Which Ingresses are ours.

use crate::problem::{ObjectRef, Severity};
use crate::resources::{Ingress, Resources};
use crate::translate::Finding;
use crate::translate::findings::INGRESS;
use crate::translate::ingress::{IngressOptions, WithoutClass};

/// Our Ingresses, the oldest first.
pub(super) fn ours<'a>(
    resources: &'a Resources,
    options: &IngressOptions,
    findings: &mut Vec<Finding>,
) -> Vec<&'a Ingress> {
    let mut ours = Vec::new();
    for ingress in resources.ingresses.iter().map(|item| &*item.resource) {
        match &ingress.class {
            Some(class) if *class == options.class => ours.push(ingress),
            Some(class) => findings.extend(foreign(ingress, class, options)),
            None if is_default(resources, options) => ours.push(ingress),
            None => {}
        }
    }
    ours.sort_by_key(|ingress| (ingress.created.unwrap_or(i64::MAX), &ingress.name));
    ours
}

fn is_default(resources: &Resources, options: &IngressOptions) -> bool {
    match options.without_class {
        WithoutClass::Ours => true,
        WithoutClass::ByDefaultClass => resources.ingress_classes.iter().any(|class| {
            class.name == options.class && class.controller == options.controller && class.default
        }),
    }
}

/// In files an Ingress that nobody serves is worth a word; in a cluster it is another's.
fn foreign(ingress: &Ingress, class: &str, options: &IngressOptions) -> Option<Finding> {
    (options.without_class == WithoutClass::Ours).then(|| Finding {
        object: ObjectRef::of(INGRESS, &ingress.name),
        severity: Severity::Warning,
        path: "spec.ingressClassName".into(),
        why: format!("it is left out: its class is {class:?}, and {:?} is served", options.class),
        unresolved: false,
    })
}
