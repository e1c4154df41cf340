//! The container that a cgroup path names.

/// The container that a cgroup path names: the innermost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerPath<'a> {
    /// Full id as the runtime knows it; for runtimes without ids, the name.
    pub id: &'a str,
    /// "docker", "containerd", "cri-o", "podman", "mesos", "lxc", "systemd-nspawn", or empty when
    /// the path does not tell.
    pub runtime: &'static str,
    /// The container's own cgroup: `path` up to its component. Cgroups below it (an init system
    /// inside the container) belong to it, too.
    pub path: &'a str,
}

/// The container that a cgroup path names, or `None`. Known forms:
///
/// | runtime | driver | path |
/// |---|---|---|
/// | Docker | cgroupfs | `/docker/ID`, `/PARENT/ID` |
/// | Docker | systemd | `/system.slice/docker-ID.scope` |
/// | containerd | systemd | `…/cri-containerd-ID.scope`, `…/nerdctl-ID.scope`, `…:cri-containerd:ID` |
/// | containerd | cgroupfs | `/kubepods/besteffort/podUID/ID`, `/NAMESPACE/ID` |
/// | CRI-O | systemd, cgroupfs | `…/crio-ID.scope`, `…/crio-ID` |
/// | Podman | systemd, cgroupfs | `…/libpod-ID.scope`, `/libpod_parent/libpod-ID` |
/// | Mesos | own | `/mesos/UUID`, nested `/mesos/UUID/mesos/UUID` |
/// | LXC, LXD, Incus | own | `/lxc/NAME`, `/lxc.payload.NAME`, `/lxc.payload/NAME` |
/// | systemd-nspawn | systemd | `…/machine-NAME.scope`, `…/systemd-nspawn@NAME.service` |
///
/// Any other component of exactly 64 lower-case hex digits is a container of a runtime that the
/// path does not tell.
#[must_use]
pub fn container_of_path(path: &str) -> Option<ContainerPath<'_>> {
    let mut end = path.len();
    loop {
        let start = path[..end].rfind('/').map_or(0, |slash| slash + 1);
        let ancestors = path[..start].trim_end_matches('/');
        if let Some((id, runtime)) = container_of_component(&path[start..end], ancestors) {
            let path = &path[..end];
            return Some(ContainerPath { id, runtime, path });
        }
        if ancestors.is_empty() {
            return None;
        }
        end = ancestors.len();
    }
}

/// Prefixes of `PREFIX-ID.scope` and `PREFIX-ID`, and of `…:PREFIX:ID`.
const PREFIXES: [(&str, &str); 6] = [
    ("docker", "docker"),
    ("cri-containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("containerd", "containerd"),
    ("crio", "cri-o"),
    ("libpod", "podman"),
];

fn container_of_component<'a>(
    component: &'a str,
    ancestors: &str,
) -> Option<(&'a str, &'static str)> {
    let parent = ancestors.rsplit('/').next().unwrap_or("");
    if is_hex_id(component) {
        let runtime = if parent == "docker" { "docker" } else { "" };
        return Some((component, runtime));
    }
    let unit = component.strip_suffix(".scope").unwrap_or(component);
    for (prefix, runtime) in PREFIXES {
        let id = unit
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('-'));
        if let Some(id) = id.filter(|id| is_hex_id(id)) {
            return Some((id, runtime));
        }
    }
    // The systemd form of runc, handed to the cgroupfs driver: "SLICE:PREFIX:ID".
    if let Some((slice_and_prefix, id)) = component.rsplit_once(':')
        && is_hex_id(id)
    {
        let prefix = slice_and_prefix.rsplit(':').next().unwrap_or("");
        let known = PREFIXES.iter().find(|(name, _)| *name == prefix);
        return Some((id, known.map_or("", |(_, runtime)| runtime)));
    }
    if parent == "mesos" && is_uuid(component) {
        return Some((component, "mesos"));
    }
    lxc(component, parent).or_else(|| nspawn(component))
}

fn lxc<'a>(component: &'a str, parent: &str) -> Option<(&'a str, &'static str)> {
    let payload = component.strip_prefix("lxc.payload.");
    let below = (parent == "lxc" || parent == "lxc.payload").then_some(component);
    let name = payload.or(below).filter(|name| !name.is_empty())?;
    Some((name, "lxc"))
}

fn nspawn(component: &str) -> Option<(&str, &'static str)> {
    let scope = component
        .strip_prefix("machine-")
        .and_then(|rest| rest.strip_suffix(".scope"))
        // Virtual machines of libvirt have the same form: "machine-qemu\x2d1\x2dname.scope".
        .filter(|name| !name.starts_with("qemu\\x2d"));
    let service = component
        .strip_prefix("systemd-nspawn@")
        .and_then(|rest| rest.strip_suffix(".service"));
    let name = scope.or(service).filter(|name| !name.is_empty())?;
    Some((name, "systemd-nspawn"))
}

fn is_hex_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_lower_hex)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => is_lower_hex(byte),
        })
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "4f1bd2a8b6ab9f7e0c2c1d4a5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081";
    const OTHER: &str = "aaaabbbbccccddddeeeeffff0000111122223333444455556666777788889999";
    const UUID: &str = "2f4e1c3a-9f60-4b8a-8c3d-3c1e5a7b9d11";

    fn found(path: &str) -> Option<(&str, &'static str)> {
        container_of_path(path).map(|container| (container.id, container.runtime))
    }

    #[test]
    fn every_known_form() {
        let forms = [
            (format!("/docker/{ID}"), "docker"),
            (format!("/custom-parent/{ID}"), ""),
            (format!("/system.slice/docker-{ID}.scope"), "docker"),
            (format!("/kubepods/besteffort/pod1b2c/{ID}"), ""),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-{ID}.scope"
                ),
                "containerd",
            ),
            (
                format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}"),
                "containerd",
            ),
            (
                format!("/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope"),
                "cri-o",
            ),
            (
                format!("/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope/container"),
                "cri-o",
            ),
            (format!("/kubepods/pod1/crio-{ID}"), "cri-o"),
            (
                format!("/user.slice/user-0.slice/nerdctl-{ID}.scope"),
                "containerd",
            ),
            (
                format!("/machine.slice/libpod-{ID}.scope/container"),
                "podman",
            ),
            (format!("/libpod_parent/libpod-{ID}"), "podman"),
            (format!("/docker/{ID}/init.scope"), "docker"),
            (format!("/docker/{OTHER}/kubelet/kubepods/pod1/{ID}"), ""),
            (format!("/ecs/0123/{ID}"), ""),
        ];
        for (path, runtime) in &forms {
            assert_eq!(found(path), Some((ID, *runtime)), "{path}");
        }
        let mesos = format!("/mesos/{OTHER}/mesos/{UUID}");
        assert_eq!(found(&mesos), Some((UUID, "mesos")));
        assert_eq!(found("/lxc.payload.web/system.slice"), Some(("web", "lxc")));
        assert_eq!(found("/lxc/db"), Some(("db", "lxc")));
        assert_eq!(
            found("/machine.slice/machine-deb.scope/payload"),
            Some(("deb", "systemd-nspawn"))
        );
        assert_eq!(
            found("/machine.slice/systemd-nspawn@deb.service"),
            Some(("deb", "systemd-nspawn"))
        );
    }

    #[test]
    fn what_is_not_a_container() {
        let others = [
            String::new(),
            "/".into(),
            "/system.slice/docker.service".into(),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/kubepods.slice/crio-conmon-{ID}.scope"),
            format!("/docker/{}", &ID[1..]),
            format!("/docker/{}", ID.to_uppercase()),
            "/process_api/534ea59eb2fa649ffa7fd8d87a1de91d".into(),
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope".into(),
            format!("/jobs/{UUID}"),
            "/mesos/not-a-uuid".into(),
            "/lxc.monitor.web".into(),
        ];
        for path in &others {
            assert_eq!(container_of_path(path), None, "{path}");
        }
    }

    #[test]
    fn the_containers_own_cgroup_is_the_prefix() {
        let path = format!("/docker/{ID}/system.slice/cron.service");
        let container = container_of_path(&path).expect("a container");
        assert_eq!(container.path, format!("/docker/{ID}"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_the_result_is_part_of_it(path in "[/a-f0-9:.\\-é]{0,200}") {
            if let Some(container) = container_of_path(&path) {
                prop_assert!(path.starts_with(container.path));
                prop_assert!(container.path.contains(container.id));
            }
        }

        #[test]
        fn an_id_is_found_below_and_above_anything(
            above in "(/[a-z.]{1,12}){0,4}",
            below in "(/[a-z.]{1,12}){0,4}",
            id in "[0-9a-f]{64}",
            form in 0..7_usize,
        ) {
            let component = match form {
                0 => id.clone(),
                1 => format!("docker-{id}.scope"),
                2 => format!("cri-containerd-{id}.scope"),
                3 => format!("crio-{id}.scope"),
                4 => format!("libpod-{id}.scope"),
                5 => format!("libpod-{id}"),
                _ => format!("x.slice:cri-containerd:{id}"),
            };
            prop_assume!(!below.contains("lxc"));
            let path = format!("{above}/{component}{below}");
            let container = container_of_path(&path).expect("a container");
            prop_assert_eq!(container.id, &id);
            prop_assert_eq!(container.path, format!("{above}/{component}"));
        }
    }
}
