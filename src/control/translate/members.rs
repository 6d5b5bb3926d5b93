//! Pools: addresses, host names and endpoints of Services as members.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_model::{Hostname, Member, MemberState, ObjectName, Pool};

use crate::api::{BackendAddress, BackendAddressPool, ServiceRef};
use crate::resources::{Endpoint, Resolution, Service, Slice};
use crate::translate::findings::Findings;
use crate::translate::gateway::{Context, not_granted};

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
            (None, Some(name), None) => {
                self.add_name(context, name, None, &format!("{path}.fqdn"), findings);
            }
            (None, None, Some(service)) => {
                self.add_service(context, service, &format!("{path}.service"), findings);
            }
            _ => findings.refuse(path, "exactly one of ipAddress, fqdn and service is needed"),
        }
    }

    fn add_name(
        &mut self,
        context: &Context<'_>,
        name: &str,
        port: Option<u16>,
        path: &str,
        findings: &mut Findings,
    ) {
        // One dot at the end says that the name is complete.
        let plain = name.strip_suffix('.').unwrap_or(name);
        let host = match Hostname::new(plain) {
            Ok(host) => host,
            Err(error) => return findings.refuse(path, format!("{name:?}: {error}")),
        };
        let answer = context.uses.name(context.resources, name);
        if let Some(why) = answer.and_then(|answer| self.add_answer(answer, name, &host, port)) {
            findings.warn(path, why);
        }
    }

    /// The addresses of a host name as far as they are known; what is wrong with it.
    pub(super) fn add_answer(
        &mut self,
        answer: &Resolution,
        name: &str,
        host: &Hostname,
        port: Option<u16>,
    ) -> Option<String> {
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

    /// The endpoints of a Service on its port with this name; whether there are any. A pod that has
    /// addresses of both families is one member, by its IPv4 address.
    pub(super) fn add_endpoints(&mut self, slices: &[Arc<Slice>], port: &str) -> bool {
        let before = self.all.len();
        let all = || slices.iter().flat_map(|slice| &slice.endpoints);
        let known: HashSet<&Box<str>> = match all().any(|endpoint| endpoint.address.is_ipv6()) {
            true => all().filter(|its| its.address.is_ipv4()).flat_map(|its| &its.pod).collect(),
            false => HashSet::new(),
        };
        for slice in slices {
            let Some((_, number)) = slice.ports.iter().find(|(name, _)| name == port) else {
                continue;
            };
            for Endpoint { address, state, pod } in &slice.endpoints {
                let again =
                    address.is_ipv6() && pod.as_ref().is_some_and(|pod| known.contains(pod));
                if !again {
                    let (address, state) = (*address, *state);
                    self.push(Member { address, port: Some(*number), fqdn: None, state });
                }
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
        let namespace = source.namespace.as_deref().unwrap_or(&context.name.namespace);
        let name = ObjectName::new(namespace, source.name.as_str());
        if !context.may_refer("Service", &name) {
            let path = format!("{path}.namespace");
            return findings.unresolved(path, not_granted("Service", &name));
        }
        let Some(service) = context.uses.service(context.resources, &name) else {
            let why = format!("there is no Service {name}");
            return findings.unresolved(format!("{path}.name"), why);
        };
        if let Some(outside) = &service.external {
            if !context.resources.allow_external_name {
                let why = format!(
                    "Service {name} is an ExternalName: these are refused without \
                     --allow-external-name; a host name may be written as fqdn"
                );
                return findings.refuse(format!("{path}.name"), why);
            }
            let port = match &source.port {
                IntOrString::Int(number) => u16::try_from(*number).ok(),
                IntOrString::String(_) => None,
            };
            return self.add_name(context, outside, port, path, findings);
        }
        let slices = context.uses.slices(context.resources, &name);
        match find_port(&name, service, &source.port) {
            Err(why) => findings.unresolved(format!("{path}.port"), why),
            Ok((port, _)) if !self.add_endpoints(slices, port) => {
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
