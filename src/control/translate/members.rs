//! Pools: addresses, host names and endpoints of Services as members.

use std::collections::HashMap;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_model::{Hostname, Member, MemberState, ObjectName, Pool};

use crate::api::{BackendAddress, BackendAddressPool, ServiceRef};
use crate::resources::{Resources, Service};
use crate::translate::findings::Findings;
use crate::translate::gateway::Context;

/// The pool at `index`. What is wrong with an address leaves out that address alone.
pub(super) fn pool(
    context: &Context<'_>,
    index: usize,
    source: &BackendAddressPool,
    findings: &mut Findings,
) -> Pool {
    let mut members = Members::default();
    for (place, address) in source.backend_addresses.iter().enumerate() {
        let path = format!("spec.backendAddressPools[{index}].backendAddresses[{place}]");
        members.add(context, address, &path, findings);
    }
    if source.backend_addresses.is_empty() {
        let path = format!("spec.backendAddressPools[{index}]");
        findings.warn(path, "the pool is empty: its requests are answered with 502");
    }
    Pool { name: source.name.as_str().into(), members: members.all }
}

/// Address, port and host name.
type Place = (IpAddr, Option<u16>, Option<Box<str>>);

/// Members without repeats; of two states of one member the better counts.
#[derive(Default)]
pub(super) struct Members {
    pub(super) all: Vec<Member>,
    places: HashMap<Place, usize>,
}

impl Members {
    fn push(&mut self, member: Member) {
        let key = (member.address, member.port, member.fqdn.clone());
        match self.places.get(&key) {
            Some(&place) => self.all[place].state = self.all[place].state.min(member.state),
            None => {
                self.places.insert(key, self.all.len());
                self.all.push(member);
            }
        }
    }

    fn add(
        &mut self,
        context: &Context<'_>,
        source: &BackendAddress,
        path: &str,
        findings: &mut Findings,
    ) {
        let state = MemberState::Ready;
        match (&source.ip_address, &source.fqdn, &source.service) {
            (Some(text), None, None) => match text.parse() {
                Ok(address) => self.push(Member { address, port: None, fqdn: None, state }),
                Err(_) => findings.refuse(
                    format!("{path}.ipAddress"),
                    format!("{text:?} is not an IP address; a host name goes into fqdn"),
                ),
            },
            (None, Some(name), None) => self.add_name(context, name, path, findings),
            (None, None, Some(service)) => {
                self.add_service(context, service, &format!("{path}.service"), findings);
            }
            _ => findings.refuse(path, "exactly one of ipAddress, fqdn and service is needed"),
        }
    }

    fn add_name(&mut self, context: &Context<'_>, name: &str, path: &str, findings: &mut Findings) {
        let path = format!("{path}.fqdn");
        // One dot at the end says that the name is complete.
        let plain = name.strip_suffix('.').unwrap_or(name);
        let host = match Hostname::new(plain) {
            Ok(host) => host,
            Err(error) => return findings.refuse(path, format!("{name:?}: {error}")),
        };
        if let Some(why) = self.add_answers(context.resources, name, &host, None) {
            findings.warn(path, why);
        }
    }

    /// The addresses of a host name as far as they are known; what is wrong with it.
    pub(super) fn add_answers(
        &mut self,
        resources: &Resources,
        name: &str,
        host: &Hostname,
        port: Option<u16>,
    ) -> Option<String> {
        let answer = resources.names.get(name)?;
        for &address in &answer.addresses {
            let fqdn = Some(host.as_str().into());
            self.push(Member { address, port, fqdn, state: MemberState::Ready });
        }
        let error = answer.error.as_ref()?;
        let kept = match answer.addresses.len() {
            0 => "it has no members".to_owned(),
            count => format!("its last {count} addresses stay"),
        };
        Some(format!("{name} cannot be looked up: {error}; {kept}"))
    }

    /// The endpoints of a Service on its port with this name; whether there are any.
    pub(super) fn add_endpoints(
        &mut self,
        resources: &Resources,
        service: &ObjectName,
        port: &str,
    ) -> bool {
        let before = self.all.len();
        for slice in resources.slices.get(service).map_or(&[][..], Vec::as_slice) {
            let Some((_, number)) = slice.ports.iter().find(|(name, _)| name == port) else {
                continue;
            };
            for &(address, state) in &slice.endpoints {
                self.push(Member { address, port: Some(*number), fqdn: None, state });
            }
        }
        self.all.len() > before
    }

    fn add_service(
        &mut self,
        context: &Context<'_>,
        source: &ServiceRef,
        path: &str,
        findings: &mut Findings,
    ) {
        let name = ObjectName::new(&*context.name.namespace, source.name.as_str());
        let Some(service) = context.resources.services.get(&name) else {
            let why = format!("there is no Service {name}");
            return findings.unresolved(format!("{path}.name"), why);
        };
        if service.external.is_some() {
            let why = format!("Service {name} is an ExternalName; write its name as fqdn");
            return findings.refuse(format!("{path}.name"), why);
        }
        match find_port(&name, service, &source.port) {
            Err(why) => findings.unresolved(format!("{path}.port"), why),
            Ok((port, _)) if !self.add_endpoints(context.resources, &name, port) => {
                findings.warn(path, format!("Service {name} has no endpoints on this port"));
            }
            Ok(_) => {}
        }
    }
}

/// The port of a Service by name or number, or why there is none.
pub(super) fn find_port<'a>(
    name: &ObjectName,
    service: &'a Service,
    wanted: &IntOrString,
) -> Result<&'a (String, i32), String> {
    let found = service.ports.iter().find(|(name, number)| match wanted {
        IntOrString::Int(wanted) => wanted == number,
        IntOrString::String(wanted) => wanted == name,
    });
    found.ok_or_else(|| {
        let has = service.ports.iter().map(|(name, number)| match &**name {
            "" => number.to_string(),
            name => format!("{number} ({name})"),
        });
        let has = has.collect::<Vec<_>>().join(", ");
        format!("Service {name} has no such port; it has {has}")
    })
}
