//! The folder of manifests, looked at again and again.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::manifest::{MANIFEST_BYTES_MAX, Manifest};

/// Manifests in one folder.
pub const PLUGINS_MAX: usize = 16;

/// What stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    Manifest(Box<Manifest>),
    /// Why it can't be used.
    Refused(String),
}

/// What tells one version of a file from the next.
type Mark = (u64, u64, i64, i64, u64);

/// The files as they were when they were last looked at.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    marks: BTreeMap<String, Mark>,
    /// Why the folder itself can't be used, as last told.
    pub(crate) problem: Option<String>,
}

impl Folder {
    /// Every file, by its name, when any of them changed since the last look; else none.
    pub(crate) fn look(&mut self, folder: &Path) -> Option<BTreeMap<String, Found>> {
        let (files, problem) = match list(folder) {
            Ok(files) => (files, None),
            Err(problem) => (BTreeMap::new(), Some(problem)),
        };
        let marks: BTreeMap<String, Mark> = files
            .iter()
            .map(|(name, metadata)| (name.clone(), mark(metadata)))
            .collect();
        let same = marks == self.marks && problem == self.problem;
        if same {
            return None;
        }
        self.marks = marks;
        self.problem = problem;
        let mut names = std::collections::HashSet::new();
        let mut found = BTreeMap::new();
        for (at, (file, _)) in files.into_iter().enumerate() {
            let read = if at < PLUGINS_MAX {
                read(&folder.join(&file))
            } else {
                Err(format!("one of more than {PLUGINS_MAX} manifests"))
            };
            let read = read.and_then(|manifest| {
                if names.insert(manifest.name.clone()) {
                    return Ok(manifest);
                }
                Err(format!("another manifest has the name {:?}", manifest.name))
            });
            let read = match read {
                Ok(manifest) => Found::Manifest(Box::new(manifest)),
                Err(why) => Found::Refused(why),
            };
            found.insert(file, read);
        }
        Some(found)
    }
}

fn mark(metadata: &Metadata) -> Mark {
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    (
        metadata.dev(),
        metadata.ino(),
        changed.0,
        changed.1,
        metadata.size(),
    )
}

fn list(folder: &Path) -> Result<BTreeMap<String, Metadata>, String> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let own = match std::fs::metadata(folder) {
        Ok(own) => own,
        // It may be made later.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(error)),
    };
    trusted(&own).map_err(|why| format!("{} {why}", folder.display()))?;
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') || !(name.ends_with(".yaml") || name.ends_with(".yml")) {
            continue;
        }
        // Links are followed: that is how Kubernetes mounts a ConfigMap.
        if let Ok(metadata) = std::fs::metadata(entry.path()).map(Some).or_else(gone)
            && let Some(metadata) = metadata.filter(Metadata::is_file)
        {
            files.insert(name, metadata);
        }
    }
    Ok(files)
}

fn gone(error: io::Error) -> io::Result<Option<Metadata>> {
    if error.kind() == io::ErrorKind::NotFound {
        return Ok(None);
    }
    Err(error)
}

/// Who may write manifests may run programs as any user but root: nobody but root and the agent itself.
fn trusted(metadata: &Metadata) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != own {
        let owner = metadata.uid();
        return Err(format!(
            "belongs to user {owner}: make it root's (chown root)"
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err("can be written by others: take that away (chmod go-w)".to_owned());
    }
    Ok(())
}

fn read(path: &Path) -> Result<Manifest, String> {
    let failed = |error: io::Error| error.to_string();
    let file = std::fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    trusted(&metadata)?;
    let mut text = String::new();
    let read = file.take(MANIFEST_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MANIFEST_BYTES_MAX) {
        return Err(format!("larger than {MANIFEST_BYTES_MAX} bytes"));
    }
    Manifest::parse(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(folder: &Path, file: &str, name: &str) {
        let text =
            format!("{{api: 1, name: {name}, user: nobody, command: [/a], nodes: {{host: true}}}}");
        std::fs::write(folder.join(file), text).expect("written");
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
    }

    fn why(found: &BTreeMap<String, Found>, file: &str) -> String {
        match &found[file] {
            Found::Refused(why) => why.clone(),
            Found::Manifest(manifest) => format!("ok: {}", manifest.name),
        }
    }

    #[test]
    fn what_changed_is_read_again_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut seen = Folder::default();
        assert!(seen.look(folder.path()).is_none(), "empty as before");
        write(folder.path(), "a.yaml", "a");
        std::fs::write(folder.path().join("README"), "x").expect("written");
        let found = seen.look(folder.path()).expect("a new one");
        assert_eq!(why(&found, "a.yaml"), "ok: a");
        assert_eq!(found.len(), 1);
        assert!(seen.look(folder.path()).is_none());
        write(folder.path(), "a.yaml", "bb");
        assert_eq!(
            why(&seen.look(folder.path()).expect("changed"), "a.yaml"),
            "ok: bb"
        );
        symlink("a.yaml", folder.path().join("b.yml")).expect("linked");
        let found = seen.look(folder.path()).expect("another");
        assert!(why(&found, "b.yml").contains("another manifest"));
        std::fs::remove_file(folder.path().join("a.yaml")).expect("removed");
        assert!(seen.look(folder.path()).expect("gone").is_empty());
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut seen = Folder::default();
        write(folder.path(), "a.yaml", "a");
        chmod(&folder.path().join("a.yaml"), 0o666);
        let found = seen.look(folder.path()).expect("a new one");
        assert!(why(&found, "a.yaml").contains("chmod go-w"));
        chmod(&folder.path().join("a.yaml"), 0o644);
        assert_eq!(
            why(&seen.look(folder.path()).expect("changed"), "a.yaml"),
            "ok: a"
        );
        chmod(folder.path(), 0o777);
        assert!(seen.look(folder.path()).expect("a problem").is_empty());
        assert!(
            seen.problem
                .as_deref()
                .is_some_and(|why| why.contains("chmod go-w"))
        );
    }

    #[test]
    fn no_more_manifests_than_there_is_room_for_and_none_too_large() {
        let folder = tempfile::tempdir().expect("a folder");
        for at in 0..=PLUGINS_MAX {
            write(folder.path(), &format!("p{at:02}.yaml"), &format!("p{at}"));
        }
        std::fs::write(folder.path().join("a.yaml"), "#".repeat(70_000)).expect("written");
        let found = Folder::default().look(folder.path()).expect("new ones");
        assert!(why(&found, "a.yaml").contains("larger"));
        assert!(why(&found, "p16.yaml").contains("more than 16"));
        assert_eq!(why(&found, "p14.yaml"), "ok: p14");
    }
}
