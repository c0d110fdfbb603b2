//! Mounts of every type, and where they land.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::view::View;
use spec_tests::{cgroup, not_in_runc_1_1};

#[test]
fn kernel_filesystems_are_mounted_fresh() {
    let container = Container::new(|_| {});
    let seen = container.sees("sed 's/.* - //' /proc/self/mountinfo | cut -d' ' -f1 | sort -u");
    for kind in ["proc", "sysfs", "mqueue", "devpts", "tmpfs"] {
        assert!(seen.lines().any(|line| line == kind), "{kind}: {seen}");
    }
}

#[test]
fn a_tmpfs_has_the_size_and_mode_asked_for() {
    let container = Container::new(|bundle| {
        bundle.mount("tmpfs", "tmpfs", "/t", &["size=64k", "mode=1730"]);
    });
    assert_eq!(container.sees("stat -c %a /t; df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2"), "1730\n64");
}

#[test]
fn a_tmpfs_without_a_mode_keeps_that_of_the_directory() {
    let container = Container::new(|bundle| {
        let dir = bundle.rootfs().join("t");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        bundle.mount("tmpfs", "tmpfs", "/t", &[]);
    });
    assert_eq!(container.sees("stat -c %a /t"), "711");
}

#[test]
fn a_tmpfs_on_a_new_directory_is_for_everyone() {
    let container = Container::new(|bundle| {
        bundle.mount("tmpfs", "tmpfs", "/brand/new", &[]);
    });
    assert_eq!(container.sees("stat -c %a /brand/new"), "1777");
    assert_eq!(fs::metadata(container.bundle.rootfs().join("brand/new")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn a_destination_may_be_written_as_it_is_on_the_host() {
    not_in_runc_1_1!("looks for the directory before it has made it");
    let container = Container::new(|bundle| {
        let on_the_host = bundle.rootfs().join("brand/new");
        bundle.mount("tmpfs", "tmpfs", on_the_host.to_str().unwrap(), &[]);
    });
    assert_eq!(container.sees("grep -c ' /brand/new ' /proc/mounts"), "1");
}

#[test]
fn tmpcopyup_fills_the_tmpfs_with_what_was_there() {
    let container = Container::new(|bundle| {
        let dir = bundle.rootfs().join("t");
        fs::create_dir_all(dir.join("a/b")).unwrap();
        fs::write(dir.join("a/b/file"), "content").unwrap();
        fs::set_permissions(dir.join("a"), std::os::unix::fs::PermissionsExt::from_mode(0o705)).unwrap();
        symlink("b/file", dir.join("a/link")).unwrap();
        std::os::unix::fs::chown(dir.join("a/b/file"), Some(12), Some(34)).unwrap();
        bundle.mount("tmpfs", "tmpfs", "/t", &["tmpcopyup"]);
    });
    let script = "cat /t/a/b/file; echo; stat -c '%u %g' /t/a/b/file; stat -c %a /t/a; readlink /t/a/link
                  echo new > /t/a/b/file; grep -c ' /t ' /proc/mounts";
    assert_eq!(container.sees(script), "content\n12 34\n705\nb/file\n1");
    assert_eq!(fs::read_to_string(container.bundle.rootfs().join("t/a/b/file")).unwrap(), "content");
}

#[test]
fn a_readonly_tmpfs_with_tmpcopyup_is_filled_and_readonly() {
    let container = Container::new(|bundle| {
        fs::create_dir(bundle.rootfs().join("t")).unwrap();
        fs::write(bundle.rootfs().join("t/file"), "content").unwrap();
        bundle.mount("tmpfs", "tmpfs", "/t", &["tmpcopyup", "ro"]);
    });
    assert_eq!(container.sees("cat /t/file; touch /t/x 2>/dev/null || echo refused"), "contentrefused");
}

#[test]
fn a_directory_is_bound() {
    let mut container = Container::new(|_| {});
    fs::create_dir(container.dir.join("data")).unwrap();
    let data = container.path("data");
    fs::write(container.dir.join("data/file"), "from the host").unwrap();
    container.bundle.mount("bind", &data, "/mnt/data", &["rbind", "rprivate"]);
    assert_eq!(container.sees("cat /mnt/data/file; echo back > /mnt/data/reply"), "from the host");
    assert_eq!(fs::read_to_string(container.dir.join("data/reply")).unwrap(), "back\n");
}

#[test]
fn a_file_is_bound_on_a_file_made_for_it() {
    let mut container = Container::new(|_| {});
    let hosts = container.file("hosts", "127.0.0.1 localhost\n");
    container.bundle.mount("bind", &hosts, "/etc/deep/down/hosts", &["bind", "ro"]);
    let script = "cat /etc/deep/down/hosts; stat -c %F /etc/deep/down/hosts; echo x 2>/dev/null > /etc/deep/down/hosts || echo refused";
    assert_eq!(container.sees(script), "127.0.0.1 localhost\nregular file\nrefused");
}

#[test]
fn a_type_of_none_with_the_word_bind_is_a_bind() {
    let mut container = Container::new(|_| {});
    let file = container.file("file", "content");
    container.bundle.mount("none", &file, "/file", &["rbind"]);
    assert_eq!(container.sees("cat /file"), "content");
}

#[test]
fn a_bind_of_a_symlink_binds_what_it_leads_to() {
    let mut container = Container::new(|_| {});
    container.file("real", "content");
    symlink("real", container.dir.join("link")).unwrap();
    let link = container.path("link");
    container.bundle.mount("bind", &link, "/file", &["bind"]);
    assert_eq!(container.sees("cat /file; stat -c %F /file"), "contentregular file");
}

#[test]
fn a_relative_bind_source_is_taken_from_the_bundle() {
    let container = Container::new(|bundle| {
        fs::write(bundle.dir.join("file"), "in the bundle").unwrap();
        bundle.mount("bind", "file", "/file", &["bind"]);
    });
    assert_eq!(container.sees("cat /file"), "in the bundle");
}

#[test]
fn a_bind_may_have_podman_s_words_about_volumes() {
    for word in ["copy", "nocopy"] {
        let container = Container::new(|bundle| {
            bundle.mount("bind", "/etc", "/t", &["rbind", word]);
        });
        assert_eq!(container.sees("test -e /t/passwd && echo bound"), "bound", "{word}");
    }
}

#[test]
fn a_bind_alone_leaves_out_what_is_mounted_below_and_rbind_takes_it() {
    let mut container = Container::new(|_| {});
    let tree = container.path("tree");
    container.bundle.mount("bind", &tree, "/one", &["bind"]).mount("bind", &tree, "/all", &["rbind"]);
    container.bundle.sh("ls /one/sub /all/sub");
    let outcome = container.run().private_mounts().prologue(&tree_with_submount(&tree)).output();
    assert_eq!(outcome.ok(), "/all/sub:\nbelow\n\n/one/sub:");
}

#[test]
fn missing_mount_points_are_made() {
    let container = Container::new(|bundle| {
        bundle.mount("tmpfs", "tmpfs", "/brand/new/place", &[]);
    });
    assert_eq!(container.sees("grep -c ' /brand/new/place ' /proc/mounts; stat -c %a /brand/new"), "1\n755");
}

#[test]
fn a_mount_point_behind_symlinks_is_found_in_the_containers_root() {
    let container = Container::new(|bundle| {
        let rootfs = bundle.rootfs();
        fs::create_dir_all(rootfs.join("real/dir")).unwrap();
        symlink("/real", rootfs.join("absolute")).unwrap();
        symlink("../../../../real", rootfs.join("var/climbing")).unwrap();
        bundle.mount("tmpfs", "one", "/absolute/dir", &[]).mount("tmpfs", "two", "/var/climbing/new", &[]);
    });
    let seen = container.sees("grep -E '^(one|two)' /proc/mounts | cut -d' ' -f1,2");
    assert_eq!(seen, "one /real/dir\ntwo /real/new");
}

#[test]
fn a_mount_point_behind_a_dangling_symlink_is_made_in_the_containers_root() {
    let container = Container::new(|bundle| {
        symlink("/not/there", bundle.rootfs().join("dangling")).unwrap();
        bundle.mount("tmpfs", "one", "/dangling/dir", &[]);
    });
    assert_eq!(container.sees("grep ^one /proc/mounts | cut -d' ' -f2"), "/not/there/dir");
}

#[test]
fn mounts_are_made_in_the_order_listed() {
    let container = Container::new(|bundle| {
        bundle.mount("tmpfs", "lower", "/m", &[]).mount("tmpfs", "inner", "/m/inner", &[]);
        bundle.mount("tmpfs", "upper", "/n/inner", &[]).mount("tmpfs", "cover", "/n", &[]);
    });
    assert_eq!(container.sees("ls -A /m; ls -A /n"), "inner");
}

#[test]
fn a_relative_destination_is_taken_from_the_root() {
    let container = Container::new(|bundle| {
        bundle.mount("tmpfs", "one", "relative/dir", &[]);
    });
    assert_eq!(container.sees("grep ^one /proc/mounts | cut -d' ' -f2"), "/relative/dir");
}

#[test]
fn an_overlay_is_mounted() {
    let mut container = Container::new(|_| {});
    for dir in ["lower", "upper", "work"] {
        fs::create_dir(container.dir.join(dir)).unwrap();
    }
    fs::write(container.dir.join("lower/file"), "below").unwrap();
    let [lower, upper, work] =
        ["lower", "upper", "work"].map(|dir| format!("{dir}dir={}", container.path(dir)));
    container.bundle.mount("overlay", "overlay", "/merged", &[&lower, &upper, &work]);
    assert_eq!(container.sees("cat /merged/file; echo x > /merged/new"), "below");
    assert!(container.dir.join("upper/new").exists());
}

#[test]
fn the_host_sees_none_of_the_containers_mounts() {
    let container = Container::sleeping(|bundle| {
        bundle.mount("tmpfs", "tmpfs", "/t", &["shared"]);
    });
    assert_eq!(spec_tests::leftovers::mounts(&container.id), Vec::<String>::new());
}

#[test]
fn the_container_sees_none_of_the_hosts_mounts() {
    let container = Container::new(|bundle| {
        bundle.unmount("/sys/fs/cgroup");
    });
    let seen = container.sees("cut -d' ' -f5 /proc/self/mountinfo | grep -vE '^/$|^/(proc|dev|sys)'; true");
    assert_eq!(seen, "");
}

#[test]
fn files_that_lxcfs_provides_may_cover_those_of_proc() {
    let mut container = Container::new(|_| {});
    let cpuinfo = container.file("cpuinfo", "a processor\n");
    for file in ["cpuinfo", "meminfo", "stat", "uptime", "loadavg", "diskstats", "swaps"] {
        container.bundle.mount("bind", &cpuinfo, &format!("/proc/{file}"), &["bind"]);
    }
    assert_eq!(container.sees("cat /proc/cpuinfo /proc/meminfo"), "a processor\na processor");
}

#[test]
fn cgroup_v1_shows_every_hierarchy_readonly() {
    spec_tests::skip_if!(!cgroup::is_v1("pids"), "no v1 hierarchies");
    let container = Container::new(|_| {});
    let script =
        "mkdir /sys/fs/cgroup/pids/x 2>/dev/null || echo refused; cat /sys/fs/cgroup/pids/cgroup.procs
                  ls /sys/fs/cgroup";
    let seen = container.sees(script);
    for controller in ["cpu", "cpuset", "memory", "devices", "freezer", "pids", "blkio"] {
        assert!(seen.contains(controller), "{controller}: {seen}");
    }
    // The container's own cgroup is the root of what it sees, and its first process is in it.
    assert!(seen.starts_with("refused\n1\n"), "{seen}");
}

#[test]
fn the_tmpfs_above_the_hierarchies_of_v1_has_the_name_of_its_type() {
    spec_tests::skip_if!(!cgroup::is_v1("pids"), "no v1 hierarchies");
    let container = Container::new(|_| {});
    let seen =
        container.sees("sed -n 's/.* \\/sys\\/fs\\/cgroup .* - //p' /proc/self/mountinfo | cut -d' ' -f1-2");
    assert_eq!(seen, "tmpfs tmpfs");
}

#[test]
fn cgroup_v1_in_a_cgroup_namespace_shows_the_same() {
    spec_tests::skip_if!(!cgroup::is_v1("pids"), "no v1 hierarchies");
    let container = Container::new(|bundle| {
        bundle.namespace("cgroup", None);
    });
    let script =
        "cat /sys/fs/cgroup/pids/cgroup.procs; mkdir /sys/fs/cgroup/pids/x 2>/dev/null || echo refused";
    assert!(container.sees(script).starts_with('1'));
    assert!(container.sees(script).ends_with("refused"));
}

#[test]
fn cgroup_v2_shows_the_containers_cgroup_readonly() {
    let container = Container::in_view(View::V2, |bundle| {
        bundle.namespace("cgroup", None);
    });
    let script = "cat /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused
                  sed 's/.* - //' /proc/self/mountinfo | grep -c ^cgroup2";
    let seen = container.sees(script);
    assert!(seen.starts_with('1') && seen.ends_with("refused\n1"), "{seen}");
}

#[test]
fn cgroup_v2_without_a_namespace_is_readonly() {
    let container = Container::in_view(View::V2, |_| {});
    let script = "ls /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused";
    assert_eq!(container.sees(script), "/sys/fs/cgroup/cgroup.procs\nrefused");
}

#[test]
fn idmapped_binds_show_files_under_other_owners() {
    not_in_runc_1_1!("knows no idmapped mounts");
    let mut container = Container::new(|_| {});
    let data = container.path("data");
    fs::create_dir(&data).unwrap();
    fs::write(container.dir.join("data/file"), "").unwrap();
    std::os::unix::fs::chown(container.dir.join("data/file"), Some(0), Some(0)).unwrap();
    let map = serde_json::json!([{"containerID": 0, "hostID": 2000, "size": 1000}]);
    container.bundle.push(
        "/mounts",
        serde_json::json!({
            "destination": "/data", "type": "bind", "source": data, "options": ["bind", "idmap"],
            "uidMappings": map, "gidMappings": map,
        }),
    );
    assert_eq!(container.sees("stat -c '%u %g' /data/file"), "2000 2000");
}

#[test]
fn idmapped_binds_without_mappings_use_those_of_the_user_namespace() {
    not_in_runc_1_1!("knows no idmapped mounts");
    let mut container = Container::new(|_| {});
    let data = container.path("data");
    fs::create_dir(&data).unwrap();
    fs::write(container.dir.join("data/file"), "").unwrap();
    container.bundle.user_namespace(100_000).mount("bind", &data, "/tmp", &["bind", "idmap"]);
    assert_eq!(container.sees("stat -c '%u %g' /tmp/file; touch /tmp/new"), "0 0");
    let new = std::os::unix::fs::MetadataExt::uid(&fs::metadata(container.dir.join("data/new")).unwrap());
    assert_eq!(new, 0);
}

#[test]
fn idmapped_binds_take_maps_from_the_option_as_crun_does() {
    let subject = spec_tests::subject::subject();
    spec_tests::skip_if!(!subject.is_corten() && !subject.is_crun(), "only crun knows maps in options");
    let options = [
        "idmap=uids=5-100007-1;gids=6-100008-1#900-100000-2",
        "idmap=uids=@5-7-1;gids=@6-8-1",
        "idmap=gids=@6-8-1;uids=@5-7-1",
    ];
    for option in options {
        // crun knows no hybrid machine.
        let mut container = Container::in_view(View::all()[0], |_| {});
        let data = container.path("data");
        fs::create_dir(&data).unwrap();
        let file = container.dir.join("data/file");
        fs::write(&file, "").unwrap();
        std::os::unix::fs::chown(&file, Some(5), Some(6)).unwrap();
        container.bundle.user_namespace(100_000).mount("bind", &data, "/tmp", &["bind", option]);
        assert_eq!(container.sees("stat -c '%u %g' /tmp/file"), "7 8", "{option}");
    }
}

/// The lines that make a tree with a tmpfs below it, in a private mount namespace.
pub fn tree_with_submount(tree: &str) -> String {
    format!(
        "mkdir -p {tree}/sub; mount -t tmpfs tree {tree}; mkdir {tree}/sub; mount -t tmpfs sub {tree}/sub; touch {tree}/sub/below"
    )
}

#[test]
fn of_two_mounts_on_one_place_the_one_that_asks_is_read_only() {
    let mut container = Container::new(|_| {});
    let volume = container.path("volume");
    fs::create_dir(&volume).unwrap();
    container.bundle.mount("bind", &volume, "/mnt", &["bind", "rw"]).mount("tmpfs", "tmpfs", "/mnt", &["ro"]);
    let seen = container.sees("grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f6 | cut -d, -f1");
    assert_eq!(seen, "rw\nro");
}

#[test]
fn a_recursive_attribute_of_a_cgroup_mount_is_applied() {
    not_in_runc_1_1!("rro came later");
    for view in spec_tests::view::View::all() {
        let container = Container::in_view(*view, |bundle| {
            bundle.unmount("/sys/fs/cgroup").mount("cgroup", "cgroup", "/sys/fs/cgroup", &["rro"]);
        });
        let seen = container
            .sees("grep /sys/fs/cgroup /proc/self/mountinfo | cut -d' ' -f6 | cut -d, -f1 | sort -u");
        assert_eq!(seen, "ro", "{view:?}");
    }
}

#[test]
fn the_source_of_a_bind_may_lie_in_an_earlier_mount() {
    not_in_runc_1_1!("knows no idmapped mounts");
    let configurations: [(&str, bool, &[&str]); 4] = [
        ("plain", false, &["bind"]),
        ("user namespace", true, &["bind"]),
        ("id map", false, &["bind", "idmap"]),
        ("user namespace and id map", true, &["bind", "idmap"]),
    ];
    for (name, in_user_namespace, options) in configurations {
        let mut container = Container::new(|bundle| {
            if in_user_namespace {
                bundle.user_namespace(100_000);
            }
            // What the image has in the same place is covered by then.
            let image = bundle.rootfs().join("mnt/x");
            fs::create_dir_all(&image).unwrap();
            fs::write(image.join("f"), "of the image").unwrap();
            fs::create_dir_all(bundle.rootfs().join("final")).unwrap();
        });
        let outer = container.dir.join("outer");
        fs::create_dir_all(outer.join("x")).unwrap();
        fs::write(outer.join("x/f"), "of the earlier mount").unwrap();
        let inner = container.bundle.rootfs().join("mnt/x");
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        let mut second =
            json!({"destination": "/final", "type": "bind", "source": inner, "options": options});
        if options.contains(&"idmap") && !in_user_namespace {
            second["uidMappings"] = map.clone();
            second["gidMappings"] = map;
        }
        container
            .bundle
            .push("/mounts", json!({"destination": "/mnt", "source": outer, "options": ["bind"]}));
        container.bundle.push("/mounts", second);
        assert_eq!(container.sees("cat /final/f"), "of the earlier mount", "{name}");
    }
}
