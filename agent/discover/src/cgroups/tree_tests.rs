use proptest::prelude::*;

use super::*;

const ID: &str = "4f1bd2a8b6ab9f7e0c2c1d4a5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081";

fn made(folders: &[String], files: &[&str]) -> (tempfile::TempDir, Paths) {
    let root = tempfile::tempdir().expect("a folder");
    for folder in folders {
        fs::create_dir_all(root.path().join(folder)).expect("a folder");
    }
    for file in files {
        fs::write(root.path().join(file), "").expect("a file");
    }
    let paths = Paths {
        cgroup: root.path().to_path_buf(),
        ..Paths::default()
    };
    (root, paths)
}

#[test]
fn v2_alone_with_an_init_system_in_the_container() {
    let own = format!("system.slice/docker-{ID}.scope");
    let (root, paths) = made(&[format!("{own}/init.scope")], &["cgroup.controllers"]);
    let mut tree = CgroupTree::discover(&paths).expect("v2");
    assert_eq!((tree.primary(), tree.len()), (Hierarchy::Unified, 4));
    let below = tree.id(&format!("/{own}/init.scope")).expect("walked");
    let container = Arc::clone(tree.container(below).expect("inherited"));
    assert_eq!(
        (container.id.as_str(), container.path.as_str()),
        (ID, format!("/{own}").as_str())
    );
    assert_eq!(tree.removed(below), None);
    let membership = tree.membership(&format!("0::/{own}/init.scope\n"));
    assert_eq!(membership.container.as_ref(), Some(&container));

    // One that is made and found by the kernel's event, or by a process in it before that.
    let new = ID.replace('4', "5");
    fs::create_dir(root.path().join(&new)).expect("a folder");
    let membership = tree.membership(&format!("0::/{new}\n"));
    let early = membership.container.expect("named by its path");
    assert_eq!(early.cgroup_id, membership.cgroup_id);
    let told = tree
        .created(membership.cgroup_id, &format!("/{new}"))
        .expect("its own");
    assert_eq!(told, early);
    assert_eq!(tree.created(membership.cgroup_id, &format!("/{new}")), None);
    fs::remove_dir(root.path().join(&new)).expect("empty");
    assert_eq!(
        tree.refresh().expect("v2"),
        Refresh {
            added: 1,
            removed: 1
        }
    );
    assert_eq!(tree.container_by_id(&new), None);
}

#[test]
fn v1_and_hybrid_where_only_v1_has_the_container() {
    let folders = [format!("memory/docker/{ID}")];
    let (_root, paths) = made(&folders, &["memory/tasks"]);
    let tree = CgroupTree::discover(&paths).expect("v1");
    assert_eq!(tree.primary(), Hierarchy::MemoryV1);
    let lines = format!("4:memory:/docker/{ID}\n1:cpu,cpuacct:/docker/{ID}\n");
    let container = tree.membership(&lines).container.expect("in v1");
    assert_eq!(tree.container(container.cgroup_id), Some(&container));

    let hybrid = ["unified".to_owned(), folders[0].clone()];
    let (_root, paths) = made(&hybrid, &["memory/tasks", "unified/cgroup.controllers"]);
    let tree = CgroupTree::discover(&paths).expect("hybrid");
    assert_eq!(tree.primary(), Hierarchy::Unified);
    let membership = tree.membership(&format!("{lines}0::/\n"));
    let container = membership.container.expect("in v1");
    assert_eq!(container.hierarchy, Hierarchy::MemoryV1);
    assert_eq!(membership.cgroup_id, container.cgroup_id);
    assert_eq!(tree.containers().count(), 1);
}

#[test]
fn without_any_hierarchy_it_says_what_to_do() {
    let (_root, paths) = made(&[], &[]);
    let error = CgroupTree::discover(&paths).expect_err("nothing is mounted");
    assert!(error.to_string().contains("mount the host's"), "{error}");
}

proptest! {
    #[test]
    fn any_text_of_proc_is_survived(text in "[0-9a-z:/,()\n ]{0,200}") {
        paths_of(&text);
    }

    #[test]
    fn ids_and_paths_stay_one_to_one(
        steps in proptest::collection::vec((any::<bool>(), 1..20_u64, 0..20_usize), 0..80),
    ) {
        let (_root, paths) = made(&[], &["cgroup.controllers"]);
        let mut tree = CgroupTree::discover(&paths).expect("v2");
        for (create, id, name) in steps {
            if create {
                tree.created(id, &format!("/docker/{name:064x}"));
            } else {
                tree.removed(id);
            }
            prop_assert_eq!(tree.entries.len(), tree.ids.len());
            for (path, id) in &tree.ids {
                prop_assert_eq!(tree.path(*id), Some(&**path));
            }
            for container in tree.containers.values() {
                prop_assert_eq!(tree.container(container.cgroup_id), Some(container));
            }
        }
    }
}
