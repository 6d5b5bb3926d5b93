//! Addresses of a gateway, which a cluster gives in its own way.

use crate::arm::node::Node;
use crate::arm::notes::Notes;
use crate::arm::walk::flat;

const INTERNAL: &str = "if it must not be reached from outside, its Service needs the annotation that \
                        makes your load balancer internal: add it to serviceAnnotations";

/// Tells what becomes of each address.
pub(super) fn tell(fields: &[(&str, &Node, String)], notes: &mut Notes) {
    let is_it =
        |(name, ..): &&(&str, &Node, String)| name.eq_ignore_ascii_case("frontendIPConfigurations");
    let Some((_, list, path)) = fields.iter().find(is_it) else { return };
    for (index, item) in list.list().unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        let fields = flat(item, &path);
        let find = |name: &str| fields.iter().find(|(its, ..)| its.eq_ignore_ascii_case(name));
        let address = find("privateIPAddress").and_then(|(_, node, _)| node.text());
        if let Some((_, node, path)) =
            find("publicIPAddress").filter(|(_, node, _)| node.map().is_some())
        {
            let why = "the cluster's load balancer gives the address: point DNS to the new one";
            notes.tell(node.line, path, why);
        } else if let Some(address) = address.filter(|address| !address.is_empty()) {
            let why = format!(
                "`tidegate serve` listens on {address}, and in a cluster its load balancer is asked \
                 for it; {INTERNAL}"
            );
            notes.tell(item.line, &path, why);
        } else if find("subnet").is_some() {
            notes.tell(item.line, &path, format!("the cluster gives the address; {INTERNAL}"));
        }
    }
}
