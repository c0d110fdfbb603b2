//! What is managed beside containers: networks, volumes, prunes, archives, and what dead containers leave.

use std::fs;

use crate::docker::{Docker, nothing_is_left, with_each_runtime};
use crate::host::{sh, try_sh, until};

/// Words as people type them.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn ok(docker: &Docker, line: &str) -> String {
    docker.ok(&words(line))
}

/// Each line fails with this code, and says why.
fn refused(docker: &Docker, lines: &[(&str, &str)]) {
    for (line, why) in lines {
        let (_, said, code) = docker.says(&words(line));
        assert!(code == 1 && said.contains(why), "{line}: {code}: {said}");
    }
}

#[test]
fn networks_are_made_shown_joined_left_and_removed() {
    with_each_runtime(|docker| {
        let id = ok(docker, "network create --subnet 10.9.0.0/24 --gateway 10.9.0.9 --label of=shop front");
        assert_eq!(id.trim().len(), 64);
        ok(docker, "network create --internal back");
        assert_eq!(ok(docker, "network ls --format {{.Name}}"), "back\nbridge\nfront\nhost\nnone\n");
        assert_eq!(ok(docker, "network ls -q --no-trunc -f label=of=shop"), id);
        assert_eq!(ok(docker, "network ls -q -f type=custom -f name=nobody"), "");
        let gateway = "{{(index .IPAM.Config 0).Gateway}} {{.Internal}}";
        assert_eq!(docker.ok(&["network", "inspect", "-f", gateway, &id[..8]]), "10.9.0.9 false\n");
        refused(
            docker,
            &[
                ("network create front", "network with name front already exists"),
                ("network create bridge", "operation is not permitted on predefined bridge network"),
                ("network create ../x", "a name has letters, digits"),
                ("network create -o com.docker.network.bridge.name=lo x", "interface lo is there already"),
                ("network create -o com.docker.network.bridge.name=a\";b x", "not a name of an interface"),
                ("network create -d overlay x", "driver overlay is none of bridge, macvlan, ipvlan"),
                ("network create --subnet 10.9.0.0/25 x", "overlaps with 10.9.0.0/24"),
                ("network create -o com.docker.network.bridge.enable_icc=false x", "can't be done here"),
                ("network rm bridge", "bridge is a pre-defined network and cannot be removed"),
                ("network rm nothing", "network nothing not found"),
                ("network inspect nothing", "network nothing not found"),
            ],
        );
        ok(docker, "run -d --name web --network front box sleep 1000");
        ok(docker, "run -d --name db --network back box sleep 1000");
        refused(docker, &[("network rm front", "has active endpoints (name:\"web\"")]);
        assert_ne!(docker.says(&["exec", "web", "nslookup", "db"]).2, 0);
        ok(docker, "network connect --alias shop back web");
        refused(
            docker,
            &[("network connect back web", "endpoint with name web already exists in network back")],
        );
        assert!(ok(docker, "exec db nslookup shop").contains("10.72."));
        ok(docker, "exec web ping -c 1 -W 2 db");
        // After a start the container is where it was connected to.
        ok(docker, "restart -t 0 web");
        ok(docker, "exec web ping -c 1 -W 2 db");
        ok(docker, "network disconnect back web");
        assert_ne!(docker.says(&["exec", "web", "ping", "-c", "1", "-W", "1", "db"]).2, 0);
        refused(docker, &[("network disconnect back web", "is not connected to the network back")]);
        // What has left its last network may come back.
        ok(docker, "network disconnect front web");
        ok(docker, "network connect front web");
        assert!(ok(docker, "exec web ip -4 address").contains("eth0"));
        assert_eq!(docker.says(&["network", "prune", "-f"]).0, "");
        ok(docker, "rm -f -v web db");
        assert_eq!(ok(docker, "network rm front"), "front\n");
        assert_eq!(ok(docker, "network prune -f"), "Deleted Networks:\nback\n\n");
        assert_eq!(
            sh("ip -o link show type bridge | grep -c ct- || true"),
            "0\n",
            "bridges go with their networks"
        );
        assert_eq!(sh("ls /run/corten-compose/.addresses"), "", "what was noted of their addresses, too");
        nothing_is_left();
    });
}

#[test]
fn volumes_stay_while_a_container_has_them() {
    with_each_runtime(|docker| {
        assert_eq!(ok(docker, "volume create --label of=shop db"), "db\n");
        assert_eq!(ok(docker, "volume create db"), "db\n");
        let anonymous = ok(docker, "volume create");
        assert_eq!(ok(docker, "volume ls -q -f label=of=shop"), "db\n");
        ok(docker, "run --name web -v db:/data box true");
        refused(
            docker,
            &[
                ("volume rm db", "remove db: volume is in use - ["),
                ("volume rm nothing", "get nothing: no such volume"),
                ("volume rm ../containers", "no such volume"),
                ("volume create a/b", "includes invalid characters for a local volume name"),
                ("volume create -o type=nfs x", "only a directory can be bound"),
                ("volume create -d nfs x", "plugin \"nfs\" not found"),
                ("volume inspect nothing", "get nothing: no such volume"),
                ("volume ls -f colour=red", "invalid filter 'colour'"),
            ],
        );
        sh("mkdir -p /run/bound && echo bound > /run/bound/file");
        ok(docker, "volume create -o type=none -o o=bind -o device=/run/bound dir");
        assert_eq!(ok(docker, "run --rm -v dir:/data box cat /data/file"), "bound\n");
        ok(docker, "volume rm dir");
        assert_eq!(sh("cat /run/bound/file"), "bound\n", "what is bound stays");
        assert_eq!(ok(docker, "volume rm -f nothing"), "nothing\n");
        assert_eq!(docker.ok(&["inspect", "-f", "{{.Driver}} {{.Labels.of}}", "db"]), "local shop\n");
        let pruned = ok(docker, "volume prune -f");
        assert_eq!(pruned, format!("Deleted Volumes:\n{anonymous}\nTotal reclaimed space: 0B\n"));
        ok(docker, "rm -v web");
        // What a container is just being made for is used, also before the container is there.
        let making = "/var/lib/corten-compose/default/containers/making";
        sh(&format!("mkdir -p {making}"));
        let started = fs::read_to_string("/proc/self/stat").expect("it is there");
        let started = started.rsplit_once(") ").expect("a name").1.split(' ').nth(19).expect("a start");
        let maker = format!("{{\"pid\":{},\"started\":{started}}}", std::process::id());
        let uses = format!("{{\"maker\":{maker},\"uses\":{{\"volumes\":[\"db\"]}}}}");
        fs::write(format!("{making}/making.json"), uses).expect("it is written");
        assert_eq!(ok(docker, "volume prune -a -f"), "Total reclaimed space: 0B\n");
        sh(&format!("rm -r {making}"));
        assert!(ok(docker, "volume prune -a -f").starts_with("Deleted Volumes:\ndb\n\nTotal"));
        nothing_is_left();
    });
}

#[test]
fn a_volume_is_kept_from_other_users_and_a_place_in_it_leads_nowhere_else() {
    const DATA: &str = "/var/lib/corten-compose/default/volumes/led/_data";
    const OUT: &str = "cannot access path /var/lib/corten-compose/default/volumes/led/_data/a/b: a symbolic link \
                       is on the way";
    let is_out = |said: &str| said.contains(OUT) && said.lines().count() == 1;
    with_each_runtime(|docker| {
        ok(docker, "volume create led");
        sh(&format!("mkdir -p {DATA}/a/b /run/out/b && echo good > {DATA}/a/b/f && echo one > {DATA}/one"));
        // Directories of an older version are as open as they were until the next command.
        sh("chmod 711 /var/lib/corten-compose /run/corten-compose");
        let places = "--mount type=volume,src=led,dst=/x,volume-subpath=a/b --mount \
                      type=volume,src=led,dst=/all/one,volume-subpath=one -v led:/all";
        ok(docker, &format!("run -d --name web -u 1000 {places} box sleep 1000"));
        let modes = sh("stat -c %a /var/lib/corten-compose /run/corten-compose");
        assert_eq!(modes, "700\n700\n");
        assert!(!try_sh(&format!("chroot --userspec=1000:1000 / ls {DATA}")).status.success());
        ok(docker, "restart -t 0 web");
        assert_eq!(ok(docker, "exec web cat /x/f /all/one"), "good\none\n");
        ok(docker, "stop -t 0 web");
        // Another directory of the volume is as good.
        sh(&format!("mv {DATA}/a {DATA}/old && mkdir -p {DATA}/a/b && echo other > {DATA}/a/b/f"));
        ok(docker, "start web");
        assert_eq!(ok(docker, "exec web cat /x/f"), "other\n");
        ok(docker, "stop -t 0 web");
        assert!(ok(docker, "cp web:/x/f -").contains("other"));
        sh(&format!("rm -r {DATA}/a && ln -s /run/out {DATA}/a"));
        for line in ["start web", "restart web", "cp web:/x/f -", "cp /etc/hostname web:/x/f"] {
            let (_, said, code) = docker.says(&words(line));
            assert!(code == 1 && is_out(&said), "{line}: {code}: {said}");
        }
        assert!(is_out(&ok(docker, "inspect -f {{.State.Error}} web")));
        // Whoever starts it. A link that comes later than a look is the same.
        let started = try_sh("ctr tasks start -d $(ctr containers ls -q)");
        let said = String::from_utf8_lossy(&started.stderr).into_owned();
        assert!(!started.status.success() && is_out(&said), "{said}");
        assert_eq!((docker.state("web").as_str(), sh("ls /run/out/b")), ("exited", String::new()));
        ok(docker, "rm web");
        // The container itself lays the link, and its keeper starts it again.
        sh(&format!("rm {DATA}/a && mkdir -p {DATA}/a/b"));
        let line = "echo once; mv /all/a /all/was; ln -s /run/out /all/a; exit 1";
        let run = format!("run -d --name web --restart on-failure:1 {places} box sh -c");
        docker.ok(&[&words(&run)[..], &[line]].concat());
        until("it is given up", || docker.state("web") == "exited");
        assert_eq!(ok(docker, "logs web"), "once\n");
        ok(docker, "rm web");
        assert!(!sh("cat /proc/self/mountinfo").contains("led"));
        ok(docker, "volume rm led");
        nothing_is_left();
    });
}

#[test]
fn what_nobody_uses_is_pruned_and_what_runs_stays() {
    with_each_runtime(|docker| {
        ok(docker, "network create front");
        ok(docker, "run -d --name web --network front -v db:/data box sleep 1000");
        let ended = ok(docker, "create --name old box true");
        ok(docker, "tag box other:1");
        let table = ok(docker, "system df --format {{.Type}}={{.TotalCount}}/{{.Active}}");
        assert_eq!(table, "Images=1/1\nContainers=2/1\nLocal Volumes=2/2\nBuild Cache=0/0\n");
        assert!(ok(docker, "system df -v").contains("Local Volumes space usage:\n\nVOLUME NAME"));
        assert_eq!(ok(docker, "info -f {{.Containers}}/{{.ContainersRunning}}/{{.Images}}"), "2/1/1\n");
        // Without a yes nothing is done.
        assert!(
            ok(docker, "system prune -a --volumes").ends_with("Are you sure you want to continue? [y/N] ")
        );
        refused(
            docker,
            &[
                ("system prune -f --volumes --filter until=1h", "filter is not supported with \"--volumes\""),
                ("container prune -f --filter until=soon", "invalid filter 'until=soon'"),
                ("image prune -f --filter colour=red", "invalid filter 'colour'"),
            ],
        );
        assert_eq!(ok(docker, "container prune -f --filter until=1h"), "Total reclaimed space: 0B\n");
        assert_eq!(ok(docker, "image prune -f"), "Total reclaimed space: 0B\n");
        let pruned = ok(docker, "system prune -a --volumes -f");
        assert!(pruned.starts_with(&format!("Deleted Containers:\n{ended}\nDeleted Volumes:\n")), "{pruned}");
        assert_eq!(ok(docker, "container ls --format {{.Names}}"), "web\n");
        assert_eq!(
            ok(docker, "image ls --format {{.Repository}}").lines().count(),
            2,
            "its image has both names"
        );
        ok(docker, "rm -f web");
        let pruned = ok(docker, "system prune -a -f");
        assert!(
            pruned.contains("Deleted Networks:\nfront\n") && pruned.contains("untagged: other:1\n"),
            "{pruned}"
        );
        assert_eq!(ok(docker, "volume ls -q").lines().collect::<Vec<_>>().last(), Some(&"db"));
        assert_eq!(ok(docker, "images -q") + &sh("ctr content ls -q"), "");
        nothing_is_left();
    });
}

#[test]
fn what_plugins_will_never_take_back_is_told_once() {
    with_each_runtime(|docker| {
        ok(docker, "network create front");
        let id = ok(docker, "run -d --name web --network front box sleep 1000");
        let again = docker.crash(id.trim());
        let list = format!("/run/corten-compose/default/{}/endpoints.json", id.trim());
        sh(&format!("sed -i 's/\"type\": *\"bridge\"/\"type\":\"nowhere\"/' {list}"));
        ok(docker, "network rm front");
        let run = || docker.says(&["run", "--rm", "box", "true"]);
        let (_, said, code) = run();
        assert!(code == 0 && said.contains("CNI plugin nowhere"), "{said}");
        assert_eq!(run(), (String::new(), String::new(), 0));
        drop(again);
        nothing_is_left();
    });
}

#[test]
fn what_a_killed_shim_has_left_is_taken_back_by_the_next_command() {
    with_each_runtime(|docker| {
        ok(docker, "network create front");
        let mut again = Vec::new();
        for (round, next) in ["run --rm box true", "system prune -f"].iter().enumerate() {
            let id = ok(docker, "run -d --name web --network front -p 8080:80 box sleep 1000");
            let id = id.trim();
            assert!(sh("nft list map ip corten pub").contains("8080"));
            // Killed with all that would take it back, as at a power cut that leaves /run.
            again.push(docker.crash(id));
            assert!(
                sh("ls /run/corten-compose/.addresses/*").contains("10.72."),
                "{round}: it is left so far"
            );
            // As a plugin leaves it that takes an address back while its network is removed.
            let gone = "/run/corten-compose/.addresses/gone";
            sh(&format!("mkdir {gone} && touch {gone}/lock {gone}/last_reserved_ip.0"));
            ok(docker, next);
            assert_eq!(sh("ls -d /run/corten-compose/.addresses/gone || true"), "");
            assert_eq!(sh("nft list tables | grep corten || true"), "");
            assert_eq!(sh("ls /run/corten-compose/.addresses/* | grep '^10' || true"), "");
            assert_eq!(sh("find /run/corten-compose/default/net -type f"), "");
            if round == 1 {
                // A prune removes the network too, which nobody uses by then.
                ok(docker, "network create front");
            }
        }
        // Who flushes all tables is healed by a prune, and by whoever starts a container.
        let id = ok(docker, "run -d --name web --network front -p 8080:80 box sleep 1000");
        for heals in ["container prune -f", "run --rm --network front box true"] {
            sh("nft flush ruleset");
            ok(docker, heals);
            assert!(sh("nft list map ip corten pub").contains("8080"), "{heals}");
        }
        ok(docker, &format!("rm -f -v {}", id.trim()));
        nothing_is_left();
    });
}

#[test]
fn images_go_into_archives_and_come_back() {
    with_each_runtime(|docker| {
        ok(docker, "tag box other:1");
        ok(docker, "save -o /run/two.tar box other:1");
        let names = sh("tar xOf /run/two.tar manifest.json");
        assert!(names.contains("box:latest") && names.contains("other:1"), "{names}");
        ok(docker, "rmi box other:1");
        sh(
            "gzip -kf /run/two.tar && head -c 100000 /run/two.tar > /run/cut.tar && head -c 9000 /run/two.tar.gz > /run/cut.gz",
        );
        refused(
            docker,
            &[
                ("load -i /run/cut.tar", "unexpected EOF"),
                ("load -i /run/cut.gz", "gzip: not a whole archive"),
                ("load -i /etc/passwd", ""),
                ("load -i /run/nothing", "No such file"),
                ("load", ""),
                ("save nothing", "No such image: nothing:latest"),
                ("save -o /run box", "No such image: box:latest"),
                ("history nothing", "No such image"),
            ],
        );
        assert_eq!(ok(docker, "images -q"), "");
        for archive in ["/run/two.tar", "/run/two.tar.gz"] {
            let loaded = ok(docker, &format!("load -i {archive}"));
            assert_eq!(loaded, "Loaded image: box:latest\nLoaded image: other:1\n");
        }
        refused(
            docker,
            &[("save -o /run box", "invalid output path"), ("save -o /no/x box", "invalid output path")],
        );
        assert_eq!(ok(docker, "run --rm box"), "the image's\n");
        assert_eq!(ok(docker, "history --format {{.ID}}{{.Comment}} box").trim().len(), 12);
        assert_eq!(
            ok(docker, "image inspect -f {{.RepoTags}}{{.Config.Entrypoint}} box"),
            "[box:latest other:1][]\n"
        );
        nothing_is_left();
    });
}

#[test]
fn the_doctor_finds_what_is_missing() {
    with_each_runtime(|docker| {
        assert!(ok(docker, "doctor").contains("ok       containerd "));
        let (said, _, code) = docker.says(&["-a", "/run/nothing.sock", "doctor"]);
        assert!(code == 1 && said.contains("missing  containerd at /run/nothing.sock: "), "{said}");
        let without = try_sh("test -d /usr/lib/cni && mount -t tmpfs none /usr/lib/cni");
        if without.status.success() {
            let (said, _, code) = docker.says(&["doctor"]);
            sh("umount /usr/lib/cni");
            assert!(
                code == 1 && said.contains("missing  CNI plugins bridge, host-local: apt install"),
                "{said}"
            );
        }
        until("nothing runs", || try_sh("ctr tasks ls -q").stdout.is_empty());
    });
}
