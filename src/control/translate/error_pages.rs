//! Pages for answers that the gateway makes itself: from ConfigMaps, and from where they were
//! fetched. One that is not there leaves the built-in answer, and is told of.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tidegate_model::{ErrorPages, ObjectName};

use crate::api::{ApplicationGateway, ConfigMapKey, CustomErrorConfiguration};
use crate::resources::Resources;
use crate::translate::findings::Findings;
use crate::translate::gateway::{Context, Parts};

/// What Application Gateway has pages for, and what else is answered here.
const STATUS_CODES: [u16; 11] = [400, 403, 404, 405, 408, 413, 429, 500, 502, 503, 504];

/// The largest page, in bytes.
pub(crate) const LARGEST_PAGE: usize = 1024 * 1024;

/// The pages of one set; `owner` is the listener's name, empty for the gateway.
pub(super) fn error_pages(
    context: &Context<'_>,
    owner: &str,
    set: &[CustomErrorConfiguration],
    path: &str,
    parts: &mut Parts,
    findings: &mut Findings,
) -> Option<Arc<ErrorPages>> {
    let mut seen: Vec<u16> = Vec::new();
    let mut pages = Vec::with_capacity(set.len());
    for (index, source) in set.iter().enumerate() {
        let path = format!("{path}.customErrorConfigurations[{index}]");
        let number = source.status_code.strip_prefix("HttpStatus").and_then(|n| n.parse().ok());
        let Some(status) = number.filter(|status| STATUS_CODES.contains(status)) else {
            let codes = STATUS_CODES.map(|code| format!("HttpStatus{code}")).join(", ");
            let why = format!("{:?} is none of {codes}", source.status_code);
            findings.refuse(format!("{path}.statusCode"), why);
            continue;
        };
        if seen.contains(&status) {
            findings.refuse(format!("{path}.statusCode"), "there is a page for it before");
            continue;
        }
        seen.push(status);
        let page = match (&source.custom_error_page_url, &source.config_map) {
            (Some(url), None) => fetched(context, url, &path, findings),
            (None, Some(key)) => from_config_map(context, key, &path, findings),
            (Some(_), Some(_)) => {
                findings.refuse(
                    format!("{path}.configMap"),
                    "it and customErrorPageUrl exclude each other",
                );
                None
            }
            (None, None) => {
                findings.refuse(&path, "customErrorPageUrl or configMap is needed");
                None
            }
        };
        pages.extend(page.map(|page| (status, page)));
    }
    ErrorPages::new(pages).map(|pages| parts.error_pages.share(owner.into(), pages))
}

fn from_config_map(
    context: &Context<'_>,
    source: &ConfigMapKey,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<[u8]>> {
    let name = ObjectName::new(&*context.name.namespace, source.name.as_str());
    let path = format!("{path}.configMap");
    let Some(config_map) = context.uses.config_map(context.resources, &name) else {
        let why = format!("there is no ConfigMap {name}: the built-in answer is given");
        findings.warn(format!("{path}.name"), why);
        return None;
    };
    let Some(page) = config_map.get(&source.key) else {
        let why =
            format!("ConfigMap {name} has no key {:?}: the built-in answer is given", source.key);
        findings.warn(format!("{path}.key"), why);
        return None;
    };
    if page.len() > LARGEST_PAGE {
        let why = format!("the page has {} bytes, at most {LARGEST_PAGE} are sent", page.len());
        findings.warn(format!("{path}.key"), why + ": the built-in answer is given");
        return None;
    }
    Some(page.clone())
}

fn fetched(
    context: &Context<'_>,
    url: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<[u8]>> {
    let path = format!("{path}.customErrorPageUrl");
    if let Err(why) = check_url(url) {
        findings.refuse(path, format!("{url:?}: {why}"));
        return None;
    }
    // Until it was asked for there is nothing to tell.
    let page = context.uses.page(context.resources, url)?;
    if let Some(error) = &page.error {
        let now = match &page.body {
            Some(_) => "what was there before is given",
            None => "the built-in answer is given",
        };
        findings.warn(path, format!("{url} cannot be had: {error}: {now}"));
    }
    page.body.clone()
}

/// Whether a page may be fetched from there.
fn check_url(url: &str) -> Result<(), String> {
    tidegate_model::RedirectUrl::new(url).map_err(|error| error.to_string())?;
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    match path.ends_with(".htm") || path.ends_with(".html") {
        true => Ok(()),
        false => Err("its path ends neither in .htm nor in .html".to_owned()),
    }
}

/// All sets of a gateway.
fn sets(gateway: &ApplicationGateway) -> impl Iterator<Item = &CustomErrorConfiguration> {
    let spec = &gateway.spec;
    let listeners = spec.http_listeners.iter().flat_map(|its| &its.custom_error_configurations);
    spec.custom_error_configurations.iter().chain(listeners)
}

/// The ConfigMaps that gateways name.
pub(crate) fn config_map_names(resources: &Resources) -> HashSet<ObjectName> {
    let names = resources.gateways.iter().flat_map(|gateway| {
        let keys = sets(&gateway.resource).filter_map(|its| its.config_map.as_ref());
        keys.map(|key| ObjectName::new(&*gateway.name.namespace, key.name.as_str()))
    });
    names.collect()
}

/// The URLs that gateways name, with the gateways that do.
pub(crate) fn page_urls(resources: &Resources) -> BTreeMap<String, Vec<Arc<ApplicationGateway>>> {
    let mut urls: BTreeMap<String, Vec<Arc<ApplicationGateway>>> = BTreeMap::new();
    for gateway in &resources.gateways {
        for url in sets(&gateway.resource).filter_map(|its| its.custom_error_page_url.as_ref()) {
            if check_url(url).is_err() {
                continue;
            }
            let gateways = urls.entry(url.clone()).or_default();
            if !gateways.iter().any(|its| Arc::ptr_eq(its, &gateway.resource)) {
                gateways.push(gateway.resource.clone());
            }
        }
    }
    urls
}
