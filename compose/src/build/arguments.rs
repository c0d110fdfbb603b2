//! A request → the arguments of `buildctl build`. Pure.

use std::path::Path;

use super::{Dockerfile, Further, Request, Source};
use crate::error::{Error, Result};

/// How the builder gives its image to containerd.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exporter<'a> {
    /// It is a worker of the same containerd and namespace.
    Shared,
    /// It writes an archive.
    Archive(&'a Path),
}

/// What lies ready for a build.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Staged {
    /// The directory with the Dockerfile, where that is a text.
    pub dockerfile: Option<std::path::PathBuf>,
    /// Images as layouts of OCI: the context's name, the directory, the digest.
    pub layouts: Vec<(String, std::path::PathBuf, String)>,
}

/// The arguments behind `buildctl build`.
///
/// Errors: what BuildKit has no word for.
pub fn words(request: &Request, staged: &Staged, exporter: Exporter) -> Result<Vec<String>> {
    let mut words = Words::default();
    words.flag("frontend", "dockerfile.v0");
    context(&mut words, request, staged);
    options(&mut words, request)?;
    // An image that is here is taken as it is, as docker does. Only a worker of containerd sees one.
    match exporter {
        _ if request.pull => words.option("image-resolve-mode", "pull"),
        Exporter::Shared => words.option("image-resolve-mode", "local"),
        Exporter::Archive(_) => {}
    }
    further(&mut words, request, staged);
    for cache in &request.cache_from {
        words.flag("import-cache", &cache_of(cache));
    }
    for cache in &request.cache_to {
        words.flag("export-cache", &cache_of(cache));
    }
    request.secrets.iter().for_each(|secret| words.flag("secret", secret));
    request.ssh.iter().for_each(|ssh| words.flag("ssh", ssh));
    let mut allow = request.allow.clone();
    if request.network.as_deref() == Some("host") {
        allow.push("network.host".to_owned());
    }
    allow.sort();
    allow.dedup();
    allow.iter().for_each(|entitlement| words.flag("allow", entitlement));
    outputs(request, exporter)?.iter().for_each(|output| words.flag("output", output));
    Ok(words.0)
}

/// Whether the result ends up in containerd.
pub fn is_kept(request: &Request) -> bool {
    request.outputs.iter().all(|output| is_image(output))
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn flag(&mut self, name: &str, value: &str) {
        self.0.extend([format!("--{name}"), value.to_owned()]);
    }

    fn option(&mut self, name: &str, value: &str) {
        self.flag("opt", &format!("{name}={value}"));
    }
}

fn context(words: &mut Words, request: &Request, staged: &Staged) {
    match &request.context {
        Source::Directory(directory) => words.flag("local", &format!("context={}", directory.display())),
        Source::Elsewhere(url) => words.option("context", url),
    }
    let is_here = matches!(request.context, Source::Directory(_));
    match (&request.dockerfile, &staged.dockerfile) {
        (Dockerfile::Text(_), Some(directory)) => {
            words.flag("local", &format!("dockerfile={}", directory.display()));
            if !is_here {
                // Else the frontend would look for it in what it fetches.
                words.option("dockerfilekey", "dockerfile");
            }
        }
        (Dockerfile::File(file), _) if is_here => {
            let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
            let directory = directory.unwrap_or(Path::new("."));
            words.flag("local", &format!("dockerfile={}", directory.display()));
            words.option("filename", &file.file_name().unwrap_or_default().to_string_lossy());
        }
        (Dockerfile::File(file), _) => words.option("filename", &file.to_string_lossy()),
        (Dockerfile::Text(_), None) => {}
    }
}

fn options(words: &mut Words, request: &Request) -> Result<()> {
    if let Some(target) = &request.target {
        words.option("target", target);
    }
    for (name, value) in &request.args {
        words.option(&format!("build-arg:{name}"), value);
    }
    for (name, value) in &request.labels {
        words.option(&format!("label:{name}"), value);
    }
    for (kind, parameters) in &request.attest {
        words.option(&format!("attest:{kind}"), parameters);
    }
    if !request.platforms.is_empty() {
        words.option("platform", &request.platforms.join(","));
    }
    match (request.no_cache, request.no_cache_filter.as_slice()) {
        (true, _) => words.0.push("--no-cache".to_owned()),
        (false, []) => {}
        (false, stages) => words.option("no-cache", &stages.join(",")),
    }
    match request.network.as_deref() {
        None | Some("" | "default") => {}
        Some(mode @ ("host" | "none")) => words.option("force-network-mode", mode),
        Some(other) => {
            return Err(Error::new(format!("network {other}: a build has host, none or default")));
        }
    }
    if !request.hosts.is_empty() {
        words.option("add-hosts", &csv(&request.hosts));
    }
    if let Some(bytes) = request.shm_bytes {
        words.option("shm-size", &bytes.to_string());
    }
    if !request.ulimits.is_empty() {
        words.option("ulimit", &csv(&request.ulimits));
    }
    if let Some(parent) = &request.cgroup_parent {
        words.option("cgroup-parent", parent);
    }
    Ok(())
}

fn further(words: &mut Words, request: &Request, staged: &Staged) {
    for (index, (name, source)) in request.contexts.iter().enumerate() {
        let key = format!("context:{name}");
        match source {
            Further::Source(Source::Elsewhere(url)) => words.option(&key, url),
            Further::Source(Source::Directory(directory)) => {
                let local = format!("further-{index}");
                words.option(&key, &format!("local:{local}"));
                words.flag("local", &format!("{local}={}", directory.display()));
            }
            Further::Image(_) | Further::Layout(..) => {}
        }
        if let Some((_, directory, digest)) = staged.layouts.iter().find(|(of, ..)| of == name) {
            let layout = format!("layout-{index}");
            words.option(&key, &format!("oci-layout://{layout}@{digest}"));
            words.flag("oci-layout", &format!("{layout}={}", directory.display()));
        } else if let Further::Image(image) = source {
            words.option(&key, &format!("docker-image://{image}"));
        }
    }
}

fn outputs(request: &Request, exporter: Exporter) -> Result<Vec<String>> {
    if request.push && request.names.is_empty() {
        return Err(Error::new("tag is needed when pushing to registry"));
    }
    let annotations =
        request.annotations.iter().map(|(name, value)| csv(&[format!("annotation.{name}={value}")]));
    let annotations: String = annotations.map(|annotation| format!(",{annotation}")).collect();
    let name = match request.names.as_slice() {
        [] => String::new(),
        names => format!(",{}", csv(&[format!("name={}", names.join(","))])),
    };
    let image = || match exporter {
        Exporter::Shared if name.is_empty() => format!("type=image,dangling-name-prefix=<none>{annotations}"),
        Exporter::Shared => format!("type=image{name}{annotations}"),
        Exporter::Archive(path) => {
            format!("type=oci{name}{annotations},{}", csv(&[format!("dest={}", path.display())]))
        }
    };
    let pushed = || format!("type=image{name}{annotations},push=true");
    let mut outputs: Vec<String> = Vec::new();
    for output in &request.outputs {
        outputs.push(match output.as_str() {
            "-" => "type=tar,dest=-".to_owned(),
            directory if !directory.contains('=') => {
                csv(&["type=local".to_owned(), format!("dest={directory}")])
            }
            output if is_image(output) => image(),
            output if kind(output) == Some("registry") => pushed(),
            output if kind(output) == Some("image") && !output.contains("name=") => {
                format!("{output}{name}{annotations}")
            }
            output => output.to_owned(),
        });
    }
    match (outputs.is_empty(), request.push) {
        (true, false) => outputs.push(image()),
        (_, true) => outputs.push(pushed()),
        (false, false) => {}
    }
    Ok(outputs)
}

/// Whether the output is docker's default one: an image in its own store.
fn is_image(output: &str) -> bool {
    kind(output) == Some("docker") && !output.contains("dest=")
}

fn kind(output: &str) -> Option<&str> {
    output.split(',').find_map(|field| field.strip_prefix("type="))
}

/// A cache by its name alone is one of a registry.
fn cache_of(typed: &str) -> String {
    if typed.contains('=') {
        typed.to_owned()
    } else {
        csv(&["type=registry".to_owned(), format!("ref={typed}")])
    }
}

/// Fields as a line of CSV.
pub fn csv(fields: &[String]) -> String {
    let field = |field: &String| {
        if field.contains([',', '"', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    };
    fields.iter().map(field).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(request: &Request, staged: &Staged, exporter: Exporter) -> String {
        words(request, staged, exporter).map_or_else(|err| err.to_string(), |words| words.join(" "))
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_plain_build_goes_into_the_same_containerd_or_into_an_archive() {
        let request = Request {
            names: vec!["docker.io/library/web:latest".into()],
            context: Source::Directory("/shop/web".into()),
            dockerfile: Dockerfile::File("/shop/web/Dockerfile".into()),
            ..Request::default()
        };
        let common = "--frontend dockerfile.v0 --local context=/shop/web --local dockerfile=/shop/web \
                      --opt filename=Dockerfile";
        assert_eq!(
            of(&request, &Staged::default(), Exporter::Shared),
            format!(
                "{common} --opt image-resolve-mode=local --output type=image,name=docker.io/library/web:latest"
            )
        );
        assert_eq!(
            of(&request, &Staged::default(), Exporter::Archive(Path::new("/tmp/a"))),
            format!("{common} --output type=oci,name=docker.io/library/web:latest,dest=/tmp/a")
        );
    }

    #[test]
    fn each_field_has_its_words() {
        let request = Request {
            names: vec!["a:1".into(), "b:2".into()],
            context: Source::Elsewhere("https://example.com/a.git#main".into()),
            dockerfile: Dockerfile::Text("FROM scratch".into()),
            target: Some("last".into()),
            args: vec![pair("A", "1=2,3")],
            labels: vec![pair("l", "v")],
            contexts: vec![
                ("dir".into(), Further::Source(Source::Directory("/further".into()))),
                ("url".into(), Further::Source(Source::Elsewhere("docker-image://alpine".into()))),
                ("base".into(), Further::Image("docker.io/library/base:latest".into())),
                ("laid".into(), Further::Image("docker.io/library/laid:latest".into())),
            ],
            platforms: vec!["linux/amd64".into(), "linux/arm64".into()],
            cache_from: vec!["cache:1".into(), "type=local,src=/c".into()],
            cache_to: vec!["type=inline".into()],
            no_cache_filter: vec!["one".into(), "two".into()],
            pull: true,
            network: Some("host".into()),
            hosts: vec!["h=1.2.3.4".into(), "i=::1".into()],
            shm_bytes: Some(64),
            ulimits: vec!["nofile=1:2".into()],
            cgroup_parent: Some("/c".into()),
            secrets: vec!["id=s,src=/s".into()],
            ssh: vec!["default".into()],
            allow: vec!["network.host".into()],
            attest: vec![pair("sbom", "")],
            annotations: vec![pair("x", "y")],
            ..Request::default()
        };
        let staged = Staged {
            dockerfile: Some("/staged".into()),
            layouts: vec![("laid".into(), "/layout".into(), "sha256:1".into())],
        };
        let expected = "--frontend dockerfile.v0 --opt context=https://example.com/a.git#main \
             --local dockerfile=/staged --opt dockerfilekey=dockerfile --opt target=last --opt build-arg:A=1=2,3 \
             --opt label:l=v --opt attest:sbom= --opt platform=linux/amd64,linux/arm64 --opt no-cache=one,two \
             --opt force-network-mode=host --opt add-hosts=h=1.2.3.4,i=::1 --opt shm-size=64 \
             --opt ulimit=nofile=1:2 --opt cgroup-parent=/c --opt image-resolve-mode=pull \
             --opt context:dir=local:further-0 --local further-0=/further \
             --opt context:url=docker-image://alpine \
             --opt context:base=docker-image://docker.io/library/base:latest \
             --opt context:laid=oci-layout://layout-3@sha256:1 --oci-layout layout-3=/layout \
             --import-cache type=registry,ref=cache:1 --import-cache type=local,src=/c --export-cache type=inline \
             --secret id=s,src=/s --ssh default --allow network.host \
             --output type=image,\"name=a:1,b:2\",annotation.x=y";
        assert_eq!(of(&request, &staged, Exporter::Shared), expected);
    }

    #[test]
    fn outputs_are_dockers() {
        let names = vec!["a:1".to_owned()];
        let output = |outputs: &[&str], push, names: &[String]| {
            let outputs = outputs.iter().map(|output| (*output).to_owned()).collect();
            let request = Request { outputs, push, names: names.to_vec(), ..Request::default() };
            let words = of(&request, &Staged::default(), Exporter::Shared);
            words.split_once("--output ").map_or(words.clone(), |(_, output)| output.to_owned())
        };
        assert_eq!(output(&[], false, &[]), "type=image,dangling-name-prefix=<none>");
        assert_eq!(output(&["type=docker"], false, &names), "type=image,name=a:1");
        assert_eq!(output(&["out"], false, &names), "type=local,dest=out");
        assert_eq!(output(&["-"], false, &names), "type=tar,dest=-");
        assert_eq!(output(&["type=oci,dest=x.tar"], false, &names), "type=oci,dest=x.tar");
        assert_eq!(output(&["type=registry"], false, &names), "type=image,name=a:1,push=true");
        assert_eq!(output(&[], true, &names), "type=image,name=a:1,push=true");
        assert_eq!(output(&[], true, &[]), "tag is needed when pushing to registry");
    }
}
