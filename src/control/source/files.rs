//! Objects from files and folders, and their last good versions.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use thiserror::Error;

use crate::problem::{ObjectRef, Problem, Severity};
use crate::resources::{Gateway, IngressItem, Resources};
use crate::source::object::{self, Content, Object};
use crate::yaml;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;
/// How long a file that had objects has to be empty before that is believed: editors empty a file
/// before they write it.
pub(super) const EMPTY_FOR: Duration = Duration::from_millis(200);

/// A path that cannot be read at all.
#[derive(Debug, Error)]
#[error("{}: {error}", path.display())]
pub struct ReadError {
    /// The path.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// Files that are read, and what they hold.
#[derive(Debug)]
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    read: BTreeMap<PathBuf, ReadFile>,
    /// The last good version of every object that is there.
    good: HashMap<ObjectRef, Object>,
}

#[derive(Debug, Default)]
struct ReadFile {
    /// What tells one version from the next.
    stamp: Stamp,
    objects: Vec<Object>,
    problems: Vec<Problem>,
    /// Since when it has been empty without being believed.
    empty_since: Option<Instant>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stamp(u64, u64, i64, i64);

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
    }
}

impl Files {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, read: BTreeMap::new(), good: HashMap::new() }
    }

    /// The folders in which something may change.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                collect_folders(path, &mut folders, 0);
            } else {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                folders.push(parent.unwrap_or(Path::new(".")).to_owned());
            }
        }
        folders.sort();
        folders.dedup();
        folders
    }

    /// Reads every path for the first time.
    ///
    /// # Errors
    /// If a path is not there, or cannot be read.
    pub(crate) fn read_first(&mut self) -> Result<(), ReadError> {
        for path in &self.paths {
            let error = |error| ReadError { path: path.clone(), error };
            let metadata = fs::metadata(path).map_err(error)?;
            if metadata.is_dir() {
                fs::read_dir(path).map_err(error)?;
            } else {
                fs::File::open(path).map_err(error)?;
            }
        }
        self.read_changed();
        Ok(())
    }

    /// Reads what has changed; whether something may be different now, and when to look again at
    /// a file that was found empty.
    pub(crate) fn read_changed(&mut self) -> (bool, Option<Instant>) {
        let mut there = Vec::new();
        for path in &self.paths {
            collect_files(path, true, &mut there, 0);
        }
        let before = self.read.len();
        self.read.retain(|path, _| there.contains(path));
        let mut changed = self.read.len() != before;
        let mut again = None;
        for path in there {
            let file = self.read.entry(path.clone()).or_default();
            let stamp = fs::metadata(&path).map(|metadata| Stamp::of(&metadata));
            match stamp {
                Ok(stamp) if stamp == file.stamp && file.empty_since.is_none() => continue,
                Ok(stamp) => file.stamp = stamp,
                Err(_) => file.stamp = Stamp::default(),
            }
            match file.read(&path) {
                Some(look_again) => again = Some(look_again),
                None => changed = true,
            }
        }
        if changed {
            self.keep_good();
        }
        (changed, again)
    }

    /// Takes over what is good now; forgets what is not there any more.
    fn keep_good(&mut self) {
        let mut good = HashMap::new();
        for object in self.read.values().flat_map(|file| &file.objects) {
            if good.contains_key(&object.key) {
                continue;
            }
            let last = self.good.remove(&object.key);
            good.insert(object.key.clone(), better(object, last));
        }
        self.good = good;
    }

    /// Everything that was read, with last good versions in place of what is wrong.
    pub(crate) fn resources(&self) -> (Resources, Vec<Problem>) {
        let mut resources = Resources::default();
        let mut problems: Vec<Problem> = Vec::new();
        let mut seen: HashMap<&ObjectRef, &Object> = HashMap::new();
        for file in self.read.values() {
            problems.extend(file.problems.iter().cloned());
            for object in &file.objects {
                if let Some(first) = seen.get(&object.key) {
                    problems.push(twice(object, first));
                    continue;
                }
                seen.insert(&object.key, object);
                if let Some(good) = self.good.get(&object.key) {
                    add(&mut resources, good);
                }
            }
        }
        (resources, problems)
    }
}

/// The new version, unless it is wrong and the last one was not.
fn better(new: &Object, last: Option<Object>) -> Object {
    let wrong = match &new.content {
        Content::Wrong => true,
        Content::Secret(secret) => secret.fault().is_some(),
        _ => false,
    };
    match last {
        Some(last) if wrong && !matches!(last.content, Content::Wrong) => last,
        _ => new.clone(),
    }
}

fn twice(object: &Object, first: &Object) -> Problem {
    let why = format!(
        "{} is already in {}:{}; this one is left out",
        object.key,
        first.origin.file.display(),
        first.origin.lines.of("metadata.name"),
    );
    Problem {
        file: object.origin.file.clone(),
        line: object.origin.lines.of("metadata.name"),
        path: "metadata.name".into(),
        why,
        severity: Severity::Error,
        object: Some(object.key.clone()),
    }
}

fn add(resources: &mut Resources, object: &Object) {
    let name = object.name();
    match &object.content {
        Content::Gateway(resource) => {
            let (resource, origin) = (resource.clone(), object.origin.clone());
            resources.gateways.push(Gateway { name, resource, origin });
        }
        Content::Ingress(resource) => {
            let (resource, origin) = (resource.clone(), object.origin.clone());
            resources.ingresses.push(IngressItem { resource, origin });
        }
        Content::IngressClass(class) => resources.ingress_classes.push(class.clone()),
        Content::Grant(grant) => {
            resources.grants.entry(name.namespace).or_default().push(grant.clone());
        }
        Content::Secret(secret) => drop(resources.secrets.insert(name, secret.clone())),
        Content::ConfigMap(found) => drop(resources.config_maps.insert(name, found.clone())),
        Content::Service(service) => drop(resources.services.insert(name, service.clone())),
        Content::Slice { service, slice } => {
            let slices = resources.slices.entry(service.clone()).or_default();
            Arc::make_mut(slices).push(slice.clone());
        }
        Content::Wrong => {}
    }
}

impl ReadFile {
    /// Reads the file; `Some` if it is empty and that is not believed yet: look again then.
    fn read(&mut self, path: &Path) -> Option<Instant> {
        let documents = read_text(path).and_then(|text| {
            yaml::parse(&text).map_err(|error| (error.line, format!("not YAML: {}", error.why)))
        });
        match documents {
            Ok(documents) if documents.is_empty() && !self.objects.is_empty() => {
                let since = *self.empty_since.get_or_insert_with(Instant::now);
                let due = since + EMPTY_FOR;
                if Instant::now() < due {
                    return Some(due);
                }
                *self = Self { stamp: self.stamp.clone(), ..Self::default() };
            }
            Ok(documents) => {
                let mut problems = Vec::new();
                let read = |document| object::read(path, document, &mut problems);
                let objects = documents.into_iter().flat_map(read).collect();
                let stamp = self.stamp.clone();
                *self = Self { stamp, objects, problems, empty_since: None };
            }
            // What was read last stays.
            Err((line, why)) => {
                self.empty_since = None;
                let path = path.to_owned();
                self.problems = vec![Problem {
                    file: path,
                    line,
                    path: String::new(),
                    why: match self.objects.len() {
                        0 => why,
                        _ => format!("{why}; what was read before goes on serving"),
                    },
                    severity: Severity::Error,
                    object: None,
                }];
            }
        }
        None
    }
}

fn read_text(path: &Path) -> Result<String, (u32, String)> {
    let failed = |error: io::Error| (1, format!("cannot be read: {error}"));
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST {
        return Err((1, format!("it has {size} bytes; at most {LARGEST} are read")));
    }
    let bytes = fs::read(path).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        (u32::try_from(line).unwrap_or(u32::MAX), "not UTF-8".to_owned())
    })
}

/// How deep folders are looked into.
const FOLDER_DEPTH: usize = 16;

/// Files at a path: itself, or those of a folder that look like manifests. Hidden ones are left
/// out, so that the `..data` of a mounted ConfigMap is not read twice.
fn collect_files(path: &Path, named: bool, files: &mut Vec<PathBuf>, depth: usize) {
    if path.is_dir() {
        for entry in sorted(path) {
            if depth < FOLDER_DEPTH && !is_hidden(&entry) {
                collect_files(&entry, false, files, depth + 1);
            }
        }
        return;
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_manifest = matches!(extension, Some("yaml" | "yml" | "json"));
    let path = path.to_owned();
    if (named || is_manifest) && path.exists() && !files.contains(&path) {
        files.push(path);
    }
}

fn collect_folders(path: &Path, folders: &mut Vec<PathBuf>, depth: usize) {
    folders.push(path.to_owned());
    for entry in sorted(path) {
        if depth < FOLDER_DEPTH && entry.is_dir() && !is_hidden(&entry) {
            collect_folders(&entry, folders, depth + 1);
        }
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with('.'))
}
